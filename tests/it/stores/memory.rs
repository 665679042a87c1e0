//! The stores in memory.

use std::sync::Arc;

use portcullis::{
    MemoryStore,
    conformance::{CounterFixture, TokenFixture, counter_store_tests, token_store_tests},
    store::MemoryCounters,
};

async fn logins() -> TokenFixture {
    let store = MemoryStore::new();
    TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
}

async fn counters() -> CounterFixture {
    let store = MemoryCounters::new();
    CounterFixture::new(Arc::new(store.clone()), Arc::new(store))
}

token_store_tests!(logins);
counter_store_tests!(counters);
