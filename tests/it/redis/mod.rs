//! Everything on a server: the contracts, and what is special to Redis and Valkey.

mod contract;

use std::time::Duration;

use portcullis::{RedisStore, store::LockOwner};

use crate::servers::SharedServer;

/// Two handles of a store that nobody else uses.
fn handles(server: &SharedServer) -> [RedisStore; 2] {
    let name = LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat();
    [(); 2].map(|()| {
        let store = RedisStore::builder(server.url()).prefix(name.as_str());
        store.response_timeout(Duration::from_secs(5)).build().unwrap()
    })
}
