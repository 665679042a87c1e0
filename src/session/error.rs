//! Why a session could not do what it was asked for.

use std::{error::Error, fmt, sync::Arc};

use crate::{
    error::BoxError,
    problem::{Challenges, Reason, Rejection, RejectionKind},
    store::JsonError,
    token::{DataError, IssueError, IssueErrorKind},
    verify::Refusal,
};

/// Why a session could not do what it was asked for. A handler can answer with it: see
/// [`rejection`](Self::rejection).
#[derive(Clone)]
pub struct SessionError {
    kind: SessionErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
    challenges: Option<Arc<Challenges>>,
}

/// The kind of a [`SessionError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionErrorKind {
    /// The request names the cookie twice; answered with 400.
    DuplicateCookie,
    /// The request may come from another site; answered with 403.
    CrossSite,
    /// Nobody is logged in; answered with 401.
    NoLogin,
    /// The session ended while the request was under way, or its user is inactive; answered with 401.
    Ended,
    /// The subject has as many live sessions as it may have; answered with 409.
    LoginLimit,
    /// The value cannot be kept, is too long together with the others, or is of another type; answered with 500.
    Value(JsonError),
    /// The options of the login break a rule; answered with 500.
    Options,
    /// The session belongs to a tenant: put an `AuthLayer` in front that knows the tenant of a request. Answered with
    /// 500.
    OfTenant,
    /// The response was on its way already; answered with 500.
    Answered,
    /// The store, the user look-up or the random source did not answer; answered with 503.
    Unavailable,
}

// ===== impl SessionError =====

impl SessionError {
    pub(super) fn new(kind: SessionErrorKind) -> Self {
        Self { kind, source: None, challenges: None }
    }

    pub(super) fn unavailable(source: impl Into<BoxError>) -> Self {
        Self { source: Some(source.into().into()), ..Self::new(SessionErrorKind::Unavailable) }
    }

    pub(super) fn challenged(mut self, challenges: &Arc<Challenges>) -> Self {
        self.challenges = Some(Arc::clone(challenges));
        self
    }

    /// The kind.
    pub fn kind(&self) -> SessionErrorKind {
        self.kind
    }

    /// The answer that fits the kind, as the docs of each kind say.
    pub fn rejection(&self) -> Rejection {
        let (kind, reason) = self.outcome();
        let rejection = Rejection::new(kind, reason);
        match &self.challenges {
            Some(challenges) => rejection.challenged(Arc::clone(challenges), Some(0)),
            None => rejection,
        }
    }

    pub(super) fn reason(&self) -> Reason {
        self.outcome().1
    }

    fn outcome(&self) -> (RejectionKind, Reason) {
        match self.kind {
            SessionErrorKind::DuplicateCookie => (RejectionKind::InvalidRequest, Reason::DuplicateCookie),
            SessionErrorKind::CrossSite => (RejectionKind::Csrf, Reason::CrossSite),
            SessionErrorKind::NoLogin => (RejectionKind::MissingCredential, Reason::Absent),
            SessionErrorKind::Ended => (RejectionKind::InvalidToken, Reason::Revoked),
            SessionErrorKind::LoginLimit => (RejectionKind::LoginLimit, Reason::LoginLimit),
            SessionErrorKind::Value(_)
            | SessionErrorKind::Options
            | SessionErrorKind::OfTenant
            | SessionErrorKind::Answered => (RejectionKind::Internal, Reason::SessionMisuse),
            SessionErrorKind::Unavailable => (RejectionKind::Unavailable, Reason::Unavailable),
        }
    }
}

/// Shows the kind, not the cause: its text is the engine's.
impl fmt::Debug for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            SessionErrorKind::DuplicateCookie => "the session's cookie came twice",
            SessionErrorKind::CrossSite => "the request may come from another site",
            SessionErrorKind::NoLogin => "nobody is logged in",
            SessionErrorKind::Ended => "the session has ended",
            SessionErrorKind::LoginLimit => "the subject has as many live sessions as it may have",
            SessionErrorKind::Value(_) => "the session cannot keep or give this value",
            SessionErrorKind::Options => "the options of the login break a rule",
            SessionErrorKind::OfTenant => {
                "the session belongs to a tenant, and no layer says which is asked for"
            }
            SessionErrorKind::Answered => "the response was on its way already",
            SessionErrorKind::Unavailable => "the session could not be looked up or written",
        })
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            SessionErrorKind::Value(error) => Some(error),
            _ => self.source.as_deref().map(|source| source as &(dyn Error + 'static)),
        }
    }
}

// ===== from the errors below =====

impl From<JsonError> for SessionError {
    fn from(error: JsonError) -> Self {
        Self::new(SessionErrorKind::Value(error))
    }
}

impl From<DataError> for SessionError {
    fn from(error: DataError) -> Self {
        match error {
            DataError::Json(error) => error.into(),
            DataError::Store(error) => Self::unavailable(error),
        }
    }
}

impl From<IssueError> for SessionError {
    fn from(error: IssueError) -> Self {
        let kind = match error.kind() {
            IssueErrorKind::LimitReached => SessionErrorKind::LoginLimit,
            IssueErrorKind::Options => SessionErrorKind::Options,
            IssueErrorKind::Random | IssueErrorKind::Store => SessionErrorKind::Unavailable,
        };
        Self { source: Some(Arc::new(error)), ..Self::new(kind) }
    }
}

impl From<Refusal> for SessionError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(_) => Self::new(SessionErrorKind::Ended),
            Refusal::Unavailable(source) => Self::unavailable(source),
        }
    }
}

impl From<SessionError> for Rejection {
    fn from(error: SessionError) -> Self {
        error.rejection()
    }
}
