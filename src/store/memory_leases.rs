//! Shared tokens in memory: bounded, under one lock.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseWrite, LockOwner,
    LockState, StoreError, StoreErrorKind,
};
use crate::clock::{Clock, Monotonic};

/// Keeps tokens for the pipelines of one process, and for tests. Clones share the tokens.
///
/// It holds 10 000 tokens and as many locks by default. What has ended makes room for what is new; if nothing has,
/// new keys are refused with [`StoreErrorKind::Full`], and a pipeline keeps its token for itself.
#[derive(Clone)]
pub struct MemoryLeases(Arc<Shared>);

struct Shared {
    kept: Mutex<Kept>,
    capacity: usize,
    clock: Clock,
}

#[derive(Default)]
struct Kept {
    records: HashMap<LeaseKey, Ending<LeaseRecord>>,
    locks: HashMap<LeaseKey, Ending<LeaseLock>>,
    /// One count for all keys: it rises for each of them, too, and nothing has to be kept of a released lock.
    fence: u64,
}

/// Something that is there until `end`.
struct Ending<T> {
    what: T,
    end: Monotonic,
}

// ===== impl MemoryLeases =====

impl MemoryLeases {
    /// An empty store for 10 000 tokens.
    pub fn new() -> Self {
        Self::with_capacity(10_000)
    }

    /// An empty store for this many tokens, at least one. Nothing is allocated ahead.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::build(capacity, Clock::system())
    }

    /// An empty store for 10 000 tokens that measures lives by this clock. For tests.
    pub fn with_clock(clock: Clock) -> Self {
        Self::build(10_000, clock)
    }

    fn build(capacity: usize, clock: Clock) -> Self {
        Self(Arc::new(Shared { kept: Mutex::default(), capacity: capacity.max(1), clock }))
    }

    /// The number of tokens, those that have ended and were not removed yet included.
    pub fn len(&self) -> usize {
        self.lock_kept().records.len()
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nothing that is done under the lock can panic half-way.
    fn lock_kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Monotonic {
        self.0.clock.monotonic()
    }
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLeases").field("len", &self.len()).field("capacity", &self.0.capacity).finish()
    }
}

#[async_trait]
impl LeaseStore for MemoryLeases {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        let (kept, now) = (self.lock_kept(), self.now());
        let found = live(&kept.records, key, now);
        Ok(found.map(|found| FoundLease::new(found.what.clone(), found.end.since(now))))
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        Ok(live(&self.lock_kept().records, key, self.now()).is_some())
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        let (mut kept, now) = (self.lock_kept(), self.now());
        if !kept.is_as_expected(key, expect, now) {
            return Ok(LeaseWrite::Changed);
        }
        let until = Ending { what: record.clone(), end: end(now, ttl) };
        insert(&mut kept.records, key, until, self.0.capacity, now)?;
        Ok(LeaseWrite::Done)
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        let (mut kept, now) = (self.lock_kept(), self.now());
        if !kept.is_as_expected(key, expect, now) {
            return Ok(LeaseWrite::Changed);
        }
        kept.records.remove(key);
        Ok(LeaseWrite::Done)
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        self.lock_kept().records.retain(|key, _| key.namespace() != namespace);
        Ok(())
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        let (mut kept, now) = (self.lock_kept(), self.now());
        let lock = match live(&kept.locks, key, now).map(|held| held.what) {
            Some(held) if held.owner() != owner => return Ok(None),
            Some(held) => held,
            None => {
                kept.fence += 1;
                LeaseLock::new(*owner, kept.fence)
            }
        };
        let until = Ending { what: lock, end: end(now, ttl) };
        insert(&mut kept.locks, key, until, self.0.capacity, now)?;
        Ok(Some(lock))
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        let (mut kept, now) = (self.lock_kept(), self.now());
        let held = kept.locks.get_mut(key).filter(|held| held.what == *lock && now < held.end);
        let Some(held) = held else { return Ok(LockState::Lost) };
        held.end = end(now, ttl);
        Ok(LockState::Held)
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        let (mut kept, now) = (self.lock_kept(), self.now());
        if live(&kept.locks, key, now).is_none_or(|held| held.what != *lock) {
            return Ok(LockState::Lost);
        }
        kept.locks.remove(key);
        Ok(LockState::Held)
    }
}

// ===== impl Kept =====

impl Kept {
    fn is_as_expected(&self, key: &LeaseKey, expect: Expect, now: Monotonic) -> bool {
        let there = live(&self.records, key, now).map(|there| there.what.version());
        match expect {
            Expect::Anything => true,
            Expect::Absent => there.is_none(),
            Expect::Version(version) => there == Some(version),
        }
    }
}

fn live<'a, T>(
    map: &'a HashMap<LeaseKey, Ending<T>>,
    key: &LeaseKey,
    now: Monotonic,
) -> Option<&'a Ending<T>> {
    map.get(key).filter(|there| now < there.end)
}

/// Looks for what has ended only when there is no room: a look at everything for each new key beyond that.
fn insert<T>(
    map: &mut HashMap<LeaseKey, Ending<T>>,
    key: &LeaseKey,
    what: Ending<T>,
    capacity: usize,
    now: Monotonic,
) -> Result<(), StoreError> {
    if map.len() >= capacity && !map.contains_key(key) {
        map.retain(|_, there| now < there.end);
        if map.len() >= capacity {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
    }
    map.insert(key.clone(), what);
    Ok(())
}

fn end(now: Monotonic, ttl: Duration) -> Monotonic {
    now.plus(ttl.max(Duration::from_millis(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{ManualClock, Timestamp},
        store::LeaseVersion,
    };

    #[tokio::test]
    async fn r101_a_full_store_refuses_new_keys_and_keeps_the_living() {
        let time = ManualClock::new(Timestamp::from_millis(0));
        let store = MemoryLeases::build(2, time.clock());
        let namespace = LeaseNamespace::new("shop").unwrap();
        let key = |step: &str| LeaseKey::new(&namespace, "crm", step);
        let record = LeaseRecord::new(LeaseVersion::new(1), Timestamp::NEVER, vec![1]);
        let put = async |step: &str, ttl| {
            store.put(&key(step), &record, Duration::from_secs(ttl), Expect::Absent).await
        };
        assert_eq!(put("a", 10).await.unwrap(), LeaseWrite::Done);
        assert_eq!(put("b", 20).await.unwrap(), LeaseWrite::Done);
        assert_eq!(put("c", 20).await.unwrap_err().kind(), StoreErrorKind::Full);
        assert!(store.exists(&key("a")).await.unwrap() && store.exists(&key("b")).await.unwrap());
        time.advance(Duration::from_secs(10));
        assert_eq!(put("c", 20).await.unwrap(), LeaseWrite::Done, "the first has ended");
        assert_eq!(store.len(), 2);

        let owner = LockOwner::generate().unwrap();
        let lock = async |step: &str| store.lock(&key(step), &owner, Duration::from_secs(10)).await;
        assert!(lock("a").await.unwrap().is_some() && lock("b").await.unwrap().is_some());
        assert_eq!(lock("c").await.unwrap_err().kind(), StoreErrorKind::Full);
        assert!(lock("a").await.unwrap().is_some(), "again by the same owner");
    }
}
