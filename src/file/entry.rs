//! What is in a file: numbers, the key that it belongs to, and bytes.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    store::{FoundLease, LeaseKey, LeaseLock, LeaseRecord, LeaseVersion, LockOwner},
};

const LEASE: &[u8] = b"portcullis lease 1\n";
const LOCK: &[u8] = b"portcullis lock 1\n";

/// A record, and until when it is there.
pub(super) struct Kept {
    pub(super) record: LeaseRecord,
    pub(super) life: Life,
}

/// The last lock of a key; it stays when it has ended, for its fence.
pub(super) struct Held {
    pub(super) lock: LeaseLock,
    pub(super) life: Life,
}

/// How long something is there: its end by the machine's clock, and the whole span.
#[derive(Clone, Copy)]
pub(super) struct Life {
    end: Timestamp,
    span: Duration,
}

/// Takes a file apart.
struct Reader<'a>(&'a [u8]);

// ===== impl Life =====

impl Life {
    pub(super) fn begin(now: Timestamp, span: Duration) -> Self {
        let span = Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1));
        Self { end: now.plus(span), span }
    }

    /// What is left of it: never more than the whole, also when the clock was set back since.
    pub(super) fn remaining(self, now: Timestamp) -> Duration {
        self.end.since(now).min(self.span)
    }

    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.end <= now
    }

    /// Since its begin, the clock was set back: by its end it would last longer than it was meant to.
    pub(super) fn is_stretched(self, now: Timestamp) -> bool {
        self.end.since(now) > self.span
    }

    /// The whole span again, from now on.
    pub(super) fn again(self, now: Timestamp) -> Self {
        Self::begin(now, self.span)
    }

    /// Over since this long.
    pub(super) fn is_over_since(self, now: Timestamp, span: Duration) -> bool {
        self.is_over(now) && now.since(self.end) >= span
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.end.as_millis().to_be_bytes());
        let millis = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        out.extend_from_slice(&millis.to_be_bytes());
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let end = Timestamp::from_millis(i64::from_be_bytes(reader.array()?));
        let span = Duration::from_millis(u64::from_be_bytes(reader.array()?));
        Some(Self { end, span })
    }
}

// ===== impl Kept =====

impl Kept {
    pub(super) fn to_bytes(&self, key: &LeaseKey) -> Zeroizing<Vec<u8>> {
        let (name, value) = (key.as_str().as_bytes(), self.record.value());
        let mut out = Zeroizing::new(Vec::with_capacity(LEASE.len() + 40 + name.len() + value.len()));
        out.extend_from_slice(LEASE);
        self.life.write(&mut out);
        push(&mut out, name);
        out.extend_from_slice(&self.record.version().get().to_be_bytes());
        out.extend_from_slice(&self.record.expires_at().as_millis().to_be_bytes());
        push(&mut out, value);
        out
    }

    /// `None` if the bytes are not a whole record of this key.
    pub(super) fn from_bytes(key: &LeaseKey, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(LEASE)?);
        let life = Life::read(&mut reader)?;
        if reader.field()? != key.as_str().as_bytes() {
            return None;
        }
        let version = LeaseVersion::new(u64::from_be_bytes(reader.array()?));
        let expires_at = Timestamp::from_millis(i64::from_be_bytes(reader.array()?));
        let value = reader.field()?;
        let whole = reader.0.is_empty();
        whole.then(|| Self { record: LeaseRecord::new(version, expires_at, value.to_vec()), life })
    }

    pub(super) fn found(self, now: Timestamp) -> FoundLease {
        FoundLease::new(self.record, self.life.remaining(now))
    }
}

/// The life in a record's file, whatever its key.
pub(super) fn life_of_lease(bytes: &[u8]) -> Option<Life> {
    Life::read(&mut Reader(bytes.strip_prefix(LEASE)?))
}

/// The life in a lock's file, whatever its key.
pub(super) fn life_of_lock(bytes: &[u8]) -> Option<Life> {
    Life::read(&mut Reader(bytes.strip_prefix(LOCK)?))
}

// ===== impl Held =====

impl Held {
    pub(super) fn to_bytes(&self, key: &LeaseKey) -> Vec<u8> {
        let mut out = LOCK.to_vec();
        self.life.write(&mut out);
        push(&mut out, key.as_str().as_bytes());
        out.extend_from_slice(self.lock.owner().as_bytes());
        out.extend_from_slice(&self.lock.fence().to_be_bytes());
        out
    }

    /// `None` if the bytes are not a whole lock of this key.
    pub(super) fn from_bytes(key: &LeaseKey, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes.strip_prefix(LOCK)?);
        let life = Life::read(&mut reader)?;
        if reader.field()? != key.as_str().as_bytes() {
            return None;
        }
        let owner = LockOwner::from_bytes(reader.array()?);
        let fence = u64::from_be_bytes(reader.array()?);
        reader.0.is_empty().then(|| Self { lock: LeaseLock::new(owner, fence), life })
    }
}

// ===== impl Reader =====

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn field(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(u32::from_be_bytes(self.array()?)).ok()?;
        let (field, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(field)
    }
}

fn push(out: &mut Vec<u8>, field: &[u8]) {
    let len = u32::try_from(field.len()).expect("names and tokens are shorter than 4 GiB");
    out.extend_from_slice(&len.to_be_bytes());
    out.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LeaseNamespace;

    fn key(step: &str) -> LeaseKey {
        LeaseKey::new(&LeaseNamespace::new("shop").unwrap(), "crm", step)
    }

    #[test]
    fn r102_records_and_locks_survive_and_nothing_that_is_cut_or_anothers_is_read() {
        let now = Timestamp::from_millis(1000);
        let record = LeaseRecord::new(LeaseVersion::new(7), Timestamp::from_millis(9), b"value".to_vec());
        let kept = Kept { record, life: Life::begin(now, Duration::from_secs(1)) }.to_bytes(&key("user"));
        let read = Kept::from_bytes(&key("user"), &kept).unwrap();
        assert_eq!(
            (read.record.version().get(), read.record.expires_at().as_millis(), read.record.value()),
            (7, 9, &b"value"[..])
        );
        assert_eq!(read.life.remaining(now), Duration::from_secs(1));
        let held = Held {
            lock: LeaseLock::new(LockOwner::from_bytes([5; 16]), 3),
            life: Life::begin(now, Duration::from_secs(2)),
        }
        .to_bytes(&key("user"));
        let read = Held::from_bytes(&key("user"), &held).unwrap();
        assert_eq!((read.lock.owner().as_bytes(), read.lock.fence()), (&[5; 16], 3));

        assert!(Kept::from_bytes(&key("app"), &kept).is_none());
        assert!(Held::from_bytes(&key("app"), &held).is_none());
        assert!(Kept::from_bytes(&key("user"), &held).is_none());
        assert!((0..kept.len()).all(|len| Kept::from_bytes(&key("user"), &kept[..len]).is_none()));
        assert!((0..held.len()).all(|len| Held::from_bytes(&key("user"), &held[..len]).is_none()));
    }

    #[test]
    fn a_life_is_never_longer_than_it_was_meant_to_be() {
        let start = Timestamp::from_millis(100_000);
        let life = Life::begin(start, Duration::from_secs(10));
        assert_eq!(life.remaining(start.plus(Duration::from_secs(4))), Duration::from_secs(6));
        let set_back = Timestamp::from_millis(0);
        assert_eq!(life.remaining(set_back), Duration::from_secs(10));
        assert!(life.is_stretched(set_back) && !life.is_stretched(start));
        assert!(life.is_over(start.plus(Duration::from_secs(10))));
        assert!(!life.again(set_back).is_stretched(set_back));
        assert!(!Life::begin(start, Duration::ZERO).is_over(start), "a span of nothing is a millisecond");
    }
}
