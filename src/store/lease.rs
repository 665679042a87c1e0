//! A token that several processes share: where it is, what of it is kept, and who may renew it.

use std::{fmt, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    error::{ConfigError, Faults},
    random::{self, RandomError},
};

/// Whose tokens they are: what comes first in every [`LeaseKey`]. Never empty, so that two applications on one
/// store do not use each other's tokens unless both were given the same name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseNamespace(Arc<str>);

/// Names one shared token: `<namespace>:<pipeline>:<step>`. No secret.
///
/// ASCII letters, digits, `.`, `_`, `~` and `-` stand for themselves, every other byte of a name is written as
/// `%` and two digits. So the text has exactly two colons, and two keys have the same text only if all three
/// names are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    text: Arc<str>,
    namespace: LeaseNamespace,
}

/// Which of the values that a key has had one after the other.
///
/// Whoever writes chooses it: higher than every version of the key that it knows, and drawn partly at random, so
/// that a value that was removed and one that came later are never taken for one another. Stores compare it with
/// `==` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseVersion(u64);

/// What is kept under a [`LeaseKey`]: plain data. The value is opaque to the store; outside this process it is
/// sealed.
#[derive(Clone)]
pub struct LeaseRecord {
    version: LeaseVersion,
    expires_at: Timestamp,
    value: Arc<Zeroizing<Vec<u8>>>,
}

/// A [`LeaseRecord`] that was read, with the life that the store still gives it.
#[derive(Debug, Clone)]
pub struct FoundLease {
    record: LeaseRecord,
    remaining: Duration,
}

/// What has to be there for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect {
    /// Whatever there is, or nothing.
    Anything,
    /// Nothing, or what has expired.
    Absent,
    /// A record of this version.
    Version(LeaseVersion),
}

/// What a conditional write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums)] // the condition holds or does not
pub enum LeaseWrite {
    /// The condition held, and the write was made.
    Done,
    /// Something else is there; nothing was changed.
    Changed,
}

/// Who takes a lock: sixteen random bytes, drawn anew for each attempt to renew a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LockOwner([u8; 16]);

/// A lock that is held: by whom, and the how manieth of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeaseLock {
    owner: LockOwner,
    fence: u64,
}

/// Whether a lock was the caller's when it was renewed or released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[allow(clippy::exhaustive_enums)] // there is no third case
pub enum LockState {
    /// It was.
    Held,
    /// It had ended, and may be another's by now. Nothing was changed.
    Lost,
}

// ===== impl LeaseNamespace =====

impl LeaseNamespace {
    /// A namespace of this name.
    ///
    /// # Errors
    /// [`ConfigError`] if the name is empty.
    pub fn new(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let mut faults = Faults::default();
        faults.check(!name.as_ref().is_empty(), "namespace", name.as_ref(), "must not be empty");
        faults.finish()?;
        let mut text = String::new();
        push_escaped(&mut text, name.as_ref());
        Ok(Self(text.into()))
    }

    /// The text with which its keys begin; a colon follows.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LeaseNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseNamespace({})", self.0)
    }
}

// ===== impl LeaseKey =====

impl LeaseKey {
    /// The key of this step of this pipeline.
    pub fn new(namespace: &LeaseNamespace, pipeline: &str, step: &str) -> Self {
        let mut text = namespace.as_str().to_owned();
        for name in [pipeline, step] {
            text.push(':');
            push_escaped(&mut text, name);
        }
        Self { text: text.into(), namespace: namespace.clone() }
    }

    /// The whole key.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its first part.
    pub fn namespace(&self) -> &LeaseNamespace {
        &self.namespace
    }
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseKey({})", self.text)
    }
}

/// One text for each name, without a colon and without what engines or file systems treat specially.
fn push_escaped(text: &mut String, name: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._~-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

// ===== impl LeaseVersion =====

impl LeaseVersion {
    /// A version with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

// ===== impl LeaseRecord =====

impl LeaseRecord {
    /// A record. `expires_at` is the end of its use by the writer's wall clock; a store that measures by itself
    /// goes by the time to live that it is told.
    pub fn new(version: LeaseVersion, expires_at: Timestamp, value: Vec<u8>) -> Self {
        Self { version, expires_at, value: Arc::new(Zeroizing::new(value)) }
    }

    /// Its version.
    pub fn version(&self) -> LeaseVersion {
        self.version
    }

    /// The end of its use, by the clock of whoever wrote it.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The bytes. In the memory of one process they are a plain token.
    pub fn value(&self) -> &[u8] {
        &self.value
    }
}

impl fmt::Debug for LeaseRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseRecord")
            .field("version", &self.version)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

// ===== impl FoundLease =====

impl FoundLease {
    /// A record that the store will keep for this much longer.
    pub fn new(record: LeaseRecord, remaining: Duration) -> Self {
        Self { record, remaining }
    }

    /// The record.
    pub fn record(&self) -> &LeaseRecord {
        &self.record
    }

    /// How much longer the store keeps it, by the store's own measure.
    pub fn remaining(&self) -> Duration {
        self.remaining
    }
}

// ===== impl LockOwner =====

impl LockOwner {
    /// An owner that nobody else is.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        Ok(Self(*random::bytes::<16>()?))
    }

    /// The owner with these bytes, as a store has kept them.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Shows nothing: with the whole of it, the lock could be released by somebody else.
impl fmt::Debug for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockOwner(..)")
    }
}

// ===== impl LeaseLock =====

impl LeaseLock {
    /// A lock with this owner and fence.
    pub const fn new(owner: LockOwner, fence: u64) -> Self {
        Self { owner, fence }
    }

    /// Who holds it.
    pub const fn owner(&self) -> &LockOwner {
        &self.owner
    }

    /// A number that is higher than that of every lock of this key before it.
    pub const fn fence(&self) -> u64 {
        self.fence
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(namespace: &str, pipeline: &str, step: &str) -> LeaseKey {
        LeaseKey::new(&LeaseNamespace::new(namespace).unwrap(), pipeline, step)
    }

    #[test]
    fn r102_a_key_is_its_three_names() {
        assert_eq!(key("shop", "crm", "user").as_str(), "shop:crm:user");
        assert_eq!(key("shop", "a:b", "Stra\u{df}e *").as_str(), "shop:a%3Ab:Stra%C3%9Fe%20%2A");
        assert_eq!(key("shop", "", "").as_str(), "shop::");
        assert_eq!(key("shop", "crm", "user").namespace().as_str(), "shop");
    }

    #[test]
    fn r115_a_namespace_has_a_name() {
        let error = LeaseNamespace::new("").unwrap_err();
        assert_eq!(error.faults()[0].field(), "namespace");
    }

    proptest! {
        #[test]
        fn r115_different_names_have_different_keys(
            a in ["[:%a3A]{1,4}", "[:%a3A]{0,4}", "[:%a3A]{0,4}"],
            b in ["[:%a3A]{1,4}", "[:%a3A]{0,4}", "[:%a3A]{0,4}"],
        ) {
            let same = key(&a[0], &a[1], &a[2]) == key(&b[0], &b[1], &b[2]);
            prop_assert_eq!(same, a == b);
            prop_assert_eq!(key(&a[0], &a[1], &a[2]).as_str().matches(':').count(), 2);
        }
    }

    #[test]
    fn debug_shows_neither_value_nor_owner() {
        let record = LeaseRecord::new(LeaseVersion::new(1), Timestamp::NEVER, b"planted".to_vec());
        let shown = format!("{record:?} {:?}", FoundLease::new(record.clone(), Duration::MAX));
        assert!(!shown.contains("planted") && !shown.contains("112, 108"));
        assert_eq!(format!("{:?}", LockOwner::from_bytes([7; 16])), "LockOwner(..)");
    }
}
