//! One login.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{Context, Data, Digest, Rekey, Revocation, Rotation, Touch, extras::MaybeExtras};
use crate::{
    clock::Timestamp, credential::Channel, identity::Subject, scope::Scope, secret::SecretBytes,
    text::TokenId,
};

/// A login (a device): one record, however often it is refreshed.
///
/// Handlers read it with [`Auth::record`](crate::identity::Auth::record). Stores take it apart as
/// [`LoginColumns`](super::LoginColumns) and put it together from them.
#[derive(Clone)]
pub struct LoginRecord {
    pub(crate) id: TokenId,
    pub(crate) subject: Arc<Subject>,
    pub(crate) channel: Channel,
    pub(crate) context: Context,
    pub(crate) extras: MaybeExtras,
    /// Its cookie ends with the browser.
    pub(crate) browser_session: bool,

    pub(crate) access: Digest,
    pub(crate) refresh: Option<Digest>,
    /// Boxed, as is the nonce: a login that was never refreshed has neither.
    pub(crate) previous: Option<Box<Digest>>,
    pub(crate) nonce: Option<Box<SecretBytes>>,
    pub(crate) lineage: SecretBytes,
    pub(crate) generation: u32,
    pub(crate) rotated_at: Timestamp,
    /// When the current pair was first used; never while that is awaited.
    pub(crate) confirmed_at: Timestamp,
    pub(crate) grace_hits: u32,

    pub(crate) created: Timestamp,
    pub(crate) last_seen: Timestamp,
    pub(crate) access_ttl: Life,
    pub(crate) refresh_ttl: Life,
    pub(crate) access_expires: Timestamp,
    pub(crate) refresh_expires: Timestamp,
    pub(crate) absolute_expires: Timestamp,
    pub(crate) epoch: Epoch,
    pub(crate) revoked: Option<Revocation>,

    pub(crate) binding: Binding,
}

/// The state of a subject's credentials. Raised whenever all its logins shall end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

/// How long something lives, in milliseconds, or for ever. Half the size of an optional duration, and one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(i64);

/// The first bytes of the hash that binds a record's access digest to the record, once computed.
///
/// A copy starts empty: a copy may be changed in what the bytes depend on. Three words, of which the first is zero
/// until all are written, because a lock would cost every record as much again.
#[derive(Default)]
pub(crate) struct Binding([AtomicU32; 3]);

// ===== impl LoginRecord =====

impl LoginRecord {
    /// The columns that there are. A store keeps it with each record, so that a version that does not know them says that
    /// it could not check, instead of reading what is not there.
    pub const FORMAT: u16 = 1;

    /// The login's public id.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// Whose login it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The tenant it belongs to.
    pub fn tenant(&self) -> Option<&str> {
        self.extras.get().tenant.as_deref()
    }

    /// The channel its tokens were issued for.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// What its access tokens may be used for; `None` for everything that the user may do.
    pub fn scope(&self) -> Option<&Scope> {
        self.extras.get().scope.as_deref()
    }

    pub(crate) fn shared_scope(&self) -> Option<Arc<Scope>> {
        self.extras.get().scope.clone()
    }

    /// The client that alone may refresh it.
    pub fn client(&self) -> Option<&str> {
        self.extras.get().client.as_deref()
    }

    /// The thumbprint (RFC 7638) of the key whose holder alone may refresh it.
    pub fn key_thumbprint(&self) -> Option<&str> {
        self.extras.get().key_thumbprint.as_deref()
    }

    /// The name that the user or the application gave to the device.
    pub fn label(&self) -> Option<&str> {
        self.extras.get().label.as_deref()
    }

    /// What the application noted at the login.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// What the application keeps with it and may change.
    pub fn data(&self) -> &Data {
        &self.extras.get().data
    }

    /// How often [`data`](Self::data) was changed; a change names the version it read.
    pub fn version(&self) -> u64 {
        self.extras.get().version
    }

    /// Whether its cookie is meant to end with the browser.
    pub fn is_browser_session(&self) -> bool {
        self.browser_session
    }

    /// The moment of the login.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The last moment at which it was seen in use, exact to the touch interval.
    pub fn last_seen(&self) -> Timestamp {
        self.last_seen
    }

    /// How often the pair was rotated or replaced.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The moment of the last refresh, or of the login if there was none.
    pub fn refreshed(&self) -> Timestamp {
        self.rotated_at
    }

    /// Whether it is a session: in a cookie, and nothing but its use makes it last.
    pub(crate) fn is_session(&self) -> bool {
        self.channel == Channel::Cookie && self.refresh.is_none()
    }

    /// Whether the access token has ended; true from the exact moment of its end on.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.access_expires()
    }

    /// The end of the current access token.
    pub fn access_expires(&self) -> Timestamp {
        self.access_expires.min(self.absolute_expires)
    }

    /// The end of the current refresh token; `None` if there is none.
    pub fn refresh_expires(&self) -> Option<Timestamp> {
        self.refresh.is_some().then_some(self.refresh_expires.min(self.absolute_expires))
    }

    /// The end that nothing extends.
    pub fn absolute_expires(&self) -> Timestamp {
        self.absolute_expires
    }

    /// When and why the login ended, if it was revoked.
    pub fn revoked(&self) -> Option<Revocation> {
        self.revoked
    }

    /// Whether a token of this login may still be valid: it is neither revoked nor past all its ends.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && now < self.purgeable_from()
    }

    /// From here on no token of this login can be valid, so the record may be purged.
    pub fn purgeable_from(&self) -> Timestamp {
        let end = self.last_end();
        self.revoked.map_or(end, |revocation| end.min(revocation.at()))
    }

    /// Whether the current pair was used.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed_at != Timestamp::NEVER
    }

    /// The later of the last rotation and the first use of what it gave; never while that is awaited.
    pub(crate) fn settled_at(&self) -> Timestamp {
        self.rotated_at.max(self.confirmed_at)
    }

    /// The end of the token that ends last, whether the login is revoked or not.
    pub(crate) fn last_end(&self) -> Timestamp {
        let access = self.access_expires();
        self.refresh_expires().map_or(access, |refresh| refresh.max(access))
    }

    /// Writes the columns of a rotation. Whether it may happen is the store's to decide, in the same step.
    pub(crate) fn rotate(&mut self, rotation: Rotation) {
        self.generation = rotation.generation.saturating_add(1);
        self.previous = self.refresh.replace(rotation.refresh).map(Box::new);
        self.access = rotation.access;
        self.nonce = Some(Box::new(rotation.nonce));
        self.rotated_at = rotation.now;
        self.last_seen = self.last_seen.max(rotation.now);
        self.confirmed_at = Timestamp::NEVER;
        self.grace_hits = 0;
        self.access_expires = rotation.access_expires;
        self.refresh_expires = self.refresh_expires.max(rotation.refresh_expires);
    }

    /// Writes the columns of a touch. No end moves back.
    pub(crate) fn touch(&mut self, touch: Touch) {
        self.last_seen = touch.now;
        self.access_expires =
            touch.access_expires.map_or(self.access_expires, |end| end.max(self.access_expires));
        self.refresh_expires =
            touch.refresh_expires.map_or(self.refresh_expires, |end| end.max(self.refresh_expires));
        if let Some(access) = touch.access {
            self.access = access;
        }
        if touch.wipe_nonce {
            self.nonce = None;
        }
    }

    /// Writes the columns of a rekey: from here on nothing of the old pair is known, not even its lineage.
    pub(crate) fn rekey(&mut self, rekey: Rekey, epoch: Epoch) {
        self.generation = rekey.generation.saturating_add(1);
        self.access = rekey.access;
        self.refresh = rekey.refresh;
        self.lineage = rekey.lineage;
        self.previous = None;
        self.nonce = None;
        self.rotated_at = rekey.now;
        self.last_seen = self.last_seen.max(rekey.now);
        self.confirmed_at = rekey.now;
        self.grace_hits = 0;
        self.access_expires = rekey.access_expires;
        self.refresh_expires = rekey.refresh_expires;
        self.epoch = epoch;
    }
}

impl fmt::Debug for LoginRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRecord")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("generation", &self.generation)
            .field("created", &self.created)
            .field("access_expires", &self.access_expires)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

// ===== impl Epoch =====

impl Epoch {
    /// From its number, for a store that reads one back.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The number to store.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

// ===== impl Life =====

impl Life {
    /// For ever.
    pub const FOREVER: Self = Self(i64::MAX);

    /// From its milliseconds, for a store that reads one back. [`i64::MAX`] is "for ever".
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The milliseconds to store.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// `None` is "for ever".
    pub fn get(self) -> Option<Duration> {
        u64::try_from(self.0).ok().filter(|_| self.0 != i64::MAX).map(Duration::from_millis)
    }
}

impl From<Option<Duration>> for Life {
    fn from(span: Option<Duration>) -> Self {
        Self(span.map_or(i64::MAX, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

// ===== impl Binding =====

impl Binding {
    /// One that is known from the start.
    pub(crate) fn known(bytes: [u8; 12]) -> Self {
        let binding = Self::default();
        binding.get_or_init(|| bytes);
        binding
    }

    pub(crate) fn get_or_init(&self, compute: impl FnOnce() -> [u8; 12]) -> [u8; 12] {
        let [first, second, third] = &self.0;
        let head = first.load(Ordering::Acquire);
        if head != 0 {
            let mut bytes = [0; 12];
            let words = [head, second.load(Ordering::Relaxed), third.load(Ordering::Relaxed)];
            for (bytes, word) in bytes.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_ne_bytes());
            }
            return bytes;
        }
        let bytes = compute();
        let word = |at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        // Whoever sees the first word sees the others. Two that compute at once write the same.
        second.store(word(4), Ordering::Relaxed);
        third.store(word(8), Ordering::Relaxed);
        first.store(word(0), Ordering::Release);
        bytes
    }
}

impl Clone for Binding {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every byte here is a megabyte in a store of a million logins.
    #[test]
    fn a_record_stays_small() {
        assert!(size_of::<Digest>() <= 40, "{}", size_of::<Digest>());
        assert!(size_of::<LoginRecord>() <= 296, "{}", size_of::<LoginRecord>());
    }
}
