//! API keys.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::params;

use super::{
    columns,
    failure::Stop,
    link::Db,
    logins::{BATCH, all, changed, limit, one, readable},
    store::{Place, SqliteStore},
};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{KeyQuery, KeyRecord, KeyStore, KeyUpdate, Revocation, StoreError, StoreErrorKind, SubjectKey},
    text::TokenId,
};

fn insert(db: &Db, key: &KeyRecord) -> Result<(), Stop> {
    let sql = db.sql();
    if one(db, &sql.is_key_taken, [key.id.as_str()], |_row| Ok(()))?.is_some() {
        return Err(StoreError::new(StoreErrorKind::Conflict).into());
    }
    db.make_room(|| Ok(!purge(db, key.created, BATCH)?.is_empty()))?;
    let owner = SubjectKey::of(&key.owner);
    let params = params![
        KeyRecord::FORMAT,
        key.id.as_str(),
        key.owner.issuer().to_name(),
        key.owner.id(),
        &*key.kind,
        key.tenant.as_deref(),
        key.scope.as_ref().map(ToString::to_string),
        key.label.as_deref(),
        key.context.as_json(),
        key.version.cast_signed(),
        key.digest.to_bytes(),
        key.created.as_millis(),
        key.expires.as_millis(),
        key.last_used.as_millis(),
        key.revoked.map(|revocation| revocation.at().as_millis()),
        key.revoked.map(|revocation| revocation.reason().as_str()),
        owner.as_bytes(),
    ];
    changed(db, &sql.add_key, params).map(drop)
}

fn purge(db: &Db, before: Timestamp, count: usize) -> Result<Vec<Arc<KeyRecord>>, Stop> {
    let sql = db.sql();
    let keys = readable(db, &sql.purgeable_keys, [before.as_millis()], count, columns::key)?;
    for key in &keys {
        changed(db, &sql.remove_key, [key.id.as_str()])?;
    }
    Ok(keys)
}

#[async_trait]
impl KeyStore for SqliteStore {
    fn find_key(&self, id: &TokenId) -> MaybeReady<Result<Option<Arc<KeyRecord>>, StoreError>> {
        let (this, id) = (self.clone(), *id);
        MaybeReady::later(async move {
            this.read(move |db| one(db, &db.sql().find_key, [id.as_str()], columns::key)).await
        })
    }

    async fn insert_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        self.write(Place::Awaited, move |db| insert(db, &record)).await
    }

    fn note_key_use(
        &self,
        id: &TokenId,
        seen_before: Timestamp,
        now: Timestamp,
    ) -> MaybeReady<Result<bool, StoreError>> {
        let (this, id) = (self.clone(), *id);
        let step = move |db: &Db| {
            changed(db, &db.sql().note_key_use, (id.as_str(), seen_before.as_millis(), now.as_millis()))
        };
        MaybeReady::later(async move { this.write(Place::AtOnce, step).await })
    }

    async fn update_key(&self, id: &TokenId, update: KeyUpdate) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| {
            let params = params![
                id.as_str(),
                update.version.cast_signed(),
                update.version.wrapping_add(1).cast_signed(),
                update.label.as_deref(),
                update.scope.as_ref().map(ToString::to_string),
                update.context.as_json(),
                update.expires.as_millis(),
            ];
            changed(db, &db.sql().update_key, params)
        };
        self.write(Place::Awaited, step).await
    }

    async fn revoke_key(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| {
            let params = (id.as_str(), revocation.at().as_millis(), revocation.reason().as_str());
            changed(db, &db.sql().revoke_key, params)
        };
        self.write(Place::Awaited, step).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let (owner, count) = (query.owner.as_ref().map(SubjectKey::of), limit(query.limit));
        let (after, created) = (query.after, query.created_before.as_millis());
        let step = move |db: &Db| {
            let (sql, after) = (db.sql(), after.as_ref().map_or("", TokenId::as_str));
            match &owner {
                Some(owner) => {
                    let params = (after, count, created, owner.as_bytes());
                    all(db, &sql.list_keys_of, params, columns::key)
                }
                None => all(db, &sql.list_keys, (after, count, created), columns::key),
            }
        };
        self.read(step).await
    }

    /// In several steps, so that others may write in between.
    async fn purge_keys(&self, before: Timestamp, limit: usize) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let mut removed = Vec::new();
        while removed.len() < limit {
            let count = (limit - removed.len()).min(BATCH);
            match self.write(Place::Awaited, move |db| purge(db, before, count)).await {
                Ok(batch) => {
                    let is_last = batch.len() < count;
                    removed.extend(batch);
                    if is_last {
                        break;
                    }
                }
                // What is gone has to be told; the next call will meet the same error.
                Err(_later) if !removed.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}
