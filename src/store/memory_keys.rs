//! API keys in memory: bounded, read without a lock, written under one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{KeyQuery, KeyRecord, KeyStore, KeyUpdate, Revocation, StoreError, StoreErrorKind, SubjectKey};
use crate::{clock::Timestamp, maybe_ready::MaybeReady, text::TokenId};

/// Keys that a full store purges before it takes a new one.
const PURGE_BATCH: usize = 256;

/// Keeps API keys in this process, for one machine and for tests. Clones share the keys.
///
/// It holds 100 000 keys by default. A full store first removes what could no longer be used at the moment at which the
/// new key was made, and then refuses with [`StoreErrorKind::Full`]; it never removes a key that works.
#[derive(Clone)]
pub struct MemoryKeys(Arc<Shared>);

struct Shared {
    rows: papaya::HashMap<TokenId, Arc<KeyRecord>>,
    index: Mutex<Index>,
    capacity: usize,
}

/// Everything but the rows themselves; its lock is the lock for every write.
#[derive(Default)]
struct Index {
    all: BTreeSet<TokenId>,
    by_owner: HashMap<SubjectKey, BTreeSet<TokenId>>,
    by_end: BTreeSet<(Timestamp, TokenId)>,
}

// ===== impl MemoryKeys =====

impl MemoryKeys {
    /// An empty store for 100 000 keys.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// An empty store for this many keys. Nothing is allocated ahead.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Shared { rows: papaya::HashMap::new(), index: Mutex::default(), capacity }))
    }

    /// The number of keys, ended ones that were not purged yet included.
    pub fn len(&self) -> usize {
        self.lock().all.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No step under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one key, if `change` says so. The caller's predicate and its columns are one step under the lock.
    fn update(&self, id: &TokenId, change: impl FnOnce(&mut KeyRecord) -> bool) -> bool {
        let mut index = self.lock();
        let rows = self.0.rows.pin();
        let Some(old) = rows.get(id) else {
            return false;
        };
        let mut record = KeyRecord::clone(old);
        if !change(&mut record) {
            return false;
        }
        index.by_end.remove(&(old.purgeable_from(), *id));
        index.by_end.insert((record.purgeable_from(), *id));
        rows.insert(*id, Arc::new(record));
        true
    }

    fn purge_locked(&self, index: &mut Index, before: Timestamp, limit: usize) -> Vec<Arc<KeyRecord>> {
        let rows = self.0.rows.pin();
        let mut removed = Vec::new();
        while removed.len() < limit {
            let Some(id) = index.first_ended(before) else {
                break;
            };
            let Some(record) = rows.remove(&id).map(Arc::clone) else {
                break;
            };
            index.forget(&record);
            removed.push(record);
        }
        removed
    }
}

impl Default for MemoryKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeys").field("len", &self.len()).field("capacity", &self.0.capacity).finish()
    }
}

#[async_trait]
impl KeyStore for MemoryKeys {
    fn find_key(&self, id: &TokenId) -> MaybeReady<Result<Option<Arc<KeyRecord>>, StoreError>> {
        MaybeReady::Now(Ok(self.0.rows.pin().get(id).map(Arc::clone)))
    }

    async fn insert_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        let mut index = self.lock();
        let rows = self.0.rows.pin();
        if rows.contains_key(&record.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if index.all.len() >= self.0.capacity
            && self.purge_locked(&mut index, record.created, PURGE_BATCH).is_empty()
        {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        index.add(&record);
        rows.insert(record.id, Arc::new(record));
        Ok(())
    }

    fn note_key_use(
        &self,
        id: &TokenId,
        seen_before: Timestamp,
        now: Timestamp,
    ) -> MaybeReady<Result<bool, StoreError>> {
        MaybeReady::Now(Ok(self.update(id, |record| {
            let due = record.revoked.is_none() && record.last_used <= seen_before;
            if due {
                record.last_used = now;
            }
            due
        })))
    }

    async fn update_key(&self, id: &TokenId, update: KeyUpdate) -> Result<bool, StoreError> {
        Ok(self.update(id, |record| {
            let expected = record.version == update.version && record.revoked.is_none();
            if expected {
                record.version = record.version.wrapping_add(1);
                record.label = update.label;
                record.scope = update.scope;
                record.context = update.context;
                record.expires = update.expires;
            }
            expected
        }))
    }

    async fn revoke_key(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        Ok(self.update(id, |record| {
            let first = record.revoked.is_none();
            record.revoked.get_or_insert(revocation);
            first
        }))
    }

    /// Passes over the keys that were made later than the query wants.
    async fn list_keys(&self, query: &KeyQuery) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let index = self.lock();
        let ids = match &query.owner {
            Some(owner) => match index.by_owner.get(&SubjectKey::of(owner)) {
                Some(ids) => ids,
                None => return Ok(Vec::new()),
            },
            None => &index.all,
        };
        let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.0.rows.pin();
        let found = ids.range((from, Bound::Unbounded)).filter_map(|id| rows.get(id));
        let found = found.filter(|record| record.created < query.created_before);
        Ok(found.take(query.limit).map(Arc::clone).collect())
    }

    async fn purge_keys(&self, before: Timestamp, limit: usize) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        Ok(self.purge_locked(&mut self.lock(), before, limit))
    }
}

// ===== impl Index =====

impl Index {
    fn add(&mut self, record: &KeyRecord) {
        self.all.insert(record.id);
        self.by_owner.entry(SubjectKey::of(&record.owner)).or_default().insert(record.id);
        self.by_end.insert((record.purgeable_from(), record.id));
    }

    /// The key that ended first, if it had ended by then. What never ends has not, whenever that is asked.
    fn first_ended(&self, by: Timestamp) -> Option<TokenId> {
        let ended = |(end, _): &&(Timestamp, TokenId)| *end <= by && *end != Timestamp::NEVER;
        self.by_end.first().filter(ended).map(|(_, id)| *id)
    }

    fn forget(&mut self, record: &KeyRecord) {
        self.all.remove(&record.id);
        self.by_end.remove(&(record.purgeable_from(), record.id));
        let owner = SubjectKey::of(&record.owner);
        if let Some(ids) = self.by_owner.get_mut(&owner) {
            ids.remove(&record.id);
            if ids.is_empty() {
                self.by_owner.remove(&owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        event::RevokeReason,
        identity::Subject,
        store::{Digest, HashBytes},
    };

    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn key(number: u8, seconds: u64) -> KeyRecord {
        let digest = Digest::new(None, HashBytes::Sha256([number; 32]));
        let now = START.plus(Duration::from_secs(seconds));
        KeyRecord::new(TokenId::from_random(&[number; 12]), Subject::local("ada"), "sk", digest, now)
    }

    #[tokio::test]
    async fn r060_a_full_store_of_keys_purges_what_has_ended_and_then_refuses() {
        let store = MemoryKeys::with_capacity(2);
        let mut short = key(1, 0);
        short.expires = START.plus(Duration::from_secs(10));
        store.insert_key(short).await.unwrap();
        store.insert_key(key(2, 0)).await.unwrap();
        let refused = store.insert_key(key(3, 9)).await.unwrap_err();
        assert_eq!((refused.kind(), store.len()), (StoreErrorKind::Full, 2));
        store.insert_key(key(3, 10)).await.unwrap();
        assert!(store.find_key(&key(1, 0).id).wait().await.unwrap().is_none());
        assert!(store.insert_key(key(4, 10)).await.is_err(), "the living are never removed");
        let now = Revocation::new(START.plus(Duration::from_secs(10)), RevokeReason::Logout);
        assert!(store.revoke_key(&key(2, 0).id, now).await.unwrap());
        store.insert_key(key(4, 10)).await.unwrap();
        assert_eq!(store.len(), 2);
    }

    #[tokio::test]
    async fn nothing_is_left_of_keys_that_were_purged() {
        let store = MemoryKeys::new();
        for number in 0..10 {
            let mut record = key(number, 0);
            record.expires = START.plus(Duration::from_secs(u64::from(number)));
            store.insert_key(record).await.unwrap();
            let mut update = KeyUpdate::of(&key(number, 0));
            update.expires = START.plus(Duration::from_secs(20 - u64::from(number)));
            assert!(store.update_key(&key(number, 0).id, update).await.unwrap());
        }
        store.insert_key(key(10, 0)).await.unwrap();
        assert_eq!(store.purge_keys(Timestamp::NEVER, 100).await.unwrap().len(), 10, "what never ends stays");
        let now = Revocation::new(START, RevokeReason::Logout);
        assert!(store.revoke_key(&key(10, 0).id, now).await.unwrap());
        assert_eq!(store.purge_keys(START, 100).await.unwrap().len(), 1);
        let index = store.lock();
        assert!(index.all.is_empty() && index.by_owner.is_empty() && index.by_end.is_empty());
    }
}
