//! The stores in memory.

use std::sync::Arc;

use portcullis::{
    MemoryStore,
    conformance::{
        CounterFixture, KeyFixture, OnceFixture, TokenFixture, counter_store_tests, key_store_tests,
        once_store_tests, token_store_tests,
    },
    store::{MemoryCounters, MemoryKeys, MemoryOnce},
};

async fn logins() -> TokenFixture {
    let store = MemoryStore::new();
    TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
}

async fn counters() -> CounterFixture {
    let store = MemoryCounters::new();
    CounterFixture::new(Arc::new(store.clone()), Arc::new(store))
}

async fn keys() -> KeyFixture {
    let store = MemoryKeys::new();
    KeyFixture::new(Arc::new(store.clone()), Arc::new(store))
}

async fn once() -> OnceFixture {
    let store = MemoryOnce::new();
    OnceFixture::new(Arc::new(store.clone()), Arc::new(store))
}

token_store_tests!(logins);
key_store_tests!(keys);
once_store_tests!(once);
counter_store_tests!(counters);
