use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use proptest::prelude::*;

use super::*;
use crate::error::Faults;

fn navigates(method: &str, pairs: &[(&'static str, &str)]) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    is_navigation(&method.parse().unwrap(), &headers)
}

#[test]
fn sec_a10_only_a_page_that_a_person_opens_is_a_navigation() {
    const PAGE: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
    for (pairs, expected) in [
        (&[("sec-fetch-mode", "navigate")][..], true),
        (&[("sec-fetch-mode", "navigate"), ("accept", "application/json")], true),
        (&[("accept", PAGE)], true),
        (&[("accept", "application/json"), ("accept", "a/b, TEXT/HTML ;q=0.1")], true),
        (&[("accept", "text/html;level=1")], true),
        // A weight that is none says nothing.
        (&[("accept", "text/html;q=")], true),
        (&[("accept", "text/html;q=.")], true),
        // The browser says that it is a script, whatever it accepts.
        (&[("sec-fetch-mode", "cors"), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", "same-origin"), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", "no-cors"), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", "websocket"), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", "Navigate"), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", ""), ("accept", PAGE)], false),
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")], false),
        (&[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors"), ("accept", PAGE)], false),
        // Clients of APIs.
        (&[], false),
        (&[("accept", "*/*")], false),
        (&[("accept", "application/json, text/plain, */*")], false),
        (&[("accept", "text/*")], false),
        (&[("accept", "text/htmlx")], false),
        (&[("accept", "application/x;a=text/html")], false),
        (&[("accept", "text/html;q=0")], false),
        (&[("accept", "text/html; Q=0.000")], false),
        (&[("accept", "\u{e9}text/html")], false),
    ] {
        for method in ["GET", "HEAD"] {
            assert_eq!(navigates(method, pairs), expected, "{method} {pairs:?}");
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "QUERY"] {
            assert!(!navigates(method, pairs), "{method} {pairs:?}");
        }
    }
}

const LOCAL: [&str; 20] = [
    "/",
    "/a",
    "/a/",
    "/a/b?c=d&e=f",
    "/a?next=/b",
    "/a?next=https://evil.test//x",
    "/a?q=%5C%2F%2F",
    "/a#b",
    "/?//evil.test",
    "/#//evil.test",
    "/a%20b",
    "/a%2Fb",
    "/wiki/What%3F",
    "/100%25",
    "/m%C3%BCnchen",
    "/@evil.test",
    "/evil.test",
    "/a:b",
    "/search?q=100%",
    "/..",
];

const ELSEWHERE: [&str; 64] = [
    "",
    "a",
    "evil.test",
    "?a",
    "#a",
    ".",
    "../a",
    // Other hosts.
    "https://evil.test",
    "https:evil.test",
    "https:/evil.test",
    "https:///evil.test",
    "HTTPS://evil.test",
    "http://evil.test/a",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "data:text/html,x",
    "//evil.test",
    "///evil.test",
    "////evil.test",
    "//evil.test/..",
    "/a//evil.test",
    "/.//evil.test",
    "/..//evil.test",
    // Backslashes are slashes to browsers.
    "\\evil.test",
    "\\\\evil.test",
    "/\\evil.test",
    "/\\/evil.test",
    "\\/evil.test",
    "/a\\b",
    "/a?b=\\",
    // Behind one decoding, or two, or three.
    "/%2fevil.test",
    "/%2Fevil.test",
    "/%2f%2fevil.test",
    "%2f%2fevil.test",
    "/%2f..",
    "/%5cevil.test",
    "/%5Cevil.test",
    "/%252fevil.test",
    "/%255cevil.test",
    "/%25252fevil.test",
    "/.%2f/evil.test",
    "/%2e%2f%2fevil.test",
    // Header injection, and characters that browsers drop.
    "/a\r\nSet-Cookie: a=b",
    "/a\nb",
    "/a%0d%0aSet-Cookie:%20a=b",
    "/a%0Ab",
    "/a%0Db",
    "/a?b=%0d%0ac",
    "/a?b=%250d%250ac",
    "/a#%0a",
    "/%00",
    "/a%7f",
    "/%09/evil.test",
    "/\t/evil.test",
    "\t//evil.test",
    "/\u{0}",
    " /a",
    "/a ",
    "/a b",
    "\u{a0}/a",
    "/a\u{2028}",
    "/\u{ff0f}evil.test",
    "/a\u{7f}",
    "/%c0%afevil.test",
];

#[test]
fn sec_e11_only_a_path_on_this_host_is_followed() {
    for text in LOCAL {
        assert_eq!(safe_next(text), Some(text), "{text:?}");
        assert_eq!(safe_next_in(text, &["https://a.test"]), Some(text), "{text:?}");
    }
    for text in ELSEWHERE {
        assert_eq!(safe_next(text), None, "{text:?}");
        assert_eq!(safe_next_in(text, &["https://a.test"]), None, "{text:?}");
    }
    assert!(safe_next(&format!("/{}", "a".repeat(2047))).is_some());
    assert!(safe_next(&format!("/{}", "a".repeat(2048))).is_none());
    // Escaped seven times it can be followed to its end, and eight times it cannot.
    assert!(safe_next(&format!("/%{}41", "25".repeat(6))).is_some());
    assert!(safe_next(&format!("/%{}41", "25".repeat(7))).is_none());
    assert!(safe_next(&format!("/%{}41", "25".repeat(900))).is_none());
}

#[test]
fn sec_e11_an_absolute_url_needs_a_listed_origin() {
    let origins = ["https://a.test", "https://b.test:8443", "not an origin", "*", ""];
    for text in [
        "https://a.test",
        "https://a.test/",
        "https://A.test:443/x?y#z",
        "HTTPS://a.test?x",
        "https://b.test:8443/%20",
    ] {
        assert_eq!(safe_next_in(text, &origins), Some(text), "{text}");
        assert_eq!(safe_next(text), None, "{text}");
        assert_eq!(safe_next_in(text, &[] as &[&str]), None, "{text}");
    }
    for text in [
        "http://a.test",
        "https://a.test:8443",
        "https://b.test",
        "https://a.test.evil.test",
        "https://evil.test/https://a.test",
        "https://evil.test?https://a.test",
        "https://evil.test#https://a.test",
        "https://a.test@evil.test",
        "https://evil.test@a.test",
        "https://a.test:x@evil.test/",
        "https://a.test\\@evil.test",
        "https://evil.test\\.a.test",
        "https://a.test\\.evil.test",
        "https://a.test%2eevil.test",
        "https://a.test%00.evil.test",
        "https://a.test:9a.test",
        "https://a.test./",
        "https://a.test//x",
        "https://a.test/%2f/x",
        "https://a.test/%0d%0a",
        "https://a.test?%0d%0a",
        "https://a.test/\tx",
        "https:a.test",
        "https:/a.test",
        "https:///a.test",
        "a.test",
        "//a.test",
        "https://",
        "*",
        "ftp://a.test",
    ] {
        assert_eq!(safe_next_in(text, &origins), None, "{text}");
    }
    assert!(safe_next_in(&format!("https://a.test/{}", "a".repeat(2048)), &origins).is_none());
}

#[test]
fn sec_e11_the_login_page_is_told_path_and_query_alone() {
    let location = |policy: &RedirectPolicy, uri: &str| policy.location(&uri.parse::<Uri>().unwrap());
    let policy = RedirectPolicy::to("/login");
    for (uri, expected) in [
        ("/a/b?c=d&e=%20f", "/login?next=%2Fa%2Fb%3Fc%3Dd%26e%3D%2520f"),
        ("/", "/login?next=%2F"),
        ("https://evil.test/a", "/login?next=%2Fa"),
        ("/a?x=#y", "/login?next=%2Fa%3Fx%3D"),
        // What would not be followed later is not carried either.
        ("//evil.test", "/login"),
        ("/%2fevil.test", "/login"),
        ("/a%0d%0ab", "/login"),
        ("*", "/login"),
        ("a.test:443", "/login"),
    ] {
        assert_eq!(location(&policy, uri), expected, "{uri}");
    }
    assert_eq!(location(&policy, &format!("/{}", "a".repeat(3000))), "/login");
    let other = RedirectPolicy::to("https://id.example.com/in?lang=de").parameter("return_to");
    assert_eq!(location(&other, "/a"), "https://id.example.com/in?lang=de&return_to=%2Fa");
}

#[test]
fn sec_e11_a_login_page_that_is_none_is_a_fault() {
    #[track_caller]
    fn check(policy: RedirectPolicy, field: Option<&str>) {
        let mut faults = Faults::default();
        policy.check(&mut faults);
        let found = faults.finish().err();
        assert_eq!(found.as_ref().map(|found| found.faults()[0].field()), field, "{policy:?}");
    }
    for good in ["/login", "/login?a=b", "https://id.example.com", "https://id.example.com/in?a=b"] {
        check(RedirectPolicy::to(good), None);
    }
    for wrong in [
        "",
        "login",
        "//evil.test",
        "/\\evil.test",
        "http://id.example.com",
        "https://u@id.example.com",
        "/login#a",
        "https://id.example.com/#/login",
        "https://",
        "javascript:x",
        "/login\r\n",
        "/l\u{f6}gin",
        " /login",
    ] {
        check(RedirectPolicy::to(wrong), Some("redirect_to"));
    }
    for wrong in ["", "a b", "a=b", "a&b", "n\u{e9}xt", "a\n"] {
        check(RedirectPolicy::to("/login").parameter(wrong), Some("parameter"));
    }
    check(RedirectPolicy::to("/login?next=/a"), Some("parameter"));
}

proptest! {
    /// Whatever the request, the login page gets it back as something that it may follow, or not at all.
    #[test]
    fn sec_e11_what_is_carried_may_be_followed(path in "/(%2f|%5c|%25|%0a|[./a?=&#%]){0,10}") {
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let location = RedirectPolicy::to("/login").location(&uri);
        let query = location.to_str().unwrap().strip_prefix("/login").unwrap();
        let next = form_urlencoded::parse(query.trim_start_matches('?').as_bytes()).next();
        if let Some((name, next)) = next {
            prop_assert_eq!(name, "next");
            prop_assert_eq!(safe_next(&next), Some(&*next));
            prop_assert_eq!(Some(&*next), uri.path_and_query().map(|wanted| wanted.as_str()));
        }
    }
}
