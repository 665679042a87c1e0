//! Logins.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    link::Again,
    row::{found, login, scope_text, text_value},
    sql::Sql,
    store::{Links, PostgresStore},
    value::Value,
};
use crate::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Found, Inserted, Insertion, Keep, ListQuery, LiveLimit, LoginColumns, LoginRecord, Purge,
        Rekey, Revocation, Rotation, StoreError, SubjectKey, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

/// Rows that one statement removes or marks: few enough that others need not wait long for them.
pub(super) const BATCH: usize = 1000;

#[async_trait]
impl TokenStore for PostgresStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let (links, id) = (Arc::clone(&self.0), *id);
        MaybeReady::later(async move {
            let rows = links.reads.ask(Sql::Find, &[id.into()], Again::Harmless).await?;
            rows.first().map(found).transpose()
        })
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let mut columns = LoginColumns::from(&record);
        let (max, refuse) = match insertion.limit {
            LiveLimit::Unlimited => (None, false),
            LiveLimit::Refuse(max) => (Some(max), true),
            LiveLimit::EndOldest(max) => (Some(max), false),
        };
        let subject = SubjectKey::of(&columns.subject);
        let issuer = columns.subject.issuer().to_name();
        let scope = scope_text(columns.scope.as_deref());
        let values = [
            columns.id.into(),
            u32::from(LoginRecord::FORMAT).into(),
            issuer.as_bytes().into(),
            columns.subject.id().as_bytes().into(),
            columns.channel.as_str().into(),
            columns.browser_session.into(),
            text_value(columns.tenant.as_ref()),
            text_value(columns.client.as_ref()),
            text_value(columns.key_thumbprint.as_ref()),
            scope.as_deref().into(),
            text_value(columns.label.as_ref()),
            columns.context.as_json().into(),
            columns.data.as_json().into(),
            columns.version.into(),
            (&columns.access).into(),
            columns.refresh.as_ref().into(),
            columns.previous.as_ref().into(),
            columns.nonce.as_ref().map(|nonce| nonce.expose()).into(),
            columns.lineage.expose().into(),
            columns.generation.into(),
            columns.rotated_at.into(),
            columns.confirmed_at.into(),
            columns.grace_hits.into(),
            columns.created.into(),
            columns.last_seen.into(),
            columns.access_ttl.into(),
            columns.refresh_ttl.into(),
            columns.access_expires.into(),
            columns.refresh_expires.into(),
            columns.absolute_expires.into(),
            columns.revoked.map(|revoked| revoked.at()).into(),
            columns.revoked.map(|revoked| revoked.reason().as_str()).into(),
            subject.as_bytes().into(),
            insertion.first_epoch.into(),
            insertion.now.into(),
            max.into(),
            refuse.into(),
            insertion.replaces.into(),
            RevokeReason::Superseded.as_str().into(),
        ];
        let rows = self.0.subjects.ask(Sql::Insert, &values, Again::Never).await?;
        let answer = rows.first().ok_or_else(|| StoreError::damaged("epoch"))?;
        let epoch: i64 = answer.try_get(0).map_err(|_shows_the_column| StoreError::damaged("epoch"))?;
        columns.epoch = crate::store::Epoch::from_number(epoch.cast_unsigned());
        let ended = ids(answer.try_get(1).ok())?;
        let replaced = answer.try_get(2).map_err(|_shows_the_column| StoreError::damaged("revoked_at"))?;
        Ok(Inserted { record: Arc::new(columns.into()), ended, replaced, purged: Vec::new() })
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        let values = [
            (*id).into(),
            rotation.generation.into(),
            rotation.generation.saturating_add(1).into(),
            (&rotation.access).into(),
            (&rotation.refresh).into(),
            rotation.nonce.expose().into(),
            rotation.now.into(),
            rotation.access_expires.into(),
            rotation.refresh_expires.into(),
        ];
        self.0.changes_one_of_subject(Sql::Rotate, &values).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.0.changes_one(Sql::GraceHit, &[(*id).into(), generation.into(), cap.into()]).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        let (links, id) = (Arc::clone(&self.0), *id);
        MaybeReady::later(async move {
            let values = [id.into(), generation.into(), now.into()];
            links.writes.ask(Sql::Confirm, &values, Again::Harmless).await.map(drop)
        })
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let (links, id) = (Arc::clone(&self.0), *id);
        MaybeReady::later(async move {
            let values = [
                id.into(),
                touch.generation.into(),
                touch.seen_before.into(),
                touch.now.into(),
                touch.access_expires.into(),
                touch.refresh_expires.into(),
                touch.access.as_ref().into(),
                touch.wipe_nonce.into(),
            ];
            links.changes_one(Sql::Touch, &values).await
        })
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        let values = [
            (*id).into(),
            rekey.generation.into(),
            rekey.generation.saturating_add(1).into(),
            (&rekey.access).into(),
            rekey.refresh.as_ref().into(),
            rekey.lineage.expose().into(),
            rekey.now.into(),
            rekey.access_expires.into(),
            rekey.refresh_expires.into(),
        ];
        self.0.changes_one_of_subject(Sql::Rekey, &values).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        let values = [(*id).into(), version.into(), version.wrapping_add(1).into(), data.as_json().into()];
        self.0.changes_one(Sql::SaveData, &values).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        self.0.changes_one(Sql::SetLabel, &[(*id).into(), text_value(label.as_ref())]).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let values = [(*id).into(), revocation.at().into(), revocation.reason().as_str().into()];
        self.0.changes_one(Sql::Revoke, &values).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let (kept, rekey) = match &what.keep {
            Keep::Nothing => (None, None),
            Keep::Untouched(id) => (Some(*id), None),
            Keep::Rekeyed(id, rekey) => (Some(*id), Some(&**rekey)),
        };
        let subject = SubjectKey::of(subject);
        let values = [
            subject.as_bytes().into(),
            what.revocation.at().into(),
            what.revocation.reason().as_str().into(),
            kept.into(),
            rekey.is_some().into(),
            rekey.map(|rekey| rekey.generation).into(),
            rekey.map(|rekey| rekey.generation.saturating_add(1)).into(),
            rekey.map(|rekey| &rekey.access).into(),
            rekey.and_then(|rekey| rekey.refresh.as_ref()).into(),
            rekey.map(|rekey| rekey.lineage.expose()).into(),
            rekey.map(|rekey| rekey.now).into(),
            rekey.map(|rekey| rekey.access_expires).into(),
            rekey.map(|rekey| rekey.refresh_expires).into(),
        ];
        let rows = self.0.subjects.ask(Sql::RevokeSubject, &values, Again::Never).await?;
        let ended: Option<Option<Vec<&str>>> = rows.first().and_then(|row| row.try_get(0).ok());
        ended.ok_or_else(|| StoreError::damaged("id"))?.map(|ended| ids(Some(ended))).transpose()
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        // First the epochs: from here on no login of before verifies, marked or not.
        self.0.bulk.ask(Sql::RaiseAll, &[], Again::Never).await?;
        let (mut marked, mut after) = (0, String::new());
        loop {
            let values = [
                revocation.at().into(),
                revocation.reason().as_str().into(),
                after.as_str().into(),
                BATCH.into(),
            ];
            let rows = self.0.bulk.ask(Sql::MarkEnded, &values, Again::Never).await?;
            let read = |at| rows.first().map(|row| row.try_get(at));
            let (Some(Ok(count)), Some(last)) = (read(0), rows.first().map(|row| row.try_get(1))) else {
                return Err(StoreError::damaged("id"));
            };
            let count: i64 = count;
            marked += count.cast_unsigned();
            match last {
                Ok(Some(last)) => after = last,
                Ok(None) => return Ok(marked),
                Err(_shows_the_column) => return Err(StoreError::damaged("id")),
            }
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let after = query.after.map_or(Value::Text(""), Value::Id);
        let subject = query.subject.as_ref().map(SubjectKey::of);
        let rows = match &subject {
            None => self.0.subjects.ask(Sql::List, &[after, query.limit.into()], Again::Harmless).await?,
            Some(subject) => {
                let values = [after, query.limit.into(), subject.as_bytes().into()];
                self.0.subjects.ask(Sql::ListOf, &values, Again::Harmless).await?
            }
        };
        rows.iter().map(found).collect()
    }

    /// Without a subject it also removes counters and shared tokens that say nothing any more.
    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let subject = purge.subject.as_ref().map(SubjectKey::of);
        let mut removed = Vec::new();
        while removed.len() < purge.limit {
            let batch = BATCH.min(purge.limit - removed.len());
            let subject = subject.as_ref().map(SubjectKey::as_bytes);
            let values = [subject.into(), purge.before.into(), batch.into()];
            let rows = match self.0.bulk.ask(Sql::Purge, &values, Again::Never).await {
                Ok(rows) => rows,
                // What is gone has to be told.
                Err(_) if !removed.is_empty() => return Ok(removed),
                Err(error) => return Err(error),
            };
            // Of one that cannot be read nothing can be told, and it is gone.
            removed.extend(rows.iter().filter_map(|row| login(row).map(Arc::new).ok()));
            if rows.len() < batch {
                break;
            }
        }
        if subject.is_none() && purge.limit > 0 {
            // The next purge tries again.
            let _swept = self.0.sweep(purge.before).await;
        }
        Ok(removed)
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        let mut wiped = 0;
        loop {
            let values = [settled_before.into(), BATCH.into()];
            let rows = self.0.bulk.ask(Sql::WipeNonces, &values, Again::Harmless).await?;
            let count: Option<i64> = rows.first().and_then(|row| row.try_get(0).ok());
            let count = count.ok_or_else(|| StoreError::damaged("nonce"))?.cast_unsigned();
            wiped += count;
            if count < BATCH as u64 {
                return Ok(wiped);
            }
        }
    }
}

impl Links {
    /// A change of one row; whether there was one.
    pub(super) async fn changes_one(&self, sql: Sql, values: &[Value<'_>]) -> Result<bool, StoreError> {
        Ok(self.writes.count(sql, values, Again::Never).await? > 0)
    }

    /// The same where the subject's row is looked at under its lock, which somebody may hold for longer.
    async fn changes_one_of_subject(&self, sql: Sql, values: &[Value<'_>]) -> Result<bool, StoreError> {
        Ok(self.subjects.count(sql, values, Again::Never).await? > 0)
    }

    async fn sweep(&self, before: Timestamp) -> Result<(), StoreError> {
        let (idle, batch) = (before.as_millis().saturating_mul(1000), 10 * BATCH);
        let values = [idle.into(), batch.into()];
        while self.bulk.count(Sql::CounterSweep, &values, Again::Harmless).await? == batch {}
        self.bulk.ask(Sql::LeaseSweep, &[], Again::Harmless).await.map(drop)
    }
}

fn ids(texts: Option<Vec<&str>>) -> Result<Vec<TokenId>, StoreError> {
    let parsed = texts.and_then(|texts| texts.into_iter().map(TokenId::parse).collect());
    parsed.ok_or_else(|| StoreError::damaged("id"))
}
