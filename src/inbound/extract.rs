//! From the head of a request to a credential, or to what is wrong with it.

use http::HeaderMap;

use crate::{
    cookie::{CookieError, CookieSettings},
    credential::{self, Credential, FromHeader, from_header, is_token68},
    problem::Reason,
};

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
                        Ok(Some(text)) if text.len() > credential::MAX_LENGTH => {
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
