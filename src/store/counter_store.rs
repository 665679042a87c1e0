//! The port of a store of counters.

use async_trait::async_trait;

use super::{CounterKey, Hit, Limit, StoreError};
use crate::{clock::Timestamp, maybe_ready::MaybeReady};

/// Counts events against limits.
///
/// No method has a default: each decides something that an attacker would like to have decided otherwise.
///
/// A key is always asked with the same limit; where limits can change, they are a part of the key. Nodes that
/// share a store agree on the time within a minute (see [`Limit::step`]).
///
/// # Cancel safety
/// A dropped future either has done its one step or not. An event may have been counted although nobody learns
/// what it came to.
#[async_trait]
pub trait CounterStore: Send + Sync + 'static {
    /// Counts this event and says whether it is within the limit, by [`Limit::step`].
    ///
    /// To read the state, judge it and write the next one is one atomic step: of any number of callers at one
    /// moment no more than the burst are allowed. In SQL it is one insert that updates on conflict, with the two
    /// allowed cases as its condition, and a changed row is the verdict; in Redis it is one script.
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>>;

    /// Forgets the counter: its bucket is full again. An unknown key is no error.
    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError>;
}
