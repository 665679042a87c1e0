//! Values that are used once, and marks of what was used.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::StoreError;
use crate::{clock::Timestamp, text::Canonical};

/// Names one value: a SHA-256 of its purpose and of the secret or the mark.
///
/// A copy of the store shows nothing that could be presented. What is guessable, such as a short code, can be tested
/// against it: let such values live minutes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OnceKey([u8; 32]);

/// What is kept under a [`OnceKey`]: bytes that mean nothing to the store. Seal what is secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OnceValue(Option<Arc<Zeroizing<Vec<u8>>>>);

/// The value is longer than [`OnceValue::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueTooLong;

/// Keeps values that can be taken once (a code, the state of an OAuth request), and marks of what must not come twice
/// (the `jti` of a proof, a time step of a TOTP).
///
/// Time is the caller's: nodes that share a store agree on it within seconds. What has reached its end is as if it had
/// never been there, whether it was removed or not. [`Timestamp::NEVER`] is no end.
///
/// No method has a default: each decides something that an attacker would like to have decided otherwise.
///
/// # Cancel safety
/// A dropped future either has done its one step or not. A value may have been taken although nobody has it.
#[async_trait]
pub trait OnceStore: Send + Sync + 'static {
    /// Keeps the value until `expires`, if there is none under this key: to look and to write is one atomic step, so of
    /// any number of callers at one moment one has it done. Returns whether this call did it. One whose end has come
    /// already is not kept, and counts as done where there was none.
    ///
    /// # Errors
    /// [`Full`](super::StoreErrorKind::Full) from a bounded store without room. The living are never evicted: a mark
    /// that goes too early is a replay that passes.
    async fn put(
        &self,
        key: &OnceKey,
        value: &OnceValue,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Removes the value and returns it, in one atomic step: of any number of callers one gets it.
    async fn take(&self, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, StoreError>;

    /// Removes up to `limit` values that ended at `before` or earlier. Returns how many. An engine that removes them by
    /// itself returns zero.
    async fn purge_once(&self, before: Timestamp, limit: usize) -> Result<u64, StoreError>;
}

// ===== impl OnceKey =====

impl OnceKey {
    /// The key of these parts, in this order, for this purpose. Every byte of each part counts.
    pub fn new(purpose: &'static str, parts: &[&[u8]]) -> Self {
        let mut encoded = Canonical::new("once").bytes(purpose.as_bytes());
        for part in parts {
            encoded = encoded.bytes(part);
        }
        Self(Sha256::digest(encoded.as_slice()).into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows nothing: a guess could be tested against it.
impl fmt::Debug for OnceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceKey(..)")
    }
}

// ===== impl OnceValue =====

impl OnceValue {
    /// The longest value, in bytes: parts of it may come from outside.
    pub const MAX: usize = 16 * 1024;

    /// A value of these bytes. An empty one is a mark.
    ///
    /// # Errors
    /// [`ValueTooLong`] above 16 KiB.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ValueTooLong> {
        if bytes.len() > Self::MAX {
            return Err(ValueTooLong);
        }
        Ok(Self((!bytes.is_empty()).then(|| Arc::new(Zeroizing::new(bytes)))))
    }

    /// Nothing but that it is there.
    pub const fn mark() -> Self {
        Self(None)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |bytes| bytes.as_slice())
    }
}

/// Shows nothing of the bytes.
impl fmt::Debug for OnceValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OnceValue({} bytes)", self.as_bytes().len())
    }
}

// ===== impl ValueTooLong =====

impl fmt::Display for ValueTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value is too long to be kept")
    }
}

impl std::error::Error for ValueTooLong {}
