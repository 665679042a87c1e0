//! One fetch for all who wait.
//!
//! The fetch runs as a task of its own, bounded by its deadline: a caller that goes away, even the last one, neither stops nor
//! spoils it. Who comes while it runs waits for the same result, good or bad; a bad one is not kept.

use std::{collections::HashMap, sync::Arc};

use futures_util::{
    FutureExt,
    future::{self, try_join_all},
};
use tokio::{runtime::Handle, time};

use super::{
    fetch::Fetch,
    pipeline::Parts,
    slot::{Flight, Held, Landed},
    token::{self, AccessToken},
};
use crate::{
    maybe_ready::MaybeReady,
    provider::{Lease, TokenError, TokenErrorKind},
};

impl Parts {
    /// A fresh token of a step, without a lock if there is one.
    pub(super) fn acquire(self: &Arc<Self>, step: usize) -> MaybeReady<Landed> {
        if let Some(held) = self.fresh(step) {
            return MaybeReady::Now(Ok(held));
        }
        // Boarded when polled: a future may be made outside the runtime that it is run in.
        let this = Arc::clone(self);
        MaybeReady::later(async move {
            match this.board(step, None) {
                Some(flight) => flight.await,
                None => Err(this.aborted(step)),
            }
        })
    }

    fn fresh(&self, step: usize) -> Option<Arc<Held>> {
        let now = self.clock.monotonic();
        self.steps[step].slot.load().as_ref().filter(|held| held.is_fresh(now)).map(Arc::clone)
    }

    /// Joins the step's flight, or starts it: for a fresh token, or for one newer than `rejected`. `None` if a fetch would be in vain.
    pub(super) fn board(self: &Arc<Self>, step: usize, rejected: Option<&Lease>) -> Option<Flight> {
        let slot = &self.steps[step].slot;
        let mut control = slot.control();
        // Somebody may have landed between the caller's look and the lock.
        let newer = |held: &Arc<Held>| rejected.is_none_or(|old| held.lease.generation() > old.generation());
        if let Some(held) = self.fresh(step).filter(newer) {
            return Some(landed(Ok(held)));
        }
        if let Some(flight) = control.flight.as_ref().filter(|flight| flight.peek().is_none()) {
            return Some(flight.clone());
        }
        let current = slot.load();
        let is_rejected =
            |held: &&Arc<Held>| rejected.is_some_and(|old| held.lease.generation() == old.generation());
        let blamed = current.as_ref().filter(is_rejected);
        if let Some(held) = blamed {
            // A token that was fetched for a rejected one and is refused itself, at once and always, is not the cause.
            let never_worked = held.for_rejected && !held.lease.was_accepted();
            if never_worked && self.clock.monotonic().since(held.received) < self.blame_pause {
                return None;
            }
            self.mark_renewed_stale();
        }
        let Ok(runtime) = Handle::try_current() else {
            return Some(landed(Err(self.aborted(step))));
        };
        control.generation += 1;
        let flight = self.start(&runtime, step, control.generation, blamed.is_some());
        control.flight = Some(flight.clone());
        Some(flight)
    }

    fn start(self: &Arc<Self>, runtime: &Handle, step: usize, generation: u64, for_rejected: bool) -> Flight {
        let aborted = self.aborted(step);
        let parts = Arc::clone(self);
        let task = runtime.spawn(async move {
            let _landing = Landing { parts: Arc::clone(&parts), step };
            parts.fly(step, generation, for_rejected).await
        });
        async move { task.await.unwrap_or(Err(aborted)) }.boxed().shared()
    }

    fn aborted(&self, step: usize) -> TokenError {
        TokenError::new(TokenErrorKind::Aborted).in_step(&self.steps[step].name)
    }

    async fn fly(self: &Arc<Self>, step: usize, generation: u64, for_rejected: bool) -> Landed {
        let this = &self.steps[step];
        let parents = try_join_all(this.parents.iter().map(|parent| self.acquire(*parent).wait())).await?;
        let earlier: HashMap<Arc<str>, AccessToken> = this
            .parents
            .iter()
            .zip(&parents)
            .map(|(parent, held)| (Arc::clone(&self.steps[*parent].name), held.token.clone()))
            .collect();
        let fetch = Fetch { http: self.http.clone(), http_on_loopback: self.http_on_loopback, earlier };
        let sent = self.clock.monotonic();
        let fetched = match time::timeout(self.fetch_timeout, this.fetcher.fetch(&fetch)).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(TokenError::new(TokenErrorKind::Timeout)),
        };
        let held = fetched
            .and_then(|token| {
                let received = self.clock.monotonic();
                let life = token.lifetime().unwrap_or(super::answer::LIFETIME_FALLBACK);
                let deadline = token::deadline(received, life, received.since(sent), self.margin);
                let value = token.header_value(&self.prefix)?;
                let lease = Lease::new(value, generation);
                Ok(Arc::new(Held::new(token, lease, received, deadline, for_rejected)))
            })
            .map_err(|error| error.in_step(&this.name));
        match &held {
            Ok(held) => {
                this.slot.store(Arc::clone(held));
                tracing::debug!(pipeline = &*self.name, step = &*this.name, generation, "token fetched");
            }
            Err(error) => {
                tracing::warn!(pipeline = &*self.name, step = &*this.name, %error, "token fetch failed");
            }
        }
        held
    }
}

/// A flight that is over.
fn landed(result: Landed) -> Flight {
    future::ready(result).boxed().shared()
}

/// Clears the step's flight when its task ends, in whatever way.
struct Landing {
    parts: Arc<Parts>,
    step: usize,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.parts.steps[self.step].slot.control().flight = None;
    }
}
