//! What counts as a failure.

use std::{error::Error, sync::Arc};

use http::{HeaderMap, StatusCode};

use super::error::CircuitOpen;
use crate::{
    error::{BoxError, NotSent, causes},
    provider::TokenError,
};

/// What an outcome says about the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // it works, it does not, or nobody knows
pub enum Verdict {
    /// It works.
    Success,
    /// It is in trouble.
    Failure,
    /// Nothing.
    Neither,
}

type Answers = dyn Fn(StatusCode, &HeaderMap) -> Verdict + Send + Sync;
type Errors = dyn Fn(&(dyn Error + 'static)) -> Verdict + Send + Sync;

/// Judges what comes of a request.
#[derive(Clone)]
pub(super) struct Judge {
    pub(super) answers: Arc<Answers>,
    pub(super) errors: Arc<Errors>,
}

impl Judge {
    pub(super) fn answer(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        (self.answers)(status, headers)
    }

    pub(super) fn error(&self, error: &BoxError) -> Verdict {
        (self.errors)(&**error)
    }
}

impl Default for Judge {
    fn default() -> Self {
        Self { answers: Arc::new(|status, _| answer(status)), errors: Arc::new(error) }
    }
}

fn answer(status: StatusCode) -> Verdict {
    if status.is_server_error() { Verdict::Failure } else { Verdict::Success }
}

/// What failed before the request was sent is not the origin's doing.
fn error(error: &(dyn Error + 'static)) -> Verdict {
    let unsent = causes(error)
        .any(|cause| cause.is::<TokenError>() || cause.is::<NotSent>() || cause.is::<CircuitOpen>());
    if unsent { Verdict::Neither } else { Verdict::Failure }
}
