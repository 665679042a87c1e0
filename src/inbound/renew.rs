//! The cookie of a credential that lives longer because it was used.

use http::{HeaderMap, HeaderValue};

use super::{door::Door, extract::Found};
use crate::{
    cookie::CookieSettings,
    maybe_ready::MaybeReady,
    verify::{Renewal, Verified},
};

/// A cookie to be sent again: the same text, with a later end.
pub(super) struct RenewedCookie {
    renewal: Renewal,
    settings: CookieSettings,
}

impl<I> Door<I> {
    /// The cookie that the answer is to bring, if the request has renewed one. A header's token needs nothing:
    /// its end is known to us alone.
    pub(super) fn renewed_cookie(
        &self,
        verified: &mut Verified<I>,
        found: Found,
    ) -> Option<Box<RenewedCookie>> {
        let renewal = verified.renewal.take()?;
        let settings = self.sources.cookie(found)?.clone();
        Some(Box::new(RenewedCookie { renewal, settings }))
    }
}

impl RenewedCookie {
    /// Whether the cookie may be sent with this answer, asked when the answer is there: a slow one must bring no
    /// cookie back that a rotation or a logout has replaced meanwhile, nor undo what the handler did with it.
    pub(super) fn is_current(&self, headers: &HeaderMap) -> MaybeReady<bool> {
        if self.settings.is_set_by(headers) {
            return MaybeReady::Now(false);
        }
        self.renewal.is_current()
    }

    /// `None` for a text that no cookie can carry: then it did not come in one.
    pub(super) fn set_cookie(&self) -> Option<HeaderValue> {
        self.settings.write(self.renewal.text(), self.renewal.max_age()).ok()
    }
}
