use super::*;

#[track_caller]
fn check(origin: &str, uri: &str, expected: bool) {
    let origin = Origin::parse(origin).expect("an origin");
    assert_eq!(origin.matches(&uri.parse().unwrap()), expected, "{uri}");
}

#[test]
fn r121_scheme_host_and_port_must_all_match() {
    check("https://api.example.com", "https://api.example.com/a?b", true);
    check("https://api.example.com", "https://API.example.com:443/", true);
    check("https://api.example.com:443", "https://api.example.com/", true);
    check("https://api.example.com", "https://user@api.example.com/", true);
    check("https://[::1]:8443", "https://[::1]:8443/", true);
    // Written as the origin is, and not.
    check("http://api.example.com", "http://api.example.com/", true);
    check("http://api.example.com:443", "https://api.example.com/", false);
    check("https://api.example.com:444", "https://api.example.com/", false);
    check("https://api.example.com:80", "http://api.example.com/", false);
    check("https://api.example.com:80", "https://api.example.com/", false);
    check("http://api.example.com", "https://api.example.com/", false);
    for foreign in [
        "http://api.example.com/",
        "http://api.example.com:443/",
        "https://api.example.com:444/",
        "https://api.example.com:99999/",
        "https://api.example.com:9api.example.com/",
        "https://api.example.com:+443/",
        "https://api.example.com.evil.test/",
        "https://evil.test/api.example.com",
        "https://api.example.com@evil.test/",
        "https://xapi.example.com/",
        "https://api.example.com./",
        "/path-only",
    ] {
        check("https://api.example.com", foreign, false);
    }
}

#[test]
fn an_origin_is_nothing_but_an_origin() {
    for text in [
        "",
        "/",
        "api.example.com",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://u@a",
        "ftp://a",
        "https://a#b",
        "https://a:",
        "https://a:x",
        "https://:443",
        "null",
        "*",
        "https://*.example.com",
    ] {
        assert_eq!(Origin::parse(text), None, "{text:?}");
    }
}

#[test]
fn r121_plain_http_is_for_loopback_and_only_when_asked_for() {
    for (text, loopback) in [
        ("http://127.0.0.1:80", true),
        ("http://127.9.9.9", true),
        ("http://[::1]", true),
        ("http://localhost:3000", true),
        ("http://10.0.0.1", false),
        ("http://localhost.evil.test", false),
        ("http://127.0.0.1.evil.test", false),
    ] {
        let origin = Origin::parse(text).unwrap();
        assert!(!origin.is_safe(false), "{text}");
        assert_eq!(origin.is_safe(true), loopback, "{text}");
    }
    assert!(Origin::parse("https://a").unwrap().is_safe(false));
}

#[test]
fn r121_a_secret_goes_over_https_or_to_loopback_where_that_was_asked_for() {
    for (text, always, loopback) in [
        ("https://id.example.com/token", true, true),
        ("http://127.0.0.1:80/token", false, true),
        ("http://id.example.com/token", false, false),
        ("http://localhost.evil.test/token", false, false),
        ("ftp://localhost/token", false, false),
        ("/token", false, false),
    ] {
        let uri: Uri = text.parse().unwrap();
        assert_eq!((is_safe(&uri, false), is_safe(&uri, true)), (always, loopback), "{text}");
    }
}
