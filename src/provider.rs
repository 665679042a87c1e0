//! The port between the outbound layer and whatever has tokens.
//!
//! 1. A [`Lease`] is a finished header value and the generation of the token in it.
//! 2. A provider that holds a fresh token answers at once, without a lock; otherwise it waits for one fetch
//!    that all callers share.
//! 3. After a 401 the layer asks for something newer than the lease that was rejected, never for "a refresh".

use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{Extensions, HeaderName, HeaderValue, StatusCode};

use crate::{error::BoxError, maybe_ready::MaybeReady};

/// A token, as the finished value of the header that carries it.
pub struct Lease {
    value: HeaderValue,
    generation: u64,
    accepted: AtomicBool,
}

/// What a request asks of its token.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    extensions: &'a Extensions,
    repeatable: bool,
}

/// Has tokens.
pub trait TokenProvider: Send + Sync + 'static {
    /// The header that carries them.
    fn header(&self) -> &HeaderName;

    /// A token to send now.
    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>>;

    /// After a 401 for `rejected`: a lease of a later generation with another text, or `None` if there is none
    /// worth sending.
    ///
    /// Once polled, the fetch must go on by itself: a request that cannot be repeated polls it once and does
    /// not wait.
    ///
    /// # Errors
    /// [`TokenError`] if getting a newer one failed.
    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>>;
}

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
    /// The store that the token is shared through did not answer, and the token cannot be had without it. Ask
    /// again.
    Store,
    /// Another process is renewing the token, and nothing has come of it in time. Ask again.
    Busy,
    /// A refresh token was redeemed, and its successor could not be stored. Ask again: it is stored then.
    Unsaved,
}

// ===== impl Lease =====

impl Lease {
    /// A header value with a token of this generation; it is marked sensitive.
    pub fn new(mut value: HeaderValue, generation: u64) -> Self {
        value.set_sensitive(true);
        Self { value, generation, accepted: AtomicBool::new(false) }
    }

    /// The header's value: a secret, marked sensitive.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Rises with every token.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a request with it was answered with success.
    pub fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Notes such an answer. Only the first one writes, so that threads do not fight over the cache line.
    pub(crate) fn mark_accepted(&self) {
        if !self.was_accepted() {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("generation", &self.generation).finish_non_exhaustive()
    }
}

// ===== impl Ask =====

impl<'a> Ask<'a> {
    /// What a request with these extensions asks, if it can be sent again after a 401.
    pub fn new(extensions: &'a Extensions) -> Self {
        Self { extensions, repeatable: true }
    }

    /// The request cannot be sent again: its token should have some life left, for nothing will mend a 401.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// The request's extensions: on whose behalf it goes out, and what else its sender has noted.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// Whether the request can be sent again after a 401.
    pub fn is_repeatable(&self) -> bool {
        self.repeatable
    }
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
            TokenErrorKind::Store => "the store of shared tokens did not answer",
            TokenErrorKind::Busy => "another process is renewing the token",
            TokenErrorKind::Unsaved => "the renewed token could not be stored",
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
