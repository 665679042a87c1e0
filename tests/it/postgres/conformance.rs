//! It keeps the contracts.

use std::sync::Arc;

use portcullis::conformance::{
    CounterFixture, KeyFixture, LeaseFixture, OnceFixture, TokenFixture, counter_store_tests,
    key_store_tests, lease_store_tests, once_store_tests, token_store_tests,
};

use super::Place;
use crate::servers::Database;

async fn logins() -> TokenFixture {
    let place = Place::new().await;
    let database = place.database.clone();
    TokenFixture::new(Arc::new(place.store()), Arc::new(place.store()))
        .dump(move || std::future::ready(everything(&database)))
        .keep(place)
}

async fn counters() -> CounterFixture {
    let place = Place::new().await;
    CounterFixture::new(Arc::new(place.store()), Arc::new(place.store())).keep(place)
}

async fn keys() -> KeyFixture {
    let place = Place::new().await;
    let database = place.database.clone();
    KeyFixture::new(Arc::new(place.store()), Arc::new(place.store()))
        .dump(move || std::future::ready(everything(&database)))
        .keep(place)
}

async fn once() -> OnceFixture {
    let place = Place::new().await;
    let database = place.database.clone();
    OnceFixture::new(Arc::new(place.store()), Arc::new(place.store()))
        .dump(move || std::future::ready(everything(&database)))
        .keep(place)
}

async fn leases() -> LeaseFixture {
    let place = Place::new().await;
    LeaseFixture::new(Arc::new(place.store()), Arc::new(place.store())).keep(place)
}

token_store_tests!(logins);
key_store_tests!(keys);
once_store_tests!(once);
counter_store_tests!(counters);
lease_store_tests!(leases);

/// A backup, with what it writes as digits as the bytes that they stand for, too.
pub(super) fn everything(database: &Database) -> Vec<u8> {
    let dump = database.dump();
    let mut bytes = dump.clone().into_bytes();
    for part in dump.split("\\x").skip(1) {
        let digits: Vec<u8> = part.bytes().take_while(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        bytes.push(b'\n');
        bytes.extend(digits.chunks_exact(2).map(pair));
    }
    bytes
}
