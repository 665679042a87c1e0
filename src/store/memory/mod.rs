//! The store in memory: bounded, read without a lock, written under one.

mod index;

use std::{
    collections::BinaryHeap,
    fmt,
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use self::index::{Index, SubjectRow};
use super::{
    Data, Epoch, Found, Inserted, Insertion, Keep, ListQuery, LiveLimit, LoginRecord, Purge, Rekey,
    Revocation, Rotation, StoreError, StoreErrorKind, SubjectRevocation, TokenStore, Touch,
    id_hasher::IdHasher,
};
use crate::{
    clock::Timestamp, event::RevokeReason, identity::Subject, maybe_ready::MaybeReady, text::TokenId,
};

/// Logins that a full store purges before it takes a new one: enough to pay for many inserts, few enough to be
/// quick.
const PURGE_BATCH: usize = 256;
/// Logins that are marked at a time when everybody's end: others may write in between.
const MARK_BATCH: usize = 1024;

/// Keeps logins in this process, for one machine and for tests. Clones share the logins.
///
/// It holds 1 000 000 logins by default. A full store first removes what has ended and then refuses; it never
/// removes a living login.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    rows: papaya::HashMap<TokenId, Row, BuildHasherDefault<IdHasher>>,
    index: Mutex<Index>,
    capacity: usize,
}

/// A record and the epoch of its subject. Replaced as a whole, under the lock of the index.
struct Row {
    record: Arc<LoginRecord>,
    subject: Arc<SubjectRow>,
}

// ===== impl MemoryStore =====

impl MemoryStore {
    /// An empty store for 1 000 000 logins.
    pub fn new() -> Self {
        Self::with_capacity(1_000_000)
    }

    /// An empty store for this many logins. Nothing is allocated ahead.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Arc::new(Shared { rows: papaya::HashMap::default(), index: Mutex::default(), capacity }))
    }

    /// The number of logins, ended ones that were not purged yet included.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are no logins.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A panic under the lock cannot leave the index half changed: every step that can fail comes before the
    /// first change.
    fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one record, if `change` says so. The caller's predicate and its columns are one step under the
    /// lock.
    fn update(&self, id: &TokenId, change: impl FnOnce(&mut LoginRecord, Epoch) -> bool) -> bool {
        self.update_locked(&mut self.lock(), id, change)
    }

    fn update_locked(
        &self,
        index: &mut Index,
        id: &TokenId,
        change: impl FnOnce(&mut LoginRecord, Epoch) -> bool,
    ) -> bool {
        let rows = self.0.rows.pin();
        let Some(row) = rows.get(id) else {
            return false;
        };
        let mut record = LoginRecord::clone(&row.record);
        if !change(&mut record, row.subject.epoch()) {
            return false;
        }
        index.update(&row.record, &record);
        rows.insert(*id, Row { record: Arc::new(record), subject: Arc::clone(&row.subject) });
        true
    }

    fn revoke_locked(&self, index: &mut Index, id: &TokenId, revocation: Revocation) -> bool {
        self.update_locked(index, id, |record, _| {
            let first = record.revoked.is_none();
            record.revoked.get_or_insert(revocation);
            first
        })
    }

    fn remove_locked(&self, index: &mut Index, id: TokenId) -> Option<Arc<LoginRecord>> {
        let rows = self.0.rows.pin();
        let row = rows.remove(&id)?;
        index.forget(&row.record, &row.subject);
        Some(Arc::clone(&row.record))
    }

    fn purge_locked(&self, index: &mut Index, before: Timestamp, limit: usize) -> Vec<Arc<LoginRecord>> {
        let mut removed = Vec::new();
        while removed.len() < limit {
            let Some(id) = index.first_ended(before) else {
                break;
            };
            removed.extend(self.remove_locked(index, id));
        }
        removed
    }

    /// What makes room for a login of this subject under its limit: the logins that have to end for it, and those
    /// that have ended long enough ago to be removed. Changes nothing itself: the login may still be refused.
    fn room_for(
        &self,
        index: &Index,
        subject: &SubjectRow,
        insertion: &Insertion,
    ) -> Result<(Vec<TokenId>, Vec<TokenId>), StoreError> {
        let (max, refuse) = match insertion.limit {
            LiveLimit::Unlimited => return Ok((Vec::new(), Vec::new())),
            LiveLimit::Refuse(max) => (max as usize, true),
            LiveLimit::EndOldest(max) => (max as usize, false),
        };
        let rows = self.0.rows.pin();
        let (mut live, mut over) = (Vec::new(), Vec::new());
        for id in index.logins_of(subject) {
            let Some(Row { record, .. }) = rows.get(&id) else { continue };
            if record.is_live(insertion.now) && record.epoch == subject.epoch() {
                if Some(id) != insertion.replaces {
                    live.push((record.created, id));
                }
            } else if record.purgeable_from() <= insertion.purge_before {
                over.push(id);
            }
        }
        let surplus = (live.len() + 1).saturating_sub(max);
        if surplus > 0 && refuse {
            return Err(StoreError::new(StoreErrorKind::LimitReached));
        }
        live.sort_unstable();
        let ended = live.into_iter().take(surplus).map(|(_, id)| id).collect();
        Ok((ended, over))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.len()).field("capacity", &self.0.capacity).finish()
    }
}

#[async_trait]
impl TokenStore for MemoryStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        MaybeReady::Now(Ok(self.0.rows.pin().get(id).map(Row::found)))
    }

    async fn insert(&self, mut record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let mut index = self.lock();
        let index = &mut *index;
        let rows = self.0.rows.pin();
        if rows.contains_key(&record.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        let (ended, over) = match index.find_subject(&record.subject) {
            Some(subject) => self.room_for(index, &subject, &insertion)?,
            None => (Vec::new(), Vec::new()),
        };
        let is_full = index.len() - over.len() >= self.0.capacity;
        if is_full && index.first_ended(insertion.purge_before).is_none() {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        // Nothing fails from here on. The subject's own go first: else a loop of logins and logouts would make each
        // login dearer than the one before.
        let mut purged: Vec<_> = over.into_iter().filter_map(|id| self.remove_locked(index, id)).collect();
        if is_full {
            purged.extend(self.purge_locked(index, insertion.purge_before, PURGE_BATCH));
        }
        let superseded = Revocation::new(insertion.now, RevokeReason::Superseded);
        for id in &ended {
            self.revoke_locked(index, id, superseded);
        }
        let replaced = insertion.replaces.is_some_and(|id| self.revoke_locked(index, &id, superseded));
        let subject = index.subject(&record.subject, insertion.first_epoch);
        record.epoch = subject.epoch();
        index.add(&record, &subject);
        let record = Arc::new(record);
        rows.insert(record.id, Row { record: Arc::clone(&record), subject });
        Ok(Inserted { record, ended, replaced, purged })
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, epoch| {
            let expected =
                record.generation == rotation.generation && record.revoked.is_none() && record.epoch == epoch;
            if expected {
                record.rotate(rotation);
            }
            expected
        }))
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, _| {
            let allowed =
                record.generation == generation && record.revoked.is_none() && record.grace_hits < cap;
            record.grace_hits += u32::from(allowed);
            allowed
        }))
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.update(id, |record, _| {
            let first = record.generation == generation && record.revoked.is_none() && !record.is_confirmed();
            if first {
                record.confirmed_at = now;
            }
            first
        });
        MaybeReady::Now(Ok(()))
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        MaybeReady::Now(Ok(self.update(id, |record, _| {
            let expected = record.generation == touch.generation
                && record.revoked.is_none()
                && record.last_seen <= touch.seen_before;
            if expected {
                record.touch(touch);
            }
            expected
        })))
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, epoch| {
            let expected = can_be_rekeyed(record, &rekey, epoch);
            if expected {
                record.rekey(rekey, epoch);
            }
            expected
        }))
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, _| {
            let expected = record.version() == version && record.revoked.is_none();
            if expected {
                let extras = record.extras.get_mut();
                extras.version += 1;
                extras.data = data;
            }
            expected
        }))
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, _| {
            let expected = record.revoked.is_none();
            if expected {
                record.extras.get_mut().label = label;
            }
            expected
        }))
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        Ok(self.revoke_locked(&mut self.lock(), id, revocation))
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let mut index = self.lock();
        let index = &mut *index;
        let rows = self.0.rows.pin();
        let Some(subject) = index.find_subject(subject) else {
            return Ok(matches!(what.keep, Keep::Nothing | Keep::Untouched(_)).then(Vec::new));
        };
        let kept = match what.keep {
            Keep::Nothing => {
                subject.raise_epoch();
                None
            }
            Keep::Untouched(id) => Some(id),
            Keep::Rekeyed(id, rekey) => {
                let of_subject = |row: &&Row| Arc::ptr_eq(&row.subject, &subject);
                let found = rows.get(&id).filter(of_subject);
                if !found.is_some_and(|row| can_be_rekeyed(&row.record, &rekey, subject.epoch())) {
                    return Ok(None);
                }
                subject.raise_epoch();
                self.update_locked(index, &id, |record, epoch| {
                    record.rekey(*rekey, epoch);
                    true
                });
                Some(id)
            }
        };
        let mut logins: Vec<_> = index.logins_of(&subject).filter(|id| Some(*id) != kept).collect();
        logins.retain(|id| self.revoke_locked(index, id, what.revocation));
        Ok(Some(logins))
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        // First the epochs: from here on no login of before verifies, marked or not.
        self.lock().subjects().for_each(SubjectRow::raise_epoch);
        let (mut marked, mut after) = (0, None);
        loop {
            let mut index = self.lock();
            let batch: Vec<_> = index.logins_after(after).take(MARK_BATCH).collect();
            let Some(last) = batch.last() else {
                return Ok(marked);
            };
            after = Some(*last);
            for key in &batch {
                let done = self.update_locked(&mut index, &key.id(), |record, epoch| {
                    // What was issued since lives on.
                    let ended = record.epoch != epoch && record.revoked.is_none();
                    if ended {
                        record.revoked = Some(revocation);
                    }
                    ended
                });
                marked += u64::from(done);
            }
        }
    }

    /// Without a subject this passes over the whole store.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let behind = |id: &TokenId| query.after.is_none_or(|after| *id > after);
        let ids: Vec<TokenId> = match &query.subject {
            Some(subject) => {
                let index = self.lock();
                let Some(subject) = index.find_subject(subject) else {
                    return Ok(Vec::new());
                };
                index.logins_of(&subject).filter(behind).take(query.limit).collect()
            }
            None => {
                let mut lowest = BinaryHeap::new();
                for id in self.0.rows.pin().keys().filter(|id| behind(id)) {
                    lowest.push(*id);
                    if lowest.len() > query.limit {
                        lowest.pop();
                    }
                }
                lowest.into_sorted_vec()
            }
        };
        let rows = self.0.rows.pin();
        Ok(ids.iter().filter_map(|id| rows.get(id)).map(Row::found).collect())
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let mut index = self.lock();
        let index = &mut *index;
        let Some(subject) = &purge.subject else {
            return Ok(self.purge_locked(index, purge.before, purge.limit));
        };
        let Some(subject) = index.find_subject(subject) else {
            return Ok(Vec::new());
        };
        let rows = self.0.rows.pin();
        let ended =
            |id: &TokenId| rows.get(id).is_some_and(|row| row.record.purgeable_from() <= purge.before);
        let ids: Vec<_> = index.logins_of(&subject).filter(ended).take(purge.limit).collect();
        Ok(ids.into_iter().filter_map(|id| self.remove_locked(index, id)).collect())
    }

    /// Passes over the whole store.
    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        let due = |record: &LoginRecord| record.nonce.is_some() && record.settled_at() < settled_before;
        let rows = self.0.rows.pin();
        let ids: Vec<_> = rows.iter().filter(|(_, row)| due(&row.record)).map(|(id, _)| *id).collect();
        let wiped = ids.iter().filter(|id| {
            self.update(id, |record, _| {
                let still = due(record);
                if still {
                    record.nonce = None;
                }
                still
            })
        });
        Ok(wiped.count() as u64)
    }
}

fn can_be_rekeyed(record: &LoginRecord, rekey: &Rekey, epoch: Epoch) -> bool {
    record.generation == rekey.generation && record.revoked.is_none() && record.epoch == epoch
}

// ===== impl Row =====

impl Row {
    fn found(&self) -> Found {
        Found::new(Arc::clone(&self.record), Some(self.subject.epoch()))
    }
}

#[cfg(test)]
mod tests;
