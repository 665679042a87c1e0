//! One record of the store: read and judged, written, removed.

use std::{sync::Arc, time::Duration};

use super::{
    record::{Fields, SharedToken},
    sealing::Unreadable,
    settings::{Inner, SharedLeases},
    want::Want,
};
use crate::{
    clock::Timestamp,
    error::BoxError,
    pipeline::AccessToken,
    provider::{TokenError, TokenErrorKind},
    random,
    store::{Expect, LeaseKey, LeaseVersion, LeaseWrite, StoreError},
};

/// How long a token is shared whose life nobody knows.
const LIFE_FALLBACK: Duration = Duration::from_secs(5 * 60);

/// What is in the store.
pub(super) enum Look {
    Absent,
    Found(SharedToken),
    /// Nothing that could be used, under this version. It may be replaced.
    Invalid(LeaseVersion),
    /// What another process can read and this one cannot. It must not be replaced.
    UnknownKey,
}

/// What a write came to.
pub(super) enum Put {
    Done(SharedToken),
    /// Something else was there than expected.
    Changed,
}

// ===== impl Look =====

impl Look {
    /// What a write that replaces this has to expect.
    pub(super) fn expect(&self) -> Expect {
        match self {
            Self::Found(SharedToken { version: Some(version), .. }) | Self::Invalid(version) => {
                Expect::Version(*version)
            }
            Self::Absent | Self::Found(_) | Self::UnknownKey => Expect::Absent,
        }
    }

    pub(super) fn found(&self) -> Option<&SharedToken> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Invalid(_) | Self::UnknownKey => None,
        }
    }
}

// ===== impl SharedLeases =====

impl SharedLeases {
    /// The token that is shared now, if there is one with some life or a refresh token left.
    ///
    /// # Errors
    /// [`TokenErrorKind::Store`] if the store did not answer, or if the token was sealed under a key that this
    /// process does not know.
    pub async fn load(&self, key: &LeaseKey) -> Result<Option<SharedToken>, TokenError> {
        match self.inner.look(key).await.map_err(store_error)? {
            Look::Found(found) => Ok(Some(found)),
            Look::Absent | Look::Invalid(_) => Ok(None),
            Look::UnknownKey => Err(unknown_key()),
        }
    }

    /// The token that is shared now, if it is wanted.
    pub(in crate::pipeline) async fn find(&self, key: &LeaseKey, want: &Want<'_>) -> Option<SharedToken> {
        match self.inner.look(key).await {
            Ok(Look::Found(found)) if want.accepts(&found, self.inner.clock.monotonic()) => Some(found),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(key = key.as_str(), %error, "shared tokens cannot be read");
                None
            }
        }
    }

    /// Shares a token, whatever is there: a refresh token that a person's login has brought.
    ///
    /// # Errors
    /// [`TokenErrorKind::Store`] if the store did not take it.
    pub async fn publish(&self, key: &LeaseKey, token: AccessToken) -> Result<SharedToken, TokenError> {
        let fresh = self.inner.private(token, self.inner.clock.now(), &[]);
        // For a version above the one that is there; one that cannot be read has none to be compared with.
        let there = self.inner.look(key).await.map_err(store_error)?;
        match self.inner.put(key, &fresh, Expect::Anything, version_of(&there.expect())).await {
            Ok(Put::Done(shared)) => Ok(shared),
            Ok(Put::Changed) => Err(TokenError::new(TokenErrorKind::Store)),
            Err(error) => Err(store_error(error)),
        }
    }

    /// Removes a token from the store: this version of it, or, if it has none there, nothing. What others hold they
    /// keep until it is rejected or ends.
    ///
    /// # Errors
    /// [`TokenErrorKind::Store`] if the store did not answer.
    pub async fn forget(&self, key: &LeaseKey, token: &SharedToken) -> Result<(), TokenError> {
        let Some(version) = token.version else { return Ok(()) };
        let deleted = self.inner.store.delete(key, Expect::Version(version)).await;
        // A later one is somebody else's.
        deleted.map(|_done_or_changed| ()).map_err(store_error)
    }

    /// Removes every token of the namespace, of every pipeline.
    ///
    /// # Errors
    /// [`TokenErrorKind::Store`] if the store did not answer; some may be gone then.
    pub async fn clear(&self) -> Result<(), TokenError> {
        self.inner.store.clear(&self.inner.namespace).await.map_err(store_error)
    }
}

// ===== impl Inner =====

impl Inner {
    pub(super) async fn look(&self, key: &LeaseKey) -> Result<Look, StoreError> {
        let Some(found) = self.store.get(key).await? else { return Ok(Look::Absent) };
        // Read after the store has answered: the wait must not count as life.
        let (now, received) = (self.clock.now(), self.clock.monotonic());
        let version = found.record().version();
        let invalid = |cause: &'static str| {
            tracing::warn!(key = key.as_str(), cause, "shared token refused");
            Look::Invalid(version)
        };
        let fields = match self.sealing.open(key, found.record()) {
            Ok(bytes) => Fields::from_bytes(&bytes),
            Err(Unreadable::Invalid(cause)) => return Ok(invalid(cause)),
            Err(Unreadable::UnknownKey) => {
                tracing::warn!(
                    key = key.as_str(),
                    "shared token sealed under an unknown key: roll keys out first"
                );
                return Ok(Look::UnknownKey);
            }
        };
        let Some(fields) = fields else { return Ok(invalid("not in a form that is known")) };
        let remaining = fields.remaining(now, found.remaining());
        let Fields { token, life, made_at, made_from, .. } = fields;
        let mut token = Arc::unwrap_or_clone(token);
        if let Some(wanted) = token.refresh_in() {
            token = token.with_refresh_in(wanted.saturating_sub(life.saturating_sub(remaining)));
        }
        Ok(Look::Found(SharedToken {
            token: Arc::new(token.with_lifetime(remaining)),
            version: Some(version),
            received,
            left: remaining,
            life,
            made_at,
            made_from,
            fetched: false,
        }))
    }

    /// Stores a token for as long as it lives, or as long as its refresh token is of use.
    pub(super) async fn put(
        &self,
        key: &LeaseKey,
        fresh: &SharedToken,
        expect: Expect,
        above: Option<LeaseVersion>,
    ) -> Result<Put, StoreError> {
        let version = self.next_version(above.max(version_of(&expect)));
        self.put_as(key, fresh, expect, version).await
    }

    /// As [`Self::put`], under a version that an earlier attempt has tried already.
    pub(super) async fn put_as(
        &self,
        key: &LeaseKey,
        fresh: &SharedToken,
        expect: Expect,
        version: LeaseVersion,
    ) -> Result<Put, StoreError> {
        let now = self.clock.now();
        let life = fresh.remaining(self.clock.monotonic());
        let kept = if fresh.token.refresh().is_some() { life.max(self.refresh_life) } else { life };
        let expires_at = now.plus(life);
        let (made_at, made_from) = (fresh.made_at, Arc::clone(&fresh.made_from));
        let fields = Fields { token: Arc::clone(&fresh.token), life, kept, expires_at, made_at, made_from };
        let record = self
            .sealing
            .seal(key, version, now.plus(kept), &fields.to_bytes())
            .map_err(StoreError::unavailable)?;
        Ok(match self.store.put(key, &record, kept, expect).await? {
            LeaseWrite::Done => Put::Done(SharedToken { version: Some(version), ..fresh.clone() }),
            LeaseWrite::Changed => Put::Changed,
        })
    }

    /// Higher than `above`; by the clock, so that it rises also where nobody knows what was there, and with sixteen
    /// random bits, so that two writers of one millisecond differ.
    pub(super) fn next_version(&self, above: Option<LeaseVersion>) -> LeaseVersion {
        let millis = u64::try_from(self.clock.now().as_millis()).unwrap_or(0);
        let noise = random::bytes::<2>().map_or(0, |bytes| u16::from_be_bytes(*bytes));
        let drawn = millis.saturating_mul(1 << 16) | u64::from(noise);
        LeaseVersion::new(drawn.max(above.map_or(0, |above| above.get().saturating_add(1))))
    }

    /// A token that this process has just fetched and nobody else knows.
    pub(super) fn private(
        &self,
        token: AccessToken,
        made_at: Timestamp,
        made_from: &[LeaseVersion],
    ) -> SharedToken {
        let life = token.lifetime().unwrap_or(LIFE_FALLBACK);
        let own = SharedToken::own(token.with_lifetime(life), life, self.clock.monotonic(), made_at);
        SharedToken { made_from: made_from.into(), ..own }
    }
}

pub(super) fn version_of(expect: &Expect) -> Option<LeaseVersion> {
    if let Expect::Version(version) = expect { Some(*version) } else { None }
}

pub(super) fn store_error(error: impl Into<BoxError>) -> TokenError {
    TokenError::new(TokenErrorKind::Store).with_source(error)
}

pub(super) fn unknown_key() -> TokenError {
    store_error("the shared token is sealed under a key that is not in the ring")
}
