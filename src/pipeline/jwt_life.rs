//! How long a JWT says it lives. Nothing is verified: the token is another service's, and its word is used for
//! nothing but how long to keep it.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value};

use super::life::{LIFETIME_MAX, LIFETIME_MIN};
use crate::clock::Timestamp;

/// Longer tokens are not looked into.
const TOKEN_MAX: usize = 16 * 1024;

/// The life of a token that has just come: from `iat` to `exp`, or from now to `exp` if that is less, because it may
/// not have been issued just now (RFC 7519 §4.1). Where it has ended already, it is the clocks that do not agree, and
/// the first counts alone. `None` for what is no readable JWT.
pub(super) fn granted(token: &str, now: Timestamp) -> Option<Duration> {
    let claims = claims(token)?;
    let seconds = |name| claims.get(name).and_then(Value::as_f64);
    let end = seconds("exp")?;
    let left = usable(end - unix(now));
    let Some(issued) = seconds("iat") else { return left };
    let whole = usable(end - issued)?;
    Some(left.map_or(whole, |left| left.min(whole)))
}

/// What is left of the life of a token that may be old.
pub(super) fn remaining(token: &str, now: Timestamp) -> Option<Duration> {
    usable(claims(token)?.get("exp")?.as_f64()? - unix(now))
}

fn claims(token: &str) -> Option<Map<String, Value>> {
    if token.len() > TOKEN_MAX {
        return None;
    }
    let parts: Vec<&str> = token.splitn(4, '.').collect();
    let [_header, payload, _signature] = parts[..] else { return None };
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()
}

#[allow(clippy::cast_precision_loss)] // exact for the next hundred thousand years
fn unix(now: Timestamp) -> f64 {
    now.as_millis() as f64 / 1000.0
}

/// NaN is in no range.
fn usable(seconds: f64) -> Option<Duration> {
    let range = LIFETIME_MIN.as_secs_f64()..=LIFETIME_MAX.as_secs_f64();
    range.contains(&seconds).then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()))
    }

    #[track_caller]
    fn check(payload: &str, whole: Option<u64>, left: Option<u64>) {
        let token = jwt(payload);
        assert_eq!(granted(&token, NOW), whole.map(Duration::from_secs), "{payload}");
        assert_eq!(remaining(&token, NOW), left.map(Duration::from_secs), "{payload}");
    }

    #[test]
    fn r094_a_jwt_tells_its_life() {
        check(r#"{"iat":1699999000,"exp":1700000600}"#, Some(600), Some(600));
        check(r#"{"iat":1700000100,"exp":1700000600}"#, Some(500), Some(600));
        check(r#"{"exp":1700000600}"#, Some(600), Some(600));
        check(r#"{"exp":1700000600.0,"iat":null}"#, Some(600), Some(600));
        // Clocks that differ: the life counts all the same.
        check(r#"{"iat":1699990000,"exp":1699990300}"#, Some(300), None);
    }

    #[test]
    fn r094_what_is_no_life_is_none() {
        for payload in [
            "{}",
            "[]",
            "null",
            r#"{"exp":"1700000600"}"#,
            r#"{"exp":null}"#,
            r#"{"exp":1e300}"#,
            r#"{"exp":10000000000}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":1700000000}"#,
            r#"{"iat":1700000600,"exp":1700000600}"#,
            r#"{"exp":1700000600"#,
            "\u{1}",
        ] {
            let token = jwt(payload);
            assert_eq!(granted(&token, NOW), None, "{payload}");
        }
        let good = jwt(r#"{"exp":1700000600}"#);
        assert!(granted(&good, NOW).is_some());
        for token in [
            "",
            "opaque",
            "..",
            "a.b",
            &format!("{good}.x.y"),
            &good.replace('.', " "),
            &format!("{good}{}", "x".repeat(TOKEN_MAX)),
            &format!("e30.{}==.x", &good[4..8]),
        ] {
            assert_eq!(granted(token, NOW), None, "{token:.40}");
            assert_eq!(remaining(token, NOW), None, "{token:.40}");
        }
    }
}
