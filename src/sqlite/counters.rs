//! Counters. Those that say nothing any more go whenever a new one comes.

use async_trait::async_trait;

use super::{
    failure::Stop,
    link::Db,
    logins::{BATCH, changed, limit, one},
    store::{Place, SqliteStore},
};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{CounterKey, CounterState, CounterStore, Hit, Limit, StoreError},
};

/// Nobody else writes between the look and the write: the transaction has the lock.
fn hit(db: &Db, key: &CounterKey, rate: Limit, now: Timestamp) -> Result<Hit, Stop> {
    let sql = db.sql();
    let known = one(db, &sql.counter, [key.as_bytes()], |row| Ok(CounterState::from_micros(row.get(0)?)))?;
    let next = match rate.step(known.unwrap_or(CounterState::UNSEEN), now) {
        Ok(next) => next,
        Err(wait) => return Ok(Hit::refused(wait)),
    };
    if known.is_none() {
        let drop_idle =
            |count| changed(db, &sql.drop_idle, (now.as_millis().saturating_mul(1000), limit(count)));
        // Two, so that their number falls again after a flood.
        drop_idle(2)?;
        db.make_room(|| drop_idle(BATCH))?;
    }
    changed(db, &sql.set_counter, (key.as_bytes(), next.as_micros()))?;
    Ok(Hit::allowed())
}

#[async_trait]
impl CounterStore for SqliteStore {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        let (this, key) = (self.clone(), *key);
        let step = move |db: &Db| hit(db, &key, limit, now);
        MaybeReady::later(async move { this.write(Place::Awaited, step).await })
    }

    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError> {
        let key = *key;
        let step = move |db: &Db| changed(db, &db.sql().forget_counter, [key.as_bytes()]);
        self.write(Place::Awaited, step).await.map(drop)
    }
}
