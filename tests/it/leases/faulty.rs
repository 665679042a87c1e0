//! A store that fails as it is told.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portcullis::store::{
    Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseWrite, LockOwner,
    LockState, MemoryLeases, StoreError, StoreErrorKind,
};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Everything.
    Down,
    /// Writes of records.
    Puts,
    /// The answers to writes of records: they are made.
    PutAnswers,
    /// Renewals of locks.
    Renewals,
    /// Locks are somebody else's.
    NoLocks,
}

/// Clones are of one store and fail alike.
#[derive(Clone)]
pub(crate) struct FaultyLeases {
    pub(crate) memory: MemoryLeases,
    fault: Arc<Mutex<Fault>>,
    puts: Arc<AtomicUsize>,
}

impl FaultyLeases {
    pub(crate) fn new(memory: MemoryLeases) -> Self {
        Self { memory, fault: Arc::new(Mutex::new(Fault::None)), puts: Arc::default() }
    }

    /// Another handle, with faults of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.memory.clone())
    }

    pub(crate) fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// How many writes of records were tried.
    pub(crate) fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }

    fn fails(&self, faults: &[Fault]) -> Result<(), StoreError> {
        let fault = *self.fault.lock().unwrap();
        if fault == Fault::Down || faults.contains(&fault) {
            return Err(StoreError::new(StoreErrorKind::Unavailable));
        }
        Ok(())
    }
}

#[async_trait]
impl LeaseStore for FaultyLeases {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        self.fails(&[])?;
        tokio::task::yield_now().await;
        self.memory.get(key).await
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        self.fails(&[])?;
        self.memory.exists(key).await
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.fails(&[Fault::Puts])?;
        tokio::task::yield_now().await;
        let put = self.memory.put(key, record, ttl, expect).await?;
        self.fails(&[Fault::PutAnswers])?;
        Ok(put)
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        self.fails(&[])?;
        self.memory.delete(key, expect).await
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        self.fails(&[])?;
        self.memory.clear(namespace).await
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        self.fails(&[])?;
        tokio::task::yield_now().await;
        if self.fails(&[Fault::NoLocks]).is_err() {
            return Ok(None);
        }
        self.memory.lock(key, owner, ttl).await
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        self.fails(&[Fault::Renewals])?;
        self.memory.renew(key, lock, ttl).await
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        self.fails(&[])?;
        self.memory.unlock(key, lock).await
    }
}
