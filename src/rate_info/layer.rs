//! The layer.

use tower_layer::Layer;

use super::service::ReadRateInfo;
use crate::clock::Clock;

/// Leaves a [`RateInfo`](super::RateInfo) in the extensions of every answer that speaks of rate limits. See the
/// [module docs](super).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RateInfoLayer {
    clock: Clock,
}

impl RateInfoLayer {
    /// A layer with the system's clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the clock, which tells how far away a moment is.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl<S> Layer<S> for RateInfoLayer {
    type Service = ReadRateInfo<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReadRateInfo::new(inner, self.clock.clone())
    }
}
