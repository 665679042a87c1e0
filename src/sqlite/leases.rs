//! Shared tokens and their locks. Time is the machine's.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    failure::Stop,
    link::Db,
    logins::{BATCH, changed, limit, one},
    store::{Place, SqliteStore},
};
use crate::{
    clock::Timestamp,
    store::{
        Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion,
        LeaseWrite, LockOwner, LockState, StoreError,
    },
};

/// How long something is there: its end by the machine's clock, and the whole span, as they are kept.
#[derive(Clone, Copy)]
struct Life {
    end: Timestamp,
    span: i64,
}

impl Life {
    fn begin(now: Timestamp, span: Duration) -> Self {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX).max(1);
        Self { end: Timestamp::from_millis(now.as_millis().saturating_add(span)), span }
    }

    fn kept(end: i64, span: i64) -> Self {
        Self { end: Timestamp::from_millis(end), span }
    }

    fn span(self) -> Duration {
        Duration::from_millis(u64::try_from(self.span).unwrap_or(0))
    }

    /// What is left of it: never more than the whole, also when the clock was set back since.
    fn remaining(self, now: Timestamp) -> Duration {
        self.end.since(now).min(self.span())
    }

    /// Since its begin, the clock was set back: by its end it would last longer than it was meant to.
    fn is_stretched(self, now: Timestamp) -> bool {
        self.end.since(now) > self.span()
    }
}

fn get(db: &Db, key: &LeaseKey) -> Result<Option<FoundLease>, Stop> {
    let now = db.now();
    one(db, &db.sql().lease, (key.as_str(), now.as_millis()), |row| {
        let version = LeaseVersion::new(row.get::<_, i64>(0)?.cast_unsigned());
        let record = LeaseRecord::new(version, Timestamp::from_millis(row.get(1)?), row.get(2)?);
        let life = Life::kept(row.get(3)?, row.get(4)?);
        Ok(FoundLease::new(record, life.remaining(now)))
    })
}

fn is_as_expected(db: &Db, key: &LeaseKey, expect: Expect, now: Timestamp) -> Result<bool, Stop> {
    let there = one(db, &db.sql().lease_version, (key.as_str(), now.as_millis()), |row| {
        Ok(LeaseVersion::new(row.get::<_, i64>(0)?.cast_unsigned()))
    })?;
    Ok(match expect {
        Expect::Anything => true,
        Expect::Absent => there.is_none(),
        Expect::Version(version) => there == Some(version),
    })
}

fn put(
    db: &Db,
    key: &LeaseKey,
    record: &LeaseRecord,
    ttl: Duration,
    expect: Expect,
) -> Result<LeaseWrite, Stop> {
    let (sql, now) = (db.sql(), db.now());
    if !is_as_expected(db, key, expect, now)? {
        return Ok(LeaseWrite::Changed);
    }
    let is_new = one(db, &sql.is_lease_there, [key.as_str()], |_row| Ok(()))?.is_none();
    let sweep = |count| changed(db, &sql.sweep_leases, (now.as_millis(), limit(count)));
    sweep(2)?;
    // A token that takes the place of another is not refused: it may be the only copy of a refresh token.
    if is_new {
        db.make_room(|| sweep(BATCH))?;
    }
    let (life, version) = (Life::begin(now, ttl), record.version().get().cast_signed());
    let end = record.expires_at().as_millis();
    let params = (key.as_str(), version, end, record.value(), life.end.as_millis(), life.span);
    changed(db, &sql.put_lease, params)?;
    Ok(LeaseWrite::Done)
}

fn delete(db: &Db, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, Stop> {
    if !is_as_expected(db, key, expect, db.now())? {
        return Ok(LeaseWrite::Changed);
    }
    changed(db, &db.sql().remove_lease, [key.as_str()])?;
    Ok(LeaseWrite::Done)
}

fn hold(db: &Db, key: &LeaseKey, lock: &LeaseLock, life: Life) -> Result<(), Stop> {
    let fence = lock.fence().cast_signed();
    let params = (key.as_str(), lock.owner().as_bytes(), fence, life.end.as_millis(), life.span);
    changed(db, &db.sql().hold_lock, params).map(drop)
}

fn lock(db: &Db, key: &LeaseKey, owner: &LockOwner, ttl: Duration) -> Result<Option<LeaseLock>, Stop> {
    let (sql, now) = (db.sql(), db.now());
    let held = one(db, &sql.lock, (key.as_str(), now.as_millis()), |row| {
        let lock = LeaseLock::new(LockOwner::from_bytes(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned());
        Ok((lock, Life::kept(row.get(2)?, row.get(3)?)))
    })?;
    let lock = match held {
        Some((lock, life)) if lock.owner() != owner => {
            if life.is_stretched(now) {
                // Else it would be held until the clock is there again.
                hold(db, key, &lock, Life::begin(now, life.span()))?;
            }
            return Ok(None);
        }
        Some((lock, _)) => lock,
        None => {
            changed(db, &sql.sweep_locks, [now.as_millis()])?;
            let fence = one(db, &sql.next_fence, [now.as_millis()], |row| Ok(row.get::<_, i64>(0)?))?;
            let fence = fence.ok_or_else(|| StoreError::damaged("fence"))?;
            LeaseLock::new(*owner, fence.cast_unsigned())
        }
    };
    hold(db, key, &lock, Life::begin(now, ttl))?;
    Ok(Some(lock))
}

fn state(held: bool) -> LockState {
    if held { LockState::Held } else { LockState::Lost }
}

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        let key = key.clone();
        self.read(move |db| get(db, &key)).await
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        let key = key.clone();
        self.read(move |db| Ok(!is_as_expected(db, &key, Expect::Absent, db.now())?)).await
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        let (key, record) = (key.clone(), record.clone());
        self.write(Place::Awaited, move |db| put(db, &key, &record, ttl, expect)).await
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        let key = key.clone();
        self.write(Place::Awaited, move |db| delete(db, &key, expect)).await
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        loop {
            let namespace = namespace.clone();
            let step = move |db: &Db| {
                Ok(db.prepare_cached(&db.sql().clear_leases)?.execute((namespace.as_str(), limit(BATCH)))?)
            };
            if self.write(Place::Awaited, step).await? < BATCH {
                return Ok(());
            }
        }
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        let (key, owner) = (key.clone(), *owner);
        self.write(Place::Awaited, move |db| lock(db, &key, &owner, ttl)).await
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        let (key, lock) = (key.clone(), *lock);
        let step = move |db: &Db| {
            let (now, fence) = (db.now(), lock.fence().cast_signed());
            let life = Life::begin(now, ttl);
            let (end, owner) = (life.end.as_millis(), lock.owner().as_bytes());
            let params = (key.as_str(), owner, fence, end, life.span, now.as_millis());
            changed(db, &db.sql().renew_lock, params).map(state)
        };
        self.write(Place::Awaited, step).await
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        let (key, lock) = (key.clone(), *lock);
        let step = move |db: &Db| {
            let fence = lock.fence().cast_signed();
            let params = (key.as_str(), lock.owner().as_bytes(), fence, db.now().as_millis());
            changed(db, &db.sql().unlock, params).map(state)
        };
        self.write(Place::Awaited, step).await
    }
}
