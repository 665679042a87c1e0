//! Two handles of one file, as two processes have them, keep every contract.

use std::{sync::Arc, time::Duration};

use portcullis::{
    SqliteStore,
    clock::ManualClock,
    conformance::{
        CounterFixture, Fixture, KeyFixture, LeaseFixture, OnceFixture, TokenFixture, counter_store_tests,
        key_store_tests, lease_store_tests, once_store_tests, token_store_tests,
    },
};

use super::Folder;
use crate::support::START;

/// Two handles, and the folder, which goes when the test has ended.
async fn two<S: ?Sized>(make: impl Fn(SqliteStore) -> Arc<S>) -> Fixture<S> {
    let folder = Arc::new(Folder::new());
    let (one, two) = (folder.open().await, folder.open().await);
    let kept = Arc::clone(&folder);
    Fixture::new(make(one), make(two)).dump(move || std::future::ready(folder.bytes())).keep(kept)
}

async fn logins() -> TokenFixture {
    two::<dyn portcullis::store::TokenStore>(|store| Arc::new(store)).await
}

async fn keys() -> KeyFixture {
    two::<dyn portcullis::store::KeyStore>(|store| Arc::new(store)).await
}

async fn once() -> OnceFixture {
    two::<dyn portcullis::store::OnceStore>(|store| Arc::new(store)).await
}

async fn counters() -> CounterFixture {
    two::<dyn portcullis::store::CounterStore>(|store| Arc::new(store)).await
}

async fn leases() -> LeaseFixture {
    let (folder, time) = (Folder::new(), ManualClock::new(START));
    folder.open().await;
    let open = || {
        let builder = SqliteStore::builder(folder.file()).step_timeout(Duration::from_secs(60));
        Arc::new(builder.busy_timeout(Duration::from_secs(30)).clock(time.clock()).build().unwrap())
    };
    let passing = LeaseFixture::new(open(), open()).keep(folder);
    passing.passing(move |span| {
        time.advance(span);
        std::future::ready(())
    })
}

token_store_tests!(logins);
key_store_tests!(keys);
once_store_tests!(once);
counter_store_tests!(counters);
lease_store_tests!(leases);
