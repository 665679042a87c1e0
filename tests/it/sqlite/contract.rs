//! Two handles of one file, as two processes have them, keep every contract.

use std::{ops::Deref, sync::Arc, time::Duration};

use portcullis::{
    SqliteStore,
    clock::ManualClock,
    store::LeaseNamespace,
};

use super::Folder;
use crate::{
    leases::conformance::Bench as LeaseBench,
    stores::{bench::Bench, counters::Pair, keeps_counters, keeps_logins},
    support::START,
};

/// What a test is done with, and the folder, which goes when it has ended.
struct Kept<T>(T, #[allow(dead_code, reason = "held")] Folder);

impl<T> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

async fn logins() -> Kept<Bench> {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    Kept(Bench::new(Arc::new(one), Arc::new(two)), folder)
}

async fn counters() -> Kept<Pair> {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    Kept(Pair { one: Arc::new(one), two: Arc::new(two) }, folder)
}

async fn leases() -> Kept<LeaseBench> {
    let (folder, time) = (Folder::new(), ManualClock::new(START));
    folder.open().await;
    let open = || {
        let builder = SqliteStore::builder(folder.file()).step_timeout(Duration::from_secs(60));
        Arc::new(builder.clock(time.clock()).build().unwrap())
    };
    let bench = LeaseBench {
        one: open(),
        two: open(),
        namespace: LeaseNamespace::new("shop").unwrap(),
        pass: Box::new(move |span| {
            time.advance(span);
            Box::pin(std::future::ready(()))
        }),
    };
    Kept(bench, folder)
}

keeps_logins!(logins().await);
keeps_counters!(counters().await);
crate::leases::conforms!(leases().await);
