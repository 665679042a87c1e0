//! Values that rest where others can read or replace them: encrypted, and bound to their place.
//!
//! XChaCha20-Poly1305 under a sub-key of a [`KeyRing`]. The key's name, the use and the value's address are
//! associated data: what was sealed for one place opens in no other.

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{AeadInOut, KeyInit},
};
use zeroize::Zeroizing;

use crate::{
    keyring::{KeyId, KeyRing, Standing},
    random::{self, RandomError},
    text::Canonical,
};

/// The first byte of everything that is sealed in the one way there is.
const FORMAT: u8 = 1;
const ID_LEN: usize = 4;
const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// Format, key and nonce; the ciphertext and its tag follow.
const HEAD_LEN: usize = 1 + ID_LEN + NONCE_LEN;

/// Seals values for one use, under the current key of a ring, and opens what any of its keys has sealed.
pub(crate) struct Sealer {
    purpose: &'static str,
    ring: KeyRing,
    /// All keys of the ring, the current one first. Their keys are wiped on drop.
    ciphers: Vec<(KeyId, XChaCha20Poly1305)>,
}

/// Why something does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// It is nothing that was sealed for this place, or not any more.
    Invalid,
    /// Its key was retired.
    Retired,
    /// The ring has never heard of its key: whether it is valid could not be checked.
    UnknownKey,
}

impl Sealer {
    /// `purpose` separates the uses of one ring, both by key and by associated data.
    pub(crate) fn new(ring: KeyRing, purpose: &'static str) -> Self {
        let ciphers =
            ring.keys().map(|key| (key.id(), XChaCha20Poly1305::new((&*key.sub_key(purpose)).into())));
        Self { purpose, ciphers: ciphers.collect(), ring }
    }

    /// Seals `plain` for the place that `address` names.
    ///
    /// The nonce has 192 random bits: no number of values that could ever be sealed makes a repeat likely.
    pub(crate) fn seal(&self, address: &[u8], plain: &[u8]) -> Result<Vec<u8>, RandomError> {
        let (id, cipher) = &self.ciphers[0];
        let nonce = random::bytes::<NONCE_LEN>()?;
        // The plaintext is encrypted where it stands: a grown-out buffer would leave a copy of it.
        let mut sealed = Vec::with_capacity(HEAD_LEN + plain.len() + TAG_LEN);
        sealed.push(FORMAT);
        sealed.extend_from_slice(id.as_bytes());
        sealed.extend_from_slice(nonce.as_slice());
        sealed.extend_from_slice(plain);
        let tag = cipher
            .encrypt_inout_detached(
                &XNonce::from(*nonce),
                self.associated(*id, address).as_slice(),
                (&mut sealed[HEAD_LEN..]).into(),
            )
            .expect("values are far shorter than 256 GiB");
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what was sealed for the place that `address` names.
    pub(crate) fn open(&self, address: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let (head, rest) = sealed.split_first_chunk::<HEAD_LEN>().ok_or(OpenError::Invalid)?;
        let (text, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(OpenError::Invalid)?;
        let [FORMAT, head @ ..] = head else { return Err(OpenError::Invalid) };
        let (id, nonce) = head.split_first_chunk::<ID_LEN>().ok_or(OpenError::Invalid)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_length| OpenError::Invalid)?;
        let id = KeyId::from_bytes(*id);
        let cipher = match self.ring.standing(id) {
            Standing::Known => self.ciphers.iter().find(|(known, _)| *known == id),
            Standing::Retired => return Err(OpenError::Retired),
            Standing::Unknown => None,
        };
        let (_, cipher) = cipher.ok_or(OpenError::UnknownKey)?;
        let mut plain = Zeroizing::new(text.to_vec());
        cipher
            .decrypt_inout_detached(
                &XNonce::from(nonce),
                self.associated(id, address).as_slice(),
                plain.as_mut_slice().into(),
                &(*tag).into(),
            )
            .map_err(|_says_nothing| OpenError::Invalid)?;
        Ok(plain)
    }

    fn associated(&self, id: KeyId, address: &[u8]) -> Canonical {
        Canonical::new("seal")
            .bytes(self.purpose.as_bytes())
            .number(u64::from(FORMAT))
            .bytes(id.as_bytes())
            .bytes(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{keyring::Key, secret::Secret};

    fn key() -> Key {
        Key::generate().unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_shows_nothing() {
        let sealer = Sealer::new(KeyRing::new(key()), "test");
        for plain in [&b""[..], b"planted", &[7; 100_000]] {
            let sealed = sealer.seal(b"here", plain).unwrap();
            assert_eq!(*sealer.open(b"here", &sealed).unwrap(), plain);
            assert_eq!(sealed.len(), HEAD_LEN + plain.len() + TAG_LEN);
            assert!(plain.is_empty() || !sealed.windows(7).any(|part| plain.starts_with(part)));
        }
        let one = sealer.seal(b"here", b"planted").unwrap();
        assert_ne!(one, sealer.seal(b"here", b"planted").unwrap(), "each has its own nonce");
    }

    #[test]
    fn r207_another_place_use_or_key_opens_nothing() {
        let (mine, other) = (key(), key());
        let sealer = Sealer::new(KeyRing::new(mine.clone()), "test");
        let sealed = sealer.seal(b"here", b"planted").unwrap();
        for place in [&b""[..], b"her", b"here\0", b"there"] {
            assert_eq!(sealer.open(place, &sealed).unwrap_err(), OpenError::Invalid);
        }
        let elsewhere = Sealer::new(KeyRing::new(mine), "another use");
        assert_eq!(elsewhere.open(b"here", &sealed).unwrap_err(), OpenError::Invalid);
        let foreign = Sealer::new(KeyRing::new(other), "test");
        assert_eq!(foreign.open(b"here", &sealed).unwrap_err(), OpenError::UnknownKey);
    }

    #[test]
    fn r207_no_bent_bit_and_no_cut_opens() {
        let sealer = Sealer::new(KeyRing::new(key()), "test");
        let sealed = sealer.seal(b"here", b"planted").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(b"here", &bent).is_err(), "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(sealer.open(b"here", &sealed[..len]).unwrap_err(), OpenError::Invalid, "{len} bytes");
        }
    }

    #[test]
    fn r207_keys_are_exchanged_in_use() {
        let (old, new) = (key(), key());
        let before = Sealer::new(KeyRing::new(old.clone()), "test");
        let by_old = before.seal(b"here", b"planted").unwrap();
        let after = Sealer::new(KeyRing::new(new.clone()).verify_only(old.clone()), "test");
        assert_eq!(*after.open(b"here", &by_old).unwrap(), b"planted");
        let by_new = after.seal(b"here", b"planted").unwrap();
        assert_eq!(before.open(b"here", &by_new).unwrap_err(), OpenError::UnknownKey);
        assert!(Sealer::new(KeyRing::new(new.clone()), "test").open(b"here", &by_new).is_ok());
        let retired = Sealer::new(KeyRing::new(new).verify_only(old.clone()).retire(old.id()), "test");
        assert_eq!(retired.open(b"here", &by_old).unwrap_err(), OpenError::Retired);
    }

    /// Made with libsodium, so that the format stays what it is and is no invention of one library.
    #[test]
    fn r207_the_format_is_fixed_for_ever() {
        let text = "pk1_00010203202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f5897e52a";
        let sealer = Sealer::new(KeyRing::new(Key::parse(&Secret::new(text)).unwrap()), "shared token");
        let sealed = data_encoding::HEXLOWER.decode(b"0100010203000102030405060708090a0b0c0d0e0f101112131415161727e4d45a5af6664c8618a4376fe5eb9442557bce0e0911").unwrap();
        assert_eq!(*sealer.open(b"shop:crm:user", &sealed).unwrap(), b"a token");
    }
}
