//! What operators are told: one vocabulary of security events, and the port that receives them.
//!
//! An observer only listens: it runs on the request's task, so it must return at once and must not panic. It
//! never sees a token.

use std::time::Duration;

use crate::text::TokenId;

/// Something worth an operator's attention. Ids of records may be logged; nothing here is a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A used refresh token came back outside the window: its login was revoked. Comes once per login.
    TokenReuse {
        /// The revoked login.
        record: TokenId,
        /// How old the token was.
        kind: ReuseKind,
        /// Time since the last rotation.
        since_rotation: Duration,
    },
    /// The direct predecessor was answered with the same pair once more.
    ReuseAllowed {
        /// The login.
        record: TokenId,
        /// Time since the rotation.
        since_rotation: Duration,
    },
    /// One generation was repeated more often than any honest client does; the request was refused, nothing was
    /// revoked.
    GraceCap {
        /// The login.
        record: TokenId,
    },
    /// A token is ahead of its record: the store lost writes or was restored from a copy. Nothing was revoked.
    StoreRegressed {
        /// The login.
        record: TokenId,
    },
    /// The pair derived for a repeat does not match the record: the record was edited, or a key was exchanged
    /// under it.
    Inconsistent {
        /// The login.
        record: TokenId,
    },
    /// A record names a pepper key that the key ring does not know: roll keys out verify-only first.
    UnknownKey {
        /// The login.
        record: TokenId,
    },
    /// The first use of a new pair could not be written down; it is tried again at the next use.
    ConfirmationLost {
        /// The login.
        record: TokenId,
    },
    /// TEMP
    TouchLost {
        /// The login.
        record: TokenId,
    },
    /// TEMP
    TouchDropped {
        /// The login.
        record: TokenId,
    },
    /// The store has reached its bound and holds nothing that could be purged; logins are refused.
    StoreFull,
}

/// Which used refresh token came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReuseKind {
    /// The direct predecessor of the current one: perhaps a very late retry.
    RecentPredecessor,
    /// An older one: no honest client keeps those.
    StaleAncestor,
}

/// Receives events.
///
/// Called on the request's own task: hand the event to a channel or a counter and return.
pub trait Observer: Send + Sync + 'static {
    /// Called once for each event.
    fn observe(&self, event: &Event);
}

impl Event {
    /// The event's name; where OWASP's logging vocabulary has one, it is that.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TokenReuse { .. } => "authn_token_reuse",
            Self::ReuseAllowed { .. } => "reuse_allowed",
            Self::GraceCap { .. } => "grace_cap",
            Self::StoreRegressed { .. } => "store_regressed",
            Self::Inconsistent { .. } => "inconsistent",
            Self::UnknownKey { .. } => "unknown_key",
            Self::ConfirmationLost { .. } => "confirmation_lost",
            Self::TouchLost { .. } => "touch_lost",
            Self::TouchDropped { .. } => "touch_dropped",
            Self::StoreFull => "store_full",
        }
    }
}

/// Writes the event to the log and tells the observer.
pub(crate) fn emit(observer: Option<&dyn Observer>, event: &Event) {
    let record = match event {
        Event::TokenReuse { record, .. }
        | Event::ReuseAllowed { record, .. }
        | Event::GraceCap { record }
        | Event::StoreRegressed { record }
        | Event::Inconsistent { record }
        | Event::UnknownKey { record }
        | Event::TouchLost { record }
        | Event::TouchDropped { record }
        | Event::ConfirmationLost { record } => Some(record.as_str()),
        Event::StoreFull => None,
    };
    match event {
        Event::ReuseAllowed { .. } => tracing::debug!(name = event.name(), record),
        _ => tracing::warn!(name = event.name(), record, ?event),
    }
    if let Some(observer) = observer {
        observer.observe(event);
    }
}
