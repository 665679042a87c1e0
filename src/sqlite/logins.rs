//! Logins.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::params;

use super::{
    columns, ends,
    failure::Stop,
    insert,
    link::Db,
    store::{Place, SqliteStore},
};
use crate::{
    clock::Timestamp,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Found, Inserted, Insertion, ListQuery, LoginRecord, Purge, Rekey, Revocation, Rotation,
        StoreError, SubjectKey, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

/// A purge and a wipe let others write after so many rows.
pub(super) const BATCH: usize = 512;

/// Writes where the statement's own condition holds. Returns whether a row was changed.
pub(super) fn changed(db: &Db, sql: &str, params: impl rusqlite::Params) -> Result<bool, Stop> {
    Ok(db.prepare_cached(sql)?.execute(params)? > 0)
}

/// Every row of a query, read by this function.
pub(super) fn all<T>(
    db: &Db,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Stop>,
) -> Result<Vec<T>, Stop> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The first rows of a query that can be read. Those that cannot, damaged or of a later format, stay where they are and
/// are in nobody's way.
pub(super) fn readable<T>(
    db: &Db,
    sql: &str,
    params: impl rusqlite::Params,
    count: usize,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Stop>,
) -> Result<Vec<T>, Stop> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while found.len() < count
        && let Some(row) = rows.next()?
    {
        match read(row) {
            Ok(value) => found.push(value),
            Err(Stop::Answer(_unreadable)) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

/// The one row of a query, or none.
pub(super) fn one<T>(
    db: &Db,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl Fn(&rusqlite::Row<'_>) -> Result<T, Stop>,
) -> Result<Option<T>, Stop> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// As many as an engine can be asked for.
pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// The columns that a rekey writes, where the login is as it expects and, if one is said, this subject's.
pub(super) fn rekey(
    db: &Db,
    id: &TokenId,
    rekey: &Rekey,
    subject: Option<&SubjectKey>,
) -> Result<bool, Stop> {
    changed(
        db,
        &db.sql().rekey,
        params![
            id.as_str(),
            rekey.generation,
            rekey.generation.saturating_add(1),
            rekey.access.to_bytes(),
            rekey.refresh.as_ref().map(|digest| digest.to_bytes()),
            rekey.lineage.expose(),
            rekey.now.as_millis(),
            rekey.access_expires.as_millis(),
            rekey.refresh_expires.as_millis(),
            subject.map(|key| key.as_bytes()),
        ],
    )
}

pub(super) fn revoke(db: &Db, id: &TokenId, revocation: Revocation) -> Result<bool, Stop> {
    let params = (id.as_str(), revocation.at().as_millis(), revocation.reason().as_str());
    changed(db, &db.sql().revoke, params)
}

#[async_trait]
impl TokenStore for SqliteStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let (this, id) = (self.clone(), *id);
        MaybeReady::later(async move {
            this.read(move |db| one(db, &db.sql().find, [id.as_str()], columns::found)).await
        })
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        self.write(Place::Awaited, move |db| insert::insert(db, &record, &insertion)).await
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| {
            changed(
                db,
                &db.sql().rotate,
                params![
                    id.as_str(),
                    rotation.generation,
                    rotation.generation.saturating_add(1),
                    rotation.refresh.to_bytes(),
                    rotation.access.to_bytes(),
                    rotation.nonce.expose(),
                    rotation.now.as_millis(),
                    rotation.access_expires.as_millis(),
                    rotation.refresh_expires.as_millis(),
                ],
            )
        };
        self.write(Place::Awaited, step).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| changed(db, &db.sql().grace_hit, (id.as_str(), generation, cap));
        self.write(Place::Awaited, step).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        let (this, id) = (self.clone(), *id);
        let step = move |db: &Db| changed(db, &db.sql().confirm, (id.as_str(), generation, now.as_millis()));
        MaybeReady::later(async move { this.write(Place::AtOnce, step).await.map(drop) })
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let (this, id) = (self.clone(), *id);
        let step = move |db: &Db| {
            changed(
                db,
                &db.sql().touch,
                params![
                    id.as_str(),
                    touch.generation,
                    touch.now.as_millis(),
                    touch.seen_before.as_millis(),
                    touch.access_expires.map(Timestamp::as_millis),
                    touch.refresh_expires.map(Timestamp::as_millis),
                    touch.access.as_ref().map(|digest| digest.to_bytes()),
                    touch.wipe_nonce,
                ],
            )
        };
        MaybeReady::later(async move { this.write(Place::AtOnce, step).await })
    }

    async fn rekey(&self, id: &TokenId, change: Rekey) -> Result<bool, StoreError> {
        let id = *id;
        self.write(Place::Awaited, move |db| rekey(db, &id, &change, None)).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| {
            let (expected, next) = (version.cast_signed(), version.wrapping_add(1).cast_signed());
            changed(db, &db.sql().save_data, (id.as_str(), expected, data.as_json(), next))
        };
        self.write(Place::Awaited, step).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        let id = *id;
        let step = move |db: &Db| changed(db, &db.sql().set_label, (id.as_str(), label.as_deref()));
        self.write(Place::Awaited, step).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let id = *id;
        self.write(Place::Awaited, move |db| revoke(db, &id, revocation)).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let key = SubjectKey::of(subject);
        self.write(Place::Awaited, move |db| ends::revoke_subject(db, &key, &what)).await
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        // From here on no login of before verifies, marked or not.
        self.write(Place::Awaited, |db| changed(db, &db.sql().raise_everyone, [])).await?;
        let (mut marked, mut after) = (0, String::new());
        loop {
            let page = self.write(Place::Awaited, move |db| ends::mark_page(db, &after, revocation)).await?;
            marked += page.marked;
            match page.last {
                Some(last) => after = last,
                None => return Ok(marked),
            }
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let (key, count) = (query.subject.as_ref().map(SubjectKey::of), limit(query.limit));
        let after = query.after;
        let step = move |db: &Db| {
            let after = after.as_ref().map_or("", TokenId::as_str);
            match &key {
                Some(key) => all(db, &db.sql().list_of, (after, count, key.as_bytes()), columns::found),
                None => all(db, &db.sql().list, (after, count), columns::found),
            }
        };
        self.read(step).await
    }

    /// In several steps, so that others may write in between.
    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let (key, before) = (purge.subject.as_ref().map(SubjectKey::of), purge.before);
        let mut removed = Vec::new();
        while removed.len() < purge.limit {
            let count = (purge.limit - removed.len()).min(BATCH);
            let step = move |db: &Db| ends::purge(db, key.as_ref(), before, count);
            match self.write(Place::Awaited, step).await {
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

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        let mut wiped = 0;
        loop {
            let step = move |db: &Db| {
                Ok(db.prepare_cached(&db.sql().wipe)?.execute((settled_before.as_millis(), limit(BATCH)))?)
            };
            let batch = self.write(Place::Awaited, step).await?;
            wiped += batch as u64;
            if batch < BATCH {
                return Ok(wiped);
            }
        }
    }
}
