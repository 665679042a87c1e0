//! A store as somebody else writes one, by the public API alone: one map behind one lock. It can be told to make one of
//! the faults that are easily made.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use portcullis::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        CounterKey, CounterState, CounterStore, Data, Epoch, Found, Hit, Inserted, Insertion, Keep, Limit,
        ListQuery, LiveLimit, LoginColumns, LoginRecord, Purge, Rekey, Revocation, Rotation, StoreError,
        StoreErrorKind, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Data and touches are written by putting back the whole record that was read.
    WholeRecord,
    /// The conditional writes do not ask whether the login was revoked.
    RevokedIsWritten,
    /// A touch writes what it has read before, also where the row is gone by then.
    TouchMakesRows,
    /// A counter is read, and written in a second step.
    ReadThenWrite,
    /// "Never" is an absent value, and the later of two ends is the other one.
    NullForNever,
    /// Every subject's first epoch is zero.
    EpochZero,
    /// The limit is judged before the login is added, without a lock that covers both.
    LimitUnlocked,
}

/// Clones share everything.
#[derive(Clone)]
pub(crate) struct PlainStore {
    kept: Arc<Mutex<Kept>>,
    fault: Fault,
}

#[derive(Default)]
struct Kept {
    rows: HashMap<TokenId, LoginColumns>,
    epochs: HashMap<Arc<Subject>, Epoch>,
    counters: HashMap<CounterKey, CounterState>,
    /// What a careless cache still knows.
    stale: HashMap<TokenId, LoginColumns>,
}

impl PlainStore {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { kept: Arc::default(), fault }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Changes one login if `change` says so, in one step.
    fn update(&self, id: &TokenId, change: impl FnOnce(&mut LoginColumns, Option<Epoch>) -> bool) -> bool {
        let kept = &mut *self.lock();
        let Some(row) = kept.rows.get_mut(id) else {
            return false;
        };
        change(row, kept.epochs.get(&row.subject).copied())
    }

    /// The same in two steps, the second of which puts the whole record.
    async fn put(self, id: TokenId, change: impl FnOnce(&mut LoginColumns, Option<Epoch>) -> bool) -> bool {
        let read = {
            let kept = self.lock();
            kept.rows.get(&id).map(|row| (row.clone(), kept.epochs.get(&row.subject).copied()))
        };
        let Some((mut row, epoch)) = read else {
            return false;
        };
        round_trip().await;
        let changed = change(&mut row, epoch);
        if changed {
            self.lock().rows.insert(id, row);
        }
        changed
    }

    fn is_open(&self, row: &LoginColumns) -> bool {
        row.revoked.is_none() || self.fault == Fault::RevokedIsWritten
    }

    fn later(&self, old: Timestamp, new: Timestamp) -> Timestamp {
        if self.fault == Fault::NullForNever && old == Timestamp::NEVER { new } else { old.max(new) }
    }

    fn touched(&self, row: &mut LoginColumns, touch: Touch) -> bool {
        let due =
            row.generation == touch.generation && row.last_seen <= touch.seen_before && self.is_open(row);
        if due {
            row.last_seen = touch.now;
            if let Some(end) = touch.access_expires {
                row.access_expires = self.later(row.access_expires, end);
            }
            if let Some(end) = touch.refresh_expires {
                row.refresh_expires = self.later(row.refresh_expires, end);
            }
            row.access = touch.access.unwrap_or(row.access.clone());
            row.nonce = row.nonce.take().filter(|_| !touch.wipe_nonce);
        }
        due
    }
}

impl Kept {
    fn found(&self, row: &LoginColumns) -> Found {
        Found::new(Arc::new(row.clone().into()), self.epochs.get(&row.subject).copied())
    }

    fn revoke(&mut self, id: &TokenId, revocation: Revocation) -> bool {
        let row = self.rows.get_mut(id).filter(|row| row.revoked.is_none());
        row.map(|row| row.revoked = Some(revocation)).is_some()
    }

    /// The ids of a subject's logins, or of all, in order.
    fn ids(&self, subject: Option<&Subject>) -> Vec<TokenId> {
        let rows = self.rows.values().filter(|row| subject.is_none_or(|subject| *row.subject == *subject));
        let mut ids: Vec<_> = rows.map(|row| row.id).collect();
        ids.sort();
        ids
    }

    /// The logins that have to end for one more, the oldest first.
    fn surplus(&self, subject: &Subject, insertion: &Insertion) -> Result<Vec<TokenId>, StoreError> {
        let (max, refuse) = match insertion.limit {
            LiveLimit::Refuse(max) => (max as usize, true),
            LiveLimit::EndOldest(max) => (max as usize, false),
            _ => return Ok(Vec::new()),
        };
        let is_live = |row: &&LoginColumns| {
            *row.subject == *subject
                && Some(row.id) != insertion.replaces
                && self.epochs.get(&row.subject) == Some(&row.epoch)
                && LoginRecord::from((*row).clone()).is_live(insertion.now)
        };
        let mut live: Vec<_> = self.rows.values().filter(is_live).map(|row| (row.created, row.id)).collect();
        live.sort();
        let surplus = (live.len() + 1).saturating_sub(max);
        if surplus > 0 && refuse {
            return Err(StoreError::new(StoreErrorKind::LimitReached));
        }
        Ok(live.into_iter().take(surplus).map(|(_, id)| id).collect())
    }
}

/// What lies between two statements: others have their turn.
async fn round_trip() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn rekeyed(row: &mut LoginColumns, rekey: Rekey, epoch: Epoch) {
    row.generation = rekey.generation + 1;
    (row.access, row.refresh, row.lineage) = (rekey.access, rekey.refresh, rekey.lineage);
    (row.previous, row.nonce, row.grace_hits) = (None, None, 0);
    (row.rotated_at, row.confirmed_at) = (rekey.now, rekey.now);
    row.last_seen = row.last_seen.max(rekey.now);
    (row.access_expires, row.refresh_expires) = (rekey.access_expires, rekey.refresh_expires);
    row.epoch = epoch;
}

#[async_trait]
impl TokenStore for PlainStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let kept = self.lock();
        MaybeReady::Now(Ok(kept.rows.get(id).map(|row| kept.found(row))))
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let mut login = LoginColumns::from(&record);
        let mut ended = Vec::new();
        if self.fault == Fault::LimitUnlocked {
            ended = self.lock().surplus(&login.subject, &insertion)?;
            round_trip().await;
        }
        let kept = &mut *self.lock();
        if kept.rows.contains_key(&login.id) {
            return Err(StoreError::new(StoreErrorKind::Conflict));
        }
        if self.fault != Fault::LimitUnlocked {
            ended = kept.surplus(&login.subject, &insertion)?;
        }
        let superseded = Revocation::new(insertion.now, RevokeReason::Superseded);
        ended.retain(|id| kept.revoke(id, superseded));
        let replaced = insertion.replaces.is_some_and(|id| kept.revoke(&id, superseded));
        let first =
            if self.fault == Fault::EpochZero { Epoch::from_number(0) } else { insertion.first_epoch };
        login.epoch = *kept.epochs.entry(Arc::clone(&login.subject)).or_insert(first);
        kept.rows.insert(login.id, login.clone());
        let mut inserted = Inserted::new(Arc::new(login.into()));
        (inserted.ended, inserted.replaced) = (ended, replaced);
        Ok(inserted)
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        Ok(self.update(id, |row, epoch| {
            let expected =
                row.generation == rotation.generation && self.is_open(row) && epoch == Some(row.epoch);
            if expected {
                row.generation += 1;
                row.previous = row.refresh.replace(rotation.refresh);
                (row.access, row.nonce) = (rotation.access, Some(rotation.nonce));
                (row.rotated_at, row.confirmed_at) = (rotation.now, Timestamp::NEVER);
                (row.last_seen, row.grace_hits) = (row.last_seen.max(rotation.now), 0);
                row.access_expires = rotation.access_expires;
                row.refresh_expires = self.later(row.refresh_expires, rotation.refresh_expires);
            }
            expected
        }))
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        Ok(self.update(id, |row, _| {
            let allowed = row.generation == generation && row.grace_hits < cap && self.is_open(row);
            row.grace_hits += u32::from(allowed);
            allowed
        }))
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.update(id, |row, _| {
            let first = row.confirmed_at == Timestamp::NEVER;
            let expected = row.generation == generation && first && self.is_open(row);
            if expected {
                row.confirmed_at = now;
            }
            expected
        });
        MaybeReady::Now(Ok(()))
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        if self.fault == Fault::WholeRecord {
            let (store, same, id) = (self.clone(), self.clone(), *id);
            return MaybeReady::later(
                async move { Ok(store.put(id, |row, _| same.touched(row, touch)).await) },
            );
        }
        if self.fault == Fault::TouchMakesRows {
            let kept = &mut *self.lock();
            if let Some(row) = kept.stale.remove(id) {
                kept.rows.insert(*id, row);
            }
        }
        MaybeReady::Now(Ok(self.update(id, |row, _| self.touched(row, touch))))
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        Ok(self.update(id, |row, epoch| {
            let expected =
                row.generation == rekey.generation && self.is_open(row) && epoch == Some(row.epoch);
            if expected {
                let epoch = row.epoch;
                rekeyed(row, rekey, epoch);
            }
            expected
        }))
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        let change = |row: &mut LoginColumns, _: Option<Epoch>| {
            let expected = row.version == version && self.is_open(row);
            if expected {
                (row.version, row.data) = (version + 1, data);
            }
            expected
        };
        if self.fault == Fault::WholeRecord {
            return Ok(self.clone().put(*id, change).await);
        }
        Ok(self.update(id, change))
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        Ok(self.update(id, |row, _| {
            let open = self.is_open(row);
            if open {
                row.label = label;
            }
            open
        }))
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        Ok(self.lock().revoke(id, revocation))
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let kept = &mut *self.lock();
        let next = kept.epochs.get(subject).map(|epoch| epoch.next());
        let (mut keep, mut raised) = (None, next);
        match what.keep {
            Keep::Untouched(id) => (keep, raised) = (Some(id), None),
            Keep::Rekeyed(id, rekey) => {
                let epoch = kept.epochs.get(subject).copied();
                let row = kept.rows.get_mut(&id).filter(|row| {
                    *row.subject == *subject
                        && row.generation == rekey.generation
                        && row.revoked.is_none()
                        && Some(row.epoch) == epoch
                });
                let (Some(row), Some(next)) = (row, next) else {
                    return Ok(None);
                };
                rekeyed(row, *rekey, next);
                keep = Some(id);
            }
            _ => {}
        }
        if let (Some(epoch), Some(raised)) = (kept.epochs.get_mut(subject), raised) {
            *epoch = raised;
        }
        let mut ids = kept.ids(Some(subject));
        ids.retain(|id| Some(*id) != keep && kept.revoke(id, what.revocation));
        Ok(Some(ids))
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        let kept = &mut *self.lock();
        kept.epochs.values_mut().for_each(|epoch| *epoch = epoch.next());
        let ids = kept.ids(None);
        Ok(ids.iter().filter(|id| kept.revoke(id, revocation)).count() as u64)
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let kept = self.lock();
        let ids = kept.ids(query.subject.as_ref()).into_iter();
        let behind = ids.filter(|id| query.after.is_none_or(|after| *id > after));
        Ok(behind.take(query.limit).map(|id| kept.found(&kept.rows[&id])).collect())
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let kept = &mut *self.lock();
        let mut removed = Vec::new();
        for id in kept.ids(purge.subject.as_ref()) {
            let record = LoginRecord::from(kept.rows[&id].clone());
            if removed.len() < purge.limit && record.purgeable_from() <= purge.before {
                kept.stale.extend(kept.rows.remove(&id).map(|row| (id, row)));
                removed.push(Arc::new(record));
            }
        }
        let subjects: Vec<_> = kept.rows.values().map(|row| Arc::clone(&row.subject)).collect();
        kept.epochs.retain(|subject, _| subjects.contains(subject));
        Ok(removed)
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        let kept = &mut *self.lock();
        let due = |row: &&mut LoginColumns| {
            row.nonce.is_some() && row.rotated_at.max(row.confirmed_at) < settled_before
        };
        Ok(kept.rows.values_mut().filter(due).map(|row| row.nonce = None).count() as u64)
    }
}

#[async_trait]
impl CounterStore for PlainStore {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        let step = move |state: Option<CounterState>| limit.step(state.unwrap_or(CounterState::UNSEEN), now);
        if self.fault == Fault::ReadThenWrite {
            let (store, key) = (self.clone(), *key);
            return MaybeReady::later(async move {
                let state = store.lock().counters.get(&key).copied();
                round_trip().await;
                Ok(match step(state) {
                    Ok(next) => {
                        store.lock().counters.insert(key, next);
                        Hit::allowed()
                    }
                    Err(wait) => Hit::refused(wait),
                })
            });
        }
        let counters = &mut self.lock().counters;
        MaybeReady::Now(Ok(match step(counters.get(key).copied()) {
            Ok(next) => {
                counters.insert(*key, next);
                Hit::allowed()
            }
            Err(wait) => Hit::refused(wait),
        }))
    }

    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError> {
        self.lock().counters.remove(key);
        Ok(())
    }
}
