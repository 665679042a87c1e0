//! API keys.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    link::Again,
    logins::BATCH,
    row::{key, scope_text, text_value},
    sql::Sql,
    store::PostgresStore,
    value::Value,
};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{KeyQuery, KeyRecord, KeyStore, KeyUpdate, Revocation, StoreError, SubjectKey},
    text::TokenId,
};

#[async_trait]
impl KeyStore for PostgresStore {
    fn find_key(&self, id: &TokenId) -> MaybeReady<Result<Option<Arc<KeyRecord>>, StoreError>> {
        let (links, id) = (Arc::clone(&self.0), *id);
        MaybeReady::later(async move {
            let rows = links.reads.ask(Sql::FindKey, &[id.into()], Again::Harmless).await?;
            rows.first().map(|row| key(row).map(Arc::new)).transpose()
        })
    }

    async fn insert_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        let owner = SubjectKey::of(&record.owner);
        let issuer = record.owner.issuer().to_name();
        let scope = scope_text(record.scope.as_deref());
        let values = [
            record.id.into(),
            u32::from(KeyRecord::FORMAT).into(),
            issuer.as_bytes().into(),
            record.owner.id().as_bytes().into(),
            record.kind.as_bytes().into(),
            text_value(record.tenant.as_ref()),
            scope.as_deref().into(),
            text_value(record.label.as_ref()),
            record.context.as_json().into(),
            record.version.into(),
            (&record.digest).into(),
            record.created.into(),
            record.expires.into(),
            record.last_used.into(),
            record.revoked.map(|revoked| revoked.at()).into(),
            record.revoked.map(|revoked| revoked.reason().as_str()).into(),
            owner.as_bytes().into(),
        ];
        self.0.writes.ask(Sql::InsertKey, &values, Again::Never).await.map(drop)
    }

    fn note_key_use(
        &self,
        id: &TokenId,
        seen_before: Timestamp,
        now: Timestamp,
    ) -> MaybeReady<Result<bool, StoreError>> {
        let (links, id) = (Arc::clone(&self.0), *id);
        MaybeReady::later(async move {
            links.changes_one(Sql::NoteKeyUse, &[id.into(), seen_before.into(), now.into()]).await
        })
    }

    async fn update_key(&self, id: &TokenId, update: KeyUpdate) -> Result<bool, StoreError> {
        let scope = scope_text(update.scope.as_deref());
        let values = [
            (*id).into(),
            update.version.into(),
            update.version.wrapping_add(1).into(),
            text_value(update.label.as_ref()),
            scope.as_deref().into(),
            update.context.as_json().into(),
            update.expires.into(),
        ];
        self.0.changes_one(Sql::UpdateKey, &values).await
    }

    async fn revoke_key(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let values = [(*id).into(), revocation.at().into(), revocation.reason().as_str().into()];
        self.0.changes_one(Sql::RevokeKey, &values).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let after = query.after.map_or(Value::Text(""), Value::Id);
        let owner = query.owner.as_ref().map(SubjectKey::of);
        let (limit, created_before) = (query.limit.into(), query.created_before.into());
        let rows = match &owner {
            None => {
                let values = [after, limit, created_before];
                self.0.subjects.ask(Sql::ListKeys, &values, Again::Harmless).await?
            }
            Some(owner) => {
                let values = [after, limit, created_before, owner.as_bytes().into()];
                self.0.subjects.ask(Sql::ListKeysOf, &values, Again::Harmless).await?
            }
        };
        rows.iter().map(|row| key(row).map(Arc::new)).collect()
    }

    async fn purge_keys(&self, before: Timestamp, limit: usize) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let mut removed = Vec::new();
        loop {
            let batch = BATCH.min(limit - removed.len());
            let rows =
                match self.0.bulk.ask(Sql::PurgeKeys, &[before.into(), batch.into()], Again::Never).await {
                    Ok(rows) => rows,
                    // What is gone has to be told.
                    Err(_) if !removed.is_empty() => return Ok(removed),
                    Err(error) => return Err(error),
                };
            removed.extend(rows.iter().filter_map(|row| key(row).map(Arc::new).ok()));
            if rows.len() < batch || batch == 0 {
                return Ok(removed);
            }
        }
    }
}
