//! Named 32-byte keys, and a separate sub-key for every use.
//!
//! A ring has one current key, under which new values are made, and any number of others that only check old
//! ones. To rotate, give every node the new key with [`KeyRing::verify_only`] first, then make it the current
//! one, and [`KeyRing::retire`] the old when nothing names it any longer.
//!
//! A key that a value names and the ring has never heard of is a fault of the roll-out, so the value *could not
//! be checked*; a retired key makes it invalid.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    random::{self, RandomError},
    secret::Secret,
};

const TEXT_PREFIX: &str = "pk1_";

/// The random name of a [`Key`]; no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 4]);

/// Thirty-two random bytes and their name.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; 32]>,
}

/// The keys that one purpose may use.
#[derive(Debug, Clone)]
pub struct KeyRing {
    current: Key,
    older: Vec<Key>,
    retired: Vec<KeyId>,
}

/// What a ring knows of a key's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Known,
    Retired,
    Unknown,
}

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// Not `pk1_`, eight and sixty-four hexadecimal digits (lower case), and eight digits of their CRC-32.
    Malformed,
    /// The bytes are too regular to come from a random generator.
    NotRandom,
}

// ===== impl KeyId =====

impl KeyId {
    /// The name with these bytes.
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes of the name.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

// ===== impl Key =====

impl Key {
    /// A new key with a new name.
    ///
    /// # Errors
    /// [`RandomError`] if the operating system gives no random bytes.
    pub fn generate() -> Result<Self, RandomError> {
        let id = KeyId(*random::bytes::<4>()?);
        Ok(Self { id, bytes: random::bytes()? })
    }

    /// Reads what [`Key::to_text`] wrote. There is no way to make a key of a pass phrase.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn parse(text: &Secret) -> Result<Self, KeyError> {
        let digits = text.expose().strip_prefix(TEXT_PREFIX).ok_or(KeyError::Malformed)?;
        let decoded = data_encoding::HEXLOWER
            .decode(digits.as_bytes())
            .map_err(|_text_stays_secret| KeyError::Malformed)?;
        let decoded: Zeroizing<Vec<u8>> = Zeroizing::new(decoded);
        let (body, check) = decoded.split_last_chunk::<4>().ok_or(KeyError::Malformed)?;
        let (id, bytes) = body.split_first_chunk::<4>().ok_or(KeyError::Malformed)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_length| KeyError::Malformed)?;
        if crc32fast::hash(body).to_be_bytes() != *check {
            return Err(KeyError::Malformed);
        }
        // 32 random bytes hold fewer than 16 different values once in 10^16 draws; "aaaa…" and a repeated word
        // always do.
        let mut seen = [false; 256];
        bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        if seen.iter().filter(|seen| **seen).count() < 16 {
            return Err(KeyError::NotRandom);
        }
        Ok(Self { id: KeyId(*id), bytes: Zeroizing::new(bytes) })
    }

    /// The key as text, for a secret store.
    pub fn to_text(&self) -> Secret {
        let mut body = Zeroizing::new(Vec::with_capacity(40));
        body.extend_from_slice(&self.id.0);
        body.extend_from_slice(self.bytes.as_slice());
        let check = crc32fast::hash(&body);
        body.extend_from_slice(&check.to_be_bytes());
        let digits = Zeroizing::new(data_encoding::HEXLOWER.encode(&body));
        Secret::new(format!("{TEXT_PREFIX}{}", *digits))
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key for one use (HKDF-SHA-256, RFC 5869, with `label` as info): a leak through one use opens no
    /// other.
    pub(crate) fn sub_key(&self, label: &'static str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.bytes.as_slice())
            .expand(label.as_bytes(), out.as_mut_slice())
            .expect("32 bytes are one block of HKDF-SHA-256");
        out
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

// ===== impl KeyRing =====

impl KeyRing {
    /// A ring whose current key is this one.
    pub fn new(current: Key) -> Self {
        Self { current, older: Vec::new(), retired: Vec::new() }
    }

    /// Adds a key that checks values and makes none.
    #[must_use]
    pub fn verify_only(mut self, key: Key) -> Self {
        self.older.push(key);
        self
    }

    /// Values that name this key are invalid from now on, the ring's own keys included: retire the current one,
    /// and all that is made from now on is invalid.
    #[must_use]
    pub fn retire(mut self, id: KeyId) -> Self {
        self.retired.push(id);
        self
    }

    pub(crate) fn current(&self) -> &Key {
        &self.current
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.older)
    }

    pub(crate) fn standing(&self, id: KeyId) -> Standing {
        if self.retired.contains(&id) {
            Standing::Retired
        } else if self.keys().any(|key| key.id == id) {
            Standing::Known
        } else {
            Standing::Unknown
        }
    }
}

// ===== impl KeyError =====

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a key in text form",
            Self::NotRandom => "the key is too regular to be random",
        })
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests;
