//! Why there is no token.

use std::{error::Error, fmt, sync::Arc};

use http::StatusCode;

use crate::error::BoxError;

/// No token could be had. The text names the step, the kind of failure and the status; it holds nothing that an
/// endpoint answered.
#[derive(Clone)]
pub struct TokenError {
    kind: TokenErrorKind,
    step: Option<Arc<str>>,
    status: Option<StatusCode>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of a [`TokenError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// The request could not be sent, or its answer could not be read.
    Transport,
    /// No answer within the deadline.
    Timeout,
    /// The endpoint refused: a status other than 2xx, or an `error` in its answer.
    Refused,
    /// The answer holds no usable token, or no usable lifetime.
    Malformed,
    /// The request could not be made from the settings and the earlier tokens.
    Request,
    /// The fetcher has panicked.
    Panicked,
    /// The runtime that the fetch ran on has ended. Ask again.
    Aborted,
    /// The request was not polled inside a tokio runtime.
    NoRuntime,
    /// The provider has no token for this request.
    Absent,
}

// ===== impl TokenError =====

impl TokenError {
    /// An error of this kind.
    pub fn new(kind: TokenErrorKind) -> Self {
        Self { kind, step: None, status: None, source: None }
    }

    /// Adds the cause. Its text must hold no secret: loggers print it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// Adds the status of the endpoint's answer.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Names the step, unless an earlier step is named already.
    #[must_use]
    pub fn in_step(mut self, step: &Arc<str>) -> Self {
        self.step.get_or_insert_with(|| Arc::clone(step));
        self
    }

    /// The kind.
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// The step that failed.
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// The status of the endpoint's answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            write!(f, "step {step:?}: ")?;
        }
        f.write_str(match self.kind {
            TokenErrorKind::Transport => "the exchange with the token endpoint failed",
            TokenErrorKind::Timeout => "the token endpoint did not answer in time",
            TokenErrorKind::Refused => "the token endpoint refused",
            TokenErrorKind::Malformed => "the token endpoint's answer holds no usable token",
            TokenErrorKind::Request => "the token request could not be made",
            TokenErrorKind::Panicked => "the token fetch has panicked",
            TokenErrorKind::Aborted => "the token fetch ended with its runtime",
            TokenErrorKind::NoRuntime => "a token fetch needs a tokio runtime",
            TokenErrorKind::Absent => "there is no token for this request",
        })?;
        self.status.map_or(Ok(()), |status| write!(f, " (status {})", status.as_u16()))
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenError")
            .field("kind", &self.kind)
            .field("step", &self.step)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
