//! The layer and its settings.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, Uri};
use tower_layer::Layer;

use super::{
    breaker::Rules,
    judge::{Judge, Verdict},
    machine::{CircuitState, Limits},
    origins::Circuits,
    service::CircuitBreaker,
};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
};

const COUNT_MAX: u32 = 10_000;
const OPEN_MIN: Duration = Duration::from_millis(10);
const OPEN_MAX: Duration = Duration::from_secs(60 * 60);
const ORIGINS_MAX: usize = 1024;

/// Sends nothing to an origin in trouble. Cheap to clone; clones, and all services of a layer, share the circuits. See
/// the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct CircuitBreakerLayer {
    shared: Arc<Shared>,
}

/// Settings of a [`CircuitBreakerLayer`].
#[must_use]
pub struct CircuitBreakerLayerBuilder {
    limits: Limits,
    origins: usize,
    judge: Judge,
    clock: Clock,
}

/// A layer's circuits, and the rules that they follow.
pub(super) struct Shared {
    pub(super) circuits: Circuits,
    pub(super) rules: Arc<Rules>,
    pub(super) judge: Judge,
}

// ===== impl CircuitBreakerLayer =====

impl CircuitBreakerLayer {
    /// Starts from the defaults.
    pub fn builder() -> CircuitBreakerLayerBuilder {
        CircuitBreakerLayerBuilder {
            limits: Limits { failures: 5, open_for: Duration::from_secs(30), probes: 1, successes: 2 },
            origins: 64,
            judge: Judge::default(),
            clock: Clock::system(),
        }
    }

    /// The state of the circuit for requests to this URI. An open one stays open until there is a request for it.
    pub fn state(&self, uri: &Uri) -> CircuitState {
        self.shared.circuits.find(uri).map_or(CircuitState::Closed, |circuit| circuit.state())
    }
}

impl Default for CircuitBreakerLayer {
    /// The defaults of the builder.
    fn default() -> Self {
        Self::builder().build().expect("the defaults break no rule")
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, Arc::clone(&self.shared))
    }
}

impl fmt::Debug for CircuitBreakerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayer")
            .field("limits", &self.shared.rules.limits)
            .finish_non_exhaustive()
    }
}

// ===== impl CircuitBreakerLayerBuilder =====

impl CircuitBreakerLayerBuilder {
    /// So many failures without a success between them open a circuit. 1 to 10 000, default 5.
    pub fn failures(mut self, count: u32) -> Self {
        self.limits.failures = count;
        self
    }

    /// How long nothing is sent, and how long a probe holds its place at most. 10 ms to an hour, default 30 s.
    pub fn open_for(mut self, span: Duration) -> Self {
        self.limits.open_for = span;
        self
    }

    /// So many probes may be out at once. 1 to 10 000, default 1.
    pub fn probes(mut self, count: u32) -> Self {
        self.limits.probes = count;
        self
    }

    /// So many probes must succeed, and none fail, to close a circuit. 1 to 10 000, default 2.
    pub fn successes(mut self, count: u32) -> Self {
        self.limits.successes = count;
        self
    }

    /// So many origins have a circuit. 1 to 1024, default 64. Beyond that a new origin takes the place of one whose
    /// circuit is closed and has seen no failure since the last success, or is due for a probe. If there is none,
    /// requests to the new origin are sent, and not judged.
    pub fn origins(mut self, count: usize) -> Self {
        self.origins = count;
        self
    }

    /// Judges the heads of answers. By default 5xx is a failure, and every other status a success.
    pub fn judge_answers(
        mut self,
        judge: impl Fn(StatusCode, &HeaderMap) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.judge.answers = Arc::new(judge);
        self
    }

    /// Judges errors of the service inside; their causes are in [`Error::source`]. By default every error is a failure,
    /// but for a [`TokenError`](crate::provider::TokenError), a [`NotSent`](crate::error::NotSent) or another open
    /// circuit among the causes, which is neither.
    pub fn judge_errors(
        mut self,
        judge: impl Fn(&(dyn Error + 'static)) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.judge.errors = Arc::new(judge);
        self
    }

    /// Replaces the clock; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<CircuitBreakerLayer, ConfigError> {
        let mut faults = Faults::default();
        let Limits { failures, open_for, probes, successes } = self.limits;
        for (field, count) in [("failures", failures), ("probes", probes), ("successes", successes)] {
            faults.check((1..=COUNT_MAX).contains(&count), field, count, "must be from 1 to 10000");
        }
        let usable = (OPEN_MIN..=OPEN_MAX).contains(&open_for);
        faults.check(usable, "open_for", open_for, "must be from 10 ms to 1 h");
        let usable = (1..=ORIGINS_MAX).contains(&self.origins);
        faults.check(usable, "origins", self.origins, "must be from 1 to 1024");
        faults.finish()?;
        let rules = Arc::new(Rules { limits: self.limits, clock: self.clock });
        let shared = Shared { circuits: Circuits::new(self.origins), rules, judge: self.judge };
        Ok(CircuitBreakerLayer { shared: Arc::new(shared) })
    }
}

impl fmt::Debug for CircuitBreakerLayerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreakerLayerBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}
