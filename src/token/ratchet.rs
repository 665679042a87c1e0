//! The arithmetic of the ratchet: digest, tag, next secret. Pure functions of their arguments.

use constant_time_eq::constant_time_eq;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::pepper::{KeyTrouble, Pepper, PepperKey};
use crate::{
    credential::Channel,
    identity::{Issuer, Subject},
    random::{self, RandomError},
    secret::SecretBytes,
    store::{Digest, HashAlgorithm, HashBytes, LoginRecord},
    text::{Canonical, RefreshText, SecretChars, TagChars, TokenId, encode_secret, encode_tag},
};

/// The kind of a secret: one of one kind never passes for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    Refresh,
}

/// The secrets of one generation.
pub(super) struct Pair {
    pub(super) access: SecretChars,
    pub(super) refresh: SecretChars,
}

impl Pair {
    /// The secrets of a login, or of one that starts anew.
    pub(super) fn random() -> Result<Self, RandomError> {
        Ok(Self { access: encode_secret(&*random::bytes()?), refresh: encode_secret(&*random::bytes()?) })
    }
}

impl Kind {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Access => b"access",
            Self::Refresh => b"refresh",
        }
    }
}

// ===== digest =====

/// The digest to store for a new secret.
pub(super) fn new_digest(
    binding: [u8; 12],
    secret: &[u8; 43],
    algorithm: HashAlgorithm,
    pepper: Option<&Pepper>,
) -> Digest {
    let key = pepper.map(Pepper::current);
    Digest::new(key.map(|key| key.id), hash(algorithm, binding, secret, key))
}

/// The digest of the same access secret under today's hash and pepper key, if the stored one is older.
pub(super) fn newer_digest(
    record: &LoginRecord,
    secret: &[u8; 43],
    algorithm: HashAlgorithm,
    pepper: Option<&Pepper>,
) -> Option<Digest> {
    let current = pepper.map(|pepper| pepper.current().id);
    let old = record.access.algorithm() != algorithm || record.access.key() != current;
    old.then(|| new_digest(binding(Kind::Access, record), secret, algorithm, pepper))
}

/// Whether `secret` is the one behind `stored`; compared in constant time.
pub(super) fn proves(
    kind: Kind,
    record: &LoginRecord,
    secret: &[u8; 43],
    stored: &Digest,
    pepper: Option<&Pepper>,
) -> Result<bool, KeyTrouble> {
    let key = key_of(stored, pepper)?;
    let hash = hash(stored.algorithm(), binding(kind, record), secret, key);
    Ok(stored.matches(&hash))
}

/// The work of [`proves`] for a record that is not there, so that both cases take about the same time.
pub(super) fn prove_nothing(
    binding: [u8; 12],
    secret: &[u8; 43],
    algorithm: HashAlgorithm,
    pepper: Option<&Pepper>,
) {
    let digest = new_digest(binding, secret, algorithm, pepper);
    std::hint::black_box(digest.matches(&HashBytes::Sha256([0; 32])));
}

fn key_of<'a>(stored: &Digest, pepper: Option<&'a Pepper>) -> Result<Option<&'a PepperKey>, KeyTrouble> {
    match (stored.key(), pepper) {
        (None, _) => Ok(None),
        (Some(_), None) => Err(KeyTrouble::Unknown),
        (Some(id), Some(pepper)) => pepper.find(id).map(Some),
    }
}

/// Stands for kind, id, subject, tenant and channel in a digest, so that a verification hashes one block.
pub(super) fn bind(
    kind: Kind,
    id: TokenId,
    subject: &Subject,
    tenant: Option<&str>,
    channel: Channel,
) -> [u8; 12] {
    #[cfg(test)]
    computed::count(|counts| counts.bindings += 1);
    // A label of its own, because an issuer may be any text.
    let (label, issuer) = match subject.issuer() {
        Issuer::Local => ("digest", None),
        Issuer::Url(url) => ("digest", Some(url.as_bytes())),
        Issuer::Nobody => ("digest of nobody's", None),
    };
    let encoded = Canonical::new(label)
        .bytes(kind.label())
        .bytes(id.as_bytes())
        .optional(issuer)
        .bytes(subject.id().as_bytes())
        .optional(tenant.map(str::as_bytes))
        .bytes(channel.as_str().as_bytes());
    let hash: [u8; 32] = Sha256::digest(encoded.as_slice()).into();
    let mut binding = [0; 12];
    binding.copy_from_slice(&hash[..12]);
    binding
}

/// [`bind`] for a record; for access tokens computed once while the record is loaded.
pub(super) fn binding(kind: Kind, record: &LoginRecord) -> [u8; 12] {
    let compute = || bind(kind, record.id, &record.subject, record.tenant(), record.channel);
    match kind {
        Kind::Access => record.binding.get_or_init(compute),
        Kind::Refresh => compute(),
    }
}

fn hash(
    algorithm: HashAlgorithm,
    binding: [u8; 12],
    secret: &[u8; 43],
    key: Option<&PepperKey>,
) -> HashBytes {
    #[cfg(test)]
    computed::count(|counts| counts.digests += 1);
    // One block for SHA-256. Not wiped, because the hasher's own buffer holds the same bytes and is not either.
    let mut input = [0; 55];
    input[..12].copy_from_slice(&binding);
    input[12..].copy_from_slice(secret);
    macro_rules! hash {
        ($hash:ty) => {
            match key {
                None => <$hash>::digest(input.as_slice()).into(),
                Some(key) => mac::<Hmac<$hash>>(key.digest.as_slice(), &input).finalize().into_bytes().into(),
            }
        };
    }
    match algorithm {
        HashAlgorithm::Sha256 => HashBytes::Sha256(hash!(Sha256)),
        HashAlgorithm::Sha384 => HashBytes::Sha384(hash!(Sha384)),
        HashAlgorithm::Sha512 => HashBytes::Sha512(hash!(Sha512)),
    }
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> M {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

// ===== tag =====

/// Proves that a refresh token was once this login's, however old it is.
pub(super) fn tag(lineage: &SecretBytes, tagged: &str) -> TagChars {
    let encoded = Canonical::new("lineage").bytes(tagged.as_bytes());
    let full: [u8; 32] =
        mac::<Hmac<Sha256>>(lineage.expose(), encoded.as_slice()).finalize().into_bytes().into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    encode_tag(&short)
}

pub(super) fn tag_matches(lineage: &SecretBytes, presented: &RefreshText) -> bool {
    constant_time_eq(&tag(lineage, presented.tagged.expose()), &presented.tag)
}

// ===== next =====

/// The pair of generation `generation`, from the refresh secret of the one before and the nonce of the
/// rotation. With a pepper, the key is the one that made (or makes) the new refresh digest.
pub(super) fn next_pair(
    previous: &SecretChars,
    id: TokenId,
    generation: u32,
    nonce: &SecretBytes,
    key: Option<&PepperKey>,
) -> Pair {
    let mut secret = Zeroizing::new(Vec::with_capacity(43 + 32));
    secret.extend_from_slice(previous.as_slice());
    if let Some(key) = key {
        secret.extend_from_slice(key.next.as_slice());
    }
    let derive = |kind: Kind| {
        let encoded = Canonical::new("next")
            .bytes(kind.label())
            .bytes(id.as_bytes())
            .number(u64::from(generation))
            .bytes(nonce.expose());
        let bytes: Zeroizing<[u8; 32]> =
            Zeroizing::new(mac::<Hmac<Sha256>>(&secret, encoded.as_slice()).finalize().into_bytes().into());
        encode_secret(&bytes)
    };
    Pair { access: derive(Kind::Access), refresh: derive(Kind::Refresh) }
}

/// [`next_pair`] for a rotation that happened, if it yields what the record holds.
pub(super) fn repeat_pair(
    previous: &SecretChars,
    record: &LoginRecord,
    nonce: &SecretBytes,
    pepper: Option<&Pepper>,
) -> Result<Option<Pair>, KeyTrouble> {
    let Some(stored) = &record.refresh else {
        return Ok(None);
    };
    let key = key_of(stored, pepper)?;
    let pair = next_pair(previous, record.id, record.generation, nonce, key);
    let matches = proves(Kind::Refresh, record, &pair.refresh, stored, pepper)?
        && proves(Kind::Access, record, &pair.access, &record.access, pepper)?;
    Ok(matches.then_some(pair))
}

/// What this thread has computed so far, for tests of what a request costs.
#[cfg(test)]
pub(super) mod computed {
    use std::cell::Cell;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in crate::token) struct Counts {
        pub(in crate::token) digests: usize,
        /// The hashes of what binds, which are remembered with a record.
        pub(in crate::token) bindings: usize,
    }

    thread_local! {
        static COUNTS: Cell<Counts> = const { Cell::new(Counts { digests: 0, bindings: 0 }) };
    }

    pub(in crate::token) fn so_far() -> Counts {
        COUNTS.get()
    }

    pub(super) fn count(one: impl FnOnce(&mut Counts)) {
        let mut counts = COUNTS.get();
        one(&mut counts);
        COUNTS.set(counts);
    }
}
