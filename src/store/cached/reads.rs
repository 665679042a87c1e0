//! The reads that are under way: one for each login, and one that waits for it.

use std::collections::HashMap;

use futures_util::future::{Shared, WeakShared};

use crate::{
    clock::Monotonic,
    maybe_ready::BoxFuture,
    store::{Found, StoreError},
    text::TokenId,
};

/// What a store has found.
pub(super) type Answer = Result<Option<Found>, StoreError>;
/// A read that several wait for. Whoever is left of them polls it.
pub(super) type Flight = Shared<BoxFuture<Answer>>;

/// Everything that is under way. It holds no read alive: one that nobody waits for any more ends.
///
/// Ids are what callers bring, so this table has a keyed hash.
#[derive(Default)]
pub(super) struct Reads {
    started: u64,
    by_id: HashMap<TokenId, OfLogin>,
}

#[derive(Default)]
struct OfLogin {
    current: Option<Current>,
    next: Option<Next>,
}

/// The store was asked.
struct Current {
    number: u64,
    began: Monotonic,
    /// The login has changed since then.
    stale: bool,
    /// Absent while the store is being called, which may have the answer at once.
    flight: Option<WeakShared<BoxFuture<Answer>>>,
}

/// The store will be asked when the current read has ended.
struct Next {
    number: u64,
    flight: WeakShared<BoxFuture<Answer>>,
}

/// How to read a login as it is from now on.
pub(super) enum Turn {
    /// Ask the store. This read has the number.
    Ask(u64),
    /// Wait for this one.
    Wait(Flight),
}

impl Reads {
    /// A read that is under way and is not older than `since`, nor was overtaken by a change.
    pub(super) fn current(&self, id: &TokenId, is_young: impl Fn(Monotonic) -> bool) -> Option<Flight> {
        let current = self.by_id.get(id)?.current.as_ref()?;
        if current.stale || !is_young(current.began) {
            return None;
        }
        current.flight.as_ref()?.upgrade()
    }

    /// A read that begins now or later. `next` makes the future of one with this number that begins when the current one
    /// has ended.
    pub(super) fn enter(
        &mut self,
        id: &TokenId,
        now: Monotonic,
        next: impl FnOnce(u64, Flight) -> Flight,
    ) -> Turn {
        let of_login = self.by_id.entry(*id).or_default();
        if let Some(flight) = of_login.next.as_ref().and_then(|next| next.flight.upgrade()) {
            return Turn::Wait(flight);
        }
        self.started += 1;
        let number = self.started;
        let current = of_login.current.as_ref().and_then(|current| current.flight.as_ref()?.upgrade());
        let Some(current) = current else {
            // Whoever is calling the store in this moment cannot be waited for. His read counts no more, and is not kept.
            of_login.current = Some(Current { number, began: now, stale: false, flight: None });
            return Turn::Ask(number);
        };
        let flight = next(number, current);
        of_login.next = flight.downgrade().map(|flight| Next { number, flight });
        Turn::Wait(flight)
    }

    /// The store needs time: from here on others may wait with us.
    pub(super) fn share(&mut self, id: &TokenId, number: u64, flight: &Flight) {
        let current = self.by_id.get_mut(id).and_then(|of_login| of_login.current.as_mut());
        if let Some(current) = current.filter(|current| current.number == number) {
            current.flight = flight.downgrade();
        }
    }

    /// The turn of a read that has waited: it begins now, and who comes later waits for one more.
    pub(super) fn begin(&mut self, id: &TokenId, number: u64, now: Monotonic) {
        let of_login = self.by_id.entry(*id).or_default();
        if let Some(next) = of_login.next.take_if(|next| next.number == number) {
            let flight = Some(next.flight);
            of_login.current = Some(Current { number, began: now, stale: false, flight });
        }
    }

    /// A read has ended. When it began, if what it has found may be kept.
    pub(super) fn end(&mut self, id: &TokenId, number: u64) -> Option<Monotonic> {
        let of_login = self.by_id.get_mut(id)?;
        let ended = of_login.current.take_if(|current| current.number == number);
        of_login.next.take_if(|next| next.number == number);
        if of_login.current.is_none() && of_login.next.is_none() {
            self.by_id.remove(id);
        }
        ended.filter(|current| !current.stale).map(|current| current.began)
    }

    /// The login changes: what is being read of it may be what was before.
    pub(super) fn overtake(&mut self, id: &TokenId) {
        if let Some(current) = self.by_id.get_mut(id).and_then(|of_login| of_login.current.as_mut()) {
            current.stale = true;
        }
    }

    pub(super) fn overtake_all(&mut self) {
        self.by_id.values_mut().filter_map(|of_login| of_login.current.as_mut()).for_each(|current| {
            current.stale = true;
        });
    }

    /// Of how many logins.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}
