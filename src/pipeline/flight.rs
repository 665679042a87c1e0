//! One fetch for all who wait.
//!
//! The fetch runs as a task of its own, bounded by its deadlines: a caller that goes away, even the last one,
//! neither stops nor spoils it. Who comes while it runs waits for the same result, good or bad. A step has one
//! flight at a time: who needs one that begins later waits for the one under way first.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{runtime::Handle, time};
use tracing::{Instrument, Span};

use super::{
    land::Landing,
    parts::Parts,
    renewal::Renewal,
    signal::{Sent, Signal, Wait},
    slot::{Control, Flying, Held, Landed},
};
use crate::{
    clock::Monotonic,
    provider::{Lease, TokenError, TokenErrorKind},
};

/// More than the deadlines of all steps together: the task itself is to report a timeout, and its late success
/// to count.
const SLACK: Duration = Duration::from_secs(1);

/// While a renewal ahead is under way, one request in this span looks whether it still is: its runtime may have
/// ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What a caller needs of a step.
pub(super) enum Need {
    /// A fresh token.
    Fresh,
    /// One with some life left: its request cannot be repeated.
    Lasting,
    /// One that is newer than this, which was refused.
    Newer(Arc<Lease>),
    /// What a renewal brings that begins after this flight.
    Renewed { after: u64, anew: bool },
    /// What a renewal that is under way needs of this step.
    Part(Arc<Renewal>),
}

/// What a caller got.
pub(super) struct Ride<T> {
    pub(super) landed: Result<T, TokenError>,
    /// Its call has begun the fetch.
    pub(super) began: bool,
}

/// What a caller finds at the gate.
pub(super) enum Boarding {
    /// What is wanted is there, or cannot be had.
    Landed(Landed),
    Flight(Ticket),
}

pub(super) struct Ticket {
    number: u64,
    pub(super) wait: Wait<Landed>,
    /// The flight may bring what is wanted. Otherwise it has to be over first.
    pub(super) fits: bool,
    /// It is driven by another runtime, which may stand still.
    pub(super) foreign: bool,
    pub(super) began: bool,
    /// The flight's.
    pub(super) span: Span,
}

impl Parts {
    /// A token, without a lock if there is one.
    pub(super) async fn get(self: &Arc<Self>, step: usize, need: &Need) -> Landed {
        let ride = self.ride(step, need, Arc::clone).await;
        ride.map_or_else(|| Err(self.error(step, TokenErrorKind::Aborted)), |ride| ride.landed)
    }

    /// What is taken of a token, if need be by a flight. `None` if a fetch would be in vain.
    pub(super) async fn ride<T>(
        self: &Arc<Self>,
        step: usize,
        need: &Need,
        take: impl Fn(&Arc<Held>) -> T,
    ) -> Option<Ride<T>> {
        if let Some(held) = self.usable(step, need) {
            return Some(Ride { landed: Ok(take(&held)), began: false });
        }
        if let Need::Newer(rejected) = need
            && !self.reject(step, rejected)
        {
            return None;
        }
        let mut aborted = false;
        loop {
            let ticket = match self.board(step, need) {
                Boarding::Landed(landed) => {
                    return Some(Ride { landed: landed.map(|held| take(&held)), began: false });
                }
                Boarding::Flight(ticket) => ticket,
            };
            let Ticket { number, wait, fits, foreign, began, span } = ticket;
            if !began {
                span.follows_from(Span::current());
            }
            // If the runtime of the flight stands still, so does this one, unless it is another. Ten thousand who
            // wait need no timers.
            let sent = if foreign { Box::pin(self.wait(step, number, wait)).await } else { Ok(wait.await) };
            if !fits {
                continue;
            }
            let landed = sent.and_then(|sent| match &*sent {
                Ok(held) => Ok(take(held)),
                Err(error) => Err(error.clone()),
            });
            match landed {
                // Its runtime has ended; this one has not.
                Err(error) if error.kind() == TokenErrorKind::Aborted && !aborted => aborted = true,
                landed => return Some(Ride { landed, began }),
            }
        }
    }

    /// Begins a flight for a token that is still handed out, if none is under way. Never waits, and does nothing
    /// outside a runtime.
    pub(super) fn renew_ahead(self: &Arc<Self>, step: usize, now: Monotonic) {
        let slot = &self.steps[step].slot;
        // Whoever has the lock is about to do the same, or to bring the new token.
        let (Ok(runtime), Some(mut control)) = (Handle::try_current(), slot.try_control()) else { return };
        if !slot.load().as_ref().is_some_and(|held| held.is_due(now)) {
            return;
        }
        slot.due_from(now.plus(LOOK_AGAIN));
        control.clear_dead();
        if control.flight.is_none() && !control.stopped {
            let _nobody_waits = self.start(&runtime, step, &mut control, None);
        }
    }

    /// Waits for a flight on another runtime, as long as it can take.
    async fn wait(&self, step: usize, number: u64, wait: Wait<Landed>) -> Result<Sent<Landed>, TokenError> {
        time::timeout(self.patience(step).saturating_add(SLACK), wait).await.map_err(|_elapsed| {
            self.abandon(step, number);
            self.error(step, TokenErrorKind::Timeout)
        })
    }

    /// A fresh token, if there is one.
    pub(super) fn fresh(&self, step: usize) -> Option<Arc<Held>> {
        self.usable(step, &Need::Fresh)
    }

    fn usable(&self, step: usize, need: &Need) -> Option<Arc<Held>> {
        let current = self.steps[step].slot.load();
        let held = current.as_ref()?;
        let now = self.clock.monotonic();
        let wanted = match need {
            Need::Fresh => true,
            Need::Lasting => now < held.moments.lasting,
            Need::Newer(rejected) => held.generation() > rejected.generation(),
            // Who asked for it waits for its own flight; what others have fetched meanwhile is another matter.
            Need::Renewed { .. } => false,
            Need::Part(renewal) => renewal.accepts(step, held.generation()),
        };
        (wanted && self.is_fresh(step, held, now)).then(|| Arc::clone(held))
    }

    /// Joins the step's flight, or starts it.
    pub(super) fn board(self: &Arc<Self>, step: usize, need: &Need) -> Boarding {
        let mut control = self.steps[step].slot.control();
        // Somebody may have landed between the caller's look and the lock.
        if let Some(held) = self.usable(step, need) {
            return Boarding::Landed(Ok(held));
        }
        // Before a flight is joined, too: whoever waits for a foreign one needs a timer.
        let Ok(runtime) = Handle::try_current() else {
            return Boarding::Landed(Err(self.error(step, TokenErrorKind::NoRuntime)));
        };
        if control.stopped {
            return Boarding::Landed(Err(self.error(step, TokenErrorKind::Stopped)));
        }
        control.clear_dead();
        if let Some(flying) = &control.flight {
            return Boarding::Flight(Ticket {
                number: flying.number,
                wait: flying.signal.wait(),
                fits: need.fits(step, flying),
                foreign: flying.runtime != runtime.id(),
                began: false,
                span: flying.span.clone(),
            });
        }
        if let Some(error) = control.failures.standing(self.clock.monotonic()) {
            return Boarding::Landed(Err(error));
        }
        let renewal = match need {
            Need::Renewed { anew, .. } => Some(Arc::new(self.begin_renewal(*anew))),
            Need::Part(renewal) => Some(Arc::clone(renewal)),
            Need::Fresh | Need::Lasting | Need::Newer(_) => None,
        };
        let (number, signal) = self.start(&runtime, step, &mut control, renewal);
        Boarding::Flight(Ticket {
            number,
            wait: signal.wait(),
            fits: true,
            foreign: false,
            began: true,
            span: Span::none(),
        })
    }

    /// Called under the lock.
    fn start(
        self: &Arc<Self>,
        runtime: &Handle,
        step: usize,
        control: &mut Control,
        renewal: Option<Arc<Renewal>>,
    ) -> (u64, Arc<Signal<Landed>>) {
        let number = self.steps[step].slot.next_generation();
        let name = &*self.steps[step].name;
        // It outlives the request that began it, so it is no part of that one's span.
        let span = tracing::info_span!(
            parent: None,
            "token_flight",
            pipeline = &*self.name,
            step = name,
            generation = number
        );
        span.follows_from(Span::current());
        // Sent where the task is dropped: with its runtime, or because it was stopped.
        let (signal, sender) = Signal::new(Err(self.error(step, TokenErrorKind::Aborted)));
        let (parts, its_renewal) = (Arc::clone(self), renewal.clone());
        let fly = async move {
            let landing = Landing::new(Arc::clone(&parts), step, number);
            let limit = parts.patience(step);
            let run = AssertUnwindSafe(async {
                time::timeout(limit, parts.fly(&landing, its_renewal.as_ref())).await
            });
            let landed = match run.catch_unwind().await {
                Ok(Ok(Ok(held))) => Ok(held),
                Ok(Ok(Err(error))) => Err(landing.fail(error)),
                Ok(Err(_elapsed)) => Err(landing.fail(TokenError::new(TokenErrorKind::Timeout))),
                Err(_panic) => Err(landing.fail(TokenError::new(TokenErrorKind::Panicked))),
            };
            drop(landing);
            sender.send(landed);
        };
        let task = runtime.spawn(fly.instrument(span.clone())).abort_handle();
        let (flying, runtime) = (Arc::clone(&signal), runtime.id());
        let must_finish = false;
        control.flight = Some(Flying { number, signal: flying, task, span, runtime, renewal, must_finish });
        (number, signal)
    }

    /// The longest that a flight takes: the deadlines of a whole chain, and once more for what was refused or
    /// dropped on the way.
    pub(super) fn patience(&self, step: usize) -> Duration {
        let one =
            self.shared.as_ref().map_or(self.fetch_timeout, |shared| shared.longest(self.fetch_timeout));
        one.saturating_mul(self.steps[step].depth).saturating_mul(2)
    }

    /// Takes the flight off, if it is still there, so that the next caller starts another.
    pub(super) fn abandon(&self, step: usize, number: u64) {
        let slot = &self.steps[step].slot;
        let mut control = slot.control();
        if control.take_off(number) {
            slot.due_from(self.clock.monotonic());
        }
    }

    pub(super) fn error(&self, step: usize, kind: TokenErrorKind) -> TokenError {
        TokenError::new(kind).in_step(&self.steps[step].name)
    }
}

impl Need {
    /// Whether a flight that is under way may bring it.
    fn fits(&self, step: usize, flying: &Flying) -> bool {
        match self {
            Self::Fresh | Self::Lasting | Self::Newer(_) => true,
            Self::Renewed { after, anew } => {
                let renewal = flying.renewal.as_ref();
                flying.number > *after && renewal.is_some_and(|renewal| renewal.anew || !anew)
            }
            Self::Part(renewal) => renewal.accepts(step, flying.number),
        }
    }
}
