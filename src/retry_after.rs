//! `Retry-After` (RFC 9110 §10.2.3): a number of seconds, or a date.

use std::time::Duration;

use http::HeaderValue;

use crate::{clock::Timestamp, date};

/// How long to wait from `now` on: zero for a date that has passed, `None` for what is neither form. The span is
/// whatever the server wrote, centuries too: bound it before adding to it.
pub(crate) fn parse(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    if date::is_number(text) {
        // All are digits, so the only fault can be that there are too many.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    date::http(text, now).map(|at| at.since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    #[track_caller]
    fn after(text: &str, expected: Option<u64>) {
        let value = HeaderValue::from_str(text).unwrap();
        assert_eq!(parse(&value, NOW), expected.map(Duration::from_secs), "{text:?}");
    }

    #[test]
    fn r123_seconds_are_digits_alone() {
        after("0", Some(0));
        after("120", Some(120));
        after(" 7\t", Some(7));
        after("99999999999999999999999", Some(u64::MAX));
        for junk in ["", "-1", "+1", "1.5", "1e3", "0x1", "1 2", "1, 2", "soon", "١"] {
            after(junk, None);
        }
        assert_eq!(parse(&HeaderValue::from_bytes(b"\xff1").unwrap(), NOW), None);
    }

    #[test]
    fn r123_a_date_is_counted_from_now_and_never_negative() {
        after("Sun, 06 Nov 1994 08:50:37 GMT", Some(60));
        after("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        after("Sun, 06 Nov 1994 08:49:36 GMT", Some(0));
        after("Sunday, 06-Nov-94 08:50:37 GMT", Some(60));
        after("Sun Nov  6 08:50:37 1994", Some(60));
    }
}
