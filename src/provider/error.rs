//! Why there is no token.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::StatusCode;

use crate::{error::BoxError, oauth_error::OAuthErrorCode};

/// No token could be had. The text names the step, the kind of failure and the status; it holds nothing that an
/// endpoint answered.
#[derive(Clone)]
pub struct TokenError {
    kind: TokenErrorKind,
    step: Option<Arc<str>>,
    status: Option<StatusCode>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    code: Option<OAuthErrorCode>,
}

/// Where the fault of a [`TokenError`] is to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenErrorSide {
    /// Here: in the settings, a fetcher of the application's own, or the runtime.
    Client,
    /// On the way: no connection, no answer, no answer in time.
    Network,
    /// At the token endpoint: it refused, or answered what is no token.
    Endpoint,
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
    /// What keeps the token on this machine, such as a file, could not be read.
    Unreadable,
    /// The fetcher has panicked.
    Panicked,
    /// The runtime that the fetch ran on has ended. Ask again.
    Aborted,
    /// The request was not polled inside a tokio runtime.
    NoRuntime,
    /// The provider was shut down.
    Stopped,
    /// The provider has no token for this request.
    Absent,
    /// The store that the token is shared through did not answer, and the token cannot be had without it. Ask
    /// again.
    Store,
    /// Another process is renewing the token, and nothing has come of it in time. Ask again.
    Busy,
    /// A refresh token was redeemed, and its successor could not be stored. Ask again: it is stored then.
    Unsaved,
}

// ===== impl TokenError =====

impl TokenError {
    /// An error of this kind.
    pub fn new(kind: TokenErrorKind) -> Self {
        Self { kind, step: None, status: None, retry_after: None, source: None, code: None }
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

    /// Adds how long the endpoint asks to be left alone, from now on.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds why the endpoint refused.
    #[must_use]
    pub fn with_code(mut self, code: OAuthErrorCode) -> Self {
        self.code = Some(code);
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

    /// How long it is of no use to ask again, counted from when this error was handed out: what the endpoint
    /// wants (RFC 9110 §10.2.3), or what is left until its next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Why the endpoint refused, if it said so.
    pub fn code(&self) -> Option<OAuthErrorCode> {
        self.code
    }

    /// Whether such a request would be refused again until somebody changes something: see
    /// [`OAuthErrorCode::is_terminal`]. A refusal without a code is none.
    pub fn is_terminal(&self) -> bool {
        self.code.is_some_and(OAuthErrorCode::is_terminal)
    }

    /// Whether it may pass without anybody's doing, so that to ask again may help: no answer, no answer in time, the
    /// statuses 408, 429 and 5xx, and the troubles of a store that tokens are shared through.
    pub fn is_transient(&self) -> bool {
        let status = |status: StatusCode| status.is_server_error() || matches!(status.as_u16(), 408 | 429);
        match self.kind {
            TokenErrorKind::Transport
            | TokenErrorKind::Timeout
            | TokenErrorKind::Aborted
            | TokenErrorKind::Store
            | TokenErrorKind::Busy
            | TokenErrorKind::Unsaved => true,
            _ => !self.is_terminal() && self.status.is_some_and(status),
        }
    }

    /// Where the fault is to be looked for.
    pub fn side(&self) -> TokenErrorSide {
        match self.kind {
            TokenErrorKind::Transport | TokenErrorKind::Timeout => TokenErrorSide::Network,
            TokenErrorKind::Refused | TokenErrorKind::Malformed => TokenErrorSide::Endpoint,
            _ => TokenErrorSide::Client,
        }
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
            TokenErrorKind::Unreadable => "the token could not be read where it is kept",
            TokenErrorKind::Panicked => "the token fetch has panicked",
            TokenErrorKind::Aborted => "the token fetch ended with its runtime",
            TokenErrorKind::NoRuntime => "a token fetch needs a tokio runtime",
            TokenErrorKind::Stopped => "no token is fetched after a shutdown",
            TokenErrorKind::Absent => "there is no token for this request",
            TokenErrorKind::Store => "the store of shared tokens did not answer",
            TokenErrorKind::Busy => "another process is renewing the token",
            TokenErrorKind::Unsaved => "the renewed token could not be stored",
        })?;
        match (self.status, self.code) {
            (Some(status), Some(code)) => write!(f, " (status {}, {code})", status.as_u16()),
            (Some(status), None) => write!(f, " (status {})", status.as_u16()),
            (None, Some(code)) => write!(f, " ({code})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenError")
            .field("kind", &self.kind)
            .field("step", &self.step)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
