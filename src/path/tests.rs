use http::Uri;
use proptest::prelude::*;

use super::*;

fn set(patterns: &[&str]) -> PathSet {
    PathSet::new(patterns.iter().copied()).unwrap()
}

#[track_caller]
fn check(pattern: &str, covered: &[&str], others: &[&str]) {
    let set = set(&[pattern]);
    for path in covered {
        assert!(set.matches(path), "{pattern} covers {path}");
    }
    for path in others {
        assert!(!set.matches(path), "{pattern} does not cover {path}");
    }
}

#[test]
fn r011_an_exact_pattern_covers_its_path_alone() {
    check(
        "/health",
        &["/health", "/he%61lth"],
        &["/", "/health/", "/Health", "/healthz", "/a/health", "/health/a"],
    );
    check("/health/", &["/health/"], &["/health", "/health/a", "/health//"]);
    check("/", &["/"], &["", "/a", "//"]);
    check("/a b/ü", &["/a%20b/%C3%BC", "/a%20b/ü"], &["/a+b/ü", "/a%20b/u"]);
}

#[test]
fn r011_a_star_is_one_segment() {
    check(
        "/users/*/avatar",
        &["/users/1/avatar", "/users/a%20b/avatar"],
        &["/users/avatar", "/users//avatar", "/users/1/2/avatar", "/users/1/avatar/"],
    );
    check("/users/*", &["/users/1"], &["/users", "/users/", "/users/1/", "/users/1/2"]);
    check("/*", &["/a"], &["/", "/a/"]);
}

#[test]
fn r011_two_stars_are_any_rest_behind_the_slash() {
    check(
        "/static/**",
        &["/static/", "/static/x", "/static/a/b", "/static/a/b/"],
        &["/static", "/statics/x", "/x/static/a"],
    );
    check("/*/open/**", &["/v1/open/a"], &["/v1/open", "/open/a"]);
    check("/**", &["/", "/a", "/a/b/"], &["", "*", "a", "//", "/a//b"]);
}

#[test]
fn r011_a_pattern_is_one_of_several_and_none_covers_nothing() {
    let set = set(&["/a", "/b/**"]);
    assert!(set.matches("/a") && set.matches("/b/c") && !set.matches("/c"));
    for path in ["", "/", "/a"] {
        assert!(!PathSet::default().matches(path));
    }
}

#[test]
fn r011_patterns_that_no_path_could_match_are_faults() {
    let wrong = [
        "",
        "health",
        "*",
        "**",
        "http://a/b",
        "/a?b",
        "/a#b",
        "/a//b",
        "//",
        "//a",
        "/a//",
        "/a/../b",
        "/..",
        "/.",
        "/./a",
        "/..;a",
        "/;a",
        "/a%20b",
        "/a\\b",
        "/a\0",
        "/a\n",
        "/a/**/b",
        "/**/b",
        "/a**",
        "/a*",
        "/*.js",
        "/***",
        "/a//**",
    ];
    let fault = PathSet::new(wrong).unwrap_err();
    let named: Vec<&str> = fault.faults().iter().map(|fault| fault.value()).collect();
    assert_eq!(named, wrong.map(|text| format!("{text:?}")));
    assert!(fault.faults().iter().all(|fault| fault.field() == "patterns"));
}

/// What has got past other programs' exemptions: none of it reaches `/admin` through `/health` or `/static/**`.
const BYPASSES: [&str; 58] = [
    // A query or a fragment that looks like the exempt path.
    "/admin?/health",
    "/admin?x=/static/a",
    "/admin#/health",
    "/admin%3f/health",
    "/admin%23/health",
    "/static/%3f/../admin",
    "/static/a%23",
    "/static/a%3Fb",
    // Climbing out.
    "/static/../admin",
    "/static/./a",
    "/static/..",
    "/static/.",
    "/static/../",
    "/static/%2e%2e/admin",
    "/static/%2E%2E/admin",
    "/static/.%2e/admin",
    "/static/%2e./admin",
    "/static/%2e/a",
    "/static/..;/admin",
    "/static/..;x=y/admin",
    "/static/..%3b/admin",
    "/static/.;/admin",
    "/static/%2e%2e%3bx/admin",
    // Separators that are none here, and are elsewhere.
    "/static%2fa",
    "/static/..%2fadmin",
    "/static/..%2Fadmin",
    "/static/%2f",
    "/static/..\\admin",
    "/static\\a",
    "/static/..%5cadmin",
    "/static/a%5Cb",
    // Empty segments.
    "//health",
    "/health//",
    "//static/a",
    "/static//a",
    "/static//",
    "/static/;/admin",
    "/static/;x",
    "/;/health",
    // Letters and ends.
    "/HEALTH",
    "/Static/a",
    "/health/",
    "/health;",
    "/health;x=/admin",
    "/health%3bx",
    "/health.",
    "/health%20",
    // Decoded twice.
    "/static/%252e%252e/admin",
    "/static/..%252fadmin",
    "/he%2561lth",
    "/static/a%25",
    // Bytes that end a string, or are none.
    "/health%00",
    "/static/a%00.css",
    "/static/a%0d%0ab",
    "/static/%c0%ae%c0%ae/admin",
    "/static/%c0%af",
    "/static/%ff",
    // Not a path at all.
    "health",
];

#[test]
fn sec_i06_no_trick_makes_a_path_exempt() {
    let set = set(&["/health", "/static/**"]);
    assert!(set.matches("/health") && set.matches("/static/a"));
    for path in BYPASSES {
        assert!(!set.matches(path), "{path}");
    }
    for broken in [
        "/static/%",
        "/static/%2",
        "/static/%zz",
        "/static/%2z",
        "/static/%+1",
        "/static/a\u{7f}",
        "/static/a\u{85}",
        "/static/a\n",
    ] {
        assert!(!set.matches(broken), "{broken}");
    }
    for broken in ["/%", "/%2", "/a%", "/%zz"] {
        assert_eq!(decode(broken), None, "{broken}");
    }
}

#[test]
fn sec_i06_the_host_and_the_query_of_a_uri_are_no_part_of_its_path() {
    let set = set(&["/health", "/static/**"]);
    let path = |uri: &str| set.matches(uri.parse::<Uri>().unwrap().path());
    assert!(path("/health?a=/../b") && path("http://x.test/health?q") && path("/static/a?%2e%2e/%2f"));
    for uri in [
        "http://x.test/admin?/health",
        "http://health/",
        "http://x.test",
        "/admin#/health",
        "*",
        "x.test:443",
    ] {
        assert!(!path(uri), "{uri}");
    }
    assert!(!set.matches("http://x.test/health"));
}

#[test]
fn sec_i06_an_open_pattern_covers_no_ambiguous_path_either() {
    let all = set(&["/**", "/*", "/*/*", "/*/*/*"]);
    for path in [
        "/a/../b",
        "/a//b",
        "/a/%2e%2e",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/%00",
        "/%ff",
        "/a/..;/b",
        "/a%25",
        "/%",
    ] {
        assert!(!all.matches(path), "{path}");
    }
}

proptest! {
    /// Whatever is covered, a second decoding and the removal of dot segments leave as it is.
    #[test]
    fn sec_i06_a_covered_path_stays_below_its_prefix(tail in "(%2e|%2f|%5c|%25|%3b|[./\\\\;a?#]){0,8}") {
        let path = format!("/static/{tail}");
        if set(&["/static/**"]).matches(&path) {
            let decoded = decode(&path).unwrap();
            prop_assert_eq!(decode(&decoded).unwrap(), &*decoded);
            let inner = decoded.split('/').skip(1).filter(|segment| !segment.is_empty());
            prop_assert!(inner.clone().all(|segment| !segment.starts_with("..;") && segment != ".." && segment != "."));
            prop_assert!(!decoded.contains("//"));
        }
    }
}
