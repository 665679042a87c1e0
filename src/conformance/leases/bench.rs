//! What a store is tested with.

use std::{any::Any, fmt::Write, sync::Arc, time::Duration};

use super::super::fixture::{LeaseFixture, Passing};
use crate::{
    clock::Timestamp,
    store::{
        Expect, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion, LeaseWrite,
        LockOwner,
    },
};

/// Longer than any test takes.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Short, yet longer than the slowest store needs for some operations.
pub(super) const SHORT: Duration = Duration::from_millis(1500);

/// Two handles of one store, as two processes have them, and a way to let time pass.
pub(super) struct Bench {
    pub(super) one: Arc<dyn LeaseStore>,
    pub(super) two: Arc<dyn LeaseStore>,
    pub(super) namespace: LeaseNamespace,
    passing: Box<Passing>,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Bench {
    pub(super) fn over(fixture: LeaseFixture) -> Self {
        // Nobody else's, also where the store is not the test's alone.
        let mut name = String::new();
        for byte in owner().as_bytes() {
            write!(name, "{byte:02x}").unwrap();
        }
        let namespace = LeaseNamespace::new(name).unwrap();
        let LeaseFixture { one, two, passing, kept, .. } = fixture;
        Self { one, two, namespace, passing, _kept: kept }
    }

    pub(super) fn key(&self, step: &str) -> LeaseKey {
        LeaseKey::new(&self.namespace, "crm", step)
    }

    /// A namespace whose name begins with that of the bench.
    pub(super) fn neighbour(&self, suffix: &str) -> LeaseNamespace {
        LeaseNamespace::new(format!("{}{suffix}", self.namespace.as_str())).unwrap()
    }

    pub(super) async fn pass(&self, span: Duration) {
        (self.passing)(span).await;
    }

    pub(super) async fn put(&self, key: &LeaseKey, version: u64, ttl: Duration) {
        let put = self.one.put(key, &record(version), ttl, Expect::Anything).await.unwrap();
        assert_eq!(put, LeaseWrite::Done);
    }

    pub(super) async fn version(&self, key: &LeaseKey) -> Option<u64> {
        self.two.get(key).await.unwrap().map(|found| found.record().version().get())
    }
}

pub(super) fn record(version: u64) -> LeaseRecord {
    LeaseRecord::new(
        LeaseVersion::new(version),
        Timestamp::from_millis(1_700_000_000_123),
        format!("value {version}").into(),
    )
}

pub(super) fn version(number: u64) -> Expect {
    Expect::Version(LeaseVersion::new(number))
}

pub(super) fn owner() -> LockOwner {
    LockOwner::generate().unwrap()
}

pub(super) async fn lock(
    store: &Arc<dyn LeaseStore>,
    key: &LeaseKey,
    owner: &LockOwner,
) -> Option<LeaseLock> {
    store.lock(key, owner, LONG).await.unwrap()
}
