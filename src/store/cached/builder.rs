//! The settings of a store with copies.

use std::{fmt, sync::Arc, time::Duration};

use super::{CachedStore, cache::Cache};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
    store::TokenStore,
};

/// Longer than this nobody means to wait for a revocation.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);
/// Slots are counted in 32 bits.
const CAPACITY_MAX: usize = 100_000_000;

/// Settings of a [`CachedStore`].
#[must_use]
pub struct CachedStoreBuilder {
    store: Arc<dyn TokenStore>,
    bounds: Bounds,
}

/// How much is remembered, and for how long.
#[derive(Clone)]
pub(super) struct Bounds {
    pub(super) age: Duration,
    pub(super) capacity: usize,
    pub(super) clock: Option<Clock>,
}

impl CachedStoreBuilder {
    pub(super) const DEFAULT: Bounds =
        Bounds { age: Duration::from_secs(60), capacity: 100_000, clock: None };

    pub(super) fn new(store: Arc<dyn TokenStore>) -> Self {
        Self { store, bounds: Self::DEFAULT }
    }

    /// How old a copy may be: the bound within which a revocation on another node is seen where nobody tells of it.
    /// 60 s by default, an hour at most. Zero keeps nothing.
    pub fn age(mut self, age: Duration) -> Self {
        self.bounds.age = age;
        self
    }

    /// How many logins are remembered; 100 000 by default. Beyond that the copy that was kept first gives way. Zero keeps
    /// nothing.
    ///
    /// A login is about half a kilobyte, and what context and data it has: with much of these, remember fewer.
    pub fn capacity(mut self, logins: usize) -> Self {
        self.bounds.capacity = logins;
        self
    }

    /// Replaces the clock by which copies grow old; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.bounds.clock = Some(clock);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// Every rule that is broken, at once.
    pub fn build(self) -> Result<CachedStore, ConfigError> {
        let Bounds { age, capacity, .. } = self.bounds;
        let mut faults = Faults::default();
        faults.check(age <= AGE_MAX, "age", age, "must be at most an hour");
        faults.check(capacity <= CAPACITY_MAX, "capacity", capacity, "must be at most 100 000 000");
        faults.finish()?;
        Ok(CachedStore::over(Cache::new(self.store, &self.bounds)))
    }
}

impl fmt::Debug for CachedStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStoreBuilder")
            .field("age", &self.bounds.age)
            .field("capacity", &self.bounds.capacity)
            .finish_non_exhaustive()
    }
}
