//! One fetch for all who wait.
//!
//! The fetch runs as a task of its own, bounded by its deadline: a caller that goes away, even the last one,
//! neither stops nor spoils it. Who comes while it runs waits for the same result, good or bad; a bad one is
//! not kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::try_join_all};
use tokio::{runtime::Handle, time};

use super::{
    fetch::{self, Fetch},
    life::{self, Lifetime},
    parts::Parts,
    slot::{Flight, Held, Landed},
    token::{self, AccessToken, Prefix},
};
use crate::{
    maybe_ready::MaybeReady,
    provider::{Lease, TokenError, TokenErrorKind},
};

/// More than the deadlines of all steps together: the task itself is to report a timeout, and its late success
/// to count.
const SLACK: Duration = Duration::from_secs(1);

impl Parts {
    /// A fresh token of a step, without a lock if there is one.
    pub(super) fn acquire(self: &Arc<Self>, step: usize) -> MaybeReady<Landed> {
        if let Some(held) = self.fresh(step) {
            return MaybeReady::Now(Ok(held));
        }
        // Boarded when polled: a future may be made outside the runtime that it is run in.
        let this = Arc::clone(self);
        MaybeReady::later(async move {
            let landed = this.ride(step, None).await;
            landed.unwrap_or_else(|| Err(this.error(step, TokenErrorKind::Aborted)))
        })
    }

    /// Waits for a fresh token, or for one newer than `rejected`. `None` if a fetch would be in vain.
    pub(super) async fn ride(self: &Arc<Self>, step: usize, rejected: Option<&Lease>) -> Option<Landed> {
        for again in [true, false] {
            let (number, flight) = match self.board(step, rejected) {
                Boarding::Landed(landed) => return Some(landed),
                Boarding::InVain => return None,
                Boarding::Flight(number, flight) => (number, flight),
            };
            // The task has its own deadlines, but it is driven by the runtime of whoever started it, which may
            // stand still.
            let longest = self.fetch_timeout.saturating_mul(self.steps[step].depth).saturating_add(SLACK);
            let landed = time::timeout(longest, flight).await.unwrap_or_else(|_elapsed| {
                self.abandon(step, number);
                Err(self.error(step, TokenErrorKind::Timeout))
            });
            match landed {
                // That runtime has ended; this one has not.
                Err(error) if error.kind() == TokenErrorKind::Aborted && again => self.abandon(step, number),
                landed => return Some(landed),
            }
        }
        None
    }

    fn fresh(&self, step: usize) -> Option<Arc<Held>> {
        let now = self.clock.monotonic();
        self.steps[step].slot.load().as_ref().filter(|held| held.is_fresh(now)).map(Arc::clone)
    }

    /// Joins the step's flight, or starts it.
    fn board(self: &Arc<Self>, step: usize, rejected: Option<&Lease>) -> Boarding {
        let slot = &self.steps[step].slot;
        let mut control = slot.control();
        // Somebody may have landed between the caller's look and the lock.
        let newer = |held: &Arc<Held>| rejected.is_none_or(|old| held.generation() > old.generation());
        if let Some(held) = self.fresh(step).filter(newer) {
            return Boarding::Landed(Ok(held));
        }
        // Before a flight is joined, too: whoever waits for it needs a timer.
        let Ok(runtime) = Handle::try_current() else {
            return Boarding::Landed(Err(self.error(step, TokenErrorKind::NoRuntime)));
        };
        if let Some((number, flight)) = &control.flight {
            return Boarding::Flight(*number, flight.clone());
        }
        let current = slot.load();
        let blamed =
            current.as_ref().filter(|held| rejected.is_some_and(|old| held.generation() == old.generation()));
        if let Some(held) = blamed {
            // A token that was fetched for a rejected one and is refused itself, at once and always, is not the
            // cause.
            let never_worked = held.for_rejected && !held.lease.was_accepted();
            if never_worked && self.clock.monotonic().since(held.received) < self.rejection_cooldown {
                return Boarding::InVain;
            }
            // Once for each rejected token: what was fetched for it since then must not be lost to a late 401.
            if held.make_stale() {
                self.mark_renewed_stale();
            }
        }
        control.generation += 1;
        let flight = self.start(&runtime, step, control.generation, blamed.is_some());
        control.flight = Some((control.generation, flight.clone()));
        Boarding::Flight(control.generation, flight)
    }

    /// Takes the flight off, if it is still there, so that the next caller starts another.
    fn abandon(&self, step: usize, number: u64) {
        let mut control = self.steps[step].slot.control();
        control.flight.take_if(|(flying, _)| *flying == number);
    }

    fn start(self: &Arc<Self>, runtime: &Handle, step: usize, generation: u64, for_rejected: bool) -> Flight {
        let (aborted, panicked) =
            (self.error(step, TokenErrorKind::Aborted), self.error(step, TokenErrorKind::Panicked));
        let parts = Arc::clone(self);
        let task = runtime.spawn(async move {
            let landing = Landing { parts: Arc::clone(&parts), step, number: generation };
            let landed = parts.fly(step, generation, for_rejected).await;
            landing.land(landed)
        });
        let landed = task.map(|landed| {
            landed.unwrap_or_else(|error| Err(if error.is_panic() { panicked } else { aborted }))
        });
        landed.boxed().shared()
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
        let fetch = Fetch {
            http: self.http.clone(),
            http_on_loopback: self.http_on_loopback,
            clock: self.clock.clone(),
            earlier: Arc::new(earlier),
        };
        let sent = self.clock.monotonic();
        let fetched = fetch::bounded(self.fetch_timeout, this.fetcher.fetch(&fetch)).await;
        let held = fetched.and_then(|token| {
            let received = self.clock.monotonic();
            let life = life::granted(&token, None, Lifetime::Shorter, self.clock.now());
            let deadline = token::deadline(received, life, received.since(sent), self.margin);
            // Only the last step's token goes into the header, so only its type has to make sense there.
            let prefix = if step == self.last() { &self.prefix } else { &Prefix::None };
            let lease = Lease::new(token.header_value(prefix)?, generation);
            Ok(Arc::new(Held::new(token, lease, received, deadline, for_rejected)))
        });
        let held = held.map_err(|error| error.in_step(&this.name));
        match &held {
            Ok(_) => {
                tracing::debug!(pipeline = &*self.name, step = &*this.name, generation, "token fetched");
            }
            Err(error) => {
                tracing::warn!(pipeline = &*self.name, step = &*this.name, %error, "token fetch failed");
                self.on_fetch_error.tell(&*this.fetcher, error);
            }
        }
        held
    }

    fn error(&self, step: usize, kind: TokenErrorKind) -> TokenError {
        TokenError::new(kind).in_step(&self.steps[step].name)
    }
}

/// What a caller finds at the gate.
enum Boarding {
    /// What is wanted is there, or cannot be had here.
    Landed(Landed),
    /// A flight, and its number.
    Flight(u64, Flight),
    /// A fetch would change nothing.
    InVain,
}

/// Takes the flight off when its task ends, in whatever way.
struct Landing {
    parts: Arc<Parts>,
    step: usize,
    number: u64,
}

impl Landing {
    /// Token and flight change in one step: nobody finds the token and still joins the flight that brought it.
    fn land(self, landed: Landed) -> Landed {
        let slot = &self.parts.steps[self.step].slot;
        let mut control = slot.control();
        control.flight.take_if(|(flying, _)| *flying == self.number);
        if let Ok(held) = &landed {
            // A flight that was abandoned and lands after all must not displace its successor's token.
            let newer = slot.load().as_ref().is_none_or(|there| there.generation() < held.generation());
            if newer {
                slot.store(Arc::clone(held));
            }
        }
        drop(control);
        landed
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.parts.abandon(self.step, self.number);
    }
}
