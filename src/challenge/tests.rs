//! What servers send, and what nobody should.

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use proptest::prelude::*;

use super::Challenge;
use crate::problem::{Challenges, RejectionKind};

fn headers(lines: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(line).unwrap());
    }
    headers
}

/// `Scheme token name=value …`, challenges separated by ` | `.
fn show(challenges: &[Challenge]) -> String {
    let one = |challenge: &Challenge| {
        let mut text = challenge.scheme().to_owned();
        text.extend(challenge.token().map(|token| format!(" {token}")));
        text.extend(challenge.parameters().map(|(name, value)| format!(" {name}={value}")));
        text
    };
    challenges.iter().map(one).collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(line: &str, expected: &str) {
    assert_eq!(show(&Challenge::read(&headers(&[line.as_bytes()]))), expected, "{line}");
}

#[test]
fn r205_challenges_are_read_to_the_grammar() {
    check("", "");
    check("Bearer", "Bearer");
    check("Bearer realm=x", "Bearer realm=x");
    check(r#"Bearer realm="a b""#, "Bearer realm=a b");
    check(r#"Bearer realm="a, b", error="invalid_token""#, "Bearer realm=a, b error=invalid_token");
    check(r#"Bearer realm="say \"hi\", \\ ok""#, r#"Bearer realm=say "hi", \ ok"#);
    check(r#"Basic realm="x", Bearer error="invalid_token""#, "Basic realm=x | Bearer error=invalid_token");
    check("Basic,Bearer", "Basic | Bearer");
    check("Negotiate, Basic realm=x", "Negotiate | Basic realm=x");
    check("Negotiate abc==, Bearer a=b", "Negotiate abc== | Bearer a=b");
    check("Negotiate abc=", "Negotiate abc=");
    check("Negotiate a/b+c", "Negotiate a/b+c");
    check("Digest a=b , c = d,e= \"f\"", "Digest a=b c=d e=f");
    check("Digest\ta=b", "Digest a=b");
    check("Digest  a=b", "Digest a=b");
    check("Bearer , a=b", "Bearer a=b");
    check(",, Bearer ,, a=b ,", "Bearer a=b");
    check(
        "Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\", Basic realm=\"simple\"",
        "Newauth realm=apps type=1 title=Login to \"apps\" | Basic realm=simple",
    );
    check("Bearer error=\"\"", "Bearer error=");
    check("Bearer x=1, x=2", "Bearer x=1 x=2");
    check("a=b", "a");
}

#[test]
fn r205_junk_hides_no_challenge_behind_it() {
    check(r#"@@, Bearer error="invalid_token""#, "Bearer error=invalid_token");
    check(r#""a, Basic b", Bearer c=d"#, "Bearer c=d");
    check(r#"Bearer a b, Basic c=d"#, "Bearer a | Basic c=d");
    check(r#"Bearer realm="x" junk, error="y", Basic c=d"#, "Bearer realm=x | error | Basic c=d");
    check(r#"Bearer realm="never closed, error=x"#, "Bearer | error");
    check(r#"Bearer realm="ends with \"#, "Bearer");
    check("Bearer a=, b=c", "Bearer a= b=c");
    check("Bearer =, Basic", "Bearer | Basic");
    let found = Challenge::read(&headers(&[b"Bearer realm=\"\xff\xfe\", error=\"invalid_token\""]));
    assert_eq!(found[0].parameter("error"), Some("invalid_token"));
}

#[test]
fn r205_every_header_line_is_read_for_itself() {
    let found = Challenge::read(&headers(&[b"Basic realm=x,", b"a=b", b"Bearer error=y"]));
    assert_eq!(show(&found), "Basic realm=x | a | Bearer error=y");
    assert!(found[2].is("BEARER") && found[2].parameter("ERROR") == Some("y"));
    assert_eq!(found[2].parameter("realm"), None);
    assert_eq!(Challenge::read(&HeaderMap::new()), []);
}

#[test]
fn r205_what_is_read_is_bounded() {
    let many = "a,".repeat(8_000);
    assert_eq!(Challenge::read(&headers(&[many.as_bytes()])).len(), 64);
    let long = format!("Bearer a=\"{}\"", "x".repeat(20_000));
    assert_eq!(show(&Challenge::read(&headers(&[long.as_bytes(), b"Basic"]))), "Bearer");
    // The worst for a reader that looks ahead: from each quote, the next one is looked for to the end.
    for worst in ["\"a ", "\"\\", "a \"\\", "\"\\,"] {
        let line = worst.repeat(16 * 1024 / worst.len());
        let counted = allocation_counter::measure(|| drop(Challenge::read(&headers(&[line.as_bytes()]))));
        assert!(counted.bytes_total < 400 * 1024, "{worst}: {}", counted.bytes_total);
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

proptest! {
    #[test]
    fn r205_no_bytes_make_the_reader_panic(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
    ) {
        let mut map = HeaderMap::new();
        for line in &lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                map.append(WWW_AUTHENTICATE, value);
            }
        }
        let _ = Challenge::read(&map);
    }

    #[test]
    fn r205_nor_does_any_text_of_its_own_alphabet(line in "[aB=\", \\\\\t]{0,60}") {
        let _ = Challenge::read(&headers(&[line.as_bytes()]));
    }

    #[test]
    fn r205_what_is_written_is_read(
        written in prop::collection::vec(
            ("[A-Za-z][A-Za-z0-9-]{0,8}", prop::collection::vec(("[a-z][a-z0-9_-]{0,8}", "[ -~]{0,20}"), 0..4)),
            0..5,
        ),
        apart in any::<bool>(),
    ) {
        let lines: Vec<String> = written
            .iter()
            .map(|(scheme, parameters)| {
                let one = |(name, value): &(String, String)| format!("{name}={}", quoted(value));
                format!("{scheme} {}", parameters.iter().map(one).collect::<Vec<_>>().join(", "))
            })
            .collect();
        let joined = lines.join(", ");
        let lines: Vec<&[u8]> = match apart {
            true => lines.iter().map(|line| line.as_bytes()).collect(),
            false => vec![joined.as_bytes()],
        };
        let read: Vec<(String, Vec<(String, String)>)> = Challenge::read(&headers(&lines))
            .into_iter()
            .map(|challenge| (challenge.scheme, challenge.parameters))
            .collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn r205_our_own_challenges_are_read_back(
        realm in "[ -~]{0,30}",
        kind in prop::sample::select(vec![
            (RejectionKind::MissingCredential, None),
            (RejectionKind::InvalidToken, Some("invalid_token")),
            (RejectionKind::InvalidRequest, Some("invalid_request")),
            (RejectionKind::InsufficientScope, Some("insufficient_scope")),
        ]),
    ) {
        let (kind, error) = kind;
        let schemes = ["Bearer", "Token"];
        let ours = Challenges::new(&realm, schemes.into_iter(), Some("__Host-t"), false).unwrap();
        let mut headers = HeaderMap::new();
        ours.write(&mut headers, kind, Some(1), Some("orders:read"));
        let read = Challenge::read(&headers);
        prop_assert_eq!(read.len(), headers.get_all(WWW_AUTHENTICATE).iter().count());
        prop_assert_eq!(read[0].scheme(), "Token");
        prop_assert_eq!(read[0].parameter("error"), error);
        for challenge in &read {
            prop_assert_eq!(challenge.parameter("realm"), Some(&*realm));
        }
        let scope = (error == Some("insufficient_scope")).then_some("orders:read");
        prop_assert_eq!(read[0].parameter("scope"), scope);
    }
}
