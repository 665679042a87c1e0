//! The way back: what an answer to an authenticated request must say to caches.
//!
//! A shared cache must not keep the answer to a request with `Authorization` unless that answer allows it (RFC
//! 9111 §3.5), so for header credentials nothing has to be added. Of cookies it knows nothing, so those answers
//! become `private`. Where anonymous visitors are welcome, every answer depends on whether a credential was
//! sent, and says so in `Vary`.

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, VARY},
};

use crate::credential::Channel;

const PRIVATE: HeaderValue = HeaderValue::from_static("private");

/// What a layer's answers vary by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settlement {
    pub(super) header: bool,
    pub(super) cookie: bool,
    pub(super) optional: bool,
}

/// What to add to one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settle {
    private: bool,
    vary: Option<&'static str>,
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
        Settle { private, vary }
    }
}

impl Settle {
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        if self.private && !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, PRIVATE);
        }
        if let Some(vary) = self.vary {
            // Appended: what the handler varies by stays.
            headers.append(VARY, HeaderValue::from_static(vary));
        }
    }
}
