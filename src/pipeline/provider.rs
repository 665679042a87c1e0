//! The provider that hands out the last step's token.

use std::sync::Arc;

use http::HeaderName;
use tokio::{runtime::Handle, time};

use super::{epoch::UnknownStep, flight::Need, handle, slot::Held, token::AccessToken, waiting::Waiting};
use crate::{
    maybe_ready::{BoxFuture, MaybeReady},
    provider::{Ask, Lease, LeaseOutcome, TokenError, TokenErrorKind, TokenEvent, TokenProvider},
};

/// Hands out the token of a pipeline's last step. Cheap to clone; all providers of a pipeline, and the pipeline
/// itself, share its tokens.
#[derive(Debug, Clone)]
pub struct PipelineProvider {
    pub(super) handle: handle::Handle,
}

// ===== impl PipelineProvider =====

impl PipelineProvider {
    /// The token itself: at once if there is a fresh one, otherwise after the fetch that all callers share.
    ///
    /// # Errors
    /// [`TokenError`] if none can be had.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        match self.at_hand(true, |held| held.token().clone()) {
            Some(token) => Ok(token),
            None => self.wait(true, |held| held.token().clone()).await,
        }
    }

    /// Gets a new token now, and hands the old one out until it is there: that of the last step, or those of the
    /// step that [`refresh_from`](super::TokenPipelineBuilder::refresh_from) names and of all that build on it.
    /// Where a step has a refresh token and can use it, it does.
    ///
    /// Calls at the same time share their fetches. A fetch that was under way before does not count; it is
    /// waited for.
    ///
    /// # Errors
    /// [`TokenError`]; the old token stays.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn refresh(&self) -> Result<AccessToken, TokenError> {
        self.handle.renew(false).await.map(|held| held.token().clone())
    }

    /// Fetches every step that the last one builds on anew, each once and without refresh tokens. The old tokens
    /// are handed out until the new ones are there.
    ///
    /// # Errors
    /// [`TokenError`] of the step that failed. The old token stays where no new one came.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn force_refresh(&self) -> Result<AccessToken, TokenError> {
        self.handle.renew(true).await.map(|held| held.token().clone())
    }

    /// Drops the token of this step, its refresh token, and the tokens of every step that builds on it. They are
    /// fetched when they are needed again; one whose fetch is under way is fetched once more.
    ///
    /// # Errors
    /// [`UnknownStep`]; nothing is dropped.
    pub fn invalidate(&self, step: impl AsRef<str>) -> Result<(), UnknownStep> {
        self.handle.invalidate(step.as_ref())
    }

    /// A token that can be sent now, without a lock; it is renewed in the background if it is time.
    fn at_hand<T>(&self, repeatable: bool, take: impl FnOnce(&Held) -> T) -> Option<T> {
        let (parts, last) = (&*self.handle, self.handle.last());
        let now = parts.clock.monotonic();
        let current = parts.steps[last].slot.load();
        let held = current.as_ref().filter(|held| parts.is_fresh(last, held, now))?;
        if !repeatable && now >= held.moments.lasting {
            return None;
        }
        if held.is_due(now) {
            parts.renew_ahead(last, now);
        }
        if held.moments.soft.is_some_and(|soft| now >= soft) {
            self.tell(LeaseOutcome::Stale);
        } else if parts.recorders.want_hits() {
            self.tell(LeaseOutcome::Hit);
        }
        Some(take(held))
    }

    /// What is taken of a token, by a fetch.
    async fn wait<T>(&self, repeatable: bool, take: impl Fn(&Arc<Held>) -> T) -> Result<T, TokenError> {
        let spared = if repeatable { None } else { self.handle.fresh(self.handle.last()) };
        let (landed, began) = match spared {
            None => self.ride(&Need::Fresh, &take).await,
            // Rare, and large: who waits for a first token should not carry it.
            Some(present) => Box::pin(self.wait_for_a_lasting_one(&present, &take)).await,
        };
        self.tell(match &landed {
            Err(_) => LeaseOutcome::Failed,
            Ok(_) if began => LeaseOutcome::Missed,
            Ok(_) => LeaseOutcome::Waited,
        });
        landed
    }

    async fn ride<T>(&self, need: &Need, take: impl Fn(&Arc<Held>) -> T) -> (Result<T, TokenError>, bool) {
        let last = self.handle.last();
        match self.handle.ride(last, need, take).await {
            Some(ride) => (ride.landed, ride.began),
            None => (Err(self.handle.error(last, TokenErrorKind::Aborted)), false),
        }
    }

    /// Of a token with some life left; of the present one if that cannot be had before it is too old for anybody.
    async fn wait_for_a_lasting_one<T>(
        &self,
        present: &Arc<Held>,
        take: &impl Fn(&Arc<Held>) -> T,
    ) -> (Result<T, TokenError>, bool) {
        // A timer needs a runtime, and so does a fetch.
        if Handle::try_current().is_ok() {
            let left = present.moments.hard.since(self.handle.clock.monotonic());
            if let Ok((Ok(taken), began)) = time::timeout(left, self.ride(&Need::Lasting, take)).await {
                return (Ok(taken), began);
            }
        }
        if self.handle.is_standing(self.handle.last(), present) {
            return (Ok(take(present)), false);
        }
        self.ride(&Need::Fresh, take).await
    }

    /// A lease by whatever way.
    pub(super) fn rare(self, repeatable: bool) -> BoxFuture<Result<Arc<Lease>, TokenError>> {
        Box::pin(async move { self.wait(repeatable, |held| Arc::clone(&held.lease)).await })
    }

    pub(super) fn tell(&self, outcome: LeaseOutcome) {
        self.handle.recorders.tell(&TokenEvent::Leased { pipeline: &self.handle.name, outcome });
    }
}

impl TokenProvider for PipelineProvider {
    fn header(&self) -> &HeaderName {
        &self.handle.header
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        let repeatable = ask.is_repeatable();
        if let Some(lease) = self.at_hand(repeatable, |held| Arc::clone(&held.lease)) {
            return MaybeReady::Now(Ok(lease));
        }
        MaybeReady::later(Waiting::new(self.clone(), repeatable))
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        let (this, rejected) = (self.clone(), Arc::clone(rejected));
        MaybeReady::later(async move {
            let need = Need::Newer(Arc::clone(&rejected));
            let take = |held: &Arc<Held>| Arc::clone(&held.lease);
            let Some(ride) = this.handle.ride(this.handle.last(), &need, take).await else { return Ok(None) };
            let lease = ride.landed?;
            // An endpoint that hands the same token out again has nothing newer.
            let newer = lease.generation() > rejected.generation() && lease.value() != rejected.value();
            Ok(newer.then_some(lease))
        })
    }

    fn rejected_again(&self, newer: &Arc<Lease>) {
        let _whether_a_fetch_may_help = self.handle.reject(self.handle.last(), newer);
    }
}
