//! When and why a login ended.

use crate::{clock::Timestamp, event::RevokeReason};

/// When and why a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    at: Timestamp,
    reason: RevokeReason,
}

impl Revocation {
    /// Ended at this moment for this reason.
    pub fn new(at: Timestamp, reason: RevokeReason) -> Self {
        Self { at, reason }
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Why.
    pub fn reason(&self) -> RevokeReason {
        self.reason
    }
}
