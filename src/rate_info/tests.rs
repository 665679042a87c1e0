//! Headers as servers send them, and as nobody should.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Quota, RateInfo, structured};
use crate::clock::Timestamp;

/// Sun, 06 Nov 1994 08:49:37 GMT.
const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);
const YEAR: u64 = 366 * 24 * 60 * 60;

fn read(headers: &[(&'static str, &str)]) -> Option<RateInfo> {
    read_at(headers, NOW)
}

fn read_at(headers: &[(&'static str, &str)], now: Timestamp) -> Option<RateInfo> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    RateInfo::from_headers(&map, now)
}

/// Each quota as `name limit remaining reset window unit`, with `-` for what is not known.
#[track_caller]
fn check(headers: &[(&'static str, &str)], expected: &[&str]) {
    let shown = |quota: &Quota| {
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let span = |span: Option<Duration>| number(span.map(|span| span.as_secs()));
        let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
        [
            text(quota.name()),
            number(quota.limit()),
            number(quota.remaining()),
            span(quota.reset_after()),
            span(quota.window()),
            text(quota.unit()),
        ]
        .join(" ")
    };
    let quotas: Vec<String> =
        read(headers).map_or(Vec::new(), |info| info.quotas().iter().map(shown).collect());
    assert_eq!(quotas, expected, "{headers:?}");
}

// ===== the draft's two headers =====

#[test]
fn r125_a_quota_is_its_state_and_its_policy() {
    check(&[("ratelimit", r#""default";r=50;t=30"#)], &["default - 50 30 - -"]);
    check(&[("ratelimit", r#""default";r=50"#)], &["default - 50 - - -"]);
    check(&[("ratelimit-policy", r#""burst";q=100;w=60;qu="requests""#)], &["burst 100 - - 60 requests"]);
    check(
        &[
            ("ratelimit-policy", r#""burst";q=100;w=60,"daily";q=1000;w=86400;qu="content-bytes""#),
            ("ratelimit", r#""daily";r=7;t=9000;pk=:cHJpdmF0ZQ==:"#),
        ],
        &["daily 1000 7 9000 86400 content-bytes", "burst 100 - - 60 -"],
    );
    // Names as tokens and limits as bare numbers, as earlier versions had them; several lines are one list.
    check(&[("ratelimit", "default;r=50;t=30")], &["default - 50 30 - -"]);
    check(&[("ratelimit-policy", "10;w=1, 50;w=60")], &["- 10 - - 1 -", "- 50 - - 60 -"]);
    check(&[("ratelimit", r#""a";r=1"#), ("ratelimit", r#""b";r=2"#)], &["a - 1 - - -", "b - 2 - - -"]);
    check(&[("ratelimit", "limit=100, remaining=50, reset=5")], &["- 100 50 5 - -"]);
    check(&[("ratelimit", "remaining=0")], &["- - 0 - - -"]);
}

#[test]
fn r125_the_named_quotas_win_over_the_three_headers() {
    check(
        &[("ratelimit", r#""default";r=50;t=30"#), ("x-ratelimit-remaining", "7")],
        &["default - 50 30 - -"],
    );
    check(&[("ratelimit", "junk;"), ("x-ratelimit-remaining", "7")], &["- - 7 - - -"]);
}

#[test]
fn r125_the_tightest_quota_has_the_least_left() {
    let info = read(&[("ratelimit", r#""a";r=9, "b";r=3, "c";r=5"#)]).unwrap();
    assert_eq!(info.tightest().unwrap().name(), Some("b"));
    let info = read(&[("ratelimit-policy", r#""a";q=9"#)]).unwrap();
    assert_eq!(info.tightest(), None);
}

#[test]
fn r125_malformed_lists_and_items_are_not_there() {
    for junk in [
        "",
        ",",
        r#""default""#,
        r#""default";r"#,
        r#""default";r=-1"#,
        r#""default";r=1.5"#,
        r#""default";r="50""#,
        r#""default";r=?1"#,
        r#""default";R=50"#,
        r#""default";r=50,"#,
        r#""default";r=50 t=30"#,
        r#""default;r=50"#,
        r#""def\ault";r=50"#,
        r#"("default");r=50"#,
        r#""default";r=1234567890123456"#,
        "limit=100",
        "remaining=fifty",
        "remaining=5;reset=1",
    ] {
        check(&[("ratelimit", junk)], &[]);
    }
    for junk in [r#""default";w=60"#, "-5;w=60", r#""default";q=-1"#, "default;q=1e3"] {
        check(&[("ratelimit-policy", junk)], &[]);
    }
    // One bad item does not spoil its neighbours, where the list as such can be read.
    check(&[("ratelimit", r#""a";t=1, "b";r=2"#)], &["b - 2 - - -"]);
    assert_eq!(read(&[]), None);
}

#[test]
fn r125_what_is_too_much_is_not_read() {
    let many = |count: usize| vec![r#""a";r=1"#; count].join(",");
    assert_eq!(read(&[("ratelimit", &many(16))]).unwrap().quotas().len(), 16);
    assert_eq!(read(&[("ratelimit", &many(17))]), None);
    let long = |length: usize| format!("\"{}\";r=1", "n".repeat(length - 6));
    assert!(read(&[("ratelimit", &long(4096))]).is_some());
    assert_eq!(read(&[("ratelimit", &long(4097))]), None);
    let mut headers = HeaderMap::new();
    headers.append("ratelimit", HeaderValue::from_bytes(b"\"a\";r=1;x=\"\xff\"").unwrap());
    assert_eq!(RateInfo::from_headers(&headers, NOW), None);
}

#[test]
fn r125_lists_are_read_as_structured_fields() {
    for text in [
        "a",
        "*a/b:c",
        r#""a \"quoted\" \\ text""#,
        "-1, 0, 999999999999999",
        "1.5, -0.125",
        "?0, ?1",
        ":cHJl:, ::",
        "a;b;c=1;  d=*x;e=?0;f=:YQ==:;g=-1.5",
        "a  ,\tb",
        " a ",
    ] {
        assert!(structured::list(text).is_some(), "{text}");
    }
    for text in [
        "a b",
        "a,,b",
        "a;",
        "a;=1",
        "a;B=1",
        "a;b=",
        "a ;b",
        "a; b =1",
        "1.",
        ".5",
        "1.2345",
        "1234567890123.5",
        "--1",
        "-",
        "?2",
        "?",
        ":a",
        ":a b:",
        "\"a",
        "\"a\u{7f}\"",
        r#""a\"#,
        "(a b)",
        "@1",
        "ä",
    ] {
        assert!(structured::list(text).is_none(), "{text}");
    }
    let list = structured::list("a;x=1;x=2, \"b\"").unwrap();
    assert_eq!(list[0].count("x"), Some(2));
    assert_eq!(list.len(), 2);
}

// ===== the three headers =====

#[test]
fn r125_the_three_headers_are_read_under_their_names() {
    for [limit, remaining, reset] in [
        ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
        ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
        ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"],
    ] {
        check(&[(limit, "60"), (remaining, "59"), (reset, "20")], &["- 60 59 20 - -"]);
        check(&[(remaining, "0")], &["- - 0 - - -"]);
        check(&[(limit, "60"), (remaining, "many"), (reset, "later")], &["- 60 - - - -"]);
        check(&[(limit, "-1"), (remaining, ""), (reset, "1 2")], &[]);
    }
    check(&[("ratelimit-limit", "100, 100;w=60")], &["- 100 - - - -"]);
    check(&[("x-ratelimit-remaining", "598.0"), ("x-ratelimit-reset", "20.9")], &["- - 598 20 - -"]);
    for junk in ["5.", ".5", "+5", "5.x", "5.5.5"] {
        check(&[("x-ratelimit-remaining", junk), ("x-ratelimit-limit", junk)], &[]);
    }
    check(&[("x-ratelimit-remaining", "99999999999999999999999")], &[]);
}

#[test]
fn r125_a_reset_is_a_span_or_a_moment_by_its_size() {
    let now = Timestamp::from_millis(1_700_000_000_000);
    for (reset, expected) in [
        ("0", 0),
        ("3600", 3600),
        ("999999999", YEAR),
        ("1000000000", 0),
        ("1699999999", 0),
        ("1700000060", 60),
        ("1700000060.5", 60),
        ("1700000060000", 60),
        ("99999999999", YEAR),
        ("18446744073709551615", YEAR),
    ] {
        let info = read_at(&[("x-ratelimit-reset", reset)], now).unwrap();
        assert_eq!(info.quotas()[0].reset_after(), Some(Duration::from_secs(expected)), "{reset}");
    }
}

// ===== Retry-After =====

#[test]
fn r125_retry_after_is_read_in_both_forms_and_cut() {
    for (text, expected) in [
        ("120", Some(120)),
        ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("18446744073709551615", Some(YEAR)),
        ("soon", None),
    ] {
        let after = read(&[("retry-after", text)]).and_then(|info| info.retry_after());
        assert_eq!(after, expected.map(Duration::from_secs), "{text}");
    }
    let info = read(&[("retry-after", "5"), ("ratelimit", r#""a";r=0;t=7;w=9"#)]).unwrap();
    assert_eq!((info.quotas().len(), info.retry_after()), (1, Some(Duration::from_secs(5))));
    check(&[("ratelimit", r#""a";r=0;t=999999999999"#)], &[&format!("a - 0 {YEAR} - -")]);
}
