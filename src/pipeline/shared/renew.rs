//! How a token is renewed that others have, too.

use std::{sync::PoisonError, time::Duration};

use tokio::time;

use super::{
    entry::{Look, Put, store_error, unknown_key, version_of},
    hold::{Hold, Taker},
    record::SharedToken,
    settings::{Inner, SharedLeases},
    want::Want,
};
use crate::{
    clock::Timestamp,
    pipeline::AccessToken,
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
    store::{Expect, LeaseKey, LeaseVersion},
};

/// The lock under which a token is fetched that could be fetched twice without harm: it is renewed meanwhile, and
/// after a crash nobody waits for long.
const ORDINARY_TTL: Duration = Duration::from_secs(5);

/// By how much the wait outlasts the lock of a process that has died: it may have renewed it just before.
const OUTLASTED: Duration = Duration::from_secs(1);

/// How often a token that has been fetched is offered to the store, and how long is waited before the second time;
/// twice as long before each further one.
const PUT_ATTEMPTS: u32 = 4;
const PUT_WAIT: Duration = Duration::from_millis(100);

/// Why an exchange brought no token.
#[derive(Debug, Clone)]
pub struct ExchangeError {
    error: TokenError,
    refused_refresh: bool,
}

/// A rotated token that could not be stored. Its predecessor is spent, and still what the others read.
#[derive(Clone)]
pub(super) struct Unsaved {
    token: SharedToken,
    expect: Expect,
    version: LeaseVersion,
}

/// What has become of an earlier renewal whose token could not be stored.
enum Earlier {
    Nothing,
    /// It is stored now.
    Saved(SharedToken),
    /// It still is not, and this, or what came after it, is to be used all the same.
    Alone(SharedToken),
}

/// One renewal.
struct Renewing<'a, E> {
    inner: &'a Inner,
    key: &'a LeaseKey,
    want: Want<'a>,
    fetch_timeout: Duration,
    exchange: E,
}

// ===== impl ExchangeError =====

impl ExchangeError {
    /// The endpoint did not accept the refresh token (`invalid_grant`, RFC 6749 §5.2): it was used, revoked, or has
    /// ended.
    pub fn refused_refresh(error: TokenError) -> Self {
        Self { error, refused_refresh: true }
    }

    pub(in crate::pipeline) fn is_refused_refresh(&self) -> bool {
        self.refused_refresh
    }
}

impl From<ExchangeError> for TokenError {
    fn from(error: ExchangeError) -> Self {
        error.error
    }
}

impl From<TokenError> for ExchangeError {
    fn from(error: TokenError) -> Self {
        Self { error, refused_refresh: false }
    }
}

// ===== impl SharedLeases =====

impl SharedLeases {
    /// Gets a token that is wanted: from the store, or, once for all who share it, with `exchange`, after which it
    /// is in the store.
    ///
    /// `exchange` is given the refresh token to redeem, or `None` to fetch from the start. Whoever redeems one and
    /// is given no new one returns a token with the old one. Each call has `fetch_timeout`; there are up to three:
    /// with the refresh token, with the one that somebody else has stored meanwhile, and from the start.
    ///
    /// Once `exchange` was called, the returned future is to be polled to its end, whoever still waits for it: a
    /// refresh token that was redeemed has a successor that must be stored. It takes no longer than
    /// [`longest`](Self::longest).
    ///
    /// # Errors
    /// * What `exchange` returned last.
    /// * [`TokenErrorKind::Busy`] if another process is redeeming the refresh token, and nothing has come of it in
    ///   time. Ask again.
    /// * [`TokenErrorKind::Store`] if the store is down and a refresh token would have to be redeemed that others
    ///   know. Ask again.
    /// * [`TokenErrorKind::Unsaved`] if a refresh token was redeemed and its successor could not be stored. It is
    ///   kept in this process, and stored at the next call that reaches the store; the old one is not sent again.
    ///
    /// # Cancel safety
    /// Dropped before `exchange` was called, it leaves at most a lock, which ends by itself.
    pub async fn renew<F>(
        &self,
        key: &LeaseKey,
        want: Want<'_>,
        fetch_timeout: Duration,
        exchange: impl FnMut(Option<Secret>) -> F + Send,
    ) -> Result<SharedToken, TokenError>
    where
        F: Future<Output = Result<AccessToken, ExchangeError>> + Send,
    {
        Renewing { inner: &self.inner, key, want, fetch_timeout, exchange }.run().await
    }

    /// The longest time that [`renew`](Self::renew) takes, on a store that answers within two seconds.
    pub fn longest(&self, fetch_timeout: Duration) -> Duration {
        let waiting = fetch_timeout.saturating_add(self.inner.lock_margin);
        waiting.saturating_add(fetch_timeout.saturating_mul(3)).saturating_add(Duration::from_secs(30))
    }
}

// ===== impl Renewing =====

impl<E, F> Renewing<'_, E>
where
    E: FnMut(Option<Secret>) -> F + Send,
    F: Future<Output = Result<AccessToken, ExchangeError>> + Send,
{
    async fn run(mut self) -> Result<SharedToken, TokenError> {
        match self.save_unsaved().await? {
            Earlier::Alone(token) => return Ok(token),
            Earlier::Saved(saved) if self.accepts(&saved) => return Ok(saved),
            Earlier::Saved(_) | Earlier::Nothing => {}
        }
        let mut taker = Taker::new(self.inner, self.key).map_err(store_error)?;
        let mut hold = loop {
            let look = match self.look().await {
                Ok(look) => look,
                Err(error) => return self.without_store(error).await,
            };
            if let Some(found) = self.acceptable(&look) {
                return Ok(found);
            }
            let careful = self.is_careful(&look);
            let (ttl, patience) = if careful {
                (self.careful_ttl(), self.careful_ttl().saturating_add(OUTLASTED))
            } else {
                (ORDINARY_TTL.min(self.careful_ttl()), self.fetch_timeout)
            };
            match taker.take(ttl).await {
                Ok(Some(hold)) => break hold,
                Ok(None) if taker.wait(patience).await => {}
                Ok(None) if careful => return Err(TokenError::new(TokenErrorKind::Busy)),
                Ok(None) => return self.without_lock(&look).await,
                Err(error) => return self.without_store(store_error(error)).await,
            }
        };
        let renewed = self.under_lock(&mut hold).await;
        hold.release().await;
        renewed
    }

    /// What this process could not store earlier comes first: until it is stored, the others read a refresh token
    /// that is spent.
    async fn save_unsaved(&mut self) -> Result<Earlier, TokenError> {
        let Some(mut unsaved) = self.inner.unsaved(self.key) else { return Ok(Earlier::Nothing) };
        let error = loop {
            let Unsaved { token, expect, version } = &unsaved;
            match self.inner.put_as(self.key, token, *expect, *version).await {
                Ok(Put::Done(saved)) => {
                    self.inner.forget_unsaved(self.key);
                    return Ok(Earlier::Saved(saved));
                }
                Ok(Put::Changed) => {}
                Err(error) => break store_error(error),
            }
            match self.look().await {
                Ok(Look::Found(found)) if found.version == Some(*version) => {
                    // The answer to an earlier attempt was lost, not the write.
                    self.inner.forget_unsaved(self.key);
                    return Ok(Earlier::Saved(found));
                }
                Ok(Look::Found(_)) => {
                    tracing::error!(
                        key = self.key.as_str(),
                        "a rotated token gives way to one stored by another"
                    );
                    self.inner.forget_unsaved(self.key);
                    return Ok(Earlier::Nothing);
                }
                Ok(look) => unsaved.expect = look.expect(),
                Err(error) => break error,
            }
        };
        if !self.inner.refresh_without_store {
            return Err(TokenError::new(TokenErrorKind::Unsaved).with_source(error));
        }
        if self.is_usable_alone(&unsaved.token) {
            return Ok(Earlier::Alone(unsaved.token));
        }
        let may_refresh = self.want.may_refresh(&unsaved.token);
        let refresh = unsaved.token.token().refresh().filter(|_| may_refresh).cloned();
        unsaved.token = self.exchange_alone(refresh).await?;
        self.inner.note_unsaved(self.key, unsaved.clone());
        Ok(Earlier::Alone(unsaved.token))
    }

    async fn under_lock(&mut self, hold: &mut Hold<'_>) -> Result<SharedToken, TokenError> {
        for again in [true, false] {
            // Whoever held the lock before has left something, or not.
            let look = match self.look().await {
                Ok(look) => look,
                Err(error) => return self.without_store(error).await,
            };
            if let Some(found) = self.acceptable(&look) {
                return Ok(found);
            }
            let refresh = self.refresh_token(&look);
            match self.secure(hold, refresh.as_ref()).await {
                Ok(()) => {}
                Err(error) if error.kind() == TokenErrorKind::Store => {
                    return self.without_store(error).await;
                }
                Err(busy) => return Err(busy),
            }
            let made_at = self.inner.clock.now();
            let refused = match hold.keep(self.exchange(refresh.clone())).await {
                Ok(token) => return self.settle(token, made_at, refresh.as_ref(), &look).await,
                Err(refused) if refused.refused_refresh && refresh.is_some() => refused.error,
                Err(other) => return Err(other.error),
            };
            // Somebody may have redeemed it without the lock, and stored what came of it.
            let look = self.look().await?;
            if let Some(found) = self.acceptable(&look) {
                return Ok(found);
            }
            let another = self.refresh_token(&look).filter(|other| Some(other) != refresh.as_ref());
            if another.is_some() && again {
                continue;
            }
            tracing::debug!(key = self.key.as_str(), error = %refused, "the shared refresh token is refused");
            self.secure(hold, None).await?;
            let made_at = self.inner.clock.now();
            let token = hold.keep(self.exchange(None)).await.map_err(|error| error.error)?;
            return self.settle(token, made_at, None, &look).await;
        }
        Err(TokenError::new(TokenErrorKind::Busy))
    }

    /// Makes sure that the lock outlasts an exchange that sends what works only once.
    async fn secure(&self, hold: &mut Hold<'_>, refresh: Option<&Secret>) -> Result<(), TokenError> {
        let spends = refresh.is_some() || self.want.is_single_use();
        if !spends || hold.lasts(self.fetch_timeout) {
            return Ok(());
        }
        match hold.extend(self.careful_ttl()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(TokenError::new(TokenErrorKind::Busy)),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Somebody holds the lock and does not get on. Twice the same fetch is no harm.
    async fn without_lock(&mut self, look: &Look) -> Result<SharedToken, TokenError> {
        let (made_at, refresh) = (self.inner.clock.now(), self.refresh_token(look));
        let token = self.exchange(refresh.clone()).await.map_err(|error| error.error)?;
        self.settle(token, made_at, refresh.as_ref(), look).await
    }

    /// The store is down, or has what this process cannot read. Whatever nobody else knows can be used alone.
    async fn without_store(&mut self, error: TokenError) -> Result<SharedToken, TokenError> {
        let source = self.want.held().filter(|held| self.want.may_refresh(held));
        let shared = source.and_then(SharedToken::version);
        let spends = shared.is_some() || self.want.is_single_use();
        if spends && !self.inner.refresh_without_store {
            return Err(error);
        }
        tracing::warn!(key = self.key.as_str(), %error, "no shared tokens: this process fetches its own");
        let refresh = source.and_then(|source| source.token().refresh()).cloned();
        let fresh = self.exchange_alone(refresh.clone()).await?;
        if spends && fresh.token().refresh() != refresh.as_ref() {
            let version = self.inner.next_version(shared);
            let (token, expect) = (fresh.clone(), shared.map_or(Expect::Absent, Expect::Version));
            self.inner.note_unsaved(self.key, Unsaved { token, expect, version });
        }
        Ok(fresh)
    }

    /// Stores what was fetched, before anybody uses it.
    async fn settle(
        &self,
        token: AccessToken,
        made_at: Timestamp,
        redeemed: Option<&Secret>,
        look: &Look,
    ) -> Result<SharedToken, TokenError> {
        let fresh = self.inner.private(token, made_at, self.want.sources());
        let spent = redeemed.is_some() || self.want.is_single_use();
        let rotated = spent && fresh.token().refresh() != redeemed;
        let held = self.want.held().and_then(SharedToken::version);
        let mut expect = look.expect();
        let mut version = self.inner.next_version(version_of(&expect).max(held));
        let mut last = None;
        for attempt in 0..PUT_ATTEMPTS {
            if attempt > 0 {
                time::sleep(PUT_WAIT * 2_u32.pow(attempt - 1)).await;
            }
            match self.inner.put_as(self.key, &fresh, expect, version).await {
                Ok(Put::Done(shared)) => return Ok(shared),
                Ok(Put::Changed) => {}
                Err(error) => {
                    last = Some(store_error(error));
                    continue;
                }
            }
            match self.look().await {
                // An earlier attempt was made, and only its answer was lost.
                Ok(Look::Found(found)) if found.version == Some(version) => {
                    return Ok(SharedToken { version: Some(version), ..fresh });
                }
                // What is there is what the others use. Of two that are equally good the later counts.
                Ok(Look::Found(found))
                    if self.accepts(&found) && (rotated || self.outlives(&found, &fresh)) =>
                {
                    return Ok(found);
                }
                Ok(look) => {
                    expect = look.expect();
                    version = self.inner.next_version(version_of(&expect).max(Some(version)));
                }
                Err(error) => last = Some(error),
            }
        }
        let error = last.unwrap_or_else(|| TokenError::new(TokenErrorKind::Busy));
        if !rotated {
            tracing::warn!(key = self.key.as_str(), %error, "a token could not be shared");
            return Ok(fresh);
        }
        tracing::error!(key = self.key.as_str(), %error, "a rotated token could not be stored");
        self.inner.note_unsaved(self.key, Unsaved { token: fresh.clone(), expect, version });
        if self.inner.refresh_without_store {
            return Ok(fresh);
        }
        Err(TokenError::new(TokenErrorKind::Unsaved).with_source(error))
    }

    async fn exchange_alone(&mut self, refresh: Option<Secret>) -> Result<SharedToken, TokenError> {
        let made_at = self.inner.clock.now();
        let with_refresh = refresh.is_some();
        let token = match self.exchange(refresh).await {
            Err(refused) if refused.refused_refresh && with_refresh => self.exchange(None).await,
            exchanged => exchanged,
        };
        Ok(self.inner.private(token.map_err(|error| error.error)?, made_at, self.want.sources()))
    }

    async fn exchange(&mut self, refresh: Option<Secret>) -> Result<AccessToken, ExchangeError> {
        time::timeout(self.fetch_timeout, (self.exchange)(refresh))
            .await
            .unwrap_or_else(|_elapsed| Err(TokenError::new(TokenErrorKind::Timeout).into()))
    }

    /// What is in the store. What only others can read is as good as a store that is down.
    async fn look(&self) -> Result<Look, TokenError> {
        match self.inner.look(self.key).await {
            Ok(Look::UnknownKey) => Err(unknown_key()),
            Ok(look) => Ok(look),
            Err(error) => Err(store_error(error)),
        }
    }

    fn accepts(&self, found: &SharedToken) -> bool {
        self.want.accepts(found, self.inner.clock.monotonic())
    }

    fn acceptable(&self, look: &Look) -> Option<SharedToken> {
        look.found().filter(|found| self.accepts(found)).cloned()
    }

    fn outlives(&self, one: &SharedToken, other: &SharedToken) -> bool {
        let now = self.inner.clock.monotonic();
        one.remaining(now) > other.remaining(now)
    }

    /// Whether a token that is not in the store serves as it is.
    fn is_usable_alone(&self, token: &SharedToken) -> bool {
        let another = self.want.held().is_none_or(|held| held.token().value() != token.token().value());
        another && self.want.accepts_alone(token, self.inner.clock.monotonic())
    }

    /// Whether something is to be sent that works only once and that others have, too.
    fn is_careful(&self, look: &Look) -> bool {
        let held = self.want.held().filter(|held| held.version().is_some());
        let mut known = look.found().into_iter().chain(held);
        self.want.is_single_use() || known.any(|token| self.want.may_refresh(token))
    }

    /// The refresh token of the latest version that is known: the store may have lost what this process has.
    fn refresh_token(&self, look: &Look) -> Option<Secret> {
        let tokens = look.found().into_iter().chain(self.want.held());
        let source = tokens.filter(|token| self.want.may_refresh(token)).max_by_key(|token| token.version());
        source.and_then(|source| source.token().refresh()).cloned()
    }

    fn careful_ttl(&self) -> Duration {
        self.fetch_timeout.saturating_add(self.inner.lock_margin)
    }
}

// ===== impl Inner =====

impl Inner {
    fn unsaved(&self, key: &LeaseKey) -> Option<Unsaved> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn note_unsaved(&self, key: &LeaseKey, unsaved: Unsaved) {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), unsaved);
    }

    fn forget_unsaved(&self, key: &LeaseKey) {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
