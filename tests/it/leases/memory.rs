//! In memory.

use std::sync::Arc;

use portcullis::{
    clock::ManualClock,
    store::{LeaseNamespace, MemoryLeases},
};

use super::conformance::Bench;
use crate::support::START;

fn bench() -> Bench {
    let time = ManualClock::new(START);
    let store = MemoryLeases::with_clock(time.clock());
    Bench {
        one: Arc::new(store.clone()),
        two: Arc::new(store),
        pass: Box::new(move |span| {
            time.advance(span);
            Box::pin(std::future::ready(()))
        }),
        namespace: LeaseNamespace::new("shop").unwrap(),
    }
}

super::conforms!(bench());
