//! What becomes of tokens, for counters and hooks.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use http::StatusCode;

use super::TokenError;
use crate::clock::Timestamp;

/// Is told what becomes of tokens: for counters, or to act when a fetch fails.
///
/// It is called where the thing happens, on the task of a request or of a fetch and outside every lock, so it must
/// not block. A panic is caught. Nothing that it is told of holds a secret.
pub trait Recorder: Send + Sync + 'static {
    /// Called once for each event.
    fn record(&self, event: &TokenEvent<'_>);

    /// Whether it wants to be told of tokens that were fresh and at hand, which is nearly every request. Asked
    /// once, when it is installed.
    fn wants_hits(&self) -> bool {
        false
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum TokenEvent<'a> {
    /// A request asked for a token.
    #[non_exhaustive]
    Leased {
        /// The pipeline's name.
        pipeline: &'a str,
        /// What it got.
        outcome: LeaseOutcome,
    },
    /// A step has a new token.
    #[non_exhaustive]
    Fetched {
        /// The pipeline's name.
        pipeline: &'a str,
        /// The step's name.
        step: &'a str,
        /// Rises with every token of the step.
        generation: u64,
        /// How it was had.
        kind: FetchKind,
        /// How long the step's own exchange took.
        took: Duration,
        /// How long it has waited for the store of shared tokens, its lock, and others that fetch.
        waited: Duration,
        /// How long the token lives, from now on.
        life: Duration,
        /// When that is over.
        ends: Timestamp,
    },
    /// A step's own exchange has failed. Steps that wait for its token fail with it, and are not told of.
    #[non_exhaustive]
    Failed {
        /// The pipeline's name.
        pipeline: &'a str,
        /// The step's name.
        step: &'a str,
        /// Why.
        error: &'a TokenError,
        /// How long it took.
        took: Duration,
    },
    /// A token was refused and is not handed out any more. Told once for each token.
    #[non_exhaustive]
    Rejected {
        /// The pipeline's name.
        pipeline: &'a str,
        /// The step whose token it was.
        step: &'a str,
        /// Which of the step's tokens.
        generation: u64,
        /// Who refused it.
        by: RejectedBy,
    },
    /// A request that carried a token has an answer that did not simply accept it.
    #[non_exhaustive]
    Answered {
        /// What became of it: the [name](crate::outbound::AuthOutcome::name) of the answer's outcome.
        outcome: &'static str,
        /// The answer's status.
        status: StatusCode,
    },
}

/// What a request for a token got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseOutcome {
    /// A fresh token, at once. Told only to who [wants it](Recorder::wants_hits).
    Hit,
    /// A token that is to be renewed soon, at once.
    Stale,
    /// A token that it had to wait for; the fetch was under way already.
    Waited,
    /// A token that it had to wait for, and whose fetch it began.
    Missed,
    /// An error.
    Failed,
}

/// How a token was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchKind {
    /// By the step's own exchange.
    Fetch,
    /// With the refresh token that had come with the one before.
    Refresh,
    /// It was taken over from those who share it.
    Shared,
}

/// Who refused a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectedBy {
    /// The API that requests go to.
    Api,
    /// The endpoint of a step that builds on it.
    Step,
}

/// Those who are told.
#[derive(Clone, Default)]
pub(crate) struct Recorders {
    all: Vec<Arc<dyn Recorder>>,
    hits: bool,
}

/// A recorder that is a closure.
pub(crate) struct Hook<F>(pub(crate) F);

// ===== impl LeaseOutcome =====

impl LeaseOutcome {
    /// The name under which it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Waited => "wait",
            Self::Missed => "miss",
            Self::Failed => "error",
        }
    }
}

// ===== impl FetchKind =====

impl FetchKind {
    /// The name under which it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Refresh => "refresh",
            Self::Shared => "shared",
        }
    }
}

// ===== impl RejectedBy =====

impl RejectedBy {
    /// The name under which it is counted.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Step => "step",
        }
    }
}

// ===== impl Recorders =====

impl Recorders {
    pub(crate) fn add(&mut self, recorder: impl Recorder) {
        self.hits |= recorder.wants_hits();
        self.all.push(Arc::new(recorder));
    }

    /// Whether anybody wants to be told of hits.
    pub(crate) fn want_hits(&self) -> bool {
        self.hits
    }

    pub(crate) fn tell(&self, event: &TokenEvent<'_>) {
        for recorder in &self.all {
            if catch_unwind(AssertUnwindSafe(|| recorder.record(event))).is_err() {
                tracing::error!("a recorder of token events panicked");
            }
        }
    }
}

impl fmt::Debug for Recorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorders").field("number", &self.all.len()).finish()
    }
}

// ===== impl Hook =====

impl<F: Fn(&TokenEvent<'_>) + Send + Sync + 'static> Recorder for Hook<F> {
    fn record(&self, event: &TokenEvent<'_>) {
        (self.0)(event);
    }
}
