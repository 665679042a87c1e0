//! Shared tokens on a server.

use std::time::Duration;

use async_trait::async_trait;
use redis::pipe;

use super::{
    RedisStore,
    link::{Again, Step},
    scripts::leases as scripts,
};
use crate::{
    clock::Timestamp,
    store::{
        Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseVersion,
        LeaseWrite, LockOwner, LockState, StoreError,
    },
};

/// A hundred years: no span is longer, so that no sum overflows.
const MILLIS_MAX: u64 = 100 * 365 * 86_400_000;

/// A token is a hash under its [`LeaseKey`], a lock one under that key and `:lock`.
#[async_trait]
impl LeaseStore for RedisStore {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        type Fields = (Option<u64>, Option<i64>, Option<Vec<u8>>);
        let mut both = pipe();
        both.atomic().hmget(key.as_str(), &["version", "expires", "value"]).pttl(key.as_str());
        let (fields, left): (Fields, i64) = self.link().ask(Step::Commands(&both), Again::Harmless).await?;
        // Nothing there, or something that will not end and is none of ours.
        let left = u64::try_from(left).ok().filter(|left| *left > 0);
        let ((Some(version), Some(expires_at), Some(value)), Some(left)) = (fields, left) else {
            return Ok(None);
        };
        let record = LeaseRecord::new(LeaseVersion::new(version), Timestamp::from_millis(expires_at), value);
        Ok(Some(FoundLease::new(record, Duration::from_millis(left))))
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        let mut exists = pipe();
        exists.exists(key.as_str());
        let (there,): (bool,) = self.link().ask(Step::Commands(&exists), Again::Harmless).await?;
        Ok(there)
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        let mut script = scripts::PUT.key(key.as_str());
        script
            .arg(expected(expect))
            .arg(record.version().get())
            .arg(record.expires_at().as_millis())
            .arg(record.value())
            .arg(millis(ttl));
        let done: bool = self.link().ask(Step::Script(&script), Again::Never).await?;
        Ok(if done { LeaseWrite::Done } else { LeaseWrite::Changed })
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        let mut script = scripts::DELETE.key(key.as_str());
        script.arg(expected(expect));
        let done: bool = self.link().ask(Step::Script(&script), Again::Never).await?;
        Ok(if done { LeaseWrite::Done } else { LeaseWrite::Changed })
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        // A namespace has no character that means something in a pattern.
        let pattern = format!("{}:*", namespace.as_str());
        let mut cursor = 0;
        loop {
            let mut scan = pipe();
            scan.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(500);
            let ((next, found),): ((u64, Vec<String>),) =
                self.link().ask(Step::Commands(&scan), Again::Harmless).await?;
            // A lock has one name more.
            let mut unlink = pipe();
            found.iter().filter(|key| key.matches(':').count() == 2).for_each(|key| {
                unlink.unlink(key).ignore();
            });
            if !unlink.is_empty() {
                let (): () = self.link().ask(Step::Commands(&unlink), Again::Harmless).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        let mut script = scripts::LOCK.key(lock_of(key));
        script.arg(owner.as_bytes()).arg(millis(ttl));
        let fence: Option<u64> = self.link().ask(Step::Script(&script), Again::Harmless).await?;
        Ok(fence.map(|fence| LeaseLock::new(*owner, fence)))
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        self.renew_or_release(key, lock, &millis(ttl).to_string(), Again::Harmless).await
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        self.renew_or_release(key, lock, "", Again::Never).await
    }
}

impl RedisStore {
    async fn renew_or_release(
        &self,
        key: &LeaseKey,
        lock: &LeaseLock,
        millis: &str,
        again: Again,
    ) -> Result<LockState, StoreError> {
        let mut script = scripts::RENEW.key(lock_of(key));
        script.arg(lock.owner().as_bytes()).arg(lock.fence()).arg(millis);
        let held: bool = self.link().ask(Step::Script(&script), again).await?;
        Ok(if held { LockState::Held } else { LockState::Lost })
    }
}

fn lock_of(key: &LeaseKey) -> String {
    format!("{}:lock", key.as_str())
}

/// As the scripts read it.
fn expected(expect: Expect) -> String {
    match expect {
        Expect::Anything => "*".to_owned(),
        Expect::Absent => String::new(),
        Expect::Version(version) => version.get().to_string(),
    }
}

/// Rounded down: nothing stays longer than it was meant to.
fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).clamp(1, MILLIS_MAX)
}
