//! API keys on a server.

use std::sync::Arc;

use async_trait::async_trait;
use redis::{Value, pipe};

use super::{
    RedisStore,
    api_key_fields::{read, write},
    fields::{Fields, list},
    link::{Again, Step},
    scripts::steps,
    store::{behind, name_of},
};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{KeyQuery, KeyRecord, KeyStore, KeyUpdate, Revocation, StoreError, StoreErrorKind},
    text::TokenId,
};

/// Keys that one step looks at.
const BATCH: usize = 250;

#[async_trait]
impl KeyStore for RedisStore {
    fn find_key(&self, id: &TokenId) -> MaybeReady<Result<Option<Arc<KeyRecord>>, StoreError>> {
        let (link, key) = (Arc::clone(self.link()), self.key_of("key", id.as_str()));
        MaybeReady::later(async move {
            let mut get = pipe();
            get.hgetall(key);
            let (found,): (Value,) = link.ask(Step::Commands(&get), Again::Harmless).await?;
            let row = Fields::of(found)?;
            if row.is_empty() {
                return Ok(None);
            }
            read(row).map(|key| Some(Arc::new(key)))
        })
    }

    async fn insert_key(&self, record: KeyRecord) -> Result<(), StoreError> {
        let mut step = self.step(&steps::INSERT_KEY, self.key_of("key", record.id.as_str()));
        step.arg(record.id.as_bytes()).arg(name_of(&record.owner));
        write(&mut step, &record);
        let added: bool = self.link().ask(Step::Script(&step), Again::Never).await?;
        if added { Ok(()) } else { Err(StoreError::new(StoreErrorKind::Conflict)) }
    }

    fn note_key_use(
        &self,
        id: &TokenId,
        seen_before: Timestamp,
        now: Timestamp,
    ) -> MaybeReady<Result<bool, StoreError>> {
        let mut step = self.step(&steps::NOTE_KEY_USE, self.key_of("key", id.as_str()));
        step.arg(seen_before.as_millis()).arg(now.as_millis());
        let link = Arc::clone(self.link());
        MaybeReady::later(async move { link.ask(Step::Script(&step), Again::Never).await })
    }

    async fn update_key(&self, id: &TokenId, update: KeyUpdate) -> Result<bool, StoreError> {
        let mut step = self.step(&steps::UPDATE_KEY, self.key_of("key", id.as_str()));
        step.arg(id.as_bytes())
            .arg(update.version.cast_signed())
            .arg(update.version.wrapping_add(1).cast_signed())
            .arg(update.expires.as_millis())
            .arg(update.context.as_json());
        for column in
            [update.label.as_deref().map(str::to_owned), update.scope.map(|scope| scope.to_string())]
        {
            step.arg(u8::from(column.is_some())).arg(column.unwrap_or_default());
        }
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn revoke_key(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let mut step = self.step(&steps::REVOKE_KEY, self.key_of("key", id.as_str()));
        step.arg(id.as_bytes()).arg(revocation.at().as_millis()).arg(revocation.reason().as_str());
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn list_keys(&self, query: &KeyQuery) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let index = match &query.owner {
            Some(owner) => self.key_of("keys", &name_of(owner)),
            None => self.key("keys"),
        };
        let (mut listed, mut after) = (Vec::new(), query.after);
        while listed.len() < query.limit {
            let batch = BATCH.min(query.limit - listed.len());
            let mut step = self.step(&steps::LIST_KEYS, index.clone());
            step.arg(behind(after.as_ref())).arg(batch);
            let (looked, last, found): (usize, String, Value) =
                self.link().ask(Step::Script(&step), Again::Harmless).await?;
            for found in list(found)? {
                let key = read(Fields::of(found)?)?;
                if key.created < query.created_before {
                    listed.push(Arc::new(key));
                }
            }
            if looked < batch {
                break;
            }
            after = Some(TokenId::parse(&last).ok_or_else(|| StoreError::damaged("id"))?);
        }
        Ok(listed)
    }

    async fn purge_keys(&self, before: Timestamp, limit: usize) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let (mut removed, mut passed) = (Vec::new(), 0);
        while removed.len() < limit {
            let batch = BATCH.min(limit - removed.len());
            let mut step = self.step(&steps::PURGE_KEYS, self.key("key-ends"));
            step.arg(before.as_millis()).arg(passed).arg(batch).arg(KeyRecord::FORMAT);
            let (looked, stay, gone): (usize, usize, Value) =
                self.link().ask(Step::Script(&step), Again::Never).await?;
            for key in list(gone)? {
                removed.push(Arc::new(read(Fields::of(key)?)?));
            }
            passed += stay;
            if looked < batch {
                break;
            }
        }
        Ok(removed)
    }
}
