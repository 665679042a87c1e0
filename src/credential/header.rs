//! The `Authorization` header.

use http::{HeaderMap, header::AUTHORIZATION};

use super::Credential;
use crate::{problem::Reason, text::is_tchar};

/// Longer credentials are refused before anything else is done with them.
pub(crate) const MAX_LENGTH: usize = 8 * 1024;

/// What the header holds; `scheme` is the place of the scheme in the list.
pub(crate) enum FromHeader<'a> {
    Token { credential: Credential<'a>, scheme: u8 },
    Garbled { reason: Reason, scheme: u8 },
    Foreign,
    Nothing,
}

/// `scheme SP b64token` (RFC 6750 §2.1), one space, one header. The scheme's case does not matter (RFC 9110
/// §11.1).
pub(crate) fn from_header<'a>(schemes: &'a [String], headers: &'a HeaderMap) -> FromHeader<'a> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return FromHeader::Nothing;
    };
    if values.next().is_some() {
        return FromHeader::Garbled { reason: Reason::DuplicateHeader, scheme: 0 };
    }
    let value = value.as_bytes();
    let found = (0_u8..).zip(schemes).find_map(|(index, scheme)| {
        let (start, rest) = value.split_at_checked(scheme.len())?;
        // What goes on with a token character is another, longer scheme.
        let ends = rest.first().is_none_or(|byte| !is_tchar(*byte));
        (ends && start.eq_ignore_ascii_case(scheme.as_bytes())).then_some((index, scheme, rest))
    });
    let Some((index, scheme, rest)) = found else {
        return FromHeader::Foreign;
    };
    let garbled = |reason| FromHeader::Garbled { reason, scheme: index };
    // The space is not the token's.
    if rest.len() > MAX_LENGTH + 1 {
        return garbled(Reason::TooLong);
    }
    match rest {
        [] | [b' '] => garbled(Reason::SchemeAlone),
        [b' ', token @ ..] if is_token68(token) => match std::str::from_utf8(token) {
            Ok(text) => FromHeader::Token { credential: Credential::header(text, scheme), scheme: index },
            Err(_never_for_token68) => garbled(Reason::NotToken68),
        },
        [b' ', token @ ..] if !token.iter().any(u8::is_ascii_whitespace) => garbled(Reason::NotToken68),
        _ => garbled(Reason::NotTwoParts),
    }
}

/// `b64token` of RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
pub(crate) fn is_token68(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    let allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // Without an early end, so that the compiler can compare many characters at once.
    !body.is_empty() && body.iter().fold(true, |all, byte| all & allowed(byte))
}
