//! The optional server-side key in every digest.

use zeroize::Zeroizing;

use crate::keyring::{Key, KeyId, KeyRing, Standing};

/// A key ring with the sub-keys that tokens use, derived once.
#[derive(Clone)]
pub(super) struct Pepper {
    ring: KeyRing,
    current: PepperKey,
    /// All keys of the ring, the current one included.
    keys: Vec<PepperKey>,
}

#[derive(Clone)]
pub(super) struct PepperKey {
    pub(super) id: KeyId,
    pub(super) digest: Zeroizing<[u8; 32]>,
    pub(super) next: Zeroizing<[u8; 32]>,
}

/// Why a key that a digest names cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyTrouble {
    /// Retired: the token is invalid.
    Retired,
    /// Never heard of: the token could not be checked.
    Unknown,
}

impl Pepper {
    pub(super) fn new(ring: KeyRing) -> Self {
        let keys = ring.keys().map(PepperKey::derive).collect();
        let current = PepperKey::derive(ring.current());
        Self { ring, current, keys }
    }

    /// The key for new digests.
    pub(super) fn current(&self) -> &PepperKey {
        &self.current
    }

    pub(super) fn find(&self, id: KeyId) -> Result<&PepperKey, KeyTrouble> {
        match self.ring.standing(id) {
            Standing::Known => self.keys.iter().find(|key| key.id == id).ok_or(KeyTrouble::Unknown),
            Standing::Retired => Err(KeyTrouble::Retired),
            Standing::Unknown => Err(KeyTrouble::Unknown),
        }
    }
}

impl PepperKey {
    fn derive(key: &Key) -> Self {
        Self { id: key.id(), digest: key.sub_key("token digest"), next: key.sub_key("token next") }
    }
}
