//! Counters in memory: bounded, under one lock.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{CounterKey, CounterState, CounterStore, Hit, Limit, StoreError};
use crate::{clock::Timestamp, maybe_ready::MaybeReady};

/// Idle counters that go whenever a new one comes. One would keep the number level; two let it fall again after
/// a flood.
const IDLE_BATCH: usize = 2;

/// Keeps counters in this process, for one machine and for tests. Clones share the counters.
///
/// It holds 100 000 counters by default, about 20 MB. Counters whose bucket is full again say nothing, and make
/// room for new ones. If all of them say something, one is forgotten, and [`evicted`](Self::evicted) counts it:
/// of the limit that has most counters, the one whose bucket is full soonest.
///
/// * Refusing every new key instead would let a flood of keys lock everybody out.
/// * Allowing every new key uncounted would let a flood of keys switch the limits off.
/// * The soonest has the least left to lose, so the counters of a flood go before one that refuses. To make that
///   one go, a flood has to bring the whole capacity to the same point before its wait is over.
/// * Limits are kept apart, because a flood of keys with a long window would else push out every key with a
///   short one.
#[derive(Clone)]
pub struct MemoryCounters(Arc<Shared>);

struct Shared {
    counters: Mutex<Counters>,
    capacity: usize,
}

/// Every counter is in both: by its key, and among those of its limit by when its bucket is full.
#[derive(Default)]
struct Counters {
    by_key: HashMap<CounterKey, Counter>,
    by_limit: HashMap<Limit, BTreeSet<(CounterState, CounterKey)>>,
    evicted: u64,
}

#[derive(Clone, Copy)]
struct Counter {
    state: CounterState,
    limit: Limit,
}

// ===== impl MemoryCounters =====

impl MemoryCounters {
    /// An empty store for 100 000 counters.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// An empty store for this many counters, and for one where that is zero. Nothing is allocated ahead.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Shared { counters: Mutex::default(), capacity }))
    }

    /// The number of counters, idle ones that were not removed yet included.
    pub fn len(&self) -> usize {
        self.lock().by_key.len()
    }

    /// Whether there are no counters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many counters were forgotten before their time. If this grows, the capacity is too small for the
    /// load, or somebody makes up keys.
    pub fn evicted(&self) -> u64 {
        self.lock().evicted
    }

    /// No step under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryCounters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCounters")
            .field("len", &self.len())
            .field("capacity", &self.0.capacity)
            .finish()
    }
}

#[async_trait]
impl CounterStore for MemoryCounters {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        let mut counters = self.lock();
        let known = counters.by_key.get(key).copied();
        let hit = match limit.step(known.map_or(CounterState::UNSEEN, |counter| counter.state), now) {
            Ok(state) => {
                match known {
                    Some(old) => counters.remove(*key, old),
                    None => counters.make_room(self.0.capacity, limit, now),
                }
                counters.insert(*key, Counter { state, limit });
                Hit::allowed()
            }
            Err(wait) => Hit::refused(wait),
        };
        MaybeReady::Now(Ok(hit))
    }

    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError> {
        let mut counters = self.lock();
        if let Some(counter) = counters.by_key.get(key).copied() {
            counters.remove(*key, counter);
        }
        Ok(())
    }
}

// ===== impl Counters =====

impl Counters {
    fn insert(&mut self, key: CounterKey, counter: Counter) {
        self.by_limit.entry(counter.limit).or_default().insert((counter.state, key));
        self.by_key.insert(key, counter);
    }

    fn remove(&mut self, key: CounterKey, counter: Counter) {
        self.by_key.remove(&key);
        if let Some(peers) = self.by_limit.get_mut(&counter.limit) {
            peers.remove(&(counter.state, key));
            if peers.is_empty() {
                self.by_limit.remove(&counter.limit);
            }
        }
    }

    /// Leaves room for one more, which will have this limit.
    fn make_room(&mut self, capacity: usize, limit: Limit, now: Timestamp) {
        for _ in 0..IDLE_BATCH {
            let first = self.by_limit.get(&limit).and_then(BTreeSet::first).copied();
            let Some((state, key)) = first.filter(|(state, _)| state.is_idle(now)) else {
                break;
            };
            self.remove(key, Counter { state, limit });
        }
        if self.by_key.len() >= capacity {
            self.evict(now);
        }
    }

    /// Removes one counter: one that says nothing, if there is one. Looks at each limit, of which there are as
    /// many as the configuration names.
    fn evict(&mut self, now: Timestamp) {
        let mut largest = None;
        for (limit, peers) in &self.by_limit {
            let (Some(&(soonest, first)), Some(&(latest, last))) = (peers.first(), peers.last()) else {
                continue;
            };
            if soonest.is_idle(now) {
                return self.remove(first, Counter { state: soonest, limit: *limit });
            }
            // From before the clock was set back: it would hold its place until the clock is there again.
            if limit.cannot_have_made(latest, now) {
                return self.remove(last, Counter { state: latest, limit: *limit });
            }
            if largest.is_none_or(|(most, _, _)| peers.len() > most) {
                largest = Some((peers.len(), first, Counter { state: soonest, limit: *limit }));
            }
        }
        if let Some((_, key, counter)) = largest {
            self.remove(key, counter);
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests;
