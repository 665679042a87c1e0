//! Threads, the queue in front of them, and their end.

use std::{future::Future, time::Duration};

use futures_util::{FutureExt, future::join_all};
use portcullis::{
    clock::Clock,
    store::{Data, StoreErrorKind, TokenStore},
};

use super::{Folder, check_unavailable, login, service, stranger};

/// The last connection puts the log away.
pub(super) async fn until_closed(folder: &Folder) {
    let clock = Clock::system();
    let begin = clock.monotonic();
    while folder.files().len() > 1 {
        assert!(clock.monotonic().since(begin) < Duration::from_secs(30), "{:?}", folder.files());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_with_the_last_handle_the_threads_end_and_the_file_is_closed() {
    let folder = Folder::new();
    let store = folder.open().await;
    let tokens = service(&store);
    let issued = login(&tokens, "ada").await;
    let id = issued.record().id();
    join_all((0..50).map(|_| store.find(&id).wait())).await;
    let other = store.clone();
    drop((store, tokens));
    assert!(other.find(&id).wait().await.unwrap().is_some(), "a clone is a handle");
    assert_eq!(folder.files().len(), 3);
    drop(other);
    until_closed(&folder).await;
    assert!(folder.store().find(&id).wait().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_full_queue_makes_writes_wait_and_touches_go() {
    let folder = Folder::new();
    let store = folder.open().await;
    let id = login(&service(&store), "ada").await.record().id();
    let other = stranger(&folder.file());
    other.execute_batch("begin immediate").unwrap();
    // More than the queue and one group hold.
    let writes: Vec<_> = (0..1_500)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.set_label(&id, Some(number.to_string().into())).await })
        })
        .collect();
    let clock = Clock::system();
    let begin = clock.monotonic();
    let error = loop {
        assert!(clock.monotonic().since(begin) < Duration::from_secs(20), "the queue was never full");
        tokio::task::yield_now().await;
        // Polled once and dropped while there is room.
        if let Some(Err(error)) = store.confirm(&id, 0, clock.now()).wait().now_or_never() {
            break error;
        }
    };
    check_unavailable(&error, "too many steps wait");
    assert!(store.find(&id).wait().await.unwrap().is_some(), "readers have a queue of their own");
    other.execute_batch("rollback").unwrap();
    for write in join_all(writes).await {
        assert!(write.unwrap().unwrap());
    }
}

/// Dropped before, while, and after it is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_dropped_write_is_done_or_not() {
    let folder = Folder::new();
    let (store, other) = (folder.open().await, folder.open().await);
    let id = login(&service(&store), "ada").await.record().id();
    let mut done = 0;
    for number in 0..200_u32 {
        let found = store.find(&id).wait().await.unwrap().unwrap();
        let version = found.record.version();
        let write = store.save_data(&id, version, Data::new(&version).unwrap());
        let given_up = Duration::from_micros(u64::from(number) * 20);
        let told = tokio::time::timeout(given_up, write).await.ok();
        // Steps are taken in order: behind this one nothing of it is left to do.
        assert!(store.set_label(&id, None).await.unwrap());
        let after = other.find(&id).wait().await.unwrap().unwrap().record;
        assert!(after.version() == version || after.version() == version + 1);
        if after.version() > version {
            assert_eq!(after.data().parse(), Ok(Some(version)));
            done += 1;
        }
        assert!(told.is_none_or(|told| told.unwrap() && after.version() == version + 1));
    }
    assert!(done > 0);
}

/// A store is no reason to have a runtime, but its time limits are.
#[test]
fn r060_without_a_runtime_it_says_so() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(folder.open());
    let id = runtime.block_on(login(&service(&store), "ada")).record().id();
    drop(runtime);
    let found = std::pin::pin!(store.find(&id).wait());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(found) = found.poll(&mut context) else { panic!("it has waited") };
    let error = found.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    check_unavailable(&error, "no tokio runtime");
}
