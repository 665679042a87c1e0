//! One circuit, shared by all requests to its origin.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::Uri;

use super::{
    judge::Verdict,
    machine::{CircuitState, Limits, Machine},
};
use crate::{
    clock::{Clock, Monotonic},
    origin::Origin,
};

/// The circuit of an origin.
pub(super) struct Circuit {
    /// `None` is where requests go whose URI names no origin.
    origin: Option<Origin>,
    machine: Mutex<Machine>,
    /// The machine's epoch while it is closed without a failure, else zero: as long as all goes well, nobody takes the
    /// lock.
    calm: AtomicU64,
}

/// A request that was let through. Whoever drops it says nothing about the origin, and gives its place back.
pub(super) struct Permit {
    circuit: Arc<Circuit>,
    rules: Arc<Rules>,
    epoch: u64,
    settled: bool,
}

/// What all circuits of a layer share.
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) clock: Clock,
}

// ===== impl Circuit =====

impl Circuit {
    pub(super) fn new(origin: Option<Origin>) -> Self {
        let machine = Machine::new();
        let calm = AtomicU64::new(machine.calm().unwrap_or(0));
        Self { origin, machine: Mutex::new(machine), calm }
    }

    pub(super) fn is_for(&self, uri: &Uri) -> bool {
        match &self.origin {
            Some(origin) => origin.matches(uri),
            None => !Origin::is_named_by(uri),
        }
    }

    /// A permit, or the time until there may be one.
    pub(super) fn admit(self: &Arc<Self>, rules: &Arc<Rules>) -> Result<Permit, Duration> {
        let epoch = match self.calm.load(Ordering::Acquire) {
            0 => self.change(|machine| machine.admit(&rules.limits, rules.clock.monotonic()))?,
            epoch => epoch,
        };
        Ok(Permit { circuit: Arc::clone(self), rules: Arc::clone(rules), epoch, settled: false })
    }

    fn settle(&self, epoch: u64, verdict: Verdict, rules: &Rules) {
        // A success finds nothing to take back, and a request without an outcome holds no place.
        if verdict == Verdict::Failure || self.calm.load(Ordering::Acquire) != epoch {
            self.change(|machine| machine.settle(epoch, verdict, &rules.limits, rules.clock.monotonic()));
        }
    }

    pub(super) fn state(&self) -> CircuitState {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).state()
    }

    pub(super) fn is_spare(&self, now: Monotonic) -> bool {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner).is_spare(now)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let before = machine.state();
        let result = change(&mut machine);
        self.calm.store(machine.calm().unwrap_or(0), Ordering::Release);
        let after = machine.state();
        drop(machine);
        match (before, after) {
            (CircuitState::Closed, CircuitState::Open) => {
                tracing::warn!(origin = ?self.origin, "a circuit has opened");
            }
            (CircuitState::HalfOpen, CircuitState::Open) => {
                tracing::info!(origin = ?self.origin, "a probe has failed, the circuit is open again");
            }
            (CircuitState::HalfOpen, CircuitState::Closed) => {
                tracing::info!(origin = ?self.origin, "a circuit has closed");
            }
            _ => {}
        }
        result
    }
}

// ===== impl Permit =====

impl Permit {
    pub(super) fn settle(mut self, verdict: Verdict) {
        self.settled = true;
        self.circuit.settle(self.epoch, verdict, &self.rules);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.settled {
            self.circuit.settle(self.epoch, Verdict::Neither, &self.rules);
        }
    }
}
