//! The states of a circuit, step by step.

use std::time::Duration;

use super::{
    judge::Verdict::{self, Failure, Neither, Success},
    machine::{CircuitState, Limits, Machine},
};
use crate::clock::Monotonic;

const LIMITS: Limits = Limits { failures: 3, open_for: Duration::from_secs(30), probes: 2, successes: 2 };

/// A machine and the time.
struct Run {
    machine: Machine,
    now: Monotonic,
}

impl Run {
    fn new() -> Self {
        Self { machine: Machine::new(), now: Monotonic::from_nanos(0) }
    }

    fn open() -> Self {
        let mut run = Self::new();
        run.all(&[Failure, Failure, Failure]);
        assert_eq!(run.machine.state(), CircuitState::Open);
        run
    }

    fn half_open() -> Self {
        let mut run = Self::open();
        run.pass(30_000);
        run
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
    }

    /// The epoch, or the milliseconds to wait.
    fn admit(&mut self) -> Result<u64, u128> {
        self.machine.admit(&LIMITS, self.now).map_err(|wait| wait.as_millis())
    }

    fn settle(&mut self, epoch: u64, verdict: Verdict) -> CircuitState {
        self.machine.settle(epoch, verdict, &LIMITS, self.now);
        self.machine.state()
    }

    /// One request after another.
    fn all(&mut self, verdicts: &[Verdict]) -> CircuitState {
        for verdict in verdicts {
            let epoch = self.admit().expect("let through");
            self.settle(epoch, *verdict);
        }
        self.machine.state()
    }
}

#[test]
fn r124_failures_in_a_row_open_and_a_success_between_them_starts_anew() {
    assert_eq!(Run::new().all(&[Failure, Failure]), CircuitState::Closed);
    assert_eq!(Run::new().all(&[Failure, Failure, Failure]), CircuitState::Open);
    assert_eq!(Run::new().all(&[Failure, Failure, Success, Failure, Failure]), CircuitState::Closed);
    assert_eq!(Run::new().all(&[Failure, Neither, Failure, Neither, Failure]), CircuitState::Open);
    assert_eq!(Run::new().all(&[Neither; 100]), CircuitState::Closed);
}

#[test]
fn r124_an_open_circuit_says_how_long_and_then_lets_probes_through() {
    let mut run = Run::open();
    assert_eq!(run.admit(), Err(30_000));
    run.pass(29_999);
    assert_eq!(run.admit(), Err(1));
    assert_eq!(run.machine.state(), CircuitState::Open);
    run.pass(1);
    assert!(run.admit().is_ok());
    assert_eq!(run.machine.state(), CircuitState::HalfOpen);
    assert!(run.admit().is_ok());
    assert_eq!(run.admit(), Err(30_000), "two probes are out");
}

#[test]
fn r124_enough_successes_close_and_one_failure_opens_again() {
    assert_eq!(Run::half_open().all(&[Success]), CircuitState::HalfOpen);
    assert_eq!(Run::half_open().all(&[Success, Neither, Success]), CircuitState::Closed);
    let mut run = Run::half_open();
    assert_eq!(run.all(&[Success, Failure]), CircuitState::Open);
    assert_eq!(run.admit(), Err(30_000));
    let mut run = Run::half_open();
    run.all(&[Success, Success]);
    assert_eq!(run.all(&[Failure, Failure]), CircuitState::Closed, "nothing is left of before");
}

#[test]
fn r124_a_probe_gives_its_place_back_whatever_comes_of_it() {
    let mut run = Run::half_open();
    let (one, two) = (run.admit().unwrap(), run.admit().unwrap());
    assert!(run.admit().is_err());
    run.settle(one, Neither);
    let three = run.admit().unwrap();
    assert!(run.admit().is_err());
    run.settle(two, Success);
    assert!(run.admit().is_ok());
    assert_eq!(run.settle(three, Success), CircuitState::Closed);
}

#[test]
fn r124_outcomes_from_before_a_change_count_no_more() {
    let mut run = Run::new();
    let (good, bad) = (run.admit().unwrap(), run.admit().unwrap());
    run.all(&[Failure, Failure, Failure]);
    run.settle(good, Success);
    assert_eq!(run.machine.state(), CircuitState::Open);
    run.pass(30_000);
    let probe = run.admit().unwrap();
    assert_eq!(run.settle(bad, Failure), CircuitState::HalfOpen);
    run.settle(good, Success);
    run.settle(good, Success);
    assert_eq!(run.machine.state(), CircuitState::HalfOpen);
    run.settle(probe, Success);
    assert_eq!(run.all(&[Success]), CircuitState::Closed);
    assert_eq!(run.settle(probe, Failure), CircuitState::Closed);
    assert_eq!(run.all(&[Failure, Failure]), CircuitState::Closed);
}

#[test]
fn r124_probes_that_never_return_are_given_up() {
    let mut run = Run::half_open();
    let lost = run.admit().unwrap();
    run.pass(10_000);
    run.admit().unwrap();
    run.pass(29_999);
    assert_eq!(run.admit(), Err(1));
    run.pass(1);
    let probe = run.admit().unwrap();
    assert_ne!(probe, lost);
    run.admit().unwrap();
    assert_eq!(run.admit(), Err(30_000));
    assert_eq!(run.settle(lost, Failure), CircuitState::HalfOpen, "nobody waits for it any more");
    run.settle(probe, Success);
    assert!(run.admit().is_ok());
}

#[test]
fn r124_only_what_would_let_a_request_through_can_be_forgotten() {
    let spare = |run: &Run| run.machine.is_spare(run.now);
    let mut run = Run::new();
    assert!(spare(&run));
    run.all(&[Failure]);
    assert!(!spare(&run));
    run.all(&[Success]);
    assert!(spare(&run));
    let mut run = Run::open();
    assert!(!spare(&run));
    run.pass(30_000);
    assert!(spare(&run));
    run.admit().unwrap();
    assert!(!spare(&run));
}
