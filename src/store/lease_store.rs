//! The port of a store of shared tokens.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseWrite, LockOwner, LockState,
    StoreError,
};

/// Keeps tokens that several processes share, and lets one of them at a time renew one.
///
/// * **Every operation but [`clear`](Self::clear) is one atomic step.** What it wrote is seen by every later
///   operation of every process; of two at the same moment one comes first. An engine with replicas asks the
///   primary.
/// * **Time is the store's.** Lives and locks are spans that begin when the store takes the step, measured by one
///   clock: the server's, or that of the machine whose processes share a file. What has reached its end is as if it
///   had never been there.
/// * **Values are opaque.** A store neither reads nor changes them.
/// * No method has a default: each decides something that somebody would like to have decided otherwise.
///
/// A store that cannot answer says so; it never answers "nothing there" instead. After an error of a write it is
/// unknown whether the write was made. To repeat it is safe: a repeated [`put`](Self::put) with
/// [`Expect::Version`] or [`Expect::Absent`] answers [`LeaseWrite::Changed`] if the first was made, and the record
/// that is there then has the version that was to be written.
///
/// # Cancel safety
/// A dropped future either has done its one step, or does it later, or never.
#[async_trait]
pub trait LeaseStore: Send + Sync + 'static {
    /// The record, with the life that is left to it, which is never zero. `None` if there is none.
    async fn get(&self, key: &LeaseKey) -> Result<Option<FoundLease>, StoreError>;

    /// Whether there is a record.
    async fn exists(&self, key: &LeaseKey) -> Result<bool, StoreError>;

    /// Puts the record there for `ttl`, if what is there is what is expected: compare and write are one step.
    ///
    /// `ttl` is the *remaining* life. The store keeps the record for no longer than that, not by a minute and not
    /// by a rounding; it may keep it for less where it has to. Zero counts as one millisecond.
    ///
    /// # Errors
    /// [`StoreErrorKind::Full`](super::StoreErrorKind::Full) from a bounded store without room. The living are
    /// never evicted: a record may hold the only copy of a refresh token.
    async fn put(
        &self,
        key: &LeaseKey,
        record: &LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> Result<LeaseWrite, StoreError>;

    /// Removes the record, if it is what is expected. [`LeaseWrite::Done`] also where there was none and
    /// [`Expect::Anything`] or [`Expect::Absent`] was said. Locks stay.
    async fn delete(&self, key: &LeaseKey, expect: Expect) -> Result<LeaseWrite, StoreError>;

    /// Removes every record of the namespace that was there when it began. Locks stay, and so does everything in
    /// other namespaces, those whose names begin alike included.
    ///
    /// Not atomic: others may see some of the records gone and some still there, and a record that is written
    /// meanwhile may stay or go.
    async fn clear(&self, namespace: &LeaseNamespace) -> Result<(), StoreError>;

    /// Takes the key's lock for `ttl`; `None` if another owner holds it. Locks and records know nothing of one
    /// another: a lock can be had where there is no record.
    ///
    /// The same owner again, while it holds the lock, gets the same lock for `ttl` from then on: an answer that
    /// was lost can be asked for again. Every other lock that is given has a higher [fence](LeaseLock::fence) than
    /// all locks of this key before it.
    async fn lock(
        &self,
        key: &LeaseKey,
        owner: &LockOwner,
        ttl: Duration,
    ) -> Result<Option<LeaseLock>, StoreError>;

    /// Holds the lock for `ttl` from now on, if it is still this one.
    async fn renew(&self, key: &LeaseKey, lock: &LeaseLock, ttl: Duration) -> Result<LockState, StoreError>;

    /// Releases the lock, if it is still this one; another's is left alone.
    async fn unlock(&self, key: &LeaseKey, lock: &LeaseLock) -> Result<LockState, StoreError>;
}
