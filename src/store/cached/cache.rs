//! Reading through: who asks the store, who waits for another's answer, and what is kept of it.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;

use super::{
    builder::Bounds,
    copies::Copies,
    reads::{Answer, Flight, Turn},
};
use crate::{
    clock::{Clock, Monotonic},
    maybe_ready::{BoxFuture, MaybeReady},
    store::{Found, StoreError, TokenStore},
    text::TokenId,
};

/// The store and what is remembered of it.
pub(super) struct Cache {
    store: Arc<dyn TokenStore>,
    copies: Copies,
    clock: Clock,
}

/// The place of a read among those that are under way. Given up when dropped, also where nobody waits any more.
struct Place {
    cache: Arc<Cache>,
    id: TokenId,
    number: u64,
}

// ===== impl Cache =====

impl Cache {
    pub(super) fn new(store: Arc<dyn TokenStore>, bounds: &Bounds) -> Self {
        Self { store, copies: Copies::new(bounds), clock: bounds.clock.clone().unwrap_or_default() }
    }

    pub(super) fn store(&self) -> &dyn TokenStore {
        &*self.store
    }

    pub(super) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// A copy, or what another's read has found, or the store's answer.
    pub(super) fn recall(self: &Arc<Self>, id: &TokenId) -> MaybeReady<Answer> {
        if !self.copies.are_kept() {
            return self.store.find(id);
        }
        let now = self.clock.monotonic();
        if let Some(copy) = self.copies.get(id, now) {
            return MaybeReady::Now(Ok(Some(copy)));
        }
        let Some(flight) = self.copies.current(id, now) else {
            return self.read(id, now);
        };
        let (this, id) = (Arc::clone(self), *id);
        MaybeReady::later(async move {
            match flight.await {
                // A login may have begun after that read did. No copy says that there is none.
                Ok(None) => this.find(&id).wait().await,
                found => Ok(found?.map(Found::into_copy)),
            }
        })
    }

    /// The login as it is now.
    pub(super) fn find(self: &Arc<Self>, id: &TokenId) -> MaybeReady<Answer> {
        if !self.copies.are_kept() {
            return self.store.find(id);
        }
        self.read(id, self.clock.monotonic())
    }

    /// Asks the store, or waits for a read that has not begun yet.
    fn read(self: &Arc<Self>, id: &TokenId, now: Monotonic) -> MaybeReady<Answer> {
        let number = match self.copies.enter(id, now, |number, current| self.after(current, id, number)) {
            Turn::Ask(number) => number,
            Turn::Wait(flight) => return MaybeReady::later(flight),
        };
        let place = Place { cache: Arc::clone(self), id: *id, number };
        match self.store.find(id) {
            MaybeReady::Now(answer) => {
                place.end(&answer);
                MaybeReady::Now(answer)
            }
            MaybeReady::Later(reading) => {
                let reading: BoxFuture<Answer> = Box::pin(async move {
                    let answer = caught(reading).await;
                    place.end(&answer);
                    answer
                });
                let flight = reading.shared();
                self.copies.share(id, number, &flight);
                MaybeReady::later(flight)
            }
        }
    }

    /// A read that begins when the current one has ended.
    fn after(self: &Arc<Self>, current: Flight, id: &TokenId, number: u64) -> Flight {
        let place = Place { cache: Arc::clone(self), id: *id, number };
        let reading: BoxFuture<Answer> = Box::pin(async move {
            let _ended = current.await;
            let (cache, id) = (Arc::clone(&place.cache), place.id);
            cache.copies.begin(&id, number, cache.clock.monotonic());
            let answer = caught(async { cache.store.find(&id).wait().await }).await;
            place.end(&answer);
            answer
        });
        reading.shared()
    }
}

/// Of a read that panics nobody else would ever hear.
async fn caught(reading: impl Future<Output = Answer>) -> Answer {
    let answer = AssertUnwindSafe(reading).catch_unwind().await;
    answer.unwrap_or_else(|_| Err(StoreError::unavailable("the store has panicked")))
}

// ===== impl Place =====

impl Place {
    fn end(&self, answer: &Answer) {
        self.cache.copies.end(&self.id, self.number, Some(answer));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Changes nothing where it has ended with an answer: the number is gone.
        self.cache.copies.end(&self.id, self.number, None);
    }
}
