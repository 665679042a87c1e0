//! Shared tokens in a folder.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use tokio::runtime::Handle;

use super::folder::Folder;
use crate::{
    clock::Clock,
    store::{
        Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseStore, LeaseWrite,
        LockOwner, LockState, StoreError, StoreErrorKind,
    },
};

/// How often a writer looks for what has ended, in milliseconds.
const SWEEP_EVERY: i64 = 60_000;

/// Keeps tokens in a folder, for the processes of one machine. Clones share it.
///
/// Each namespace has a folder of its own inside (mode 0700), each token and each lock a file (mode 0600). Wider
/// rights are taken away where they are found; a folder that others may write to is refused. Writes reach the disk
/// before they are reported, so a token that was rotated outlives a loss of power.
///
/// The folder must be on a local disk: file locks are not to be relied on over a network. Lives go by the wall
/// clock of the machine; one that is set back prolongs what is there, by no more than its whole life.
///
/// It has no bound: there are as many files as steps that are shared. Every operation needs a tokio runtime, and
/// runs on its threads for blocking work.
///
/// What it keeps is sealed by whoever hands it over (`SharedLeases::sealed`, under the feature `seal`).
#[derive(Clone)]
pub struct FileLeases(Arc<Shared>);

struct Shared {
    root: PathBuf,
    clock: Clock,
    /// When this process last looked for what has ended, in milliseconds.
    swept: AtomicI64,
}

// ===== impl FileLeases =====

impl FileLeases {
    /// A store in this folder, which is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self::with_clock(folder, Clock::system())
    }

    /// A store that goes by this clock. For tests.
    pub fn with_clock(folder: impl Into<PathBuf>, clock: Clock) -> Self {
        Self(Arc::new(Shared { root: folder.into(), clock, swept: AtomicI64::new(i64::MIN) }))
    }

    /// Takes a step where it may block. It is taken to its end, also if nobody waits any more.
    async fn run<T: Send + 'static>(
        &self,
        namespace: &LeaseNamespace,
        step: impl FnOnce(&Folder, &Clock) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let runtime = Handle::try_current().map_err(StoreError::unavailable)?;
        let (this, namespace) = (Arc::clone(&self.0), namespace.clone());
        let done = runtime
            .spawn_blocking(move || step(&Folder::new(&this.root, &namespace), &this.clock))
            .await
            .map_err(StoreError::unavailable)?;
        done.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::new(StoreErrorKind::Full)
            }
            _ => StoreError::unavailable(error),
        })
    }

    /// Whether it is time to look for what has ended.
    fn is_sweep_due(&self) -> bool {
        let (now, last) = (self.0.clock.now().as_millis(), self.0.swept.load(Ordering::Relaxed));
        let due = now.saturating_sub(last) >= SWEEP_EVERY || now < last;
        due && self.0.swept.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl fmt::Debug for FileLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLeases").field("folder", &self.0.root).finish_non_exhaustive()
    }
}

#[async_trait]
impl LeaseStore for FileLeases {
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError> {
        let wanted = key.clone();
        self.run(key.namespace(), move |folder, clock| folder.get(&wanted, clock.now())).await
    }

    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError> {
        self.get(key).await.map(|found| found.is_some())
    }

    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError> {
        let (wanted, record, sweep) = (key.clone(), record.clone(), self.is_sweep_due());
        let put = move |folder: &Folder, clock: &Clock| {
            let step = folder.step(clock)?;
            if sweep {
                step.sweep()?;
            }
            step.put(&wanted, record, ttl, expect)
        };
        self.run(key.namespace(), put).await
    }

    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError> {
        let wanted = key.clone();
        self.run(key.namespace(), move |folder, clock| folder.step(clock)?.delete(&wanted, expect)).await
    }

    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError> {
        self.run(namespace, |folder, clock| folder.step(clock)?.clear()).await
    }

    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError> {
        let (wanted, owner) = (key.clone(), *owner);
        self.run(key.namespace(), move |folder, clock| folder.step(clock)?.lock(&wanted, owner, ttl)).await
    }

    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError> {
        let (wanted, lock) = (key.clone(), *lock);
        self.run(key.namespace(), move |folder, clock| folder.step(clock)?.renew(&wanted, lock, ttl)).await
    }

    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError> {
        let (wanted, lock) = (key.clone(), *lock);
        self.run(key.namespace(), move |folder, clock| folder.step(clock)?.unlock(&wanted, lock)).await
    }
}
