//! Why a request was not sent.

use std::{error::Error, fmt, time::Duration};

/// The circuit of the request's origin is open, and the request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitOpen {
    retry_after: Duration,
}

impl CircuitOpen {
    pub(super) fn new(retry_after: Duration) -> Self {
        Self { retry_after }
    }

    /// How long it is until a request may be sent as a probe; others may be first. Where a probe is out, a request may
    /// be sent sooner, once its answer is there.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl fmt::Display for CircuitOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent, the circuit is open")
    }
}

impl Error for CircuitOpen {}
