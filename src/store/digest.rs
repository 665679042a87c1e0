//! What rests in place of a secret.

use std::fmt;

use constant_time_eq::{constant_time_eq, constant_time_eq_32};

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

impl HashAlgorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name under which it is configured and stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// A hash of a secret, with its algorithm and the pepper key it was made with, if any.
#[derive(Clone)]
pub struct Digest(Kept);

/// The common case inline, the longer ones behind a pointer.
#[derive(Clone)]
enum Kept {
    Sha256 { key: Option<KeyId>, hash: [u8; 32] },
    Longer(Box<(Option<KeyId>, HashBytes)>),
}

/// A hash before it is kept.
#[derive(Clone)]
pub(crate) enum HashBytes {
    Sha256([u8; 32]),
    Sha384([u8; 48]),
    Sha512([u8; 64]),
}

impl Digest {
    pub(crate) fn new(key: Option<KeyId>, hash: HashBytes) -> Self {
        Self(match hash {
            HashBytes::Sha256(hash) => Kept::Sha256 { key, hash },
            longer => Kept::Longer(Box::new((key, longer))),
        })
    }

    /// The algorithm.
    pub fn algorithm(&self) -> HashAlgorithm {
        match self.as_bytes().len() {
            48 => HashAlgorithm::Sha384,
            64 => HashAlgorithm::Sha512,
            _ => HashAlgorithm::Sha256,
        }
    }

    /// The pepper key, if one was used.
    pub fn key(&self) -> Option<KeyId> {
        match &self.0 {
            Kept::Sha256 { key, .. } => *key,
            Kept::Longer(kept) => kept.0,
        }
    }

    /// The hash: 32, 48 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kept::Sha256 { hash, .. } => hash,
            Kept::Longer(kept) => kept.1.as_bytes(),
        }
    }

    /// Compares the hashes in constant time.
    pub(crate) fn matches(&self, other: &HashBytes) -> bool {
        match (&self.0, other) {
            (Kept::Sha256 { hash, .. }, HashBytes::Sha256(other)) => constant_time_eq_32(hash, other),
            (Kept::Longer(kept), other) => constant_time_eq(kept.1.as_bytes(), other.as_bytes()),
            (Kept::Sha256 { .. }, _) => false,
        }
    }
}

impl HashBytes {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha256(hash) => hash,
            Self::Sha384(hash) => hash,
            Self::Sha512(hash) => hash,
        }
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest")
            .field("algorithm", &self.algorithm())
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}
