//! What a process has, and what would be better.

use std::time::Duration;

use super::record::SharedToken;
use crate::{
    clock::{Monotonic, Timestamp},
    store::LeaseVersion,
};

/// Which token of the store is worth taking over instead of fetching one.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Want<'a> {
    held: Option<&'a SharedToken>,
    rejected: bool,
    from_the_start: bool,
    single_use: bool,
    margin: Duration,
    not_before: Timestamp,
    above: LeaseVersion,
    renewed_since: Timestamp,
    made_from: &'a [LeaseVersion],
    bound: bool,
}

const EVER: Timestamp = Timestamp::from_millis(i64::MIN);

impl<'a> Want<'a> {
    /// Any token with some life left.
    pub fn any() -> Self {
        Self {
            held: None,
            rejected: false,
            from_the_start: false,
            single_use: false,
            margin: Duration::ZERO,
            not_before: EVER,
            above: LeaseVersion::new(0),
            renewed_since: EVER,
            made_from: &[],
            bound: false,
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

    /// With more than this left of its life, or more than a tenth of it if that is less.
    pub fn living(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Whose fetch began no earlier than this, by the fetcher's clock: what it was made from was dropped then. Refresh
    /// tokens of earlier ones are not used either.
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.not_before = moment;
        self
    }

    /// Of a higher version than this. Refresh tokens of others are not used either.
    pub fn above(mut self, version: LeaseVersion) -> Self {
        self.above = version;
        self
    }

    /// Whose fetch began no earlier than this, by the fetcher's clock. Refresh tokens of earlier ones may be used.
    pub fn renewed_since(mut self, moment: Timestamp) -> Self {
        self.renewed_since = moment;
        self
    }

    /// Made from these tokens, or from later ones of theirs: its own list has as many versions, each no lower. Refresh
    /// tokens of others are not used.
    pub fn made_from(mut self, tokens: &'a [LeaseVersion]) -> Self {
        (self.made_from, self.bound) = (tokens, true);
        self
    }

    /// If one is fetched: it is made from these, as a note for the others. It may have been made from any.
    pub fn noting(mut self, tokens: &'a [LeaseVersion]) -> Self {
        self.made_from = tokens;
        self
    }

    /// What is sent to fetch one from the start works only once, like a refresh token, so that it is sent under the lock
    /// and with the store, or not at all; and where a refresh token is known, that one is its successor and is sent
    /// instead, whatever else is wanted.
    pub fn single_use(mut self) -> Self {
        self.single_use = true;
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

    pub(super) fn is_single_use(&self) -> bool {
        self.single_use
    }

    /// What a token is made from that is fetched.
    pub(super) fn sources(&self) -> &'a [LeaseVersion] {
        self.made_from
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
        let margin = self.margin.min(token.life / 10);
        token.remaining(now) > margin && token.made_at() >= self.renewed_since && self.is_current(token)
    }

    /// Whether a refresh token of this one may be used.
    pub(super) fn may_refresh(&self, from: &SharedToken) -> bool {
        let wanted = self.single_use || (!self.from_the_start && self.is_current(from));
        wanted && from.token().refresh().is_some()
    }

    fn is_current(&self, token: &SharedToken) -> bool {
        let later = || token.made_from().iter().zip(self.made_from).all(|(found, wanted)| found >= wanted);
        let made_from = || !self.bound || (token.made_from().len() == self.made_from.len() && later());
        let higher = token.version.is_none_or(|version| version > self.above);
        token.made_at() >= self.not_before && higher && made_from()
    }
}
