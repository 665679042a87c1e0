//! What a process has, and what would be better.

use std::time::Duration;

use super::record::SharedToken;
use crate::clock::{Monotonic, Timestamp};

/// Which token of the store is worth taking over instead of fetching one.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Want<'a> {
    held: Option<&'a SharedToken>,
    rejected: bool,
    from_the_start: bool,
    min_life: Duration,
    not_before: Timestamp,
}

impl<'a> Want<'a> {
    /// Any token with some life left.
    pub fn any() -> Self {
        Self {
            held: None,
            rejected: false,
            from_the_start: false,
            min_life: Duration::ZERO,
            not_before: Timestamp::from_millis(i64::MIN),
        }
    }

    /// One that came later than this, and lives longer.
    pub fn later_than(held: &'a SharedToken) -> Self {
        Self { held: Some(held), ..Self::any() }
    }

    /// Another one than this, which was rejected, however long it lives.
    pub fn instead_of(rejected: &'a SharedToken) -> Self {
        Self { held: Some(rejected), rejected: true, ..Self::any() }
    }

    /// With more than this left of its life.
    pub fn living(mut self, min_life: Duration) -> Self {
        self.min_life = min_life;
        self
    }

    /// Whose fetch began no earlier than this, by the fetcher's clock: what it was made from was dropped then.
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.not_before = moment;
        self
    }

    /// If one has to be fetched: without a refresh token, whoever has one.
    pub fn from_the_start(mut self) -> Self {
        self.from_the_start = true;
        self
    }

    pub(super) fn held(&self) -> Option<&'a SharedToken> {
        self.held
    }

    /// Whether this one is to be taken over.
    pub(super) fn accepts(&self, found: &SharedToken, now: Monotonic) -> bool {
        let left = found.remaining(now);
        self.accepts_alone(found, now)
            && self.held.is_none_or(|held| {
                let newer = found.version > held.version;
                let other = held.token().value() != found.token().value();
                newer && if self.rejected { other } else { left > held.remaining(now) }
            })
    }

    /// Whether this one serves, whatever is held.
    pub(super) fn accepts_alone(&self, token: &SharedToken, now: Monotonic) -> bool {
        token.remaining(now) > self.min_life && self.is_current(token)
    }

    /// Whether a refresh token of this one may be used.
    pub(super) fn may_refresh(&self, from: &SharedToken) -> bool {
        !self.from_the_start && from.token().refresh().is_some() && self.is_current(from)
    }

    fn is_current(&self, token: &SharedToken) -> bool {
        token.made_at() >= self.not_before
    }
}
