//! Who has which logins, and which of them end first.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    identity::Subject,
    store::{Epoch, LoginRecord},
    text::TokenId,
};

/// A subject's number in the index, and its epoch.
pub(super) struct SubjectRow {
    number: u64,
    epoch: AtomicU64,
}

/// Everything but the rows themselves; its lock is the lock for every write.
#[derive(Default)]
pub(super) struct Index {
    subjects: HashMap<Arc<Subject>, Arc<SubjectRow>>,
    next_number: u64,
    by_subject: BTreeSet<SubjectKey>,
    by_end: BTreeSet<EndKey>,
    /// Logins that ended before their time, beside their place in `by_end`. To move that place would cost a
    /// revocation more than all else that it does.
    revoked: BTreeSet<EndKey>,
}

/// A subject's number and one of its logins. Bytes, because a tuple would be half as large again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SubjectKey([u8; 5], TokenId);

/// The end of a login.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct EndKey([u8; 6], TokenId);

// ===== impl SubjectRow =====

impl SubjectRow {
    pub(super) fn epoch(&self) -> Epoch {
        Epoch::from_number(self.epoch.load(Ordering::Acquire))
    }

    pub(super) fn raise_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }
}

// ===== impl Index =====

impl Index {
    pub(super) fn len(&self) -> usize {
        self.by_end.len()
    }

    /// Whether nothing is left of any login.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.subjects.is_empty()
            && self.by_subject.is_empty()
            && self.by_end.is_empty()
            && self.revoked.is_empty()
    }

    pub(super) fn find_subject(&self, subject: &Subject) -> Option<Arc<SubjectRow>> {
        self.subjects.get(subject).map(Arc::clone)
    }

    pub(super) fn subjects(&self) -> impl Iterator<Item = &SubjectRow> {
        self.subjects.values().map(|row| &**row)
    }

    /// The subject's row, made with this epoch if there is none.
    pub(super) fn subject(&mut self, subject: &Arc<Subject>, first: Epoch) -> Arc<SubjectRow> {
        if let Some(row) = self.subjects.get(subject) {
            return Arc::clone(row);
        }
        let row = Arc::new(SubjectRow { number: self.next_number, epoch: AtomicU64::new(first.number()) });
        self.next_number += 1;
        self.subjects.insert(Arc::clone(subject), Arc::clone(&row));
        row
    }

    pub(super) fn add(&mut self, record: &LoginRecord, subject: &SubjectRow) {
        self.by_subject.insert(SubjectKey::new(subject.number, record.id));
        self.by_end.insert(EndKey::new(record.last_end(), record.id));
        self.revoked.extend(EndKey::of_revoked(record));
    }

    /// Files a login that has changed.
    pub(super) fn update(&mut self, old: &LoginRecord, new: &LoginRecord) {
        let (before, after) = (old.last_end(), new.last_end());
        if before != after {
            self.by_end.remove(&EndKey::new(before, old.id));
            self.by_end.insert(EndKey::new(after, new.id));
        }
        // What is revoked stays revoked, since then: at most the same key again.
        self.revoked.extend(EndKey::of_revoked(new));
    }

    /// The login that ended first, if it had ended by then.
    pub(super) fn first_ended(&self, by: Timestamp) -> Option<TokenId> {
        let first = self.by_end.first().into_iter().chain(self.revoked.first()).min();
        first.filter(|key| key.end() <= by).map(|EndKey(_, id)| *id)
    }

    pub(super) fn logins_of(&self, subject: &SubjectRow) -> impl Iterator<Item = TokenId> + '_ {
        let lowest = SubjectKey::new(subject.number, TokenId::LOWEST);
        self.by_subject.range(lowest..).take_while(move |key| key.0 == lowest.0).map(|SubjectKey(_, id)| *id)
    }

    /// All logins behind this place, subject by subject.
    pub(super) fn logins_after(&self, place: Option<SubjectKey>) -> impl Iterator<Item = SubjectKey> + '_ {
        let from = place.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_subject.range((from, Bound::Unbounded)).copied()
    }

    /// A subject without logins needs no epoch: whatever was issued to it is gone, and the next login starts a
    /// random one.
    pub(super) fn forget(&mut self, record: &LoginRecord, subject: &SubjectRow) {
        self.by_end.remove(&EndKey::new(record.last_end(), record.id));
        if let Some(key) = EndKey::of_revoked(record) {
            self.revoked.remove(&key);
        }
        self.by_subject.remove(&SubjectKey::new(subject.number, record.id));
        if self.logins_of(subject).next().is_none() {
            self.subjects.remove(&record.subject);
        }
    }
}

// ===== impl SubjectKey =====

impl SubjectKey {
    /// Numbers are given out one by one: 2⁴⁰ are never reached.
    fn new(number: u64, id: TokenId) -> Self {
        let [_, _, _, number @ ..] = number.to_be_bytes();
        Self(number, id)
    }

    pub(super) fn id(&self) -> TokenId {
        self.1
    }
}

// ===== impl EndKey =====

impl EndKey {
    /// The last end that is not "never", in the year 10889; nor does a login end before 1970.
    const LAST: i64 = (1 << 48) - 2;

    fn new(end: Timestamp, id: TokenId) -> Self {
        let millis =
            if end == Timestamp::NEVER { Self::LAST + 1 } else { end.as_millis().clamp(0, Self::LAST) };
        let [_, _, end @ ..] = millis.to_be_bytes();
        Self(end, id)
    }

    fn of_revoked(record: &LoginRecord) -> Option<Self> {
        record.revoked.map(|revocation| Self::new(revocation.at(), record.id))
    }

    fn end(&self) -> Timestamp {
        let [a, b, c, d, e, f] = self.0;
        let millis = i64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        if millis > Self::LAST { Timestamp::NEVER } else { Timestamp::from_millis(millis) }
    }
}
