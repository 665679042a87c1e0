//! A store with copies keeps the contract of the one that it is in front of.

use std::sync::Arc;

use portcullis::{
    conformance::{TokenFixture, token_store_tests},
    store::{CachedStore, MemoryStore},
};

/// Two handles of one: what one writes the other sees at once.
async fn logins() -> TokenFixture {
    let store = CachedStore::new(MemoryStore::new());
    TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
}

token_store_tests!(logins);
