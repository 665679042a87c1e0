//! From the answer of a token endpoint to a token, or to the reason why there is none. The answer is untrusted.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, header::RETRY_AFTER};
use serde_json::{Map, Value};

use crate::{
    clock::Timestamp,
    date,
    pipeline::{
        life::{LIFETIME_MAX, LIFETIME_MIN},
        token::AccessToken,
    },
    provider::{OAuthErrorCode, TokenError, TokenErrorKind},
    retry_after,
    secret::Secret,
};

/// The names under which an answer holds its parts: a member, or a JSON pointer (RFC 6901) if it starts with
/// `/`.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) token: String,
    pub(super) token_type: String,
    pub(super) expires_in: String,
    /// Not standard, so only where it is named.
    pub(super) expiry_date: Option<String>,
    pub(super) refresh: String,
    pub(super) refresh_in: String,
    pub(super) scope: String,
}

/// A number as large as this counts milliseconds: as seconds it would be in the year 5138.
const MILLIS_FROM: f64 = 1e11;

/// Nobody waits longer, and whoever adds it to a moment must not overflow.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads the token from the body of a 2xx answer. Its lifetime is the endpoint's word.
pub(super) fn read_body(
    response: &Response<Bytes>,
    fields: &Fields,
    now: Timestamp,
) -> Result<AccessToken, TokenError> {
    let malformed = || TokenError::new(TokenErrorKind::Malformed).with_status(response.status());
    let answer = object(response).ok_or_else(malformed)?;
    // Some endpoints refuse with 200 (RFC 6749 §5.2 asks for 400), so this is looked at first.
    if let Some(code) = refused(&answer) {
        return Err(refusal(response, Some(code), now));
    }
    let answer = Value::Object(answer);
    let text = |field: &str| at(&answer, field).and_then(Value::as_str);
    let value = text(&fields.token).ok_or_else(malformed)?;
    let mut token = AccessToken::new(value).map_err(|error| error.with_status(response.status()))?;
    if let Some(token_type) = text(&fields.token_type).filter(|named| !named.is_empty()) {
        token = token.with_type(token_type);
    }
    if let Some(life) = life(&answer, fields, now).map_err(|NoLife| malformed())? {
        token = token.with_lifetime(life);
    }
    // A hint: an unusable one is none.
    if let Some(wait) = at(&answer, &fields.refresh_in).and_then(span) {
        token = token.with_refresh_in(wait);
    }
    if let Some(refresh) = text(&fields.refresh).filter(|refresh| !refresh.is_empty()) {
        token = token.with_refresh(Secret::new(refresh));
    }
    if let Some(scope) = at(&answer, &fields.scope).and_then(scope) {
        token = token.with_scope(scope);
    }
    let Value::Object(mut extra) = answer else {
        return Ok(token);
    };
    let known = [&fields.token, &fields.token_type, &fields.expires_in, &fields.refresh, &fields.refresh_in];
    for known in known.into_iter().chain([&fields.scope]).chain(&fields.expiry_date) {
        extra.remove(known);
    }
    Ok(token.with_extra(extra))
}

/// Why there is no token, for an answer other than 2xx.
pub(super) fn read_refusal(response: &Response<Bytes>, now: Timestamp) -> TokenError {
    refusal(response, object(response).as_ref().and_then(refused), now)
}

fn refusal(response: &Response<Bytes>, code: Option<OAuthErrorCode>, now: Timestamp) -> TokenError {
    let mut error = TokenError::new(TokenErrorKind::Refused).with_status(response.status());
    if let Some(code) = code {
        error = error.with_code(code);
    }
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| retry_after::parse(value, now));
    match wait {
        Some(wait) => error.with_retry_after(wait.min(RETRY_AFTER_MAX)),
        None => error,
    }
}

/// The parser's error may quote the answer, so it is no cause of ours.
fn object(response: &Response<Bytes>) -> Option<Map<String, Value>> {
    serde_json::from_slice(response.body()).ok()
}

/// What an answer's `error` says, if that is one.
fn refused(answer: &Map<String, Value>) -> Option<OAuthErrorCode> {
    match answer.get("error")? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(OAuthErrorCode::parse(text)),
        _ => Some(OAuthErrorCode::Other),
    }
}

fn at<'a>(answer: &'a Value, field: &str) -> Option<&'a Value> {
    if field.starts_with('/') { answer.pointer(field) } else { answer.get(field) }
}

/// There is a lifetime, and it cannot be used.
struct NoLife;

/// The shorter, if the answer holds both a life and its end.
fn life(answer: &Value, fields: &Fields, now: Timestamp) -> Result<Option<Duration>, NoLife> {
    let read = |value: Option<&Value>, read: &dyn Fn(&Value) -> Option<Duration>| match value {
        Some(value) => read(value).map(Some).ok_or(NoLife),
        None => Ok(None),
    };
    let life = read(at(answer, &fields.expires_in), &span)?;
    let date = fields.expiry_date.as_deref().and_then(|field| at(answer, field));
    let left = read(date, &|value| moment(value).and_then(|end| bounded(end.since(now))))?;
    Ok(life.into_iter().chain(left).min())
}

/// Seconds as a whole number, a fraction or a text of either.
fn span(value: &Value) -> Option<Duration> {
    // A negative number and NaN are no span.
    Duration::try_from_secs_f64(number(value)?.floor()).ok().and_then(bounded)
}

/// Seconds or milliseconds of Unix time, or a date of RFC 3339.
#[allow(clippy::cast_possible_truncation)] // what is cut off is less than a millisecond, or out of bounds anyhow
fn moment(value: &Value) -> Option<Timestamp> {
    match (number(value), value) {
        (Some(number), _) => {
            let millis = if number.abs() < MILLIS_FROM { number * 1000.0 } else { number };
            Some(Timestamp::from_millis(millis as i64))
        }
        (None, Value::String(text)) => date::rfc3339(text.trim()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// From one second to a hundred years: nobody means anything else.
fn bounded(life: Duration) -> Option<Duration> {
    (LIFETIME_MIN..=LIFETIME_MAX).contains(&life).then_some(life)
}

/// A text, or a list of texts as some endpoints have it.
fn scope(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(words) => {
            words.iter().map(Value::as_str).collect::<Option<Vec<_>>>().map(|w| w.join(" "))
        }
        _ => None,
    }
}

impl Default for Fields {
    /// The names of RFC 6749 §5.1, and `refresh_in`, which several endpoints have in common.
    fn default() -> Self {
        Self {
            token: "access_token".to_owned(),
            token_type: "token_type".to_owned(),
            expires_in: "expires_in".to_owned(),
            expiry_date: None,
            refresh: "refresh_token".to_owned(),
            refresh_in: "refresh_in".to_owned(),
            scope: "scope".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
