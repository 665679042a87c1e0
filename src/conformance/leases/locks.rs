//! Locks.

use std::sync::Arc;

use futures_util::future::join_all;

use super::bench::{Bench, LONG, SHORT, lock, owner};
use crate::store::{Expect, LeaseLock, LeaseWrite, LockState};

pub(super) async fn r207_a_lock_is_one_owners(bench: &Bench) {
    let (key, mine, other) = (bench.key("user"), owner(), owner());
    let held = lock(&bench.one, &key, &mine).await.unwrap();
    assert_eq!(held.owner(), &mine);
    assert_eq!(lock(&bench.two, &key, &other).await, None);
    assert_eq!(lock(&bench.one, &key, &other).await, None);
    assert_eq!(lock(&bench.two, &key, &mine).await, Some(held), "the same owner, the same lock");
    assert!(lock(&bench.two, &bench.key("app"), &other).await.is_some(), "another key's lock is free");

    bench.put(&key, 1, LONG).await;
    assert_eq!(bench.version(&key).await, Some(1), "a lock keeps nobody from reading and writing");
    assert_eq!(bench.one.delete(&key, Expect::Anything).await.unwrap(), LeaseWrite::Done);
    let foreign = LeaseLock::new(other, held.fence());
    let older = LeaseLock::new(mine, held.fence() - 1);
    for wrong in [foreign, older] {
        assert_eq!(bench.two.unlock(&key, &wrong).await.unwrap(), LockState::Lost);
        assert_eq!(bench.two.renew(&key, &wrong, LONG).await.unwrap(), LockState::Lost);
    }
    assert_eq!(lock(&bench.two, &key, &other).await, None, "still held");

    assert_eq!(bench.two.unlock(&key, &held).await.unwrap(), LockState::Held);
    assert_eq!(bench.two.unlock(&key, &held).await.unwrap(), LockState::Lost, "again");
    assert_eq!(bench.two.renew(&key, &held, LONG).await.unwrap(), LockState::Lost, "released");
    assert!(lock(&bench.two, &key, &other).await.is_some());
}

pub(super) async fn r207_of_many_owners_at_once_one_gets_the_lock(bench: &Bench) {
    let key = bench.key("user");
    let locks = join_all((0..32).map(|number| {
        let store = Arc::clone(if number % 2 == 0 { &bench.one } else { &bench.two });
        let key = key.clone();
        tokio::spawn(async move { lock(&store, &key, &owner()).await })
    }))
    .await;
    assert_eq!(locks.into_iter().filter_map(Result::unwrap).count(), 1);
}

/// The defect of a lock without an owner: a slow holder frees the lock of the next.
pub(super) async fn r207_a_lock_that_overran_is_anothers_and_is_left_alone(bench: &Bench) {
    let (key, slow, next) = (bench.key("user"), owner(), owner());
    let overran = bench.one.lock(&key, &slow, SHORT).await.unwrap().unwrap();
    assert_eq!(bench.two.lock(&key, &next, LONG).await.unwrap(), None);
    bench.pass(SHORT).await;
    assert_eq!(
        bench.one.renew(&key, &overran, LONG).await.unwrap(),
        LockState::Lost,
        "nobody else's, yet over"
    );
    let held = lock(&bench.two, &key, &next).await.unwrap();
    assert!(held.fence() > overran.fence());
    assert_eq!(bench.one.unlock(&key, &overran).await.unwrap(), LockState::Lost);
    assert_eq!(bench.one.renew(&key, &overran, LONG).await.unwrap(), LockState::Lost);
    assert_eq!(bench.one.lock(&key, &slow, LONG).await.unwrap(), None);
    assert_eq!(bench.two.renew(&key, &held, LONG).await.unwrap(), LockState::Held);
}

pub(super) async fn r207_a_lock_that_is_renewed_lasts(bench: &Bench) {
    let (renewed, asked_again) = (bench.key("renewed"), bench.key("again"));
    let (mine, other) = (owner(), owner());
    let held = bench.one.lock(&renewed, &mine, SHORT).await.unwrap().unwrap();
    bench.one.lock(&asked_again, &mine, SHORT).await.unwrap().unwrap();
    assert_eq!(bench.one.renew(&renewed, &held, 2 * SHORT).await.unwrap(), LockState::Held);
    assert!(bench.one.lock(&asked_again, &mine, 2 * SHORT).await.unwrap().is_some());
    bench.pass(SHORT).await;
    assert_eq!(lock(&bench.two, &renewed, &other).await, None);
    assert_eq!(lock(&bench.two, &asked_again, &other).await, None);
    bench.pass(SHORT).await;
    assert!(lock(&bench.two, &renewed, &other).await.is_some());
    assert!(lock(&bench.two, &asked_again, &other).await.is_some());
}

pub(super) async fn r207_fences_rise(bench: &Bench) {
    let (key, mut last) = (bench.key("user"), 0);
    for number in 0..50 {
        let store = if number % 2 == 0 { &bench.one } else { &bench.two };
        let held = lock(store, &key, &owner()).await.unwrap();
        assert!(held.fence() > last, "{} after {last}", held.fence());
        last = held.fence();
        assert_eq!(store.unlock(&key, &held).await.unwrap(), LockState::Held);
    }
}
