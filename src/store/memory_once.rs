//! One-time values in memory: bounded, under one lock.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{OnceKey, OnceStore, OnceValue, StoreError, StoreErrorKind};
use crate::clock::Timestamp;

/// Ended values that go whenever a new one comes, so that after a flood the store shrinks again by itself.
const ENDED_BATCH: u64 = 2;

/// Keeps one-time values in this process, for one machine and for tests. Clones share the values.
///
/// It holds 100 000 values by default, each of which may have 16 KiB. What has ended makes room for what is new; if
/// nothing has, it refuses with [`StoreErrorKind::Full`]. It never removes a value that is still to be taken, or a mark
/// that still stands.
#[derive(Clone)]
pub struct MemoryOnce(Arc<Shared>);

struct Shared {
    values: Mutex<Values>,
    capacity: usize,
}

/// Every value is in both.
#[derive(Default)]
struct Values {
    by_key: HashMap<OnceKey, Kept>,
    by_end: BTreeSet<(Timestamp, OnceKey)>,
}

struct Kept {
    value: OnceValue,
    expires: Timestamp,
}

// ===== impl MemoryOnce =====

impl MemoryOnce {
    /// An empty store for 100 000 values.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// An empty store for this many values. Nothing is allocated ahead.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Shared { values: Mutex::default(), capacity }))
    }

    /// The number of values, those that have ended and were not removed yet included.
    pub fn len(&self) -> usize {
        self.lock().by_key.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No step under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryOnce {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOnce").field("len", &self.len()).field("capacity", &self.0.capacity).finish()
    }
}

#[async_trait]
impl OnceStore for MemoryOnce {
    async fn put(
        &self,
        key: &OnceKey,
        value: &OnceValue,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut values = self.lock();
        if values.by_key.get(key).is_some_and(|kept| !has_ended(kept.expires, now)) {
            return Ok(false);
        }
        if has_ended(expires, now) {
            return Ok(true);
        }
        values.remove(key);
        values.purge(now, ENDED_BATCH);
        if values.by_key.len() >= self.0.capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        values.by_end.insert((expires, *key));
        values.by_key.insert(*key, Kept { value: value.clone(), expires });
        Ok(true)
    }

    async fn take(&self, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, StoreError> {
        let mut values = self.lock();
        if values.by_key.get(key).is_none_or(|kept| has_ended(kept.expires, now)) {
            return Ok(None);
        }
        Ok(values.remove(key))
    }

    async fn purge_once(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        Ok(self.lock().purge(before, limit as u64))
    }
}

// ===== impl Values =====

impl Values {
    fn remove(&mut self, key: &OnceKey) -> Option<OnceValue> {
        let kept = self.by_key.remove(key)?;
        self.by_end.remove(&(kept.expires, *key));
        Some(kept.value)
    }

    fn purge(&mut self, before: Timestamp, limit: u64) -> u64 {
        let mut removed = 0;
        while removed < limit {
            let first = self.by_end.first().filter(|(end, _)| has_ended(*end, before)).copied();
            let Some((_, key)) = first else { break };
            self.remove(&key);
            removed += 1;
        }
        removed
    }
}

/// True from the exact moment of the end on. "Never" does not come, whatever the clock says.
fn has_ended(end: Timestamp, now: Timestamp) -> bool {
    end <= now && end != Timestamp::NEVER
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn at(seconds: u64) -> Timestamp {
        START.plus(Duration::from_secs(seconds))
    }

    async fn mark(store: &MemoryOnce, number: u8, expires: u64, now: u64) -> Result<bool, StoreError> {
        store.put(&OnceKey::new("test", &[&[number]]), &OnceValue::mark(), at(expires), at(now)).await
    }

    #[tokio::test]
    async fn r060_a_full_store_of_values_purges_what_has_ended_and_then_refuses() {
        let store = MemoryOnce::with_capacity(2);
        assert!(mark(&store, 1, 10, 0).await.unwrap() && mark(&store, 2, 20, 0).await.unwrap());
        let refused = mark(&store, 3, 20, 9).await.unwrap_err();
        assert_eq!((refused.kind(), store.len()), (StoreErrorKind::Full, 2));
        assert!(!mark(&store, 1, 20, 9).await.unwrap(), "a mark stands, however full the store is");
        assert!(mark(&store, 3, 20, 10).await.unwrap());
        assert!(mark(&store, 4, 20, 10).await.is_err());
        assert!(!mark(&store, 2, 20, 19).await.unwrap(), "the living are never removed");
        assert!(mark(&store, 5, 10, 10).await.unwrap(), "what has ended already needs no room");
        assert_eq!(store.len(), 2);
    }

    #[tokio::test]
    async fn after_a_flood_the_store_of_values_shrinks_again() {
        let store = MemoryOnce::new();
        for number in 0..100 {
            mark(&store, number, 10, 0).await.unwrap();
        }
        for number in 100..200 {
            mark(&store, number, 40, 20).await.unwrap();
        }
        assert_eq!(store.len(), 100);
        assert_eq!(store.purge_once(at(40), 1_000).await.unwrap(), 100);
        assert!(store.is_empty() && store.lock().by_end.is_empty());
        let key = OnceKey::new("test", &[]);
        assert!(store.put(&key, &OnceValue::mark(), Timestamp::NEVER, at(0)).await.unwrap());
        assert_eq!(store.purge_once(Timestamp::NEVER, 100).await.unwrap(), 0, "what never ends stays");
    }
}
