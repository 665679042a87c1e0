//! The closed list of refusals, and the open list of reasons behind them.

use http::StatusCode;

/// What the client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// 401: the request presents no credential of ours.
    MissingCredential,
    /// 400: a credential of ours, but malformed.
    InvalidRequest,
    /// 401: well-formed, but not valid. Unknown, expired, revoked and forged are all this one.
    InvalidToken,
    /// 403: a valid credential without the right that is asked for.
    InsufficientScope,
    /// 403: a cookie came with a request that another site may have caused.
    Csrf,
    /// 401: a login with a name and a password that do not belong together.
    InvalidCredentials,
    /// 404: there is no such thing, or it is not the caller's.
    NotFound,
    /// 405: another method is needed; `Allow` names it.
    MethodNotAllowed,
    /// 409: the user has as many logins as one may have.
    LoginLimit,
    /// 413: the body is longer than it may be.
    ContentTooLarge,
    /// 415: the body is neither JSON nor a form.
    UnsupportedMediaType,
    /// 429: too many attempts (RFC 6585 §4).
    TooManyRequests,
    /// 503: whether the credential is valid could not be found out.
    Unavailable,
    /// 500: the handler asks for an identity, and no `AuthLayer` with that identity type is in front of it.
    LayerMissing,
    /// 500: the handler asks for a session, and no `SessionLayer` is in front of it.
    SessionLayerMissing,
    /// 500: the application asked for something that cannot be done; the log says what.
    Internal,
}

/// Why a credential was refused: for logs and tests, never for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// No credential of ours in the request.
    Absent,
    /// An `Authorization` header with a scheme that is not configured, where such are refused.
    ForeignScheme,
    /// Two `Authorization` headers.
    DuplicateHeader,
    /// One cookie name twice.
    DuplicateCookie,
    /// A scheme with nothing behind it.
    SchemeAlone,
    /// More than a scheme, one space and one token.
    NotTwoParts,
    /// A character outside `b64token` (RFC 6750 §2.1).
    NotToken68,
    /// Longer than the limit.
    TooLong,
    /// No authenticator claims the text.
    Unclaimed,
    /// The text is no token: length, brand, characters or check are wrong.
    Malformed,
    /// No such record.
    UnknownRecord,
    /// The record is there, but the secret is another.
    WrongSecret,
    /// The tag of a refresh token was not made by this login.
    WrongTag,
    /// Revoked.
    Revoked,
    /// Issued before the subject's credentials were reset.
    EpochChanged,
    /// Issued for the other channel.
    WrongChannel,
    /// Issued for another tenant.
    WrongTenant,
    /// Issued to another client.
    WrongClient,
    /// Bound to another key.
    WrongKey,
    /// Past its end.
    Expired,
    /// The user is unknown or inactive.
    InactiveUser,
    /// A session of a browser whose user is not known: it authenticates nobody.
    AnonymousSession,
    /// The record names a retired pepper key.
    RetiredKey,
    /// Ahead of its record: the store lost writes.
    AheadOfStore,
    /// Lost a race against another refresh; nothing was revoked.
    LostRace,
    /// A predecessor shortly after the window; nothing was revoked.
    TooRecent,
    /// Repeated too often; nothing was revoked.
    GraceCap,
    /// The derived pair does not match the record.
    Inconsistent,
    /// A used refresh token: the login is revoked.
    Reuse,
    /// The last possible generation.
    Exhausted,
    /// The request may come from another site.
    CrossSite,
    /// The permission was not granted.
    NotPermitted,
    /// Over a rate limit; the credential was not looked at.
    Throttled,
    /// The account is there, but the password is another.
    WrongPassword,
    /// No account has this name.
    UnknownUser,
    /// The user has as many live logins as the policy allows.
    LoginLimit,
    /// The caller has no login with this id.
    UnknownLogin,
    /// A method that the service does not answer.
    WrongMethod,
    /// A content type or a content coding that is not read.
    UnsupportedContent,
    /// The body ended early, or is not what its content type says.
    MalformedBody,
    /// The body names a field twice.
    DuplicateField,
    /// The body lacks a field, or holds it as another type.
    MissingField,
    /// The store, the user look-up or the clock could not answer.
    Unavailable,
    /// No layer, or one with another identity type.
    LayerMissing,
    /// A session was used in a way that cannot work: its data, its options, or its moment.
    SessionMisuse,
    /// A reason of a verifier outside this crate.
    Other,
}

// ===== impl RejectionKind =====

impl RejectionKind {
    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::MissingCredential | Self::InvalidToken | Self::InvalidCredentials => {
                StatusCode::UNAUTHORIZED
            }
            Self::InsufficientScope | Self::Csrf => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::LoginLimit => StatusCode::CONFLICT,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::LayerMissing | Self::SessionLayerMissing | Self::Internal => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The stable `code` of the problem body; the registered error code where RFC 6750 §3.1 has one.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MissingCredential => "missing_credential",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
            Self::Csrf => "csrf",
            Self::InvalidCredentials => "invalid_credentials",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::LoginLimit => "login_limit",
            Self::ContentTooLarge => "content_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::TooManyRequests => "too_many_requests",
            Self::Unavailable => "unavailable",
            Self::LayerMissing => "auth_layer_missing",
            Self::SessionLayerMissing => "session_layer_missing",
            Self::Internal => "internal",
        }
    }

    /// The whole body: it depends on nothing but the kind. `about:blank` because there is no page to name;
    /// `code` is an extension member (RFC 9457 §3.2).
    pub(super) const fn body(self) -> &'static str {
        match self {
            Self::MissingCredential => {
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"missing_credential"}"#
            }
            Self::InvalidRequest => {
                r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_request"}"#
            }
            Self::InvalidToken => {
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_token"}"#
            }
            Self::InsufficientScope => {
                r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope"}"#
            }
            Self::Csrf => r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"csrf"}"#,
            Self::InvalidCredentials => {
                r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_credentials"}"#
            }
            Self::NotFound => r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}"#,
            Self::MethodNotAllowed => {
                r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"code":"method_not_allowed"}"#
            }
            Self::LoginLimit => {
                r#"{"type":"about:blank","title":"Conflict","status":409,"code":"login_limit"}"#
            }
            Self::ContentTooLarge => {
                r#"{"type":"about:blank","title":"Payload Too Large","status":413,"code":"content_too_large"}"#
            }
            Self::UnsupportedMediaType => {
                r#"{"type":"about:blank","title":"Unsupported Media Type","status":415,"code":"unsupported_media_type"}"#
            }
            Self::TooManyRequests => {
                r#"{"type":"about:blank","title":"Too Many Requests","status":429,"code":"too_many_requests"}"#
            }
            Self::Unavailable => {
                r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"unavailable"}"#
            }
            Self::LayerMissing => concat!(
                r#"{"type":"about:blank","title":"Internal Server Error","status":500,"code":"auth_layer_missing","#,
                r#""detail":"no portcullis AuthLayer with this identity type is in front of the handler"}"#
            ),
            Self::SessionLayerMissing => concat!(
                r#"{"type":"about:blank","title":"Internal Server Error","status":500,"#,
                r#""code":"session_layer_missing","#,
                r#""detail":"no portcullis SessionLayer is in front of the handler"}"#
            ),
            Self::Internal => {
                r#"{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}"#
            }
        }
    }
}

// ===== impl Reason =====

impl Reason {
    /// The name under which it is logged and counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::ForeignScheme => "foreign_scheme",
            Self::DuplicateHeader => "duplicate_header",
            Self::DuplicateCookie => "duplicate_cookie",
            Self::SchemeAlone => "scheme_alone",
            Self::NotTwoParts => "not_two_parts",
            Self::NotToken68 => "not_token68",
            Self::TooLong => "too_long",
            Self::Unclaimed => "unclaimed",
            Self::Malformed => "malformed",
            Self::UnknownRecord => "unknown_record",
            Self::WrongSecret => "wrong_secret",
            Self::WrongTag => "wrong_tag",
            Self::Revoked => "revoked",
            Self::EpochChanged => "epoch_changed",
            Self::WrongChannel => "wrong_channel",
            Self::WrongTenant => "wrong_tenant",
            Self::WrongClient => "wrong_client",
            Self::WrongKey => "wrong_key",
            Self::Expired => "expired",
            Self::InactiveUser => "inactive_user",
            Self::AnonymousSession => "anonymous_session",
            Self::RetiredKey => "retired_key",
            Self::AheadOfStore => "ahead_of_store",
            Self::LostRace => "lost_race",
            Self::TooRecent => "too_recent",
            Self::GraceCap => "grace_cap",
            Self::Inconsistent => "inconsistent",
            Self::Reuse => "reuse",
            Self::Exhausted => "exhausted",
            Self::CrossSite => "cross_site",
            Self::NotPermitted => "not_permitted",
            Self::Unavailable => "unavailable",
            Self::LayerMissing => "layer_missing",
            Self::LoginLimit => "login_limit",
            Self::SessionMisuse => "session_misuse",
            Self::Throttled => "throttled",
            Self::WrongPassword => "wrong_password",
            Self::UnknownUser => "unknown_user",
            Self::UnknownLogin => "unknown_login",
            Self::WrongMethod => "wrong_method",
            Self::UnsupportedContent => "unsupported_content",
            Self::MalformedBody => "malformed_body",
            Self::DuplicateField => "duplicate_field",
            Self::MissingField => "missing_field",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_agree_with_status_and_code() {
        let kinds = [
            RejectionKind::MissingCredential,
            RejectionKind::InvalidRequest,
            RejectionKind::InvalidToken,
            RejectionKind::InsufficientScope,
            RejectionKind::Csrf,
            RejectionKind::InvalidCredentials,
            RejectionKind::NotFound,
            RejectionKind::MethodNotAllowed,
            RejectionKind::LoginLimit,
            RejectionKind::ContentTooLarge,
            RejectionKind::UnsupportedMediaType,
            RejectionKind::TooManyRequests,
            RejectionKind::Unavailable,
            RejectionKind::LayerMissing,
            RejectionKind::SessionLayerMissing,
            RejectionKind::Internal,
        ];
        for kind in kinds {
            let body: serde_json::Value = serde_json::from_str(kind.body()).unwrap();
            assert_eq!(body["status"], kind.status().as_u16());
            assert_eq!(body["title"], kind.status().canonical_reason().unwrap());
            assert_eq!(body["code"], kind.code());
            assert_eq!(body["type"], "about:blank");
        }
    }
}
