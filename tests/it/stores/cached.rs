//! A store with copies keeps the contract of the one that it is in front of.

use std::sync::Arc;

use portcullis::store::{CachedStore, MemoryStore};

use super::{bench::Bench, keeps_logins};

/// Two handles of one: what one writes the other sees at once.
fn bench() -> Bench {
    let store = CachedStore::new(MemoryStore::new());
    Bench::new(Arc::new(store.clone()), Arc::new(store))
}

keeps_logins!(bench());
