//! When and why a login ended.

use crate::clock::Timestamp;

/// When and why a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    at: Timestamp,
    reason: RevokeReason,
}

/// Why a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevokeReason {
    /// The user, or the application on the user's behalf.
    Logout,
    /// A used refresh token came back.
    Reuse,
    /// The user is gone or inactive.
    Inactive,
    /// A newer login took its place: single login, or the limit of live logins.
    Superseded,
    /// The user's credentials were changed.
    CredentialsChanged,
    /// An operator ended every login of the service.
    Everyone,
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

impl RevokeReason {
    /// The name under which the reason is stored and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Inactive => "inactive",
            Self::Superseded => "superseded",
            Self::CredentialsChanged => "credentials_changed",
            Self::Everyone => "everyone",
        }
    }
}
