use http::HeaderValue;
use proptest::prelude::*;

use super::strict;
use crate::cookie::{Finding, lint};

const SECRET: &str = "3f9c0a7e5bd84216";

fn fixed(set_cookie: &str) -> String {
    lint(set_cookie).fixed().map(|text| text.expose().to_owned()).unwrap_or_default()
}

#[test]
fn r061_the_audited_cookie_of_the_exercise_is_taken_apart_and_mended() {
    let five = [
        Finding::MissingHttpOnly,
        Finding::MissingSecure,
        Finding::MissingSameSite,
        Finding::LongLife,
        Finding::MissingPrefix,
    ];
    let audit = lint(&format!("session_id={SECRET}; Max-Age=86400; Path=/"));
    assert_eq!(audit.findings(), five);
    assert_eq!(audit.name(), "session_id");
    let expected =
        format!("__Host-session_id={SECRET}; Max-Age=28800; Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(audit.fixed().unwrap().expose(), expected);

    let without_path = lint(&format!("Set-Cookie: session_id={SECRET}; Max-Age=86400"));
    assert!(five.iter().all(|finding| without_path.findings().contains(finding)));
    assert_eq!(without_path.findings().len(), 6);
    assert!(without_path.findings().contains(&Finding::MissingPath));
    assert_eq!(without_path.fixed().unwrap().expose(), expected);
}

#[test]
fn r061_each_fault_is_found_alone() {
    let cases = [
        ("__Host-t=x; Path=/; Secure; SameSite=Lax", &[Finding::MissingHttpOnly][..]),
        ("__Host-t=x; Path=/; Secure; HttpOnly", &[Finding::MissingSameSite]),
        ("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Nonsense", &[Finding::MissingSameSite]),
        ("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; SameSite=?", &[Finding::MissingSameSite]),
        ("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=None", &[Finding::SameSiteNone]),
        ("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=28801", &[Finding::LongLife]),
        (
            "__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=99999999999999999999999",
            &[Finding::LongLife],
        ),
        (
            "__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; Expires=Wed, 21 Oct 2043 07:28:00 GMT",
            &[Finding::ExpiresOnly],
        ),
        (
            "__Host-t=x; Domain=example.com; Path=/; Secure; HttpOnly; SameSite=Lax",
            &[Finding::Domain, Finding::BrokenHostPrefix],
        ),
        ("__Host-t=x; Path=/a; Secure; HttpOnly; SameSite=Lax", &[Finding::BrokenHostPrefix]),
        (
            "__Host-t=x; Path=a; Secure; HttpOnly; SameSite=Lax",
            &[Finding::MissingPath, Finding::BrokenHostPrefix],
        ),
        ("__Host-t=x; Path=/; HttpOnly; SameSite=Lax", &[Finding::MissingSecure, Finding::BrokenHostPrefix]),
        (
            "__Secure-t=x; Path=/a; HttpOnly; SameSite=None",
            &[
                Finding::MissingSecure,
                Finding::SameSiteNone,
                Finding::SameSiteNoneWithoutSecure,
                Finding::BrokenSecurePrefix,
            ],
        ),
        ("__Http-t=x; Path=/a; Secure; SameSite=Lax", &[Finding::MissingHttpOnly, Finding::BrokenHttpPrefix]),
        ("__Http-t=x; Path=/a; HttpOnly; SameSite=Lax", &[Finding::MissingSecure, Finding::BrokenHttpPrefix]),
        ("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=; Expires=x", &[Finding::ExpiresOnly]),
        ("__Secure-t=x; Path=/; Secure; HttpOnly; SameSite=Lax", &[Finding::WeakPrefix]),
        ("__hOSt-t=x; Path=/; Secure; HttpOnly; SameSite=Lax", &[Finding::MiscasedPrefix]),
        ("t=x; Path=/; Secure; HttpOnly; SameSite=Lax", &[Finding::MissingPrefix]),
        ("t=x; Path=/a; Secure; HttpOnly; SameSite=Lax", &[Finding::MissingPrefix]),
    ];
    for (cookie, findings) in cases {
        let audit = lint(cookie);
        assert_eq!(audit.findings(), findings, "{cookie}");
        assert_eq!(lint(audit.fixed().unwrap().expose()).findings(), [], "{cookie}");
        for finding in findings {
            let sentences = finding.reason().matches(". ").count() + 1;
            assert!(sentences <= 2 && finding.reason().ends_with('.'), "{finding}");
        }
    }
}

#[test]
fn r061_good_cookies_are_left_alone() {
    for cookie in [
        "__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax",
        "__Host-t=x; Max-Age=28800; Path=/; Secure; HttpOnly; SameSite=Strict",
        "__Secure-t=x; Path=/auth; Secure; HttpOnly; SameSite=Strict",
        "__Host-Http-t=x; Path=/; Secure; HttpOnly; SameSite=Lax",
        "__Host-t=\"x\"; Path=/; Secure; HttpOnly; SameSite=Lax; Partitioned; Priority=High",
    ] {
        assert_eq!(lint(cookie).findings(), [], "{cookie}");
        assert_eq!(fixed(cookie), cookie);
    }
    // `Max-Age` wins over `Expires`, and a removal may have a date alone.
    for life in ["Max-Age=60; Expires=Wed, 21 Oct 2043 07:28:00 GMT", "Expires=Thu, 01 Jan 1970 00:00:00 GMT"]
    {
        let cookie = format!("__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax; {life}");
        assert_eq!(lint(&cookie).findings(), [], "{cookie}");
    }
    for header in ["Set-Cookie:", "set-cookie: ", " SET-COOKIE :"] {
        let cookie = format!("{header}__Host-t=x; Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(lint(&cookie).findings(), [], "{cookie}");
    }
    let in_any_case = "__Host-t = x;path=/;SECURE;\thttponly ;samesite = lAX; max-age=60; Max-Age=?; ;";
    assert_eq!(lint(in_any_case).findings(), []);
    assert_eq!(fixed(in_any_case), "__Host-t=x; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax");
}

/// As browsers read it: an attribute that is too long is none, and blanks are the blank and the tab.
#[test]
fn r061_an_attribute_that_browsers_pass_over_is_none() {
    let with = |attribute: &str| {
        let audit = lint(&format!("__Secure-t=x; Secure; HttpOnly; SameSite=Lax; {attribute}"));
        audit.findings().to_vec()
    };
    assert_eq!(with(&format!("Path=/{}", "a".repeat(1023))), []);
    assert_eq!(with(&format!("Path=/{}", "a".repeat(1024))), [Finding::MissingPath]);
    let odd_blank = lint("__Secure-t=x; Path=/a; \u{a0}Secure; HttpOnly; SameSite=Lax");
    assert!(odd_blank.findings().contains(&Finding::MissingSecure), "{odd_blank}");
}

#[test]
fn r061_a_fix_keeps_what_was_meant() {
    let rest = "Secure; HttpOnly; SameSite=Lax";
    for (cookie, mended) in [
        ("t=x; Path=/auth; SameSite=Strict", "__Secure-t=x; Path=/auth; Secure; HttpOnly; SameSite=Strict"),
        ("__Secure-t=x; Domain=a.test", &format!("__Host-t=x; Path=/; {rest}")),
        ("__Http-t=x; Path=/", &format!("__Host-Http-t=x; Path=/; {rest}")),
        ("http-t=x", &format!("__Host-Http-t=x; Path=/; {rest}")),
        ("t=x; Partitioned; Secure", &format!("__Host-t=x; Path=/; {rest}; Partitioned")),
        ("t=x; Expires=Wed, 21 Oct 2043 07:28:00 GMT", &format!("__Host-t=x; Max-Age=28800; Path=/; {rest}")),
        (
            "t=x; Max-Age=60; Expires=Wed, 21 Oct 2043 07:28:00 GMT",
            &format!("__Host-t=x; Max-Age=60; Path=/; {rest}"),
        ),
        // Removals.
        ("t=x; Max-Age=-1", &format!("__Host-t=x; Max-Age=0; Path=/; {rest}")),
        ("t=; Expires=Fri, 31 Dec 1999 23:59:59 GMT", &format!("__Host-t=; Max-Age=0; Path=/; {rest}")),
        (
            "t=deleted; Expires=Thu, 01 Jan 1970 00:00:01 GMT",
            &format!("__Host-t=deleted; Max-Age=0; Path=/; {rest}"),
        ),
    ] {
        assert_eq!(fixed(cookie), mended, "{cookie}");
    }
}

#[test]
fn r061_what_no_attribute_mends_has_no_fix() {
    for cookie in [
        "",
        "x",
        "=x",
        "a b=x",
        "t=a b",
        "t=a\"b",
        "t=\u{e9}",
        "t=x; Path=/\u{e9}",
        "t=x\r\nSet-Cookie: u=y",
        "t=x; Priority=\u{0}",
    ] {
        let audit = lint(cookie);
        assert_eq!(audit.findings().first(), Some(&Finding::Malformed), "{cookie:?}");
        assert!(audit.fixed().is_none(), "{cookie:?}");
    }
    let value = "x".repeat(4096 - "__Host-t".len());
    assert!(lint(&format!("t={value}")).fixed().is_some());
    let audit = lint(&format!("t={value}x"));
    assert_eq!((audit.findings().first(), audit.fixed()), (Some(&Finding::TooLong), None));
}

#[test]
fn r061_an_audit_shows_everything_but_the_value() {
    let audit = lint(&format!("session_id={SECRET}; Max-Age=86400"));
    let (debug, display) = (format!("{audit:?} {audit:#?}"), audit.to_string());
    assert!(!debug.contains(SECRET) && !display.contains(SECRET));
    assert!(display.starts_with("session_id: 6 findings\n- Without HttpOnly "), "{display}");
    for finding in audit.findings() {
        assert!(display.contains(finding.reason()), "{finding:?}");
    }
    // Without a name, all of the text is the value.
    let nameless = lint(SECRET);
    assert!(!format!("{nameless:?} {nameless}").contains(SECRET));
    let controls = lint("a\u{1b}[2J=x").to_string();
    assert!(!controls.contains('\u{1b}'), "{controls:?}");
}

fn set_cookie() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "(?i)(__host-|__secure-|__http-|__host-http-|http-|__)?[a-z]{0,4}",
        "[!-~]{0,6}",
        Just(String::new()),
    ];
    let value = prop_oneof!["[!-~]{0,12}", "[ -~]{0,12}", Just("x".repeat(4080))];
    let attribute = prop_oneof![
        "(?i)(secure|httponly|partitioned)[ \t]?",
        "(?i)samesite ?= ?(lax|strict|none|x|)",
        "(?i)max-age=-?[0-9]{0,25}",
        "(?i)expires=(thu, 01 jan 1970 00:00:00 gmt|wed, 21 oct 2043 07:28:00 gmt|x?)",
        "(?i)path=/?[ -:<-~]{0,5}",
        "(?i)domain=[a-z.]{0,5}",
        "[ -~]{0,10}",
        "\\PC{0,10}",
    ];
    (name, value, prop::collection::vec(attribute, 0..8)).prop_map(|(name, value, attributes)| {
        attributes.iter().fold(format!("{name}={value}"), |text, attribute| text + "; " + attribute)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r061_the_fixed_cookie_has_nothing_to_find(text in prop_oneof![4 => set_cookie(), 1 => any::<String>()]) {
        let audit = lint(&text);
        let without_fix =
            audit.findings().iter().any(|finding| matches!(finding, Finding::Malformed | Finding::TooLong));
        prop_assert_eq!(audit.fixed().is_none(), without_fix);
        let Some(fixed) = audit.fixed() else { return Ok(()) };
        let again = lint(fixed.expose());
        prop_assert_eq!(again.findings(), [], "{}", fixed.expose());
        prop_assert_eq!(again.fixed(), Some(fixed), "fixing ends");
        HeaderValue::from_str(fixed.expose()).unwrap();
    }

    /// Where no attribute is foreign, the fix keeps to the grammar.
    #[test]
    fn r061_the_fixed_cookie_keeps_to_the_grammar(
        name in "(__Host-|__secure-)?[a-z]{1,4}",
        attributes in "(; (Secure|HttpOnly|SameSite=None|Max-Age=[0-9]{1,9}|Domain=a[.]test|Path=/[a-z]{0,3})){0,6}",
    ) {
        let fixed = HeaderValue::from_str(&fixed(&format!("{name}=x{attributes}"))).unwrap();
        let cookie = strict(&fixed);
        prop_assert!(cookie.get("Secure").is_some() && cookie.get("HttpOnly").is_some());
        prop_assert!(!cookie.name.starts_with("__Host-") || cookie.get("Path") == Some("/"));
        prop_assert_eq!(cookie.get("SameSite"), Some("Lax"));
    }
}
