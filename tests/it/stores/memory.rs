//! The stores in memory.

use std::sync::Arc;

use portcullis::{
    MemoryStore,
    conformance::{
        CounterFixture, KeyFixture, OnceFixture, TokenFixture, counter_store_tests, key_store_tests,
        once_store_tests, token_store_tests,
    },
    store::{ListQuery, LoginColumns, MemoryCounters, MemoryKeys, MemoryOnce, TokenStore},
};

async fn logins() -> TokenFixture {
    let store = MemoryStore::new();
    let all = store.clone();
    TokenFixture::new(Arc::new(store.clone()), Arc::new(store)).dump(move || {
        let all = all.clone();
        async move { columns(&all).await }
    })
}

/// Every column of every login, as bytes.
async fn columns(store: &MemoryStore) -> Vec<u8> {
    let mut dump = Vec::new();
    for found in store.list(&ListQuery::new(None, usize::MAX)).await.unwrap() {
        let login = LoginColumns::from(&*found.record);
        let shown = format!("{login:?} {:?} {:?} {:?}", login.subject, login.tenant, login.client);
        dump.extend(shown.into_bytes());
        dump.extend(login.context.as_json().bytes());
        dump.extend(login.data.as_json().unwrap_or_default().bytes());
        let digests = [Some(login.access), login.refresh, login.previous];
        dump.extend(digests.into_iter().flatten().flat_map(|digest| digest.to_bytes()));
        let keys = [login.nonce, Some(login.lineage)];
        dump.extend(keys.iter().flatten().flat_map(|key| *key.expose()));
    }
    dump
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
