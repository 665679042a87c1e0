//! How a flight ends.

use std::sync::Arc;

use super::{
    obtain::Obtained,
    parts::Parts,
    shared::SharedToken,
    slot::{Held, Origin},
    token::Prefix,
    window::{Life, Moments},
};
use crate::{
    clock::Monotonic,
    provider::{Lease, TokenError, TokenErrorKind},
    random,
};

/// The end of one flight. It takes the flight off when its task ends, in whatever way.
pub(super) struct Landing {
    parts: Arc<Parts>,
    pub(super) step: usize,
    pub(super) number: u64,
    began: Monotonic,
}

/// A token that is about to land.
struct Minted {
    shared: SharedToken,
    lease: Lease,
    received: Monotonic,
    moments: Moments,
    origin: Origin,
}

impl Landing {
    pub(super) fn new(parts: Arc<Parts>, step: usize, number: u64) -> Self {
        let began = parts.clock.monotonic();
        Self { parts, step, number, began }
    }

    /// Makes what was obtained the step's token. `None` if something that it was made from was dropped meanwhile.
    pub(super) fn land(
        &self,
        obtained: Obtained,
        origin: Origin,
        started: Monotonic,
    ) -> Result<Option<Arc<Held>>, TokenError> {
        let (parts, Obtained { token: shared, kind, round_trip, waited }) = (&*self.parts, obtained);
        let now = parts.clock.monotonic();
        let (left, life) = (shared.remaining(now), shared.life());
        let token = shared.token();
        let span = Life { received: now, left, life, refresh_in: token.refresh_in(), round_trip };
        let moments = parts.windows.moments(span, random::fraction());
        // Only the last step's token goes into the header, so only its type has to make sense there.
        let prefix = if self.step == parts.last() { &parts.prefix } else { &Prefix::None };
        let lease = Lease::new(token.header_value(prefix)?, self.number);
        let held = self.put(Minted { shared, lease, received: now, moments, origin });
        if held.is_some() {
            parts.tell_fetched(self, kind, now.since(started).saturating_sub(waited), waited, left);
        }
        Ok(held)
    }

    /// Token and flight change in one step: nobody finds the token and still joins the flight that brought it.
    fn put(&self, minted: Minted) -> Option<Arc<Held>> {
        let slot = &self.parts.steps[self.step].slot;
        let mut control = slot.control();
        if !self.parts.stands(self.step, &minted.origin) {
            return None;
        }
        control.take_off(self.number);
        let Minted { shared, lease, received, moments, origin } = minted;
        // A flight that was abandoned and lands after all must not displace its successor's token.
        let newer = slot.load().as_ref().is_none_or(|there| there.generation() < self.number);
        let for_rejected = if newer { control.rejected.take() } else { None };
        let held = Arc::new(Held::new(shared, lease, received, moments, origin, for_rejected));
        if newer {
            control.failures.clear();
            slot.store(Arc::clone(&held));
        }
        Some(held)
    }

    /// Notes a failure: the token that is there stays, and the endpoint is left alone for a while.
    pub(super) fn fail(&self, error: TokenError) -> TokenError {
        let error = error.in_step(&self.parts.steps[self.step].name);
        let slot = &self.parts.steps[self.step].slot;
        let mut control = slot.control();
        if control.take_off(self.number) {
            let now = self.parts.clock.monotonic();
            // These are no failures of an endpoint.
            let ours = matches!(
                error.kind(),
                TokenErrorKind::Aborted | TokenErrorKind::NoRuntime | TokenErrorKind::Stopped
            );
            let due = if ours { now } else { control.failures.note(&error, now, random::fraction()) };
            slot.due_from(due);
        }
        error
    }

    /// Whether what the flight sends next works only once, so that it must not be stopped on the way. It is not sent
    /// where the flight's own deadline could stop it.
    pub(super) fn must_finish(&self, must: bool) -> Result<(), TokenError> {
        let parts = &self.parts;
        let end = parts.clock.monotonic().since(self.began).saturating_add(parts.fetch_timeout);
        if must && end > parts.patience(self.step) {
            return Err(TokenError::new(TokenErrorKind::Timeout));
        }
        let mut control = self.parts.steps[self.step].slot.control();
        if control.stopped {
            return Err(TokenError::new(TokenErrorKind::Stopped));
        }
        if let Some(flying) = control.flight.as_mut().filter(|flying| flying.number == self.number) {
            flying.must_finish = must;
        }
        Ok(())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.parts.abandon(self.step, self.number);
    }
}
