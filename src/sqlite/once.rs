//! One-time values.

use async_trait::async_trait;

use super::{
    failure::Stop,
    link::Db,
    logins::{BATCH, changed, limit, one},
    store::{Place, SqliteStore},
};
use crate::{
    clock::Timestamp,
    store::{OnceKey, OnceStore, OnceValue, StoreError},
};

fn put(db: &Db, key: &OnceKey, value: &OnceValue, expires: Timestamp, now: Timestamp) -> Result<bool, Stop> {
    let (sql, key, at) = (db.sql(), key.as_bytes(), now.as_millis());
    if one(db, &sql.is_once_there, (key, at), |_row| Ok(()))?.is_some() {
        return Ok(false);
    }
    if is_over(expires, now) {
        return Ok(true);
    }
    db.make_room(|| changed(db, &sql.purge_once, (at, limit(BATCH))))?;
    changed(db, &sql.put_once, (key, value.as_bytes(), expires.as_millis(), at))
}

/// What has ended by this caller's clock stays: by another's it may not have.
fn take(db: &Db, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, Stop> {
    one(db, &db.sql().take_once, (key.as_bytes(), now.as_millis()), |row| {
        Ok(OnceValue::new(row.get(0)?).map_err(|_length| StoreError::damaged("value"))?)
    })
}

fn is_over(expires: Timestamp, now: Timestamp) -> bool {
    expires <= now && expires != Timestamp::NEVER
}

#[async_trait]
impl OnceStore for SqliteStore {
    async fn put(
        &self,
        key: &OnceKey,
        value: &OnceValue,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (key, value) = (*key, value.clone());
        self.write(Place::Awaited, move |db| put(db, &key, &value, expires, now)).await
    }

    async fn take(&self, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, StoreError> {
        let key = *key;
        self.write(Place::Awaited, move |db| take(db, &key, now)).await
    }

    /// In several steps, so that others may write in between.
    async fn purge_once(&self, before: Timestamp, max: usize) -> Result<u64, StoreError> {
        let mut removed = 0;
        while removed < max {
            let count = (max - removed).min(BATCH);
            let step = move |db: &Db| {
                Ok(db.prepare_cached(&db.sql().purge_once)?.execute((before.as_millis(), limit(count)))?)
            };
            let batch = self.write(Place::Awaited, step).await?;
            removed += batch;
            if batch < count {
                break;
            }
        }
        Ok(removed as u64)
    }
}
