//! From the head of a request to a credential, or to what is wrong with it.

use http::HeaderMap;

use crate::{
    cookie::{CookieError, CookieSettings},
    credential::{Channel, Credential, FromHeader, MAX_LENGTH, from_header, is_token68},
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
        found: Found,
    },
    /// The request is refused, whatever else it holds.
    Garbled {
        reason: Reason,
        found: Found,
    },
    /// A cookie nobody could have issued; another name may hold a better one.
    Unusable {
        reason: Reason,
        found: Found,
    },
    /// A header for somebody else, where such are refused.
    Foreign,
    Nothing,
}

/// Where something was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Of the place, in order.
    index: usize,
    /// Of the challenge.
    pub(super) position: u8,
    pub(super) channel: Channel,
}

/// How far the places were searched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    from: usize,
    /// An invalid cookie was found: another name may hold a better one, but no header shall hide it.
    cookies_only: bool,
}

impl Cursor {
    /// Goes on as if the place had been empty.
    pub(super) fn past(self, found: Found) -> Self {
        Self { from: found.index + 1, ..self }
    }

    /// Goes on behind a credential that failed: only cookies can be followed, and only by cookies.
    pub(super) fn past_failed(found: Found) -> Option<Self> {
        let cookie = found.channel == Channel::Cookie;
        cookie.then_some(Self { from: found.index + 1, cookies_only: true })
    }
}

impl Sources {
    /// The credential that was found there before, in the same headers.
    pub(super) fn again<'a>(&'a self, headers: &'a HeaderMap, found: Found) -> Option<Credential<'a>> {
        let cursor = Cursor { from: found.index, cookies_only: false };
        match self.next(headers, cursor) {
            Presented::Credential { credential, found: same } if same.index == found.index => {
                Some(credential)
            }
            _ => None,
        }
    }

    /// The settings of the cookie that was found there.
    pub(super) fn cookie(&self, found: Found) -> Option<&CookieSettings> {
        match &self.places[found.index] {
            Place::Cookie { settings, .. } => Some(settings),
            Place::Header { .. } => None,
        }
    }

    /// The next credential from `cursor` on.
    pub(super) fn next<'a>(&'a self, headers: &'a HeaderMap, cursor: Cursor) -> Presented<'a> {
        for (index, place) in self.places.iter().enumerate().skip(cursor.from) {
            match place {
                Place::Header { .. } if cursor.cookies_only => {}
                Place::Header { schemes, position } => match from_header(schemes, headers) {
                    FromHeader::Nothing => {}
                    FromHeader::Foreign if !self.refuse_foreign => {}
                    FromHeader::Foreign => return Presented::Foreign,
                    FromHeader::Garbled { reason, scheme } => {
                        let found = Found { index, position: position + scheme, channel: Channel::Header };
                        return Presented::Garbled { reason, found };
                    }
                    FromHeader::Token { credential, scheme } => {
                        let found = Found { index, position: position + scheme, channel: Channel::Header };
                        return Presented::Credential { credential, found };
                    }
                },
                Place::Cookie { settings, position } => {
                    let found = Found { index, position: *position, channel: Channel::Cookie };
                    match settings.read(headers) {
                        Ok(None) => {}
                        Ok(Some(text)) if text.len() > MAX_LENGTH => {
                            return Presented::Unusable { reason: Reason::TooLong, found };
                        }
                        Ok(Some(text)) if !is_token68(text.as_bytes()) => {
                            return Presented::Unusable { reason: Reason::NotToken68, found };
                        }
                        Ok(Some(text)) => {
                            return Presented::Credential { credential: Credential::cookie(text), found };
                        }
                        Err(CookieError::Duplicate) => {
                            return Presented::Garbled { reason: Reason::DuplicateCookie, found };
                        }
                        Err(_) => return Presented::Unusable { reason: Reason::NotToken68, found },
                    }
                }
            }
        }
        Presented::Nothing
    }
}
