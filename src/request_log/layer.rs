//! The layer.

use tower_layer::Layer;

use super::service::RequestLog;
use crate::{clock::Clock, redact::Redaction};

/// Logs requests and answers. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct RequestLogLayer {
    redaction: Redaction,
    clock: Clock,
}

impl RequestLogLayer {
    /// Logs what `redaction` shows.
    pub fn new(redaction: Redaction) -> Self {
        Self { redaction, clock: Clock::system() }
    }

    /// Replaces the clock; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<S> Layer<S> for RequestLogLayer {
    type Service = RequestLog<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestLog::new(inner, self.redaction.clone(), self.clock.clone())
    }
}
