//! The store in memory: bounded, read without a lock, written under one.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hash::{BuildHasherDefault, Hasher},
    ops::Bound,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;

use super::{Epoch, Found, LoginRecord, Revocation, Rotation, StoreError, StoreErrorKind, TokenStore};
use crate::{clock::Timestamp, identity::Subject, maybe_ready::MaybeReady, text::TokenId};

/// Logins that a full store purges before it takes a new one: enough to pay for many inserts, few enough to be
/// quick.
const PURGE_BATCH: usize = 256;

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

struct SubjectRow {
    number: u64,
    epoch: AtomicU64,
}

/// Everything but the rows themselves; its lock is the lock for every write.
#[derive(Default)]
struct Index {
    subjects: HashMap<Arc<Subject>, Arc<SubjectRow>>,
    next_number: u64,
    by_subject: BTreeSet<(u64, TokenId)>,
    by_end: BTreeSet<(Timestamp, TokenId)>,
}

/// Ids are random text already: two multiplications mix them.
#[derive(Default)]
struct IdHasher(u64);

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
        self.lock().by_end.len()
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
    fn update(&self, id: &TokenId, change: impl FnOnce(&mut LoginRecord, &SubjectRow) -> bool) -> bool {
        let mut index = self.lock();
        let rows = self.0.rows.pin();
        let Some(row) = rows.get(id) else {
            return false;
        };
        let mut record = LoginRecord::clone(&row.record);
        if !change(&mut record, &row.subject) {
            return false;
        }
        index.move_end(*id, row.record.purgeable_from(), record.purgeable_from());
        rows.insert(*id, Row { record: Arc::new(record), subject: Arc::clone(&row.subject) });
        true
    }

    fn purge_locked(&self, index: &mut Index, now: Timestamp, limit: usize) -> u64 {
        let rows = self.0.rows.pin();
        let mut removed = 0;
        while removed < limit {
            let Some(&(end, id)) = index.by_end.first() else {
                break;
            };
            if end > now {
                break;
            }
            index.by_end.pop_first();
            if let Some(row) = rows.remove(&id) {
                index.forget(row, id);
            }
            removed += 1;
        }
        removed as u64
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
        let rows = self.0.rows.pin();
        let found = rows.get(id).map(|row| Found {
            record: Arc::clone(&row.record),
            epoch: Some(Epoch::from_number(row.subject.epoch.load(Ordering::Acquire))),
        });
        MaybeReady::Now(Ok(found))
    }

    async fn insert(
        &self,
        mut record: LoginRecord,
        first: Epoch,
        now: Timestamp,
    ) -> Result<Arc<LoginRecord>, StoreError> {
        let mut index = self.lock();
        let rows = self.0.rows.pin();
        if rows.contains_key(&record.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if index.by_end.len() >= self.0.capacity && self.purge_locked(&mut index, now, PURGE_BATCH) == 0 {
            return Err(StoreError::new(StoreErrorKind::Full));
        }
        let subject = index.subject(&record.subject, first);
        record.epoch = Epoch::from_number(subject.epoch.load(Ordering::Acquire));
        index.by_subject.insert((subject.number, record.id));
        index.by_end.insert((record.purgeable_from(), record.id));
        let record = Arc::new(record);
        rows.insert(record.id, Row { record: Arc::clone(&record), subject });
        Ok(record)
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, subject| {
            let epoch = subject.epoch.load(Ordering::Acquire);
            if record.generation != rotation.generation
                || record.revoked.is_some()
                || record.epoch.number() != epoch
            {
                return false;
            }
            record.rotate(rotation);
            true
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

    fn confirm(&self, id: &TokenId, generation: u32) -> MaybeReady<Result<(), StoreError>> {
        self.update(id, |record, _| {
            let allowed = record.generation == generation && record.revoked.is_none() && !record.confirmed;
            record.confirmed |= allowed;
            allowed
        });
        MaybeReady::Now(Ok(()))
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        Ok(self.update(id, |record, _| {
            let first = record.revoked.is_none();
            record.revoked.get_or_insert(revocation);
            first
        }))
    }

    async fn revoke_subject(&self, subject: &Subject, revocation: Revocation) -> Result<u64, StoreError> {
        let mut index = self.lock();
        let Some(row) = index.subjects.get(subject).map(Arc::clone) else {
            return Ok(0);
        };
        // First the epoch: from here on no login of the subject verifies, marked or not.
        row.epoch.fetch_add(1, Ordering::AcqRel);
        let rows = self.0.rows.pin();
        let mut marked = 0;
        for id in index.logins_of(row.number).collect::<Vec<_>>() {
            let Some(found) = rows.get(&id).filter(|found| found.record.revoked.is_none()) else {
                continue;
            };
            let mut record = LoginRecord::clone(&found.record);
            record.revoked = Some(revocation);
            index.move_end(id, found.record.purgeable_from(), record.purgeable_from());
            let subject = Arc::clone(&found.subject);
            rows.insert(id, Row { record: Arc::new(record), subject });
            marked += 1;
        }
        Ok(marked)
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut index = self.lock();
        Ok(self.purge_locked(&mut index, now, limit))
    }
}

// ===== impl Index =====

impl Index {
    fn subject(&mut self, subject: &Arc<Subject>, first: Epoch) -> Arc<SubjectRow> {
        if let Some(row) = self.subjects.get(subject) {
            return Arc::clone(row);
        }
        let row = Arc::new(SubjectRow { number: self.next_number, epoch: AtomicU64::new(first.number()) });
        self.next_number += 1;
        self.subjects.insert(Arc::clone(subject), Arc::clone(&row));
        row
    }

    fn move_end(&mut self, id: TokenId, old: Timestamp, new: Timestamp) {
        if old != new {
            self.by_end.remove(&(old, id));
            self.by_end.insert((new, id));
        }
    }

    fn logins_of(&self, number: u64) -> impl Iterator<Item = TokenId> + '_ {
        let from = (Bound::Included((number, TokenId::LOWEST)), Bound::Unbounded);
        self.by_subject.range(from).take_while(move |(found, _)| *found == number).map(|(_, id)| *id)
    }

    /// A subject without logins needs no epoch: whatever was issued to it is gone, and the next login starts a
    /// random one.
    fn forget(&mut self, row: &Row, id: TokenId) {
        self.by_subject.remove(&(row.subject.number, id));
        if self.logins_of(row.subject.number).next().is_none() {
            self.subjects.remove(&row.record.subject);
        }
    }
}

// ===== impl IdHasher =====

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
            return;
        };
        // The one character between the two words.
        let middle = u64::from(bytes[bytes.len() / 2]).wrapping_mul(0xA076_1D64_78BD_642F);
        let head = (u64::from_le_bytes(*head) ^ 0x9E37_79B9_7F4A_7C15).wrapping_add(middle);
        let tail = u64::from_le_bytes(*tail) ^ 0xD1B5_4A32_D192_ED03;
        let product = u128::from(head) * u128::from(tail);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    /// The length prefix of an array: always the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests;
