//! A token's lock, while somebody works under it.

use std::{convert::Infallible, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use tokio::time;

use super::settings::Inner;
use crate::{
    clock::Monotonic,
    random::{self, RandomError},
    store::{LeaseKey, LeaseLock, LockOwner, LockState, StoreError},
};

/// The shortest wait between two looks at the store, and the longest.
const POLL_MIN: Duration = Duration::from_millis(40);
const POLL_MAX: Duration = Duration::from_millis(400);

/// Tries to get a lock, under one owner for all attempts: an answer that was lost is asked for again.
pub(super) struct Taker<'a> {
    inner: &'a Inner,
    key: &'a LeaseKey,
    owner: LockOwner,
    began: Monotonic,
    next_wait: Duration,
}

/// A lock that was taken. It is released by [`Hold::release`]; dropped without it, it ends by itself.
pub(super) struct Hold<'a> {
    inner: &'a Inner,
    key: &'a LeaseKey,
    lock: LeaseLock,
    ttl: Duration,
    /// Read before the store was asked: the lock lasts at least until `ttl` after that.
    since: Monotonic,
}

// ===== impl Taker =====

impl<'a> Taker<'a> {
    pub(super) fn new(inner: &'a Inner, key: &'a LeaseKey) -> Result<Self, RandomError> {
        let owner = LockOwner::generate()?;
        Ok(Self { inner, key, owner, began: inner.clock.monotonic(), next_wait: POLL_MIN })
    }

    /// One attempt; `None` if somebody else holds the lock.
    pub(super) async fn take(&self, ttl: Duration) -> Result<Option<Hold<'a>>, StoreError> {
        let since = self.inner.clock.monotonic();
        let lock = self.inner.store.lock(self.key, &self.owner, ttl).await?;
        Ok(lock.map(|lock| Hold { inner: self.inner, key: self.key, lock, ttl, since }))
    }

    /// Waits until it is worth looking again, a little longer each time, and each process at other moments. Says
    /// whether there is still patience.
    pub(super) async fn wait(&mut self, patience: Duration) -> bool {
        let waited = self.inner.clock.monotonic().since(self.began);
        if waited >= patience {
            return false;
        }
        let jitter = random::bytes::<1>().map_or(128, |bytes| u32::from(bytes[0]));
        // Between half of it and one and a half.
        let wait = (self.next_wait * (128 + jitter) / 256).min(patience - waited);
        time::sleep(wait).await;
        self.next_wait = (self.next_wait * 3 / 2).min(POLL_MAX);
        true
    }
}

// ===== impl Hold =====

impl Hold<'_> {
    /// Makes sure that the lock lasts for `ttl` from now on. `false` if it has been lost.
    pub(super) async fn extend(&mut self, ttl: Duration) -> Result<bool, StoreError> {
        let since = self.inner.clock.monotonic();
        let state = self.inner.store.renew(self.key, &self.lock, ttl).await?;
        (self.since, self.ttl) = (since, ttl);
        Ok(state == LockState::Held)
    }

    /// Whether more of the lock is left than this.
    pub(super) fn lasts(&self, span: Duration) -> bool {
        self.inner.clock.monotonic().since(self.since).saturating_add(span) < self.ttl
    }

    /// Works, and renews the lock meanwhile. The work is finished also if the lock is lost: what was sent cannot be
    /// called back, and the store is written to by version.
    pub(super) async fn keep<T>(&self, work: impl Future<Output = T>) -> T {
        match select(pin!(work), pin!(self.renew())).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    async fn renew(&self) -> Infallible {
        loop {
            time::sleep(self.ttl / 3).await;
            match self.inner.store.renew(self.key, &self.lock, self.ttl).await {
                Ok(LockState::Held) => {}
                Ok(LockState::Lost) => {
                    let (key, fence) = (self.key.as_str(), self.lock.fence());
                    tracing::warn!(key, fence, "the lock of a shared token was lost during its renewal");
                    std::future::pending::<Infallible>().await;
                }
                Err(error) => tracing::debug!(key = self.key.as_str(), %error, "a lock could not be renewed"),
            }
        }
    }

    pub(super) async fn release(self) {
        // If it cannot be released it ends by itself, and if it has ended it is another's affair.
        match self.inner.store.unlock(self.key, &self.lock).await {
            Ok(LockState::Held) => {}
            Ok(LockState::Lost) => tracing::debug!(key = self.key.as_str(), "the lock had ended"),
            Err(error) => tracing::debug!(key = self.key.as_str(), %error, "a lock could not be released"),
        }
    }
}
