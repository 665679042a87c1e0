//! What a flight does: the earlier tokens, then the step's own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::try_join_all;

use super::{
    blame,
    fetch::{Earlier, Fetch},
    flight::Need,
    land::Landing,
    parts::Parts,
    renewal::Renewal,
    slot::{Held, Landed, Origin},
};
use crate::{
    clock::Monotonic,
    provider::{FetchKind, TokenError, TokenErrorKind, TokenEvent},
};

/// An earlier token that a step is given.
pub(super) struct Parent {
    pub(super) step: usize,
    pub(super) held: Arc<Held>,
    /// It was fetched while this flight waited.
    pub(super) just_fetched: bool,
}

impl Parts {
    /// Gets a token and lands it. It is got once more where an earlier token was refused, or where something that
    /// it was made from was dropped meanwhile; the flight's deadline bounds how often.
    pub(super) async fn fly(self: &Arc<Self>, landing: &Landing, renewal: Option<&Arc<Renewal>>) -> Landed {
        let step = landing.step;
        let this = &self.steps[step];
        let before: Vec<u64> = this.parents.iter().map(|parent| self.held_generation(*parent)).collect();
        let mut blamed = None;
        loop {
            let started = self.clock.monotonic();
            let epoch = this.slot.epoch();
            let sharing = self.sharing(step, epoch, renewal.map(|renewal| &**renewal));
            let taken = match &sharing {
                Some(sharing) => sharing.take_over().await,
                None => None,
            };
            if let Some(taken) = taken {
                let origin = Origin { epoch, parents: Box::default() };
                if let Some(held) = landing.land(taken, origin, started)? {
                    return Ok(held);
                }
                continue;
            }
            let parents = self.parents(step, &before, renewal).await?;
            let made_from = parents.iter().map(|parent| (parent.step, parent.held.generation()));
            let origin = Origin { epoch, parents: made_from.collect() };
            // While one was fetched another may have been dropped.
            let standing = parents.iter().all(|parent| self.is_standing(parent.step, &parent.held));
            if !standing || !self.stands(step, &origin) {
                continue;
            }
            let fetch = self.provision(&parents);
            let started = self.clock.monotonic();
            let obtained = match sharing.map(|sharing| (sharing.sources(&parents), sharing)) {
                Some((Some(sources), sharing)) => sharing.obtain(landing, &fetch, &sources).await,
                // What works once, and others have, too, is sent with the store or not at all.
                Some((None, _)) if this.fetcher.must_finish() => Err(TokenError::new(TokenErrorKind::Store)),
                Some((None, _)) | None => {
                    self.obtain(landing, &fetch, self.refreshable(step, &origin, renewal)).await
                }
            };
            let sent = |parent: &&Parent| fetch.has_used(&self.steps[parent.step].name);
            let landed = obtained.and_then(|obtained| {
                if obtained.token.was_fetched() {
                    parents.iter().filter(sent).for_each(|parent| parent.held.lease.mark_accepted());
                }
                landing.land(obtained, origin, started)
            });
            match landed {
                Ok(Some(held)) => {
                    if let Some(doubtful) = &blamed {
                        self.drop_doubtful(doubtful);
                    }
                    return Ok(held);
                }
                Ok(None) => {}
                Err(error) => {
                    let error = error.in_step(&this.name);
                    self.tell_failed(step, &error, started);
                    if blamed.is_some() || !blame::falls_on_parents(&error) {
                        return Err(error);
                    }
                    blamed = Some(self.doubtful(parents.iter().filter(sent)));
                    if !self.renew_parents(&parents, &fetch).await? {
                        return Err(error);
                    }
                }
            }
        }
    }

    pub(super) fn held_generation(&self, step: usize) -> u64 {
        self.steps[step].slot.load().as_ref().map_or(0, |held| held.generation())
    }

    async fn parents(
        self: &Arc<Self>,
        step: usize,
        before: &[u64],
        renewal: Option<&Arc<Renewal>>,
    ) -> Result<Vec<Parent>, TokenError> {
        let need = renewal.map_or(Need::Fresh, |renewal| Need::Part(Arc::clone(renewal)));
        let (need, parents) = (&need, self.steps[step].parents.iter().zip(before));
        try_join_all(parents.map(|(parent, before)| async move {
            let held = self.get(*parent, need).await?;
            // One that was taken over may be as old as any.
            let just_fetched = held.generation() > *before && held.shared.was_fetched();
            Ok(Parent { step: *parent, held, just_fetched })
        }))
        .await
    }

    fn provision(&self, parents: &[Parent]) -> Fetch {
        let earlier = parents.iter().map(|parent| {
            (Arc::clone(&self.steps[parent.step].name), Earlier::new(parent.held.token().clone()))
        });
        Fetch {
            http: self.http.clone(),
            http_on_loopback: self.http_on_loopback,
            clock: self.clock.clone(),
            earlier: Arc::new(earlier.collect::<HashMap<_, _>>()),
        }
    }

    pub(super) fn tell_fetched(
        &self,
        landing: &Landing,
        kind: FetchKind,
        took: Duration,
        waited: Duration,
        life: Duration,
    ) {
        let (pipeline, step) = (&*self.name, &*self.steps[landing.step].name);
        let generation = landing.number;
        tracing::debug!(pipeline, step, generation, kind = kind.as_str(), "token fetched");
        let ends = self.clock.now().plus(life);
        let event = TokenEvent::Fetched { pipeline, step, generation, kind, took, waited, life, ends };
        self.recorders.tell(&event);
    }

    fn tell_failed(&self, step: usize, error: &TokenError, started: Monotonic) {
        let (pipeline, name) = (&*self.name, &*self.steps[step].name);
        tracing::warn!(pipeline, step = name, %error, "token fetch failed");
        let took = self.clock.monotonic().since(started);
        self.recorders.tell(&TokenEvent::Failed { pipeline, step: name, error, took });
        self.on_fetch_error.tell(&*self.steps[step].fetcher, error);
    }
}
