//! Shared tokens and their locks. Time is the server's.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::{link::Again, sql::Sql, store::PostgresStore, value::Value};
use crate::{
    clock::Timestamp,
    store::{
        Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion,
        LeaseWrite, LockOwner, LockState, StoreError,
    },
};

/// A hundred years: no span is longer, so that no sum overflows.
const MILLIS_MAX: i64 = 100 * 365 * 86_400_000;

#[async_trait]
impl LeaseStore for PostgresStore {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        let rows = self.0.reads.ask(Sql::LeaseGet, &[hashed(key.as_str())], Again::Harmless).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let read = || -> Result<FoundLease, tokio_postgres::Error> {
            let (version, end, left): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(3)?);
            let version = LeaseVersion::new(version.cast_unsigned());
            let record = LeaseRecord::new(version, Timestamp::from_millis(end), row.try_get(2)?);
            Ok(FoundLease::new(record, Duration::from_micros(left.cast_unsigned())))
        };
        read().map(Some).map_err(|_shows_the_column| StoreError::damaged("value"))
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        let values = [hashed(key.as_str())];
        Ok(self.0.reads.count(Sql::LeaseExists, &values, Again::Harmless).await? > 0)
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        let version = record.version().get().into();
        let (expires_at, value) = (record.expires_at().into(), record.value().into());
        let done = match expect {
            Expect::Version(expected) => {
                let key = hashed(key.as_str());
                let values = [key, expected.get().into(), version, expires_at, value, millis(ttl).into()];
                self.0.changes_one(Sql::LeaseReplace, &values).await?
            }
            Expect::Anything | Expect::Absent => {
                let only_absent = (expect == Expect::Absent).into();
                let namespace = hashed(key.namespace().as_str());
                let (hash, name) = (hashed(key.as_str()), key.as_str().into());
                let values =
                    [hash, namespace, name, version, expires_at, value, millis(ttl).into(), only_absent];
                self.0.changes_one(Sql::LeasePut, &values).await?
            }
        };
        Ok(if done { LeaseWrite::Done } else { LeaseWrite::Changed })
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        let hash = hashed(key.as_str());
        let done = match expect {
            Expect::Anything => {
                self.0.writes.ask(Sql::LeaseDelete, &[hash], Again::Harmless).await?;
                true
            }
            // There is nothing to remove.
            Expect::Absent => self.0.writes.count(Sql::LeaseExists, &[hash], Again::Harmless).await? == 0,
            Expect::Version(version) => {
                self.0.changes_one(Sql::LeaseDeleteVersion, &[hash, version.get().into()]).await?
            }
        };
        Ok(if done { LeaseWrite::Done } else { LeaseWrite::Changed })
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        let values = [hashed(namespace.as_str())];
        self.0.bulk.ask(Sql::LeaseClear, &values, Again::Harmless).await.map(drop)
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        let (hash, name) = (hashed(key.as_str()), key.as_str().into());
        let values = [hash, name, owner.as_bytes().into(), millis(ttl).into()];
        let rows = self.0.writes.ask(Sql::Lock, &values, Again::Harmless).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let fence: i64 = row.try_get(0).map_err(|_shows_the_column| StoreError::damaged("fence"))?;
        Ok(Some(LeaseLock::new(*owner, fence.cast_unsigned())))
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        let hash = hashed(key.as_str());
        let values = [hash, lock.owner().as_bytes().into(), lock.fence().into(), millis(ttl).into()];
        let held = self.0.writes.count(Sql::LockRenew, &values, Again::Harmless).await? > 0;
        Ok(if held { LockState::Held } else { LockState::Lost })
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        let hash = hashed(key.as_str());
        let values = [hash, lock.owner().as_bytes().into(), lock.fence().into()];
        let held = self.0.changes_one(Sql::Unlock, &values).await?;
        Ok(if held { LockState::Held } else { LockState::Lost })
    }
}

/// A key for an index, which cannot hold texts of any length.
fn hashed(name: &str) -> Value<'static> {
    Value::Owned(Sha256::digest(name).to_vec())
}

/// Rounded down: nothing stays longer than it was meant to.
fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(MILLIS_MAX).clamp(1, MILLIS_MAX)
}
