//! From the head of a request to a credential, or to what is wrong with it.

use http::{HeaderMap, header::AUTHORIZATION};

use crate::{
    cookie::{CookieError, CookieSettings},
    credential::Credential,
    problem::Reason,
    text::is_tchar,
};

/// Longer credentials are refused before anything else is done with them.
const MAX_LENGTH: usize = 8 * 1024;

/// Where credentials are looked for, in order.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) places: Vec<Place>,
    /// Whether a scheme that is not ours is an error rather than somebody else's affair.
    pub(super) refuse_foreign: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// The `Authorization` header with one of these schemes, and the position of the first of them among the
    /// challenges.
    Header {
        schemes: Vec<String>,
        position: u8,
    },
    Cookie {
        settings: CookieSettings,
        position: u8,
    },
}

/// What a place holds.
pub(super) enum Presented<'a> {
    Credential {
        credential: Credential<'a>,
        position: u8,
        /// Where to look on if this one is invalid; only cookies can be followed, and only by cookies.
        next: Option<Cursor>,
    },
    /// The request is refused, whatever else it holds.
    Garbled {
        reason: Reason,
        position: Option<u8>,
    },
    /// A cookie nobody could have issued; another name may hold a better one.
    Unusable {
        reason: Reason,
        position: u8,
        next: Cursor,
    },
    /// A header for somebody else, where such are refused.
    Foreign,
    Nothing,
}

/// How far the places were searched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor(usize);

impl Sources {
    /// The next credential from `cursor` on. After a cookie, headers are passed over.
    pub(super) fn next<'a>(&'a self, headers: &'a HeaderMap, cursor: Cursor) -> Presented<'a> {
        for (index, place) in self.places.iter().enumerate().skip(cursor.0) {
            match place {
                Place::Header { .. } if cursor.0 > 0 => {}
                Place::Header { schemes, position } => match from_header(schemes, headers) {
                    FromHeader::Nothing => {}
                    FromHeader::Foreign if !self.refuse_foreign => {}
                    FromHeader::Foreign => return Presented::Foreign,
                    FromHeader::Garbled { reason, scheme } => {
                        return Presented::Garbled { reason, position: Some(position + scheme) };
                    }
                    FromHeader::Token { credential, scheme } => {
                        return Presented::Credential { credential, position: position + scheme, next: None };
                    }
                },
                Place::Cookie { settings, position } => {
                    let (position, next) = (*position, Cursor(index + 1));
                    match settings.read(headers) {
                        Ok(None) => {}
                        Ok(Some(text)) if text.len() > MAX_LENGTH => {
                            return Presented::Unusable { reason: Reason::TooLong, position, next };
                        }
                        Ok(Some(text)) if !is_token68(text.as_bytes()) => {
                            return Presented::Unusable { reason: Reason::NotToken68, position, next };
                        }
                        Ok(Some(text)) => {
                            let credential = Credential::cookie(text);
                            return Presented::Credential { credential, position, next: Some(next) };
                        }
                        Err(CookieError::Duplicate) => {
                            return Presented::Garbled {
                                reason: Reason::DuplicateCookie,
                                position: Some(position),
                            };
                        }
                        Err(_) => {
                            return Presented::Unusable { reason: Reason::NotToken68, position, next };
                        }
                    }
                }
            }
        }
        Presented::Nothing
    }
}

enum FromHeader<'a> {
    Token { credential: Credential<'a>, scheme: u8 },
    Garbled { reason: Reason, scheme: u8 },
    Foreign,
    Nothing,
}

/// `scheme SP b64token` (RFC 6750 §2.1), one space, one header. The scheme's case does not matter (RFC 9110
/// §11.1).
fn from_header<'a>(schemes: &'a [String], headers: &'a HeaderMap) -> FromHeader<'a> {
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
fn is_token68(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    let allowed =
        |byte: &u8| byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    // Without an early end, so that the compiler can compare many characters at once.
    !body.is_empty() && body.iter().fold(true, |all, byte| all & allowed(byte))
}
