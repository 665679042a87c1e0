//! The contract of `LeaseStore`, for any store.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use portcullis::{
    clock::Timestamp,
    store::{
        Expect, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion, LeaseWrite,
        LockOwner, LockState,
    },
};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
/// Short, yet longer than the slowest store needs for some operations.
const SHORT: Duration = Duration::from_millis(1500);

/// Two handles of one store, as two processes have them, and a way to let time pass.
pub(crate) struct Bench {
    pub(crate) one: Arc<dyn LeaseStore>,
    pub(crate) two: Arc<dyn LeaseStore>,
    pub(crate) pass: Box<dyn Fn(Duration) -> Passing + Send + Sync>,
    /// Nobody else's, where the store is not the test's alone.
    pub(crate) namespace: LeaseNamespace,
}

pub(crate) type Passing = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Bench {
    fn key(&self, step: &str) -> LeaseKey {
        LeaseKey::new(&self.namespace, "crm", step)
    }

    /// A namespace whose name begins with that of the bench.
    fn neighbour(&self, suffix: &str) -> LeaseNamespace {
        LeaseNamespace::new(format!("{}{suffix}", self.namespace.as_str())).unwrap()
    }

    async fn pass(&self, span: Duration) {
        (self.pass)(span).await;
    }

    async fn put(&self, key: &LeaseKey, version: u64, ttl: Duration) {
        let put = self.one.put(key, &record(version), ttl, Expect::Anything).await.unwrap();
        assert_eq!(put, LeaseWrite::Done);
    }

    async fn version(&self, key: &LeaseKey) -> Option<u64> {
        self.two.get(key).await.unwrap().map(|found| found.record().version().get())
    }
}

pub(crate) fn record(version: u64) -> LeaseRecord {
    LeaseRecord::new(
        LeaseVersion::new(version),
        Timestamp::from_millis(1_700_000_000_123),
        format!("value {version}").into(),
    )
}

fn version(number: u64) -> Expect {
    Expect::Version(LeaseVersion::new(number))
}

fn owner() -> LockOwner {
    LockOwner::generate().unwrap()
}

async fn lock(store: &Arc<dyn LeaseStore>, key: &LeaseKey, owner: &LockOwner) -> Option<LeaseLock> {
    store.lock(key, owner, LONG).await.unwrap()
}

// ===== records =====

pub(crate) async fn r101_what_is_put_is_there_until_it_is_removed(bench: &Bench) {
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

pub(crate) async fn r101_values_are_bytes_of_any_length(bench: &Bench) {
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

pub(crate) async fn r101_clearing_a_namespace_touches_no_other_and_no_lock(bench: &Bench) {
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

pub(crate) async fn r101_of_many_writers_at_once_one_wins(bench: &Bench) {
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

pub(crate) async fn r102_nothing_outlives_the_life_it_was_given(bench: &Bench) {
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

pub(crate) async fn r102_a_write_begins_a_new_life(bench: &Bench) {
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

pub(crate) async fn r102_a_write_happens_where_what_is_expected_is_there(bench: &Bench) {
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

pub(crate) async fn r102_a_removal_happens_where_what_is_expected_is_there(bench: &Bench) {
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

pub(crate) async fn r115_equal_names_elsewhere_are_other_keys(bench: &Bench) {
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

// ===== locks =====

pub(crate) async fn r207_a_lock_is_one_owners(bench: &Bench) {
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

pub(crate) async fn r207_of_many_owners_at_once_one_gets_the_lock(bench: &Bench) {
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
pub(crate) async fn r207_a_lock_that_overran_is_anothers_and_is_left_alone(bench: &Bench) {
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

pub(crate) async fn r207_a_lock_that_is_renewed_lasts(bench: &Bench) {
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

pub(crate) async fn r207_fences_rise(bench: &Bench) {
    let (key, mut last) = (bench.key("user"), 0);
    for number in 0..50 {
        let store = if number % 2 == 0 { &bench.one } else { &bench.two };
        let held = lock(store, &key, &owner()).await.unwrap();
        assert!(held.fence() > last, "{} after {last}", held.fence());
        last = held.fence();
        assert_eq!(store.unlock(&key, &held).await.unwrap(), LockState::Held);
    }
}
