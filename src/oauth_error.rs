//! The error codes of OAuth 2.0, as a closed list: what else an endpoint writes there is not kept.

use std::fmt;

/// Why a token endpoint refused, by its own word.
///
/// The registered codes that a token endpoint, or a resource that a step asks, may give. Any other text is
/// [`OAuthErrorCode::Other`], without the text: an endpoint could put anything there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthErrorCode {
    /// The user or the server denied the request (RFC 6749 §4.1.2.1).
    AccessDenied,
    /// The user has not answered yet (RFC 8628 §3.5).
    AuthorizationPending,
    /// The device code has expired (RFC 8628 §3.5).
    ExpiredToken,
    /// The token that was sent along lacks a scope (RFC 6750 §3.1).
    InsufficientScope,
    /// The client is unknown, or its authentication is wrong (RFC 6749 §5.2).
    InvalidClient,
    /// The grant is wrong, over, revoked or another client's: a password, a refresh token (RFC 6749 §5.2).
    InvalidGrant,
    /// A parameter is missing, wrong or comes twice (RFC 6749 §5.2).
    InvalidRequest,
    /// The scope is unknown, or more than was granted (RFC 6749 §5.2).
    InvalidScope,
    /// The resource or audience is unknown, or not allowed (RFC 8707 §2).
    InvalidTarget,
    /// The token that was sent along is not valid (RFC 6750 §3.1).
    InvalidToken,
    /// Something went wrong in the server (RFC 6749 §4.1.2.1).
    ServerError,
    /// The client asks too often (RFC 8628 §3.5).
    SlowDown,
    /// The server is overloaded or being serviced (RFC 6749 §4.1.2.1).
    TemporarilyUnavailable,
    /// This client may not use this grant (RFC 6749 §5.2).
    UnauthorizedClient,
    /// The server does not know this grant (RFC 6749 §5.2).
    UnsupportedGrantType,
    /// A proof of possession needs the server's nonce (RFC 9449 §8).
    UseDpopNonce,
    /// Anything else.
    Other,
}

/// All with a text of their own.
const KNOWN: [OAuthErrorCode; 16] = [
    OAuthErrorCode::AccessDenied,
    OAuthErrorCode::AuthorizationPending,
    OAuthErrorCode::ExpiredToken,
    OAuthErrorCode::InsufficientScope,
    OAuthErrorCode::InvalidClient,
    OAuthErrorCode::InvalidGrant,
    OAuthErrorCode::InvalidRequest,
    OAuthErrorCode::InvalidScope,
    OAuthErrorCode::InvalidTarget,
    OAuthErrorCode::InvalidToken,
    OAuthErrorCode::ServerError,
    OAuthErrorCode::SlowDown,
    OAuthErrorCode::TemporarilyUnavailable,
    OAuthErrorCode::UnauthorizedClient,
    OAuthErrorCode::UnsupportedGrantType,
    OAuthErrorCode::UseDpopNonce,
];

impl OAuthErrorCode {
    /// The code that is written like this. Codes are compared exactly.
    pub fn parse(text: &str) -> Self {
        KNOWN.into_iter().find(|code| code.as_str() == text).unwrap_or(Self::Other)
    }

    /// The registered text; `other` for [`OAuthErrorCode::Other`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::AuthorizationPending => "authorization_pending",
            Self::ExpiredToken => "expired_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidToken => "invalid_token",
            Self::ServerError => "server_error",
            Self::SlowDown => "slow_down",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::Other => "other",
        }
    }

    /// Whether such a request would be refused again until somebody changes something: the client, its rights,
    /// the grant. `invalid_request` is not: the next request may have another time, signature or earlier token
    /// in it.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            Self::AccessDenied
                | Self::ExpiredToken
                | Self::InvalidClient
                | Self::InvalidGrant
                | Self::InvalidScope
                | Self::InvalidTarget
                | Self::UnauthorizedClient
                | Self::UnsupportedGrantType
        )
    }
}

impl fmt::Display for OAuthErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r099_codes_are_a_closed_list() {
        for code in KNOWN {
            assert_eq!(OAuthErrorCode::parse(code.as_str()), code);
            assert_ne!(code.as_str(), "other");
        }
        for text in ["", "other", "INVALID_CLIENT", "invalid_client ", "planted"] {
            assert_eq!(OAuthErrorCode::parse(text), OAuthErrorCode::Other, "{text:?}");
        }
    }

    #[test]
    fn r099_what_only_a_person_can_mend_is_terminal() {
        let terminal = |text| OAuthErrorCode::parse(text).is_terminal();
        for text in [
            "invalid_client",
            "unauthorized_client",
            "invalid_scope",
            "access_denied",
            "invalid_grant",
            "invalid_target",
            "unsupported_grant_type",
            "expired_token",
        ] {
            assert!(terminal(text), "{text}");
        }
        for text in [
            "invalid_request",
            "temporarily_unavailable",
            "server_error",
            "slow_down",
            "authorization_pending",
            "invalid_token",
            "insufficient_scope",
            "use_dpop_nonce",
            "unheard_of",
        ] {
            assert!(!terminal(text), "{text}");
        }
    }
}
