//! Records, and how long they live.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::bench::{Bench, LONG, SHORT, lock, owner, record, version};
use crate::{
    clock::Timestamp,
    store::{Expect, LeaseKey, LeaseRecord, LeaseVersion, LeaseWrite, LockState},
};

pub(super) async fn r101_what_is_put_is_there_until_it_is_removed(bench: &Bench) {
    let key = bench.key("user");
    assert!(bench.two.get(&key).await.unwrap().is_none());
    assert!(!bench.two.exists(&key).await.unwrap());
    bench.put(&key, u64::MAX, LONG).await;
    let found = bench.two.get(&key).await.unwrap().unwrap();
    assert_eq!(found.record().version(), LeaseVersion::new(u64::MAX));
    assert_eq!(found.record().expires_at(), Timestamp::from_millis(1_700_000_000_123));
    assert_eq!(found.record().value(), format!("value {}", u64::MAX).as_bytes());
    assert!(bench.two.exists(&key).await.unwrap());
    assert!(bench.two.get(&bench.key("app")).await.unwrap().is_none());
    assert_eq!(bench.two.delete(&key, Expect::Anything).await.unwrap(), LeaseWrite::Done);
    assert!(bench.one.get(&key).await.unwrap().is_none() && !bench.one.exists(&key).await.unwrap());
    assert_eq!(bench.two.delete(&key, Expect::Anything).await.unwrap(), LeaseWrite::Done, "again");
}

pub(super) async fn r101_values_are_bytes_of_any_length(bench: &Bench) {
    let values = [vec![], vec![0], (0..=255).collect(), b"\r\n:\0".to_vec(), vec![0xff; 200_000]];
    for (number, value) in values.into_iter().enumerate() {
        for end in [Timestamp::NEVER, Timestamp::from_millis(-5), Timestamp::from_millis(0)] {
            let key = bench.key(&format!("step {number}: \u{e9}/..\0*"));
            let record = LeaseRecord::new(LeaseVersion::new(0), end, value.clone());
            let put = bench.one.put(&key, &record, LONG, Expect::Anything).await.unwrap();
            assert_eq!(put, LeaseWrite::Done);
            let found = bench.two.get(&key).await.unwrap().unwrap();
            assert!(found.record().value() == value, "value {number}");
            assert_eq!((found.record().version().get(), found.record().expires_at()), (0, end));
        }
    }
}

pub(super) async fn r101_clearing_a_namespace_touches_no_other_and_no_lock(bench: &Bench) {
    let others: Vec<LeaseKey> = ["2", ":crm", "*", "?"]
        .iter()
        .map(|suffix| LeaseKey::new(&bench.neighbour(suffix), "crm", "user"))
        .collect();
    let (user, many) = (bench.key("user"), (0..600).map(|step| bench.key(&format!("{step}"))));
    let many: Vec<LeaseKey> = many.collect();
    for key in others.iter().chain([&user]).chain(&many) {
        bench.put(key, 1, LONG).await;
    }
    let held = lock(&bench.one, &user, &owner()).await.unwrap();
    bench.two.clear(&bench.namespace).await.unwrap();
    for key in many.iter().chain([&user]) {
        assert_eq!(bench.version(key).await, None, "{key:?}");
    }
    for key in &others {
        assert_eq!(bench.version(key).await, Some(1), "{key:?}");
    }
    assert_eq!(bench.one.unlock(&user, &held).await.unwrap(), LockState::Held, "the lock has stayed");
    bench.two.clear(&bench.namespace).await.unwrap();
    bench.put(&user, 2, LONG).await;
    assert_eq!(bench.version(&user).await, Some(2));
}

pub(super) async fn r101_of_many_writers_at_once_one_wins(bench: &Bench) {
    let key = bench.key("user");
    for (expect, first) in [(Expect::Absent, 100), (Expect::Version(LeaseVersion::new(1)), 200)] {
        if first == 200 {
            bench.put(&key, 1, LONG).await;
        }
        let writes = join_all((0..32_u64).map(|number| {
            let store = Arc::clone(if number % 2 == 0 { &bench.one } else { &bench.two });
            let (key, record) = (key.clone(), record(first + number));
            tokio::spawn(async move { (number, store.put(&key, &record, LONG, expect).await.unwrap()) })
        }))
        .await;
        let done = writes.into_iter().map(Result::unwrap).filter(|(_, write)| *write == LeaseWrite::Done);
        let done: Vec<u64> = done.map(|(number, _)| first + number).collect();
        assert_eq!(done.len(), 1, "{done:?}");
        assert_eq!(bench.version(&key).await, Some(done[0]));
    }
}

// ===== lives =====

pub(super) async fn r102_nothing_outlives_the_life_it_was_given(bench: &Bench) {
    let (key, longer, none) = (bench.key("user"), bench.key("app"), bench.key("none"));
    bench.put(&longer, 1, LONG).await;
    bench.put(&key, 1, SHORT).await;
    let left = bench.two.get(&key).await.unwrap().unwrap().remaining();
    assert!(!left.is_zero() && left <= SHORT, "{left:?}");
    bench.pass(SHORT / 3).await;
    let later = bench.two.get(&key).await.unwrap().unwrap().remaining();
    assert!(!later.is_zero() && later <= SHORT - SHORT / 3 + Duration::from_millis(20), "{later:?}");
    bench.pass(SHORT - SHORT / 3).await;
    assert_eq!(bench.version(&key).await, None);
    assert!(!bench.two.exists(&key).await.unwrap());
    let left = bench.two.get(&longer).await.unwrap().unwrap().remaining();
    assert!(left <= LONG - SHORT + Duration::from_millis(20), "{left:?}");

    bench.put(&none, 1, Duration::ZERO).await;
    bench.pass(Duration::from_millis(20)).await;
    assert_eq!(bench.version(&none).await, None);
    bench.put(&none, 1, Duration::MAX).await;
    assert_eq!(bench.version(&none).await, Some(1));
}

pub(super) async fn r102_a_write_begins_a_new_life(bench: &Bench) {
    let (shorter, longer) = (bench.key("shorter"), bench.key("longer"));
    bench.put(&shorter, 1, LONG).await;
    bench.put(&longer, 1, SHORT).await;
    bench.put(&shorter, 2, SHORT).await;
    bench.put(&longer, 2, LONG).await;
    bench.pass(SHORT).await;
    assert_eq!(bench.version(&shorter).await, None);
    assert_eq!(bench.version(&longer).await, Some(2));
}

// ===== conditions =====

pub(super) async fn r102_a_write_happens_where_what_is_expected_is_there(bench: &Bench) {
    let key = bench.key("user");
    let put = async |number, expect, ttl| bench.one.put(&key, &record(number), ttl, expect).await.unwrap();
    assert_eq!(put(1, version(1), LONG).await, LeaseWrite::Changed, "there is nothing");
    assert_eq!(bench.version(&key).await, None);
    assert_eq!(put(1, Expect::Absent, LONG).await, LeaseWrite::Done);
    assert_eq!(put(2, Expect::Absent, LONG).await, LeaseWrite::Changed);
    assert_eq!(put(3, version(2), LONG).await, LeaseWrite::Changed);
    let kept = bench.two.get(&key).await.unwrap().unwrap();
    assert_eq!((kept.record().version().get(), kept.record().value()), (1, &b"value 1"[..]));
    assert_eq!(put(5, version(1), SHORT).await, LeaseWrite::Done);
    assert_eq!(bench.version(&key).await, Some(5));
    assert_eq!(put(5, version(1), LONG).await, LeaseWrite::Changed, "the same again");
    assert_eq!(put(4, Expect::Anything, SHORT).await, LeaseWrite::Done, "a lower one, if told to");
    bench.pass(SHORT).await;
    assert_eq!(put(6, version(4), LONG).await, LeaseWrite::Changed, "what has ended was never there");
    assert_eq!(put(6, Expect::Absent, LONG).await, LeaseWrite::Done);
    assert_eq!(bench.version(&key).await, Some(6));
}

pub(super) async fn r102_a_removal_happens_where_what_is_expected_is_there(bench: &Bench) {
    let key = bench.key("user");
    let delete = async |expect| bench.one.delete(&key, expect).await.unwrap();
    assert_eq!(delete(version(1)).await, LeaseWrite::Changed);
    assert_eq!(delete(Expect::Absent).await, LeaseWrite::Done);
    bench.put(&key, 2, LONG).await;
    assert_eq!(delete(version(1)).await, LeaseWrite::Changed);
    assert_eq!(delete(Expect::Absent).await, LeaseWrite::Changed);
    assert_eq!(bench.version(&key).await, Some(2));
    assert_eq!(delete(version(2)).await, LeaseWrite::Done);
    assert_eq!(bench.version(&key).await, None);
}

pub(super) async fn r115_equal_names_elsewhere_are_other_keys(bench: &Bench) {
    let elsewhere = bench.neighbour("2");
    let keys = [
        LeaseKey::new(&bench.namespace, "crm", "user"),
        LeaseKey::new(&elsewhere, "crm", "user"),
        LeaseKey::new(&bench.namespace, "crm2", "user"),
        LeaseKey::new(&bench.namespace, "crm", "user2"),
        LeaseKey::new(&bench.namespace, "crm:user", ""),
        LeaseKey::new(&bench.namespace, "", "crm:user"),
        LeaseKey::new(&bench.namespace, "CRM", "user"),
        LeaseKey::new(&bench.namespace, "crm", "user:lock"),
    ];
    for (key, number) in keys.iter().zip(1..) {
        assert_eq!(bench.version(key).await, None, "{key:?}");
        bench.put(key, number, LONG).await;
        assert!(lock(&bench.one, key, &owner()).await.is_some(), "{key:?}");
    }
    for (key, number) in keys.iter().zip(1..) {
        assert_eq!(bench.version(key).await, Some(number), "{key:?}");
    }
}
