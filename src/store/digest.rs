//! What rests in place of a secret.

use std::fmt;

use constant_time_eq::constant_time_eq;

use crate::keyring::KeyId;

/// The hash of a digest, kept with it, so that changing the setting logs nobody out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// SHA-256: the default.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// A hash of a secret, with its algorithm and the pepper key it was made with, if any.
#[derive(Clone)]
pub struct Digest {
    key: Option<KeyId>,
    hash: HashBytes,
}

/// The common case inline, the longer ones behind a pointer.
#[derive(Clone)]
pub(crate) enum HashBytes {
    Sha256([u8; 32]),
    Sha384(Box<[u8; 48]>),
    Sha512(Box<[u8; 64]>),
}

impl Digest {
    pub(crate) fn new(key: Option<KeyId>, hash: HashBytes) -> Self {
        Self { key, hash }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self.hash {
            HashBytes::Sha256(_) => HashAlgorithm::Sha256,
            HashBytes::Sha384(_) => HashAlgorithm::Sha384,
            HashBytes::Sha512(_) => HashAlgorithm::Sha512,
        }
    }

    /// The pepper key, if one was used.
    pub fn key(&self) -> Option<KeyId> {
        self.key
    }

    /// The hash: 32, 48 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.hash {
            HashBytes::Sha256(hash) => hash,
            HashBytes::Sha384(hash) => hash.as_slice(),
            HashBytes::Sha512(hash) => hash.as_slice(),
        }
    }

    /// Compares the hashes in constant time.
    pub(crate) fn matches(&self, other: &HashBytes) -> bool {
        match (&self.hash, other) {
            (HashBytes::Sha256(a), HashBytes::Sha256(b)) => constant_time_eq::constant_time_eq_32(a, b),
            (HashBytes::Sha384(a), HashBytes::Sha384(b)) => constant_time_eq(a.as_slice(), b.as_slice()),
            (HashBytes::Sha512(a), HashBytes::Sha512(b)) => constant_time_eq(a.as_slice(), b.as_slice()),
            _ => false,
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("algorithm", &self.algorithm())
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
