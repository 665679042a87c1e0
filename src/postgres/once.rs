//! Values that are used once.

use async_trait::async_trait;

use super::{link::Again, logins::BATCH, sql::Sql, store::PostgresStore};
use crate::{
    clock::Timestamp,
    store::{OnceKey, OnceStore, OnceValue, StoreError},
};

#[async_trait]
impl OnceStore for PostgresStore {
    async fn put(
        &self,
        key: &OnceKey,
        value: &OnceValue,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if expires <= now && expires != Timestamp::NEVER {
            let values = [key.as_bytes().into(), now.into()];
            return Ok(self.0.reads.count(Sql::OnceLives, &values, Again::Harmless).await? == 0);
        }
        let values = [key.as_bytes().into(), value.as_bytes().into(), expires.into(), now.into()];
        self.0.changes_one(Sql::OncePut, &values).await
    }

    async fn take(&self, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, StoreError> {
        let values = [key.as_bytes().into(), now.into()];
        let rows = self.0.writes.ask(Sql::OnceTake, &values, Again::Never).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bytes = row.try_get(0).map_err(|_shows_the_column| StoreError::damaged("value"))?;
        OnceValue::new(bytes).map(Some).map_err(|_too_long| StoreError::damaged("value"))
    }

    async fn purge_once(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let mut removed = 0;
        while removed < limit {
            let batch = BATCH.min(limit - removed);
            let gone =
                self.0.bulk.count(Sql::OncePurge, &[before.into(), batch.into()], Again::Harmless).await?;
            removed += gone;
            if gone < batch {
                break;
            }
        }
        Ok(removed as u64)
    }
}
