//! From the answer of a token endpoint to a token. The answer is untrusted.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Map, Value};

use super::token::AccessToken;
use crate::{
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

/// Nobody means a longer one.
const LIFETIME_MAX: f64 = 100.0 * 365.25 * 86_400.0;
pub(super) const LIFETIME_FALLBACK: Duration = Duration::from_secs(5 * 60);

/// The names under which an answer holds its parts: a member, or a JSON pointer (RFC 6901) if it starts with
/// `/`.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) token: String,
    pub(super) token_type: String,
    pub(super) expires_in: String,
    pub(super) refresh: String,
    pub(super) scope: String,
}

/// Whose word counts for how long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lifetime {
    /// The shorter of the endpoint's and the step's.
    #[default]
    Shorter,
    /// The step's, whatever the endpoint says.
    StepWins,
}

pub(super) fn read_body(response: &Response<Bytes>, fields: &Fields) -> Result<AccessToken, TokenError> {
    let malformed = || TokenError::new(TokenErrorKind::Malformed).with_status(response.status());
    // The parser's error may quote the answer, so it is no cause of ours.
    let answer: Map<String, Value> =
        serde_json::from_slice(response.body()).map_err(|_text_stays_secret| malformed())?;
    let answer = Value::Object(answer);
    // Some endpoints refuse with 200 (RFC 6749 §5.2 asks for 400).
    let refused = |error: &Value| !matches!(error, Value::Null | Value::Bool(false)) && error != "";
    if answer.get("error").is_some_and(refused) {
        return Err(TokenError::new(TokenErrorKind::Refused).with_status(response.status()));
    }
    let text = |field: &str| at(&answer, field).and_then(Value::as_str);
    let value = text(&fields.token).ok_or_else(malformed)?;
    let mut token = AccessToken::new(value).map_err(|error| error.with_status(response.status()))?;
    if let Some(token_type) = text(&fields.token_type) {
        token = token.with_type(token_type);
    }
    if let Some(expires_in) = at(&answer, &fields.expires_in) {
        token = token.with_lifetime(read_lifetime(expires_in).ok_or_else(malformed)?);
    }
    if let Some(refresh) = text(&fields.refresh) {
        token = token.with_refresh(Secret::new(refresh));
    }
    if let Some(scope) = text(&fields.scope) {
        token = token.with_scope(scope);
    }
    let Value::Object(mut extra) = answer else {
        return Ok(token);
    };
    for known in [&fields.token, &fields.token_type, &fields.expires_in, &fields.refresh, &fields.scope] {
        extra.remove(known);
    }
    Ok(token.with_extra(extra))
}

fn at<'a>(answer: &'a Value, field: &str) -> Option<&'a Value> {
    if field.starts_with('/') { answer.pointer(field) } else { answer.get(field) }
}

/// Seconds as a whole number, a fraction or a text of either; from one second to a hundred years.
fn read_lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    // NaN is in no range.
    (1.0..=LIFETIME_MAX).contains(&seconds).then(|| Duration::from_secs_f64(seconds.floor()))
}

/// How long a token is used: by its own word, the step's, or neither's, which is five minutes.
pub(super) fn effective_life(answered: Option<Duration>, step: Option<Duration>, rule: Lifetime) -> Duration {
    match (answered, step, rule) {
        (_, Some(step), Lifetime::StepWins) | (None, Some(step), Lifetime::Shorter) => step,
        (Some(answered), Some(step), Lifetime::Shorter) => answered.min(step),
        (Some(answered), None, _) => answered,
        (None, None, _) => LIFETIME_FALLBACK,
    }
}

impl Default for Fields {
    /// The names of RFC 6749 §5.1.
    fn default() -> Self {
        Self {
            token: "access_token".to_owned(),
            token_type: "token_type".to_owned(),
            expires_in: "expires_in".to_owned(),
            refresh: "refresh_token".to_owned(),
            scope: "scope".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, fields: &Fields) -> Result<AccessToken, TokenError> {
        read_body(&Response::new(Bytes::copy_from_slice(body.as_bytes())), fields)
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
        ] {
            let token =
                read(&format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#), &Fields::default());
            assert_eq!(token.unwrap().lifetime(), Some(Duration::from_secs(seconds)), "{expires_in}");
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
            "9223372036854775807",
            "\"abc\"",
            "\"\"",
            "\"NaN\"",
            "\"inf\"",
            "true",
            "[60]",
            "{}",
        ] {
            let error =
                read(&format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#), &Fields::default());
            assert_eq!(error.unwrap_err().kind(), TokenErrorKind::Malformed, "{expires_in}");
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
        ] {
            let error = read(body, &Fields::default()).unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Malformed, "{body}");
        }
        let refused =
            read(r#"{"error":"invalid_client","access_token":"t"}"#, &Fields::default()).unwrap_err();
        assert_eq!(refused.kind(), TokenErrorKind::Refused);
        for nothing in ["null", "false", "\"\""] {
            read(&format!(r#"{{"error":{nothing},"access_token":"t"}}"#), &Fields::default()).unwrap();
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
    fn r094_the_shorter_life_counts_unless_the_step_shall_win() {
        let (short, long) = (Some(Duration::from_secs(60)), Some(Duration::from_secs(3600)));
        assert_eq!(effective_life(short, long, Lifetime::Shorter), short.unwrap());
        assert_eq!(effective_life(long, short, Lifetime::Shorter), short.unwrap());
        assert_eq!(effective_life(short, long, Lifetime::StepWins), long.unwrap());
        assert_eq!(effective_life(short, None, Lifetime::StepWins), short.unwrap());
        assert_eq!(effective_life(None, long, Lifetime::Shorter), long.unwrap());
        assert_eq!(effective_life(None, None, Lifetime::Shorter), Duration::from_secs(300));
    }
}
