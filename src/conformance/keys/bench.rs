//! What a store is tested with.

use std::{any::Any, sync::Arc, time::Duration};

use super::super::fixture::KeyFixture;
use crate::{
    clock::{Clock, Timestamp},
    event::RevokeReason,
    identity::Subject,
    random,
    store::{Digest, HashBytes, KeyRecord, KeyStore, Revocation},
    text::TokenId,
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Two handles of one empty store.
pub(super) struct Bench {
    pub(super) one: Arc<dyn KeyStore>,
    pub(super) two: Arc<dyn KeyStore>,
    /// Today, because an engine may itself remove what has ended.
    pub(super) now: Timestamp,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Bench {
    pub(super) fn over(fixture: KeyFixture) -> Self {
        let KeyFixture { one, two, kept, .. } = fixture;
        Self { one, two, now: Clock::system().now(), _kept: kept }
    }

    /// A handle for the task of this number.
    pub(super) fn handle(&self, number: usize) -> Arc<dyn KeyStore> {
        Arc::clone(if number.is_multiple_of(2) { &self.one } else { &self.two })
    }

    pub(super) fn after(&self, span: Duration) -> Timestamp {
        self.now.plus(span)
    }

    /// A key of this user that never ends, not in the store.
    pub(super) fn draft(&self, user: &str) -> KeyRecord {
        let digest = Digest::new(None, HashBytes::Sha256(*random::bytes().unwrap()));
        let id = TokenId::from_random(&random::bytes().unwrap());
        KeyRecord::new(id, Subject::local(user), "sk_live", digest, self.now)
    }

    /// A new key in the store.
    pub(super) async fn key(&self, user: &str) -> KeyRecord {
        self.insert(self.draft(user)).await
    }

    pub(super) async fn insert(&self, record: KeyRecord) -> KeyRecord {
        self.one.insert_key(record.clone()).await.unwrap();
        record
    }

    /// What the other handle finds.
    pub(super) async fn look(&self, id: &TokenId) -> Option<Arc<KeyRecord>> {
        self.two.find_key(id).wait().await.unwrap()
    }

    pub(super) async fn found(&self, id: &TokenId) -> Arc<KeyRecord> {
        self.look(id).await.expect("the key is there")
    }

    pub(super) fn ended(&self) -> Revocation {
        Revocation::new(self.after(HOUR), RevokeReason::Logout)
    }
}

/// Every column of a key.
pub(super) fn shown(record: &KeyRecord) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?}",
        record.id,
        record.owner,
        record.kind,
        record.tenant,
        record.scope,
        record.label,
        record.context.as_json(),
        record.version,
        record.digest.to_bytes(),
        record.created,
        record.expires,
        record.last_used,
        record.revoked,
    )
}
