//! What proves it, and for how long.

use crate::{clock::Timestamp, credential::Channel, text::TokenId};

/// What is known of a verified credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    channel: Channel,
    record: Option<TokenId>,
    issued: Timestamp,
    expires: Timestamp,
    renewed: bool,
}

/// Why a credential that was valid is no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It has reached its end.
    Expired,
    /// It was revoked, or replaced by another one.
    Revoked,
}

impl Evidence {
    /// Evidence for a credential that travelled on `channel` and holds from `issued` until `expires`.
    pub fn new(channel: Channel, issued: Timestamp, expires: Timestamp) -> Self {
        Self { channel, record: None, issued, expires, renewed: false }
    }

    /// Names the login.
    #[must_use]
    pub fn with_record(mut self, record: TokenId) -> Self {
        self.record = Some(record);
        self
    }

    /// Moves the end: the request that this is evidence for has extended the credential.
    #[must_use]
    pub fn renewed_until(mut self, expires: Timestamp) -> Self {
        self.expires = expires;
        self.renewed = true;
        self
    }

    /// The way the credential travelled.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The login, for opaque tokens.
    pub fn record(&self) -> Option<TokenId> {
        self.record
    }

    /// When the login happened; for a credential without a login, when it was issued.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When the credential ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether this request has extended the credential.
    pub fn renewed(&self) -> bool {
        self.renewed
    }
}
