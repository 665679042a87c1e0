//! The states of a circuit, as functions of its past and of now.

use std::time::Duration;

use super::judge::Verdict;
use crate::clock::Monotonic;

/// The state of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // every breaker has these three
pub enum CircuitState {
    /// Every request is sent.
    Closed,
    /// None is sent.
    Open,
    /// A few are sent, as probes.
    HalfOpen,
}

/// When a circuit changes its state.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) failures: u32,
    pub(super) open_for: Duration,
    pub(super) probes: u32,
    pub(super) successes: u32,
}

#[derive(Debug)]
pub(super) struct Machine {
    state: State,
    /// Rises with every change of state, so that what began before it can be told apart. Never zero.
    epoch: u64,
}

#[derive(Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Monotonic,
    },
    HalfOpen {
        out: u32,
        successes: u32,
        /// Probes that are out are given up from here on.
        until: Monotonic,
    },
}

impl Machine {
    pub(super) fn new() -> Self {
        Self { state: State::Closed { failures: 0 }, epoch: 1 }
    }

    /// Whether a request may be sent: the epoch it belongs to, or the time until one may be.
    pub(super) fn admit(&mut self, limits: &Limits, now: Monotonic) -> Result<u64, Duration> {
        match &mut self.state {
            State::Closed { .. } => return Ok(self.epoch),
            State::HalfOpen { out, until, .. } if *out < limits.probes => {
                *out += 1;
                *until = now.plus(limits.open_for);
                return Ok(self.epoch);
            }
            State::Open { until } | State::HalfOpen { until, .. } if now < *until => {
                return Err(until.since(now));
            }
            State::Open { .. } | State::HalfOpen { .. } => {}
        }
        Ok(self.enter(State::HalfOpen { out: 1, successes: 0, until: now.plus(limits.open_for) }))
    }

    /// Takes note of what came of a request that was let through in `epoch`.
    pub(super) fn settle(&mut self, epoch: u64, verdict: Verdict, limits: &Limits, now: Monotonic) {
        if epoch != self.epoch {
            return;
        }
        match (&mut self.state, verdict) {
            (State::Closed { failures }, Verdict::Failure) => {
                *failures += 1;
                if *failures >= limits.failures {
                    self.enter(State::Open { until: now.plus(limits.open_for) });
                }
            }
            (State::Closed { failures }, Verdict::Success) => *failures = 0,
            (State::HalfOpen { out, .. }, Verdict::Neither) => *out -= 1,
            (State::HalfOpen { .. }, Verdict::Failure) => {
                self.enter(State::Open { until: now.plus(limits.open_for) });
            }
            (State::HalfOpen { out, successes, .. }, Verdict::Success) => {
                *out -= 1;
                *successes += 1;
                if *successes >= limits.successes {
                    self.enter(State::Closed { failures: 0 });
                }
            }
            (State::Closed { .. }, Verdict::Neither) | (State::Open { .. }, _) => {}
        }
    }

    fn enter(&mut self, state: State) -> u64 {
        self.state = state;
        self.epoch += 1;
        self.epoch
    }

    pub(super) fn state(&self) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { .. } => CircuitState::Open,
            State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// The epoch, if the circuit is closed and has nothing to remember.
    pub(super) fn calm(&self) -> Option<u64> {
        matches!(self.state, State::Closed { failures: 0 }).then_some(self.epoch)
    }

    /// Whether nothing is lost if this circuit is forgotten: a request would be let through now.
    pub(super) fn is_spare(&self, now: Monotonic) -> bool {
        match self.state {
            State::Closed { failures } => failures == 0,
            State::Open { until } => until <= now,
            State::HalfOpen { .. } => false,
        }
    }
}
