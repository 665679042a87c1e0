//! What a flight makes of the tokens that others share.
//!
//! 1. A shared token is taken over without the earlier ones that it was made from: nobody needs them for it.
//! 2. Where they matter, because the step is bound to them, what was made from them was dropped, or they are renewed
//!    now, a token is taken over that was made from those that this process has, or from later ones. Versions say so,
//!    whatever the clocks are.
//! 3. A token that is made from one which could not be shared is not shared either.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    attempt::Parent,
    fetch::{Fetch, bounded},
    land::Landing,
    obtain::Obtained,
    parts::Parts,
    renewal::Renewal,
    shared::{SharedLeases, Want},
    slot::Held,
};
use crate::{
    provider::{FetchKind, TokenError},
    secret::Secret,
    store::{LeaseKey, LeaseVersion},
};

/// A step whose tokens are shared, at the beginning of a flight.
pub(super) struct Sharing<'a> {
    parts: &'a Parts,
    shared: &'a SharedLeases,
    key: &'a LeaseKey,
    step: usize,
    held: Option<Arc<Held>>,
    renewal: Option<&'a Renewal>,
    /// What a token was made from matters.
    bound: bool,
}

impl Parts {
    /// `None` if the step's tokens are not shared.
    pub(super) fn sharing<'a>(
        &'a self,
        step: usize,
        epoch: u64,
        renewal: Option<&'a Renewal>,
    ) -> Option<Sharing<'a>> {
        let this = &self.steps[step];
        let (shared, key) = (self.shared.as_ref()?, this.key.as_ref()?);
        let held = this.slot.load().as_ref().map(Arc::clone);
        let dropped = held.as_ref().map_or(0, |held| held.origin.epoch) != epoch;
        let renews_parents = renewal.is_some_and(|renewal| renewal.renews_one(&this.parents));
        let bound = self.bound || dropped || renews_parents;
        Some(Sharing { parts: self, shared, key, step, held, renewal, bound })
    }

    /// The version of an earlier step's token that a token was made from.
    pub(super) fn source(&self, step: usize, held: &Held, parent: usize) -> Option<LeaseVersion> {
        let is_shared = |parent: &&usize| self.steps[**parent].key.is_some();
        let mut shared = self.steps[step].parents.iter().filter(is_shared);
        held.shared.made_from().get(shared.position(|shared| *shared == parent)?).copied()
    }
}

impl Sharing<'_> {
    /// The token that others have, if it can be judged without those that it was made from.
    pub(super) async fn take_over(&self) -> Option<Obtained> {
        // Without earlier tokens there is nothing to be spared, and the store is asked anyhow.
        if self.bound || self.parts.steps[self.step].parents.is_empty() {
            return None;
        }
        let began = self.parts.clock.monotonic();
        let token = self.shared.find(self.key, &self.want()).await?;
        let waited = self.parts.clock.monotonic().since(began);
        Some(Obtained { token, kind: FetchKind::Shared, round_trip: Duration::ZERO, waited })
    }

    /// The versions of the earlier tokens, as far as those are shared. `None` if one of them could not be, and so what
    /// is made from it cannot.
    pub(super) fn sources(&self, parents: &[Parent]) -> Option<Box<[LeaseVersion]>> {
        let shared = parents.iter().filter(|parent| self.parts.steps[parent.step].key.is_some());
        let versions: Option<_> = shared.map(|parent| parent.held.shared.version()).collect();
        versions.or_else(|| (!self.bound).then(Box::default))
    }

    /// A token that others have, or one that is fetched once for all.
    pub(super) async fn obtain(
        &self,
        landing: &Landing,
        fetch: &Fetch,
        sources: &[LeaseVersion],
    ) -> Result<Obtained, TokenError> {
        let (parts, fetched) = (self.parts, Mutex::new(None));
        let (began, exchanging) = (parts.clock.monotonic(), AtomicU64::new(0));
        let exchange = |refresh: Option<Secret>| {
            let (fetched, exchanging) = (&fetched, &exchanging);
            async move {
                let began = parts.clock.monotonic();
                let exchange = parts.exchange(landing, fetch, refresh.as_ref());
                let exchanged = bounded(parts.fetch_timeout, exchange).await;
                exchanging.fetch_add(nanos(parts.clock.monotonic().since(began)), Ordering::Relaxed);
                let exchanged = exchanged?;
                let life = parts.life_of(&exchanged.token);
                let round_trip = parts.clock.monotonic().since(exchanged.sent);
                let kind = exchanged.kind;
                *fetched.lock().unwrap_or_else(PoisonError::into_inner) = Some((kind, round_trip));
                Ok(exchanged.token.with_lifetime(life))
            }
        };
        let want = if self.bound { self.want().made_from(sources) } else { self.want().noting(sources) };
        let token = self.shared.renew(self.key, want, parts.fetch_timeout, exchange).await?;
        let fetched = fetched.into_inner().unwrap_or_else(PoisonError::into_inner);
        let taken = (FetchKind::Shared, Duration::ZERO);
        let (kind, round_trip) = fetched.filter(|_| token.was_fetched()).unwrap_or(taken);
        let exchanging = Duration::from_nanos(exchanging.into_inner());
        let waited = parts.clock.monotonic().since(began).saturating_sub(exchanging);
        Ok(Obtained { token, kind, round_trip, waited })
    }

    fn want(&self) -> Want<'_> {
        let (parts, this) = (self.parts, &self.parts.steps[self.step]);
        let renewed = self.renewal.filter(|renewal| renewal.includes(self.step));
        let mut want = match &self.held {
            None => Want::any(),
            Some(held) if renewed.is_none() && parts.is_standing(self.step, held) => {
                Want::later_than(&held.shared)
            }
            Some(held) => Want::instead_of(&held.shared),
        };
        if let Some(renewal) = renewed {
            want = want.renewed_since(renewal.since);
        }
        if self.renewal.is_some_and(|renewal| renewal.anew || renewal.renews_one(&this.parents)) {
            want = want.from_the_start();
        }
        if this.fetcher.must_finish() {
            want = want.single_use();
        }
        let (from, above) = this.slot.shared_from();
        want.living(parts.windows.margin).not_before(from).above(above)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
