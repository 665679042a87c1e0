use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn read(body: &str, fields: &Fields) -> Result<AccessToken, TokenError> {
    read_body(&Response::new(Bytes::copy_from_slice(body.as_bytes())), fields, NOW)
}

#[track_caller]
fn life_of(member: &str, value: &str, expected: Option<u64>) {
    let fields = Fields { expiry_date: Some("expires_at".to_owned()), ..Fields::default() };
    let token = read(&format!(r#"{{"access_token":"t","{member}":{value}}}"#), &fields);
    match expected {
        Some(seconds) => assert_eq!(token.unwrap().lifetime(), Some(Duration::from_secs(seconds)), "{value}"),
        None => assert_eq!(token.unwrap_err().kind(), TokenErrorKind::Malformed, "{value}"),
    }
}

#[test]
fn r093_lifetimes_come_in_every_form() {
    for (expires_in, seconds) in [
        ("3600", 3600),
        ("3600.9", 3600),
        ("\"3600\"", 3600),
        ("\" 60.5 \"", 60),
        ("1", 1),
        ("3.6e3", 3600),
        ("3155760000", 3_155_760_000),
    ] {
        life_of("expires_in", expires_in, Some(seconds));
    }
    let token = read(r#"{"access_token":"t"}"#, &Fields::default()).unwrap();
    assert_eq!(token.lifetime(), None);
}

#[test]
fn r093_bad_lifetimes_are_errors() {
    for expires_in in [
        "null",
        "0",
        "-1",
        "0.5",
        "1e300",
        "3155760001",
        "9223372036854775807",
        "\"abc\"",
        "\"\"",
        "\"NaN\"",
        "\"inf\"",
        "\"2023-11-14T23:13:20Z\"",
        "true",
        "[60]",
        "{}",
    ] {
        life_of("expires_in", expires_in, None);
    }
}

#[test]
fn r093_an_end_may_be_given_as_a_moment() {
    for end in [
        "1700003600",
        "1700003600.0",
        "\"1700003600\"",
        "1700003600000",
        "\"1700003600000\"",
        "\"2023-11-14T23:13:20Z\"",
        "\"2023-11-15T00:13:20.000+01:00\"",
        "\" 2023-11-14t23:13:20z \"",
    ] {
        life_of("expires_at", end, Some(3600));
    }
    for end in [
        "null",
        "0",
        "1700000000",
        "1699999999",
        "-1700003600",
        "1e300",
        "99999999999",
        "\"\"",
        "\"NaN\"",
        "\"2023-11-14\"",
        "\"2023-11-14T22:13:20Z\"",
        "\"9999-12-31T23:59:59Z\"",
        "\"tomorrow\"",
        "true",
        "{}",
    ] {
        life_of("expires_at", end, None);
    }
}

#[test]
fn r093_of_a_life_and_an_end_the_shorter_counts_and_neither_may_be_bad() {
    let fields = Fields { expiry_date: Some("/t/end".to_owned()), ..Fields::default() };
    for (expires_in, end, expected) in [
        ("60", "1700003600", Some(60)),
        ("3600", "1700000060", Some(60)),
        ("0", "1700003600", None),
        ("3600", "0", None),
    ] {
        let body = format!(r#"{{"access_token":"t","expires_in":{expires_in},"t":{{"end":{end}}}}}"#);
        let life = read(&body, &fields).map(|token| token.lifetime().unwrap().as_secs());
        assert_eq!(life.ok(), expected, "{body}");
    }
    // Unless it is named, it is just another member.
    let token = read(r#"{"access_token":"t","expires_at":"junk"}"#, &Fields::default()).unwrap();
    assert_eq!((token.lifetime(), token.extra().len()), (None, 1));
}

#[test]
fn r093_the_hint_when_to_refresh_is_kept_if_it_is_one() {
    for (hint, expected) in [("1800", Some(1800)), ("\"1800\"", Some(1800)), ("-1", None), ("\"x\"", None)] {
        let body = format!(r#"{{"access_token":"t","expires_in":3600,"refresh_in":{hint}}}"#);
        let token = read(&body, &Fields::default()).unwrap();
        assert_eq!(token.refresh_in(), expected.map(Duration::from_secs), "{hint}");
        assert!(token.extra().is_empty());
    }
}

#[test]
fn r093_bad_answers_are_errors() {
    for body in [
        "",
        "{",
        "null",
        "[]",
        "\"t\"",
        "<html>",
        "{}",
        r#"{"access_token":null}"#,
        r#"{"access_token":7}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":"a b"}"#,
        "{\"access_token\":\"a\\r\\nb\"}",
        r#"{"token":"t"}"#,
        &"[".repeat(60_000),
    ] {
        let error = read(body, &Fields::default()).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Malformed, "{body:.40}");
    }
}

#[test]
fn r099_an_error_in_the_answer_is_looked_at_first() {
    for (error, code) in [
        ("\"invalid_client\"", OAuthErrorCode::InvalidClient),
        ("\"planted\"", OAuthErrorCode::Other),
        ("{\"code\":\"planted\"}", OAuthErrorCode::Other),
        ("true", OAuthErrorCode::Other),
        ("7", OAuthErrorCode::Other),
    ] {
        let body = format!(r#"{{"error":{error},"access_token":"t"}}"#);
        let found = read(&body, &Fields::default()).unwrap_err();
        assert_eq!((found.kind(), found.code()), (TokenErrorKind::Refused, Some(code)), "{error}");
        assert_eq!(found.status().map(|status| status.as_u16()), Some(200));
        assert!(!format!("{found} {found:?}").contains("planted"));
    }
    for nothing in ["null", "false", "\"\""] {
        read(&format!(r#"{{"error":{nothing},"access_token":"t"}}"#), &Fields::default()).unwrap();
    }
}

#[test]
fn r099_a_refusal_has_status_code_and_how_long_to_wait() {
    for (body, header, code, wait) in [
        (
            r#"{"error":"temporarily_unavailable"}"#,
            "7",
            Some(OAuthErrorCode::TemporarilyUnavailable),
            Some(7),
        ),
        (r#"{"error":"x"}"#, "Tue, 14 Nov 2023 22:14:20 GMT", Some(OAuthErrorCode::Other), Some(60)),
        ("{}", "Tue, 14 Nov 2023 22:12:20 GMT", None, Some(0)),
        ("<html>", "99999999999999999999", None, Some(86_400)),
        ("", "soon", None, None),
    ] {
        let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        response.headers_mut().insert(RETRY_AFTER, header.parse().unwrap());
        let error = read_refusal(&response, NOW);
        assert_eq!(error.kind(), TokenErrorKind::Refused);
        assert_eq!(error.status(), Some(http::StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!((error.code(), error.retry_after()), (code, wait.map(Duration::from_secs)), "{header}");
    }
}

#[test]
fn r096_members_and_pointers_can_be_named() {
    let fields =
        Fields { token: "/data/0/jwt".to_owned(), expires_in: "ttl".to_owned(), ..Fields::default() };
    let token = read(
        r#"{"data":[{"jwt":"t"}],"ttl":60,"token_type":"MAC","scope":"a b","refresh_token":"r","id":7}"#,
        &fields,
    )
    .unwrap();
    assert_eq!(token.value().expose(), "t");
    assert_eq!(token.lifetime(), Some(Duration::from_secs(60)));
    assert_eq!((token.token_type(), token.scope()), (Some("MAC"), Some("a b")));
    assert_eq!(token.refresh().map(Secret::expose), Some("r"));
    assert_eq!(token.extra().get("id"), Some(&Value::from(7)));
    assert!(!token.extra().contains_key("refresh_token"));
}

#[test]
fn r096_what_is_empty_or_of_another_form_is_not_there() {
    let token = read(
        r#"{"access_token":"t","token_type":"","refresh_token":"","scope":["a","b"]}"#,
        &Fields::default(),
    )
    .unwrap();
    assert_eq!((token.token_type(), token.scope()), (None, Some("a b")));
    assert!(token.refresh().is_none());
    let token =
        read(r#"{"access_token":"t","token_type":7,"refresh_token":{},"scope":[1]}"#, &Fields::default())
            .unwrap();
    assert_eq!((token.token_type(), token.scope()), (None, None));
}
