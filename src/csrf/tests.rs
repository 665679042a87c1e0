use http::{HeaderName, HeaderValue};

use super::*;

const UNSAFE: [&str; 7] = ["POST", "PUT", "PATCH", "DELETE", "CONNECT", "QUERY", "get"];
const OWN: &str = "https://api.example.com";
const APP: &str = "https://app.example.com";
const EVIL: &str = "https://evil.test";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn allows(policy: &CsrfPolicy, method: &str, uri: &str, pairs: &[(&'static str, &str)]) -> bool {
    policy.allows(&method.parse().unwrap(), &uri.parse().unwrap(), &headers(pairs))
}

/// Every site with every origin under three policies: what the design says, written out.
#[test]
fn sec_j01_site_and_origin_decide_for_every_method() {
    let (default, listing) = (CsrfPolicy::new(), CsrfPolicy::new().allow_origin(APP));
    let same_site = CsrfPolicy::new().allow_same_site();
    let sites = [
        "same-origin",
        "none",
        "same-site",
        "cross-site",
        "",
        "Same-Origin",
        "same-origin, same-origin",
        "x",
    ];
    let origins = [None, Some(OWN), Some(APP), Some(EVIL), Some("null"), Some(""), Some("\u{e9}")];
    for site in sites.into_iter().map(Some).chain([None]) {
        for origin in origins {
            let mut pairs = vec![("host", "api.example.com")];
            pairs.extend(site.map(|site| ("sec-fetch-site", site)));
            pairs.extend(origin.map(|origin| ("origin", origin)));
            let browser_vouches = matches!(site, Some("same-origin" | "none"));
            let own = site.is_none() && origin == Some(OWN);
            let listed = matches!(site, Some("same-site" | "cross-site") | None) && origin == Some(APP);
            for method in UNSAFE {
                let what = format!("{method} {site:?} {origin:?}");
                assert_eq!(allows(&default, method, "/", &pairs), browser_vouches || own, "{what}");
                assert_eq!(allows(&listing, method, "/", &pairs), browser_vouches || own || listed, "{what}");
                let site_vouches = site == Some("same-site");
                let expected = browser_vouches || own || site_vouches;
                assert_eq!(allows(&same_site, method, "/", &pairs), expected, "{what}");
            }
            for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
                assert!(allows(&default, method, "/", &pairs), "{method}");
            }
        }
    }
}

#[test]
fn sec_j01_what_comes_twice_is_refused() {
    let policy = CsrfPolicy::new().allow_origin(APP).allow_same_site();
    let host = ("host", "api.example.com");
    for pairs in [
        &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")][..],
        &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        &[host, ("sec-fetch-site", "cross-site"), ("origin", APP), ("origin", APP)],
        &[host, ("origin", OWN), ("origin", EVIL)],
        &[host, ("origin", OWN), ("origin", OWN)],
        &[host, ("origin", "https://api.example.com https://evil.test")],
        &[host, host, ("origin", OWN)],
        &[host, ("host", "evil.test"), ("origin", EVIL)],
        &[host],
        &[],
    ] {
        assert!(!allows(&policy, "POST", "/", pairs), "{pairs:?}");
    }
}

#[test]
fn sec_j01_without_the_browsers_word_the_origin_must_be_the_requests_own_host() {
    for (uri, host, origin, expected) in [
        ("/", Some("a.test"), "https://a.test", true),
        ("/", Some("A.test"), "https://a.TEST", true),
        ("/", Some("a.test:443"), "https://a.test", true),
        ("/", Some("a.test:8443"), "https://a.test:8443", true),
        ("/", Some("[::1]:8443"), "https://[::1]:8443", true),
        ("/", Some("localhost:3000"), "http://localhost:3000", true),
        ("https://a.test/", None, "https://a.test", true),
        ("https://a.test/", Some("a.test"), "https://a.test", true),
        // TLS may have ended before us; it has not begun behind us.
        ("http://a.test/", Some("a.test"), "https://a.test", true),
        ("https://a.test/", Some("a.test"), "http://a.test", false),
        ("/", Some("a.test"), "https://a.test:8443", false),
        ("/", Some("a.test:8443"), "https://a.test", false),
        ("/", Some("a.test:80"), "https://a.test", false),
        ("/", Some("a.test:+443"), "https://a.test", false),
        ("/", Some("a.test:"), "https://a.test", false),
        ("/", Some("x@a.test"), "https://a.test", false),
        ("/", Some("a.test, b.test"), "https://a.test", false),
        ("/", Some(""), "https://a.test", false),
        ("/", Some("a.test"), "https://a.test/", false),
        ("/", Some("a.test"), "https://a.test/x", false),
        ("/", Some("a.test"), "https://a.test#x", false),
        ("/", Some("a.test"), "https://x@a.test", false),
        ("/", Some("a.test"), "ftp://a.test", false),
        ("/", Some("a.test"), "a.test", false),
        ("/", Some("null"), "null", false),
        ("/", Some("a.test"), "https://a.test.evil.test", false),
        ("/", Some("a.test"), "https://b.a.test", false),
        ("/", None, "https://a.test", false),
        ("https://b.test/", Some("a.test"), "https://a.test", false),
        ("https://a.test/", Some("b.test"), "https://a.test", false),
    ] {
        let mut pairs = vec![("origin", origin)];
        pairs.extend(host.map(|host| ("host", host)));
        assert_eq!(allows(&CsrfPolicy::new(), "POST", uri, &pairs), expected, "{uri} {host:?} {origin}");
    }
}

#[test]
fn r008_an_allowed_origin_is_exactly_that() {
    let policy = CsrfPolicy::new().allow_origin("https://app.example.com:8443");
    for (origin, expected) in [
        ("https://app.example.com:8443", true),
        ("https://APP.example.com:8443", true),
        ("https://app.example.com", false),
        ("http://app.example.com:8443", false),
        ("https://x.app.example.com:8443", false),
        ("https://app.example.com:8443.evil.test", false),
    ] {
        for site in ["same-site", "cross-site"] {
            let pairs = [("sec-fetch-site", site), ("origin", origin)];
            assert_eq!(allows(&policy, "DELETE", "/", &pairs), expected, "{site} {origin}");
        }
    }
}

#[test]
fn r008_origins_that_are_none_or_unsafe_are_faults() {
    let wrong = [
        "",
        "*",
        "null",
        "app.example.com",
        "https://*.example.com",
        "https://a/b",
        "https://a#b",
        "http://a.test",
        "ftp://a",
    ];
    let policy = wrong.into_iter().fold(CsrfPolicy::new(), CsrfPolicy::allow_origin);
    let mut faults = Faults::default();
    policy.allow_origin("http://localhost:3000").allow_origin(APP).check(&mut faults);
    let fault = faults.finish().unwrap_err();
    let named: Vec<&str> = fault.faults().iter().map(|fault| fault.value()).collect();
    assert_eq!(named, wrong.map(|text| format!("{text:?}")));
}

#[test]
fn sec_j03_a_websocket_from_another_site_is_refused() {
    let handshakes: [&[(&'static str, &str)]; 6] = [
        &[("connection", "Upgrade"), ("upgrade", "websocket")],
        &[("connection", "keep-alive, upgrade"), ("upgrade", "WebSocket")],
        &[
            ("connection", "keep-alive"),
            ("connection", "UPGRADE"),
            ("upgrade", "h2c"),
            ("upgrade", "websocket"),
        ],
        &[("connection", "upgrade"), ("upgrade", "h2c , websocket")],
        &[("connection", "upgrade"), ("upgrade", "websocket/13")],
        &[("upgrade", "websocket")],
    ];
    for handshake in handshakes {
        let with = |pairs: &[(&'static str, &'static str)]| {
            let all = [handshake, &[("host", "api.example.com")], pairs].concat();
            allows(&CsrfPolicy::new().allow_origin(APP), "GET", "/", &all)
        };
        assert!(with(&[("origin", OWN), ("sec-fetch-site", "same-origin")]));
        assert!(with(&[("origin", OWN)]) && with(&[("origin", APP)]));
        assert!(with(&[("origin", APP), ("sec-fetch-site", "same-site")]));
        assert!(!with(&[]) && !with(&[("origin", EVIL)]) && !with(&[("origin", "null")]));
        assert!(!with(&[("origin", EVIL), ("sec-fetch-site", "cross-site")]));
        assert!(!with(&[("origin", OWN), ("sec-fetch-site", "same-site")]));
    }
    // Extended CONNECT (RFC 8441).
    let connect =
        |origin| allows(&CsrfPolicy::new(), "CONNECT", "https://api.example.com/chat", &[("origin", origin)]);
    assert!(connect(OWN) && !connect(EVIL));
    // Other upgrades, and pages that only speak of one, are plain requests.
    for pairs in [
        &[("connection", "upgrade"), ("upgrade", "h2c")][..],
        &[("connection", "upgrade")],
        &[("upgrade", "xwebsocket")],
    ] {
        assert!(allows(&CsrfPolicy::new(), "GET", "/", pairs), "{pairs:?}");
    }
}
