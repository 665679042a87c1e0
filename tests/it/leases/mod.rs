//! Tokens that several processes share: every store keeps the same contract, and what is special to each.

mod endpoint;
mod faulty;
mod files;
mod memory;
mod pipelines;
mod processes;
#[cfg(feature = "redis")]
mod redis;
mod renewal;
mod seals;

use std::time::Duration;

use portcullis::{
    clock::{Clock, Monotonic, Timestamp},
    store::{LeaseRecord, LeaseVersion},
};

/// How long something takes.
pub(crate) struct Watch<'a>(&'a Clock, Monotonic);

impl<'a> Watch<'a> {
    pub(crate) fn on(clock: &'a Clock) -> Self {
        Self(clock, clock.monotonic())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.monotonic().since(self.1)
    }
}

/// A record of this version.
pub(crate) fn record(version: u64) -> LeaseRecord {
    LeaseRecord::new(
        LeaseVersion::new(version),
        Timestamp::from_millis(1_700_000_000_123),
        format!("value {version}").into(),
    )
}
