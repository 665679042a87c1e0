//! What became of the tests of a suite.

use std::fmt;

/// What became of every test of a suite, in its order. `Display` shows one line for each.
#[derive(Debug, Clone)]
pub struct Report {
    outcomes: Vec<Outcome>,
}

/// What became of one test.
#[derive(Debug, Clone)]
pub struct Outcome {
    name: &'static str,
    verdict: Verdict,
}

/// Whether a store does what a test asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It does.
    Passed,
    /// It does not: what the test says, or that it was not done in time.
    Failed(String),
    /// The fixture lacks what the test needs, named here.
    Skipped(&'static str),
}

// ===== impl Report =====

impl Report {
    pub(super) fn new(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes }
    }

    /// All of them.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The names of the tests that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
            .map(|outcome| outcome.name)
            .collect()
    }

    /// Returns if no test failed. A test that was skipped has not failed.
    ///
    /// # Panics
    /// With the whole report if a test failed.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.failed().is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in &self.outcomes {
            writeln!(f, "{outcome}")?;
        }
        Ok(())
    }
}

// ===== impl Outcome =====

impl Outcome {
    pub(super) fn new(name: &'static str, verdict: Verdict) -> Self {
        Self { name, verdict }
    }

    /// The test's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What became of it.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.verdict {
            Verdict::Passed => write!(f, "passed   {}", self.name),
            Verdict::Failed(reason) => write!(f, "FAILED   {}: {reason}", self.name),
            Verdict::Skipped(lacking) => write!(f, "skipped  {}: {lacking}", self.name),
        }
    }
}
