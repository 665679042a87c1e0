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

    /// A digest as [`to_bytes`](Self::to_bytes) wrote it, for a store that reads one back. `None` for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&algorithm, rest) = bytes.split_first()?;
        let (&has_key, rest) = rest.split_first()?;
        let (key, hash) = match has_key {
            0 => (None, rest),
            1 => rest.split_first_chunk().map(|(key, hash)| (Some(KeyId::from_bytes(*key)), hash))?,
            _ => return None,
        };
        let hash = match algorithm {
            1 => HashBytes::Sha256(hash.try_into().ok()?),
            2 => HashBytes::Sha384(hash.try_into().ok()?),
            3 => HashBytes::Sha512(hash.try_into().ok()?),
            _ => return None,
        };
        Some(Self::new(key, hash))
    }

    /// Algorithm, key and hash as bytes to store, at most 70: one byte for the algorithm (1, 2 and 3 for SHA-256, 384
    /// and 512), one that says whether a key follows, its four bytes, and the hash.
    pub fn to_bytes(&self) -> Vec<u8> {
        let algorithm = match self.algorithm() {
            HashAlgorithm::Sha256 => 1,
            HashAlgorithm::Sha384 => 2,
            HashAlgorithm::Sha512 => 3,
        };
        let mut bytes = vec![algorithm, u8::from(self.key().is_some())];
        bytes.extend(self.key().iter().flat_map(KeyId::as_bytes));
        bytes.extend(self.as_bytes());
        bytes
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r203_a_digest_is_read_back_as_it_was_written() {
        let hashes = [HashBytes::Sha256([7; 32]), HashBytes::Sha384([8; 48]), HashBytes::Sha512([9; 64])];
        for hash in hashes {
            for key in [None, Some(KeyId::from_bytes([0, 1, 2, 255]))] {
                let digest = Digest::new(key, hash.clone());
                let bytes = digest.to_bytes();
                let back = Digest::from_bytes(&bytes).unwrap();
                assert_eq!((back.key(), back.as_bytes()), (key, hash.as_bytes()));
                assert_eq!(back.algorithm(), digest.algorithm());
                for end in 0..bytes.len() {
                    assert!(Digest::from_bytes(&bytes[..end]).is_none(), "{end} of {}", bytes.len());
                }
                assert!(Digest::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_none());
            }
        }
        assert!(Digest::from_bytes(&[[4, 0].as_slice(), &[0; 32]].concat()).is_none());
        assert!(Digest::from_bytes(&[[1, 2].as_slice(), &[0; 36]].concat()).is_none());
    }
}
