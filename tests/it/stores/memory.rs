//! The stores in memory keep the contracts.

use std::sync::Arc;

use portcullis::store::{MemoryCounters, MemoryStore};

use super::{bench::Bench, counters::Pair, keeps_counters, keeps_logins};

/// Two handles of one store.
fn bench() -> Bench {
    let store = MemoryStore::new();
    Bench::new(Arc::new(store.clone()), Arc::new(store))
}

fn counters() -> Pair {
    let store = MemoryCounters::new();
    Pair { one: Arc::new(store.clone()), two: Arc::new(store) }
}

keeps_logins!(bench());
keeps_counters!(counters());
