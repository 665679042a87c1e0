//! Logins in SQLite over sqlx: a store as somebody outside the crate writes it.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use portcullis::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Digest, Found, Inserted, Insertion, Keep, ListQuery, LiveLimit, LoginRecord, Purge, Rekey,
        Revocation, Rotation, StoreError, StoreErrorKind, SubjectKey, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};
use sqlx::{
    Sqlite, SqliteConnection, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use crate::row::{self, epoch_from_sql, epoch_to_sql};

/// The numbers after an epoch wrap around as those of [`Epoch::next`](portcullis::store::Epoch::next) do; as a plain sum the
/// last of them would become a fraction.
macro_rules! next_epoch {
    () => {
        "case epoch when 9223372036854775807 then -9223372036854775808 else epoch + 1 end"
    };
}

#[derive(Clone)]
pub struct SqlxStore {
    pool: SqlitePool,
}

impl SqlxStore {
    /// Opens the file, and makes the tables if there are none.
    pub async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::raw_sql(include_str!("schema.sql")).execute(&pool).await?;
        Ok(Self { pool })
    }

    /// A transaction that has the write lock from its beginning on: what it has read stays true until it ends.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.pool.begin_with("begin immediate").await.map_err(failed)
    }
}

/// The engine's text may quote what was written, so it stays here.
fn failed(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::PoolTimedOut => StoreError::unavailable("no connection in time"),
        sqlx::Error::Database(error) if error.is_unique_violation() => {
            StoreError::new(StoreErrorKind::Conflict)
        }
        sqlx::Error::Database(error) => {
            StoreError::unavailable(format!("SQLite refused ({})", error.code().unwrap_or_default()))
        }
        _ => StoreError::unavailable("SQLite failed"),
    }
}

/// Runs a statement that changes one row or none.
macro_rules! changes {
    ($connection:expr, $sql:expr, $($value:expr),+ $(,)?) => {
        sqlx::query($sql)$(.bind($value))+
            .execute($connection)
            .await
            .map(|done| done.rows_affected() > 0)
            .map_err(failed)
    };
}

fn id_of(id: &TokenId) -> String {
    id.as_str().to_owned()
}

fn key_of(subject: &Subject) -> Vec<u8> {
    SubjectKey::of(subject).as_bytes().to_vec()
}

#[async_trait]
impl TokenStore for SqlxStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let (pool, id) = (self.pool.clone(), id_of(id));
        MaybeReady::later(async move {
            let row = sqlx::query(
                "select logins.*, subjects.epoch as subject_epoch
                 from logins left join subjects using (subject_key) where id = ?",
            )
            .bind(id)
            .fetch_optional(&pool)
            .await
            .map_err(failed)?;
            row.as_ref().map(row::found).transpose()
        })
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let mut writing = self.write().await?;
        let key = key_of(record.subject());
        changes!(
            &mut *writing,
            "insert into subjects (subject_key, epoch) values (?, ?) on conflict do nothing",
            key.clone(),
            epoch_to_sql(insertion.first_epoch),
        )?;
        let epoch: i64 = sqlx::query_scalar("select epoch from subjects where subject_key = ?")
            .bind(key.clone())
            .fetch_one(&mut *writing)
            .await
            .map_err(failed)?;
        let ended = end_for(&mut writing, &key, epoch, &insertion).await?;
        let superseded = Revocation::new(insertion.now, RevokeReason::Superseded);
        let replaced = match &insertion.replaces {
            Some(id) => revoke(&mut writing, id, superseded).await?,
            None => false,
        };
        let mut columns = portcullis::store::LoginColumns::from(&record);
        columns.epoch = epoch_from_sql(epoch);
        let record = LoginRecord::from(columns);
        row::insert(&mut *writing, &record).await.map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        let mut inserted = Inserted::new(Arc::new(record));
        (inserted.ended, inserted.replaced) = (ended, replaced);
        Ok(inserted)
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        changes!(
            &self.pool,
            "update logins set
                 previous = refresh, access = ?, refresh = ?, nonce = ?, generation = generation + 1, rotated_at = ?,
                 last_seen = max(last_seen, ?), confirmed_at = 9223372036854775807, grace_hits = 0,
                 access_expires = ?, refresh_expires = max(refresh_expires, ?)
             where id = ? and generation = ? and revoked_at is null
                 and epoch = (select epoch from subjects where subject_key = logins.subject_key)",
            rotation.access.to_bytes(),
            rotation.refresh.to_bytes(),
            rotation.nonce.expose().to_vec(),
            rotation.now.as_millis(),
            rotation.now.as_millis(),
            rotation.access_expires.as_millis(),
            rotation.refresh_expires.as_millis(),
            id_of(id),
            i64::from(rotation.generation),
        )
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        changes!(
            &self.pool,
            "update logins set grace_hits = grace_hits + 1
             where id = ? and generation = ? and revoked_at is null and grace_hits < ?",
            id_of(id),
            i64::from(generation),
            i64::from(cap),
        )
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        let (pool, id) = (self.pool.clone(), id_of(id));
        MaybeReady::later(async move {
            changes!(
                &pool,
                "update logins set confirmed_at = ?
                 where id = ? and generation = ? and revoked_at is null and confirmed_at = 9223372036854775807",
                now.as_millis(),
                id,
                i64::from(generation),
            )?;
            Ok(())
        })
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let (pool, id) = (self.pool.clone(), id_of(id));
        MaybeReady::later(async move {
            changes!(
                &pool,
                "update logins set
                     last_seen = ?, access_expires = max(access_expires, ifnull(?, access_expires)),
                     refresh_expires = max(refresh_expires, ifnull(?, refresh_expires)),
                     access = ifnull(?, access), nonce = iif(?, null, nonce)
                 where id = ? and generation = ? and revoked_at is null and last_seen <= ?",
                touch.now.as_millis(),
                touch.access_expires.map(Timestamp::as_millis),
                touch.refresh_expires.map(Timestamp::as_millis),
                touch.access.as_ref().map(Digest::to_bytes),
                touch.wipe_nonce,
                id,
                i64::from(touch.generation),
                touch.seen_before.as_millis(),
            )
        })
    }

    async fn rekey(&self, id: &TokenId, new: Rekey) -> Result<bool, StoreError> {
        rekey(&self.pool, id, &new).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        changes!(
            &self.pool,
            "update logins set data = ?, version = version + 1 where id = ? and version = ? and revoked_at is null",
            data.as_json().map(str::to_owned),
            id_of(id),
            version.cast_signed(),
        )
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        changes!(
            &self.pool,
            "update logins set label = ? where id = ? and revoked_at is null",
            label.map(|label| label.as_bytes().to_vec()),
            id_of(id),
        )
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        revoke(&mut connection, id, revocation).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let mut writing = self.write().await?;
        let key = key_of(subject);
        let raise = concat!("update subjects set epoch = ", next_epoch!(), " where subject_key = ?");
        let kept = match &what.keep {
            Keep::Nothing => {
                changes!(&mut *writing, raise, key.clone())?;
                None
            }
            Keep::Untouched(id) => Some(id),
            Keep::Rekeyed(id, new) => {
                let theirs: Option<i64> =
                    sqlx::query_scalar("select 1 from logins where id = ? and subject_key = ?")
                        .bind(id_of(id))
                        .bind(key.clone())
                        .fetch_optional(&mut *writing)
                        .await
                        .map_err(failed)?;
                if theirs.is_none() || !rekey(&mut *writing, id, new).await? {
                    return Ok(None);
                }
                changes!(&mut *writing, raise, key.clone())?;
                changes!(
                    &mut *writing,
                    "update logins set epoch = (select epoch from subjects where subject_key = ?) where id = ?",
                    key.clone(),
                    id_of(id),
                )?;
                Some(id)
            }
            // A later version may keep something else: better nobody is logged out than the wrong ones.
            _ => return Err(StoreError::unavailable("unknown kind of revocation")),
        };
        let ids: Vec<String> = sqlx::query_scalar(
            "update logins set revoked_at = ?, revoked_for = ?
             where subject_key = ? and revoked_at is null and id is not ? returning id",
        )
        .bind(what.revocation.at().as_millis())
        .bind(what.revocation.reason().as_str())
        .bind(key)
        .bind(kept.map(id_of))
        .fetch_all(&mut *writing)
        .await
        .map_err(failed)?;
        writing.commit().await.map_err(failed)?;
        parse_ids(&ids).map(Some)
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        // One statement, and so one step: from here on no login of before verifies, marked or not.
        sqlx::query(concat!("update subjects set epoch = ", next_epoch!()))
            .execute(&self.pool)
            .await
            .map_err(failed)?;
        sqlx::query(
            "update logins set revoked_at = ?, revoked_for = ? where revoked_at is null
                 and epoch <> (select epoch from subjects where subject_key = logins.subject_key)",
        )
        .bind(revocation.at().as_millis())
        .bind(revocation.reason().as_str())
        .execute(&self.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(failed)
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let rows = sqlx::query(
            "select logins.*, subjects.epoch as subject_epoch
             from logins left join subjects using (subject_key)
             where (?1 is null or subject_key = ?1) and id > ?2 order by id limit ?3",
        )
        .bind(query.subject.as_ref().map(key_of))
        .bind(query.after.as_ref().map(id_of).unwrap_or_default())
        .bind(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(failed)?;
        rows.iter().map(row::found).collect()
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let mut writing = self.write().await?;
        let rows = sqlx::query(
            "delete from logins where id in (
                 select id from logins where purgeable_from <= ?1 and (?2 is null or subject_key = ?2) limit ?3)
             returning *",
        )
        .bind(purge.before.as_millis())
        .bind(purge.subject.as_ref().map(key_of))
        .bind(i64::try_from(purge.limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *writing)
        .await
        .map_err(failed)?;
        let removed: Vec<_> =
            rows.iter().map(|row| row::record(row).map(Arc::new)).collect::<Result<_, _>>()?;
        for record in &removed {
            changes!(
                &mut *writing,
                "delete from subjects where subject_key = ?1
                     and not exists (select 1 from logins where subject_key = ?1)",
                key_of(record.subject()),
            )?;
        }
        writing.commit().await.map_err(failed)?;
        Ok(removed)
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        sqlx::query(
            "update logins set nonce = null where nonce is not null and max(rotated_at, confirmed_at) < ?",
        )
        .bind(settled_before.as_millis())
        .execute(&self.pool)
        .await
        .map(|done| done.rows_affected())
        .map_err(failed)
    }
}

/// Makes room under the subject's limit: the logins that end for the new one.
async fn end_for(
    writing: &mut SqliteConnection,
    key: &[u8],
    epoch: i64,
    insertion: &Insertion,
) -> Result<Vec<TokenId>, StoreError> {
    let (max, refuse) = match insertion.limit {
        LiveLimit::Unlimited => return Ok(Vec::new()),
        LiveLimit::Refuse(max) => (max as usize, true),
        LiveLimit::EndOldest(max) => (max as usize, false),
        _ => return Err(StoreError::unavailable("unknown kind of limit")),
    };
    let live: Vec<String> = sqlx::query_scalar(
        "select id from logins
         where subject_key = ? and epoch = ? and revoked_at is null and last_end > ? and id is not ?
         order by created, id",
    )
    .bind(key.to_vec())
    .bind(epoch)
    .bind(insertion.now.as_millis())
    .bind(insertion.replaces.as_ref().map(id_of))
    .fetch_all(&mut *writing)
    .await
    .map_err(failed)?;
    let surplus = (live.len() + 1).saturating_sub(max);
    if surplus > 0 && refuse {
        return Err(StoreError::new(StoreErrorKind::LimitReached));
    }
    let ended = parse_ids(&live[..surplus.min(live.len())])?;
    for id in &ended {
        revoke(writing, id, Revocation::new(insertion.now, RevokeReason::Superseded)).await?;
    }
    Ok(ended)
}

async fn revoke(
    connection: &mut SqliteConnection,
    id: &TokenId,
    revocation: Revocation,
) -> Result<bool, StoreError> {
    changes!(
        connection,
        "update logins set revoked_at = ?, revoked_for = ? where id = ? and revoked_at is null",
        revocation.at().as_millis(),
        revocation.reason().as_str(),
        id_of(id),
    )
}

async fn rekey(
    connection: impl sqlx::Executor<'_, Database = Sqlite>,
    id: &TokenId,
    new: &Rekey,
) -> Result<bool, StoreError> {
    changes!(
        connection,
        "update logins set
             access = ?, refresh = ?, lineage = ?, previous = null, nonce = null, generation = generation + 1,
             rotated_at = ?, last_seen = max(last_seen, ?), confirmed_at = ?, grace_hits = 0,
             access_expires = ?, refresh_expires = ?
         where id = ? and generation = ? and revoked_at is null
             and epoch = (select epoch from subjects where subject_key = logins.subject_key)",
        new.access.to_bytes(),
        new.refresh.as_ref().map(Digest::to_bytes),
        new.lineage.expose().to_vec(),
        new.now.as_millis(),
        new.now.as_millis(),
        new.now.as_millis(),
        new.access_expires.as_millis(),
        new.refresh_expires.as_millis(),
        id_of(id),
        i64::from(new.generation),
    )
}

fn parse_ids(ids: &[String]) -> Result<Vec<TokenId>, StoreError> {
    ids.iter().map(|id| TokenId::parse(id).ok_or(StoreError::damaged("id"))).collect()
}
