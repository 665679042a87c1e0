//! What is remembered: read without a lock, written under one together with the list of reads that are under way.

use std::{
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    builder::Bounds,
    reads::{Answer, Flight, Reads, Turn},
    slots::Slots,
};
use crate::{
    clock::Monotonic,
    identity::Subject,
    store::{Found, LoginRecord, id_hasher::IdHasher},
    text::TokenId,
};

pub(super) struct Copies {
    kept: papaya::HashMap<TokenId, Kept, BuildHasherDefault<IdHasher>>,
    books: Mutex<Books>,
    age: Duration,
    capacity: usize,
}

/// A login that lived when it was read: its subject had its epoch.
struct Kept {
    record: Arc<LoginRecord>,
    /// When its read began.
    began: Monotonic,
    slot: u32,
}

/// Whoever changes what is kept holds these.
struct Books {
    slots: Slots,
    reads: Reads,
}

impl Copies {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let books = Books { slots: Slots::new(bounds.capacity), reads: Reads::default() };
        Self {
            kept: papaya::HashMap::default(),
            books: Mutex::new(books),
            age: bounds.age,
            capacity: bounds.capacity,
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.age
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether anything is ever kept.
    pub(super) fn are_kept(&self) -> bool {
        !self.age.is_zero() && self.capacity > 0
    }

    /// A copy that is young enough.
    pub(super) fn get(&self, id: &TokenId, now: Monotonic) -> Option<Found> {
        let kept = self.kept.pin();
        let copy = kept.get(id).filter(|copy| self.is_young(copy.began, now))?;
        Some(Found::new(Arc::clone(&copy.record), Some(copy.record.epoch)).into_copy())
    }

    fn is_young(&self, began: Monotonic, now: Monotonic) -> bool {
        now.since(began) < self.age
    }

    /// A read that is under way and as good as a copy.
    pub(super) fn current(&self, id: &TokenId, now: Monotonic) -> Option<Flight> {
        self.books().reads.current(id, |began| self.is_young(began, now))
    }

    /// See [`Reads::enter`].
    pub(super) fn enter(
        &self,
        id: &TokenId,
        now: Monotonic,
        next: impl FnOnce(u64, Flight) -> Flight,
    ) -> Turn {
        self.books().reads.enter(id, now, next)
    }

    /// See [`Reads::share`].
    pub(super) fn share(&self, id: &TokenId, number: u64, flight: &Flight) {
        self.books().reads.share(id, number, flight);
    }

    /// See [`Reads::begin`].
    pub(super) fn begin(&self, id: &TokenId, number: u64, now: Monotonic) {
        self.books().reads.begin(id, number, now);
    }

    /// A read has ended with this answer, or was given up. What it has found is kept if it lives and nothing has changed
    /// meanwhile; what it has not found is forgotten.
    pub(super) fn end(&self, id: &TokenId, number: u64, answer: Option<&Answer>) {
        let mut books = self.books();
        let Some(began) = books.reads.end(id, number) else {
            return;
        };
        match answer {
            Some(Ok(Some(found))) if lives(found) => self.keep(&mut books, &found.record, began),
            Some(Ok(_)) => self.remove(&mut books, id),
            Some(Err(_)) | None => {}
        }
    }

    /// The newer of two reads ends last: one begins when the other has ended.
    fn keep(&self, books: &mut Books, record: &Arc<LoginRecord>, began: Monotonic) {
        let kept = self.kept.pin();
        let slot = match kept.get(&record.id) {
            Some(before) => before.slot,
            None => {
                let Some((slot, displaced)) = books.slots.take(record.id) else {
                    return;
                };
                if let Some(displaced) = displaced {
                    kept.remove(&displaced);
                }
                slot
            }
        };
        kept.insert(record.id, Kept { record: Arc::clone(record), began, slot });
    }

    fn remove(&self, books: &mut Books, id: &TokenId) {
        if let Some(copy) = self.kept.pin().remove(id) {
            books.slots.give_back(copy.slot);
        }
    }

    /// These logins have changed.
    pub(super) fn forget(&self, ids: &[TokenId]) {
        let mut books = self.books();
        for id in ids {
            books.reads.overtake(id);
            self.remove(&mut books, id);
        }
    }

    /// Some logins of this subject have changed, and it is not known which.
    pub(super) fn forget_subject(&self, subject: &Subject) {
        // First, so that what is read now is not kept behind our back.
        self.books().reads.overtake_all();
        let kept = self.kept.pin();
        let ids: Vec<_> =
            kept.iter().filter(|(_, copy)| *copy.record.subject == *subject).map(|(id, _)| *id).collect();
        self.forget(&ids);
    }

    /// Anything may have changed.
    pub(super) fn forget_everything(&self) {
        let mut books = self.books();
        books.reads.overtake_all();
        self.kept.pin().clear();
        books.slots.clear();
    }

    /// Nothing that is done under the lock can fail half-way.
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of how many logins a read is under way.
    pub(super) fn reading(&self) -> usize {
        self.books().reads.len()
    }
}

/// Whether a copy of this could let anybody in. What ended early stays so: who asks for it again shall not find a copy.
fn lives(found: &Found) -> bool {
    found.record.revoked.is_none() && found.epoch == Some(found.record.epoch)
}
