//! A step's own exchange with its endpoint.

use std::{sync::Arc, time::Duration};

use super::{
    blame,
    fetch::{self, Fetch},
    land::Landing,
    life::{self, Lifetime},
    parts::Parts,
    renewal::Renewal,
    shared::{ExchangeError, SharedToken},
    slot::{Held, Origin},
    token::AccessToken,
};
use crate::{
    clock::Monotonic,
    provider::{FetchKind, TokenError},
    secret::Secret,
};

/// What one exchange has brought.
pub(super) struct Exchanged {
    pub(super) token: AccessToken,
    pub(super) kind: FetchKind,
    pub(super) sent: Monotonic,
}

/// A step's token, wherever it is from.
pub(super) struct Obtained {
    pub(super) token: SharedToken,
    pub(super) kind: FetchKind,
    pub(super) round_trip: Duration,
    /// For others that share it.
    pub(super) waited: Duration,
}

impl Parts {
    /// A step's own exchange, within its deadline: with the refresh token if there is one, otherwise, and if that one
    /// is refused, from the start.
    pub(super) async fn obtain(
        &self,
        landing: &Landing,
        fetch: &Fetch,
        refreshable: Option<Arc<Held>>,
    ) -> Result<Obtained, TokenError> {
        let made_at = self.clock.now();
        let exchange = async {
            if let Some(old) = refreshable {
                match self.exchange(landing, fetch, old.token().refresh()).await {
                    Err(refused) if refused.is_refused_refresh() => {
                        old.spend_refresh();
                        tracing::debug!(error = %TokenError::from(refused), "refresh token refused");
                    }
                    exchanged => return exchanged,
                }
            }
            self.exchange(landing, fetch, None).await
        };
        let Exchanged { token, kind, sent } = fetch::bounded(self.fetch_timeout, exchange).await?;
        let received = self.clock.monotonic();
        let life = self.life_of(&token);
        let token = SharedToken::own(token, life, received, made_at);
        let round_trip = received.since(sent);
        Ok(Obtained { token, kind, round_trip, waited: Duration::ZERO })
    }

    /// One exchange: with this refresh token if the step knows how, otherwise from the start.
    pub(super) async fn exchange(
        &self,
        landing: &Landing,
        fetch: &Fetch,
        refresh: Option<&Secret>,
    ) -> Result<Exchanged, ExchangeError> {
        let fetcher = &self.steps[landing.step].fetcher;
        if let Some(secret) = refresh {
            let sent = self.clock.monotonic();
            landing.must_finish(true)?;
            match fetcher.refresh(fetch, secret).await {
                Ok(Some(token)) => {
                    let kept = token.refresh().is_none().then(|| secret.clone());
                    let token = kept.into_iter().fold(token, AccessToken::with_refresh);
                    return Ok(Exchanged { token, kind: FetchKind::Refresh, sent });
                }
                Ok(None) => {}
                Err(error) if blame::is_final(&error) => return Err(ExchangeError::refused_refresh(error)),
                Err(error) => return Err(error.into()),
            }
        }
        landing.must_finish(fetcher.must_finish())?;
        let sent = self.clock.monotonic();
        let token = fetcher.fetch(fetch).await?;
        Ok(Exchanged { token, kind: FetchKind::Fetch, sent })
    }

    /// How long a token is used that has just come.
    pub(super) fn life_of(&self, token: &AccessToken) -> Duration {
        life::granted(token, None, Lifetime::Shorter, self.clock.now())
    }

    /// The token whose refresh token may be used. Not for what was dropped, and not for what is to be made from
    /// renewed tokens: it would be the child of the old ones.
    pub(super) fn refreshable(
        &self,
        step: usize,
        origin: &Origin,
        renewal: Option<&Arc<Renewal>>,
    ) -> Option<Arc<Held>> {
        let this = &self.steps[step];
        let held = this.slot.load().as_ref().map(Arc::clone)?;
        let from_old = |renewal: &Arc<Renewal>| !renewal.anew && !renewal.renews_one(&this.parents);
        let same_parents = !self.bound || held.origin.parents == origin.parents;
        let usable = held.origin.epoch == origin.epoch && same_parents && renewal.is_none_or(from_old);
        (usable && held.has_refresh()).then_some(held)
    }
}
