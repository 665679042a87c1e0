//! On a server.

use std::{sync::Arc, time::Duration};

use portcullis::{
    RedisLeases,
    store::{Expect, LeaseKey, LeaseNamespace, LeaseStore, LeaseWrite, LockOwner, StoreErrorKind},
};

use super::conformance::{Bench, record};
use crate::{
    redis_server::{PASSWORD, RedisServer, SharedServer},
    support::secs,
};

fn namespace() -> LeaseNamespace {
    let name = LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat();
    LeaseNamespace::new(name).unwrap()
}

fn bench() -> Bench {
    let server = SharedServer::get();
    Bench {
        one: Arc::new(server.leases()),
        two: Arc::new(server.leases()),
        namespace: namespace(),
        pass: Box::new(move |span| {
            let _kept = &server;
            Box::pin(tokio::time::sleep(span))
        }),
    }
}

super::conforms!(bench());
