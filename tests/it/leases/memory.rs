//! In memory.

use std::sync::Arc;

use portcullis::{
    clock::ManualClock,
    conformance::{LeaseFixture, lease_store_tests},
    store::MemoryLeases,
};

use crate::support::START;

async fn empty() -> LeaseFixture {
    let time = ManualClock::new(START);
    let store = MemoryLeases::with_clock(time.clock());
    LeaseFixture::new(Arc::new(store.clone()), Arc::new(store)).passing(move |span| {
        time.advance(span);
        std::future::ready(())
    })
}

lease_store_tests!(empty);
