//! The vocabulary.

use std::time::Duration;

use tracing::Level;

/// What happened.
///
/// [`name`](Self::name) is the term of OWASP's logging vocabulary where it has one; the others are this crate's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// `authn_login_success`: somebody proved who they are, with a password or the like.
    LoginSuccess,
    /// `authn_login_fail`: somebody tried to, and failed.
    LoginFail,
    /// `excess_rate_limit_exceeded`: a login or a refresh was refused unseen, because too many had been tried.
    LoginThrottled,
    /// `new_device`: a subject logged in from a device that it had not used before.
    NewDevice,

    /// `authn_success`: a request came with a valid credential.
    AuthSuccess,
    /// `authn_fail`: a request came with one that is not valid; [`Event::reason`](super::Event::reason) says why.
    AuthFail,
    /// `authn_missing`: a request came without a credential to a place that needs one.
    AuthMissing,
    /// `authn_unavailable`: whether a credential is valid could not be found out.
    CouldNotCheck,
    /// `authz_fail`: a known caller asked for something it has no right to.
    AuthzFail,
    /// `authz_change`: what a login may do was changed, and it got new tokens for it.
    PrivilegeChanged,
    /// `authn_password_change`: a subject's credentials were changed, its password among them or another one: its
    /// other logins have ended, and this one got new tokens.
    CredentialsChanged,
    /// `csrf_refused`: a cookie came with a request that another site may have caused.
    CsrfRefused,

    /// `authn_token_created`: tokens were issued for a new login.
    TokenCreated,
    /// `token_refreshed`: a refresh token was exchanged for the next pair.
    TokenRefreshed,
    /// `authn_token_revoked`: a login was ended.
    #[non_exhaustive]
    TokenRevoked {
        /// Why.
        reason: RevokeReason,
    },
    /// `authn_token_revoked`, too: all logins of a subject were ended.
    #[non_exhaustive]
    TokensRevoked {
        /// How many they were.
        count: u64,
    },
    /// `authn_token_delete`: logins that had ended were removed from the store.
    #[non_exhaustive]
    Purged {
        /// How many they were.
        count: u64,
    },
    /// `authn_token_reuse`: a used refresh token came back outside the window, and its login was revoked. Comes
    /// once per login.
    #[non_exhaustive]
    TokenReuse {
        /// How old the token was.
        kind: ReuseKind,
        /// Time since the last rotation.
        since_rotation: Duration,
    },
    /// `reuse_allowed`: the direct predecessor was answered with the same pair once more.
    #[non_exhaustive]
    ReuseAllowed {
        /// Time since the rotation.
        since_rotation: Duration,
        /// Whether it was the client that had logged in.
        by: RepeatedBy,
    },
    /// `grace_cap`: one generation was repeated more often than any honest client does. The request was refused,
    /// nothing was revoked.
    GraceCap,

    /// `session_created`: a session began. One of somebody is a login, too, and told as one besides.
    SessionCreated,
    /// `session_renewed`: a session was used and lasts longer. Of any other login whose end slides, nothing is told.
    SessionRenewed,
    /// `session_expired`: a session had reached its end unused and was removed from the store. One that was ended
    /// before is told as [`TokenRevoked`](Self::TokenRevoked).
    SessionExpired,
    /// `session_use_after_expire`: a session was presented after its end, with its secret.
    SessionUseAfterExpire,
    /// `session_not_saved`: what a request had changed in its session's data is lost, and the request was told so.
    SessionNotSaved,

    /// `store_regressed`: a token is ahead of its record: the store lost writes or was restored from a copy.
    /// Nothing was revoked.
    StoreRegressed,
    /// `inconsistent`: the pair derived for a repeat does not match the record: the record was edited, or a key
    /// was exchanged under it.
    Inconsistent,
    /// `unknown_key`: a record names a pepper key that the key ring does not know: roll keys out verify-only
    /// first.
    UnknownKey,
    /// `confirmation_lost`: the first use of a new pair could not be written down, or too many writes were waiting; it is
    /// tried again at the next use.
    ConfirmationLost,
    /// `touch_lost`: the last use of a session could not be written down.
    TouchLost,
    /// `touch_dropped`: it was not even tried, because too many writes were waiting, or because there is no Tokio runtime
    /// for it.
    TouchDropped,
    /// `store_full`: the store has reached its bound and holds nothing that could be purged; logins are refused.
    StoreFull,
    /// `events_dropped`: an observer was too slow and was not told of some events.
    #[non_exhaustive]
    EventsDropped {
        /// How many they were.
        count: u64,
    },
}

/// Which used refresh token came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReuseKind {
    /// The direct predecessor of the current one: perhaps a very late retry.
    RecentPredecessor,
    /// An older one: no honest client keeps those.
    StaleAncestor,
}

/// Who was answered once more, compared with what the login's context says of the client that had logged in. A hint
/// and no proof: a thief can call himself the same, and honest addresses change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RepeatedBy {
    /// Address and user agent are the same, as far as they are known.
    SameClient,
    /// The address is in another network: another IPv4 address, or another IPv6 /64.
    OtherNetwork,
    /// It calls itself something else.
    OtherAgent,
    /// There is nothing to compare.
    Unknown,
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
    /// A reason that this version does not know, read from a store: a newer version has written it.
    Other,
}

// ===== impl EventKind =====

impl EventKind {
    /// The name under which it is logged.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LoginSuccess => "authn_login_success",
            Self::LoginFail => "authn_login_fail",
            Self::LoginThrottled => "excess_rate_limit_exceeded",
            Self::NewDevice => "new_device",
            Self::AuthSuccess => "authn_success",
            Self::AuthFail => "authn_fail",
            Self::AuthMissing => "authn_missing",
            Self::CouldNotCheck => "authn_unavailable",
            Self::AuthzFail => "authz_fail",
            Self::PrivilegeChanged => "authz_change",
            Self::CredentialsChanged => "authn_password_change",
            Self::CsrfRefused => "csrf_refused",
            Self::TokenCreated => "authn_token_created",
            Self::TokenRefreshed => "token_refreshed",
            Self::TokenRevoked { .. } | Self::TokensRevoked { .. } => "authn_token_revoked",
            Self::Purged { .. } => "authn_token_delete",
            Self::TokenReuse { .. } => "authn_token_reuse",
            Self::ReuseAllowed { .. } => "reuse_allowed",
            Self::GraceCap => "grace_cap",
            Self::SessionCreated => "session_created",
            Self::SessionRenewed => "session_renewed",
            Self::SessionExpired => "session_expired",
            Self::SessionUseAfterExpire => "session_use_after_expire",
            Self::SessionNotSaved => "session_not_saved",
            Self::StoreRegressed => "store_regressed",
            Self::Inconsistent => "inconsistent",
            Self::UnknownKey => "unknown_key",
            Self::ConfirmationLost => "confirmation_lost",
            Self::TouchLost => "touch_lost",
            Self::TouchDropped => "touch_dropped",
            Self::StoreFull => "store_full",
            Self::EventsDropped { .. } => "events_dropped",
        }
    }

    /// `DEBUG` for what honest requests cause all day, a first visit without a credential among it, `INFO` for what an audit wants and for refusals that
    /// anybody can cause, `WARN` for what somebody should look at.
    pub(super) const fn level(&self) -> Level {
        match self {
            Self::AuthSuccess
            | Self::AuthMissing
            | Self::TokenRefreshed
            | Self::ReuseAllowed { .. }
            | Self::SessionRenewed
            | Self::Purged { .. } => Level::DEBUG,
            Self::LoginSuccess
            | Self::NewDevice
            | Self::AuthFail
            | Self::CredentialsChanged
            | Self::TokenCreated
            | Self::TokenRevoked { .. }
            | Self::TokensRevoked { .. }
            | Self::SessionCreated
            | Self::SessionExpired
            | Self::SessionUseAfterExpire => Level::INFO,
            Self::LoginFail
            | Self::LoginThrottled
            | Self::CouldNotCheck
            | Self::AuthzFail
            | Self::PrivilegeChanged
            | Self::CsrfRefused
            | Self::SessionNotSaved
            | Self::TokenReuse { .. }
            | Self::GraceCap
            | Self::StoreRegressed
            | Self::Inconsistent
            | Self::UnknownKey
            | Self::ConfirmationLost
            | Self::TouchLost
            | Self::TouchDropped
            | Self::StoreFull
            | Self::EventsDropped { .. } => Level::WARN,
        }
    }

    /// Why a login was ended, or which token was used again.
    pub(super) const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::TokenRevoked { reason } => Some(reason.as_str()),
            Self::TokenReuse { kind, .. } => Some(kind.as_str()),
            _ => None,
        }
    }

    pub(super) const fn since_rotation(&self) -> Option<Duration> {
        match self {
            Self::TokenReuse { since_rotation, .. } | Self::ReuseAllowed { since_rotation, .. } => {
                Some(*since_rotation)
            }
            _ => None,
        }
    }

    pub(super) const fn by(&self) -> Option<&'static str> {
        match self {
            Self::ReuseAllowed { by, .. } => Some(by.as_str()),
            _ => None,
        }
    }

    pub(super) const fn count(&self) -> Option<u64> {
        match self {
            Self::TokensRevoked { count } | Self::Purged { count } | Self::EventsDropped { count } => {
                Some(*count)
            }
            _ => None,
        }
    }
}

// ===== impl ReuseKind =====

impl ReuseKind {
    /// The name under which it is logged and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecentPredecessor => "recent_predecessor",
            Self::StaleAncestor => "stale_ancestor",
        }
    }
}

// ===== impl RepeatedBy =====

impl RepeatedBy {
    /// The name under which it is logged and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SameClient => "same_client",
            Self::OtherNetwork => "other_network",
            Self::OtherAgent => "other_agent",
            Self::Unknown => "unknown",
        }
    }
}

// ===== impl RevokeReason =====

impl RevokeReason {
    const ALL: [Self; 7] = [
        Self::Logout,
        Self::Reuse,
        Self::Inactive,
        Self::Superseded,
        Self::CredentialsChanged,
        Self::Everyone,
        Self::Other,
    ];

    /// The reason of this [name](Self::as_str), for a store that reads one back. Of a reason that is not known,
    /// [`Other`](Self::Other): what is revoked stays so.
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name).unwrap_or(Self::Other)
    }

    /// The name under which it is logged and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Inactive => "inactive",
            Self::Superseded => "superseded",
            Self::CredentialsChanged => "credentials_changed",
            Self::Everyone => "everyone",
            Self::Other => "other",
        }
    }
}
