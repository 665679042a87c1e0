//! The way back: the cookie of a renewal, and what an answer must say to caches.
//!
//! An answer that sets a credential is nobody's to keep, whatever the handler said.
//!
//! A shared cache must not keep the answer to a request with `Authorization` unless that answer allows it (RFC
//! 9111 §3.5), so for header credentials nothing has to be added. Of cookies it knows nothing, so those answers
//! become `private`. Where anonymous visitors are welcome, every answer depends on whether a credential was
//! sent, and says so in `Vary`.

use http::{
    HeaderMap, HeaderValue, Response,
    header::{CACHE_CONTROL, SET_COOKIE, VARY},
};

use super::renew::RenewedCookie;
use crate::{credential::Channel, maybe_ready::MaybeReady, problem::Rejection};

const PRIVATE: HeaderValue = HeaderValue::from_static("private");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What a layer's answers vary by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settlement {
    pub(super) header: bool,
    pub(super) cookie: bool,
    pub(super) optional: bool,
}

/// What to add to one answer.
#[derive(Default)]
pub(super) struct Settle {
    private: bool,
    vary: Option<&'static str>,
    /// In a box, because few answers have one.
    cookie: Option<Box<RenewedCookie>>,
}

impl Settlement {
    /// `channel` is that of the credential, `None` for an anonymous request.
    pub(super) fn plan(self, channel: Option<Channel>) -> Settle {
        let private = channel == Some(Channel::Cookie);
        let vary = (private || self.optional).then_some(match (self.header, self.cookie) {
            (true, true) => "authorization, cookie",
            (false, true) => "cookie",
            (_, false) => "authorization",
        });
        Settle { private, vary, cookie: None }
    }
}

impl Settle {
    pub(super) fn with_cookie(mut self, cookie: Option<Box<RenewedCookie>>) -> Self {
        self.cookie = cookie;
        self
    }

    /// Whether this answer brings the renewed cookie. A refusal never does, wherever in the service it was made.
    pub(super) fn sends_cookie<B>(&self, response: &Response<B>) -> MaybeReady<bool> {
        match &self.cookie {
            Some(cookie) if response.extensions().get::<Rejection>().is_none() => {
                cookie.is_current(response.headers())
            }
            _ => MaybeReady::Now(false),
        }
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap, sends_cookie: bool) {
        let cookie = self.cookie.as_ref().filter(|_| sends_cookie);
        if let Some(set_cookie) = cookie.and_then(|cookie| cookie.set_cookie()) {
            headers.append(SET_COOKIE, set_cookie);
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        if self.private && !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, PRIVATE);
        }
        if let Some(vary) = self.vary {
            // Appended: what the handler varies by stays.
            headers.append(VARY, HeaderValue::from_static(vary));
        }
    }
}
