//! What a flight does: the earlier tokens, then the step's own exchange.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::try_join_all;

use super::{
    backoff::draw,
    blame,
    fetch::{self, Earlier, Fetch},
    flight::Want,
    land::{Landing, Minted},
    life::{self, Lifetime},
    parts::Parts,
    renewal::Renewal,
    slot::{Held, Landed, Origin},
    token::{AccessToken, Prefix},
    window::Life,
};
use crate::{
    clock::Monotonic,
    provider::{FetchKind, Lease, TokenError, TokenEvent},
};

/// An earlier token that a step is given.
pub(super) struct Parent {
    pub(super) step: usize,
    pub(super) held: Arc<Held>,
    /// It was fetched while this flight waited.
    pub(super) just_fetched: bool,
}

/// What a step's exchange has brought.
struct Obtained {
    token: AccessToken,
    kind: FetchKind,
    sent: Monotonic,
}

impl Parts {
    /// Gets a token and lands it. It is got once more where an earlier token was refused, or where something that
    /// it was made from was dropped meanwhile; the flight's deadline bounds how often.
    pub(super) async fn fly(self: &Arc<Self>, landing: &Landing, renewal: Option<&Arc<Renewal>>) -> Landed {
        let step = landing.step;
        let this = &self.steps[step];
        let before: Vec<u64> = this.parents.iter().map(|parent| self.held_generation(*parent)).collect();
        let mut blamed = false;
        loop {
            let epoch = this.slot.epoch();
            let parents = self.parents(step, &before, renewal).await?;
            let made_from = parents.iter().map(|parent| (parent.step, parent.held.generation()));
            let origin = Origin { epoch, parents: made_from.collect() };
            // While one was fetched another may have been dropped.
            let standing = parents.iter().all(|parent| self.is_standing(parent.step, &parent.held));
            if !standing || !self.stands(step, &origin) {
                continue;
            }
            let fetch = self.provision(&parents);
            let refreshable = self.refreshable(step, &origin, renewal);
            let started = self.clock.monotonic();
            let obtained = self.obtain(landing, &fetch, refreshable).await;
            match obtained.and_then(|obtained| self.mint(landing, obtained, origin)) {
                Ok((minted, kind, life)) => {
                    let used = parents.iter().filter(|parent| fetch.has_used(&self.steps[parent.step].name));
                    used.for_each(|parent| parent.held.lease.mark_accepted());
                    if let Some(held) = landing.land(minted) {
                        self.tell_fetched(landing, kind, held.received.since(started), life);
                        return Ok(held);
                    }
                }
                Err(error) => {
                    let error = error.in_step(&this.name);
                    self.tell_failed(step, &error, started);
                    let blames = !blamed && blame::falls_on_parents(&error);
                    if !blames || !self.renew_parents(&parents, &fetch).await? {
                        return Err(error);
                    }
                    blamed = true;
                }
            }
        }
    }

    fn held_generation(&self, step: usize) -> u64 {
        self.steps[step].slot.load().as_ref().map_or(0, |held| held.generation())
    }

    async fn parents(
        self: &Arc<Self>,
        step: usize,
        before: &[u64],
        renewal: Option<&Arc<Renewal>>,
    ) -> Result<Vec<Parent>, TokenError> {
        let want = renewal.map_or(Want::Fresh, |renewal| Want::Part(Arc::clone(renewal)));
        let (want, parents) = (&want, self.steps[step].parents.iter().zip(before));
        try_join_all(parents.map(|(parent, before)| async move {
            let held = self.get(*parent, want).await?;
            let just_fetched = held.generation() > *before;
            Ok(Parent { step: *parent, held, just_fetched })
        }))
        .await
    }

    fn provision(&self, parents: &[Parent]) -> Fetch {
        let earlier = parents.iter().map(|parent| {
            (Arc::clone(&self.steps[parent.step].name), Earlier::new(parent.held.token.clone()))
        });
        Fetch {
            http: self.http.clone(),
            http_on_loopback: self.http_on_loopback,
            clock: self.clock.clone(),
            earlier: Arc::new(earlier.collect::<HashMap<_, _>>()),
        }
    }

    /// The token whose refresh token may be used. Not for what was dropped, and not for what is to be made from
    /// renewed tokens: it would be the child of the old ones.
    fn refreshable(&self, step: usize, origin: &Origin, renewal: Option<&Arc<Renewal>>) -> Option<Arc<Held>> {
        let this = &self.steps[step];
        let held = this.slot.load().as_ref().map(Arc::clone)?;
        let from_old = |renewal: &Arc<Renewal>| {
            !renewal.anew && !this.parents.iter().any(|parent| renewal.includes(*parent))
        };
        let same_parents = !self.bound || held.origin.parents == origin.parents;
        let usable = held.origin.epoch == origin.epoch && same_parents && renewal.is_none_or(from_old);
        (usable && held.has_refresh()).then_some(held)
    }

    /// A step's exchange, within its deadline: with the refresh token if there is one, otherwise, and if that one
    /// is refused, from the start.
    async fn obtain(
        &self,
        landing: &Landing,
        fetch: &Fetch,
        refreshable: Option<Arc<Held>>,
    ) -> Result<Obtained, TokenError> {
        let fetcher = &self.steps[landing.step].fetcher;
        let exchange = async {
            if let Some(old) = refreshable
                && let Some(secret) = old.token.refresh()
            {
                let sent = self.clock.monotonic();
                landing.must_finish(true)?;
                match fetcher.refresh(fetch, secret).await {
                    Ok(Some(token)) => {
                        let kept = token.refresh().is_none().then(|| secret.clone());
                        let token = kept.into_iter().fold(token, AccessToken::with_refresh);
                        return Ok(Obtained { token, kind: FetchKind::Refresh, sent });
                    }
                    Ok(None) => {}
                    Err(error) if blame::is_final(&error) => {
                        old.spend_refresh();
                        tracing::debug!(%error, "refresh token refused");
                    }
                    Err(error) => return Err(error),
                }
            }
            landing.must_finish(fetcher.must_finish())?;
            let sent = self.clock.monotonic();
            let token = fetcher.fetch(fetch).await?;
            Ok(Obtained { token, kind: FetchKind::Fetch, sent })
        };
        fetch::bounded(self.fetch_timeout, exchange).await
    }

    fn mint(
        &self,
        landing: &Landing,
        obtained: Obtained,
        origin: Origin,
    ) -> Result<(Minted, FetchKind, Duration), TokenError> {
        let Obtained { token, kind, sent } = obtained;
        let received = self.clock.monotonic();
        let life = life::granted(&token, None, Lifetime::Shorter, self.clock.now());
        let refresh_in = token.refresh_in();
        let moments = self
            .windows
            .moments(Life { received, life, refresh_in, round_trip: received.since(sent) }, draw());
        // Only the last step's token goes into the header, so only its type has to make sense there.
        let prefix = if landing.step == self.last() { &self.prefix } else { &Prefix::None };
        let lease = Lease::new(token.header_value(prefix)?, landing.number);
        Ok((Minted { token, lease, received, moments, origin }, kind, life))
    }

    fn tell_fetched(&self, landing: &Landing, kind: FetchKind, took: Duration, life: Duration) {
        let (pipeline, step) = (&*self.name, &*self.steps[landing.step].name);
        let generation = landing.number;
        tracing::debug!(pipeline, step, generation, kind = kind.as_str(), "token fetched");
        self.recorders.tell(&TokenEvent::Fetched { pipeline, step, generation, kind, took, life });
    }

    fn tell_failed(&self, step: usize, error: &TokenError, started: Monotonic) {
        let (pipeline, name) = (&*self.name, &*self.steps[step].name);
        tracing::warn!(pipeline, step = name, %error, "token fetch failed");
        let took = self.clock.monotonic().since(started);
        self.recorders.tell(&TokenEvent::Failed { pipeline, step: name, error, took });
        self.on_fetch_error.tell(&*self.steps[step].fetcher, error);
    }
}
