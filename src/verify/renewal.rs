//! A credential that lives longer because it was used.

use std::{fmt, sync::Arc, time::Duration};

use crate::{clock::Timestamp, maybe_ready::MaybeReady, secret::Secret, text::TokenId};

/// What a request extended: the text stays, its end moves.
#[derive(Clone)]
pub struct Renewal {
    text: Secret,
    record: TokenId,
    generation: u32,
    expires: Timestamp,
    max_age: Option<Duration>,
    state: Arc<dyn CredentialState>,
}

/// Knows whether a login is still what it was when a request began.
pub trait CredentialState: Send + Sync + 'static {
    /// Whether the login lives, at this generation. "Could not check" is `false`: the answer goes without the
    /// cookie then.
    fn is_current(&self, record: &TokenId, generation: u32) -> MaybeReady<bool>;
}

impl Renewal {
    /// The presented text, of this generation of a login, now ends at `expires`. A cookie that carries it lives
    /// for `max_age`, or until the browser ends.
    pub fn new(
        text: Secret,
        (record, generation): (TokenId, u32),
        expires: Timestamp,
        max_age: Option<Duration>,
        state: Arc<dyn CredentialState>,
    ) -> Self {
        Self { text, record, generation, expires, max_age, state }
    }

    /// The credential as it was presented.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The new end.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The `Max-Age` of a cookie that carries it; `None` for one that ends with the browser.
    pub fn max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Whether it still holds: a slow answer must not bring an old cookie back after a rotation or a logout.
    pub fn is_current(&self) -> MaybeReady<bool> {
        self.state.is_current(&self.record, self.generation)
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("record", &self.record)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
