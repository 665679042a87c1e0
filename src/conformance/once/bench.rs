//! What a store is tested with.

use std::{any::Any, sync::Arc, time::Duration};

use super::super::fixture::OnceFixture;
use crate::{
    clock::{Clock, Timestamp},
    store::{OnceKey, OnceStore, OnceValue},
};

/// Two handles of one empty store.
pub(super) struct Bench {
    pub(super) one: Arc<dyn OnceStore>,
    pub(super) two: Arc<dyn OnceStore>,
    /// Today, because an engine may itself remove what has ended.
    pub(super) now: Timestamp,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Bench {
    pub(super) fn over(fixture: OnceFixture) -> Self {
        let OnceFixture { one, two, kept, .. } = fixture;
        Self { one, two, now: Clock::system().now(), _kept: kept }
    }

    /// A handle for the task of this number.
    pub(super) fn handle(&self, number: usize) -> Arc<dyn OnceStore> {
        Arc::clone(if number.is_multiple_of(2) { &self.one } else { &self.two })
    }

    /// So many milliseconds from the start, or before it.
    pub(super) fn at(&self, millis: i64) -> Timestamp {
        Timestamp::from_millis(self.now.as_millis() + millis)
    }

    pub(super) async fn put(&self, key: &OnceKey, bytes: &[u8], expires: Timestamp, now: Timestamp) -> bool {
        self.one.put(key, &value(bytes), expires, now).await.unwrap()
    }

    /// What the other handle gets.
    pub(super) async fn take(&self, key: &OnceKey, now: Timestamp) -> Option<Vec<u8>> {
        self.two.take(key, now).await.unwrap().map(|value| value.as_bytes().to_vec())
    }
}

/// Longer than any test takes, in milliseconds.
pub(super) const LONG: i64 = 600_000;

pub(super) fn key(name: &str) -> OnceKey {
    OnceKey::new("test", &[name.as_bytes()])
}

pub(super) fn value(bytes: &[u8]) -> OnceValue {
    OnceValue::new(bytes.to_vec()).unwrap()
}

/// A moment far behind every test.
pub(super) const LATER: Duration = Duration::from_secs(400 * 24 * 3600);
