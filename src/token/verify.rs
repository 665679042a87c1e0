//! Is this access token valid, and whose is it?

use std::sync::Arc;

use super::{
    pepper::KeyTrouble,
    ratchet::{self, Kind},
    service::{Parts, TokenService},
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    error::BoxError,
    event::EventKind,
    identity::Evidence,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{Found, LoginRecord, StoreError},
    text::{self, AccessText},
    verify::{Attempt, Outcome, Refusal, Verified, Verify},
};

/// What the place where the token was found demands of it.
struct Expected<'a> {
    channel: Option<Channel>,
    tenant: Option<&'a str>,
    now: Timestamp,
}

impl<I: Send + Sync + 'static> TokenService<I> {
    /// Verifies an access token outside a layer. Without `channel`, a token of either channel is accepted.
    /// Tokens bound to a tenant are refused here: for those, call [`Verify::verify`] with the tenant in the
    /// attempt.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for every token that is not valid, [`Refusal::Unavailable`] if that could not be
    /// found out.
    ///
    /// # Cancel safety
    /// Nothing is lost when the call is dropped.
    pub async fn verify(&self, token: &str, channel: Option<Channel>) -> Outcome<I> {
        let expected = Expected { channel, tenant: None, now: self.parts.clock.now() };
        self.check(token, &expected).wait().await
    }

    fn check(&self, token: &str, expected: &Expected<'_>) -> MaybeReady<Outcome<I>> {
        let Some(presented) = text::parse_access(token, &self.parts.policy.brands) else {
            return MaybeReady::Now(Err(Refusal::Invalid(Reason::Malformed)));
        };
        match self.parts.store.find(&presented.id) {
            MaybeReady::Now(found) => self.judge(found, &presented, expected),
            MaybeReady::Later(found) => {
                let this = self.clone();
                let (channel, now) = (expected.channel, expected.now);
                let tenant: Option<Box<str>> = expected.tenant.map(Into::into);
                MaybeReady::later(async move {
                    let found = found.await;
                    let expected = Expected { channel, tenant: tenant.as_deref(), now };
                    this.judge(found, &presented, &expected).wait().await
                })
            }
        }
    }

    fn judge(
        &self,
        found: Result<Option<Found>, StoreError>,
        presented: &AccessText,
        expected: &Expected<'_>,
    ) -> MaybeReady<Outcome<I>> {
        let record = match self.parts.judge_access(found, presented, expected) {
            Ok(record) => record,
            Err(refusal) => return MaybeReady::Now(Err(refusal)),
        };
        // The one it came on: with `danger_any_channel` that need not be the one it was issued for.
        let channel = expected.channel.unwrap_or(record.channel);
        match self.users.find(&record.subject) {
            MaybeReady::Now(user) => self.admit(user, record, channel),
            MaybeReady::Later(user) => {
                let this = self.clone();
                MaybeReady::later(async move { this.admit(user.await, record, channel).wait().await })
            }
        }
    }

    fn admit(
        &self,
        user: Result<Option<Arc<I>>, BoxError>,
        record: Arc<LoginRecord>,
        channel: Channel,
    ) -> MaybeReady<Outcome<I>> {
        let user = match user {
            Ok(Some(user)) => user,
            Ok(None) => return MaybeReady::Now(Err(Refusal::Invalid(Reason::InactiveUser))),
            Err(error) => return MaybeReady::Now(Err(Refusal::Unavailable(error))),
        };
        let evidence = Evidence::new(channel, record.created, record.access_expires()).with_record(record.id);
        if record.confirmed {
            return MaybeReady::Now(Ok(Verified::new(user, evidence, record)));
        }
        let confirming = self.parts.store.confirm(&record.id, record.generation);
        let details = Arc::clone(&record);
        let verified = Verified::new(user, evidence, details);
        // A confirmation that is lost is written at the next use: no reason to refuse this one.
        match confirming {
            MaybeReady::Later(confirming) => {
                let parts = Arc::clone(&self.parts);
                MaybeReady::later(async move {
                    parts.note_confirmation(&record, confirming.await);
                    Ok(verified)
                })
            }
            MaybeReady::Now(confirmed) => {
                self.parts.note_confirmation(&record, confirmed);
                MaybeReady::Now(Ok(verified))
            }
        }
    }
}

impl<I: Send + Sync + 'static> Verify for TokenService<I> {
    type Identity = I;

    fn recognises(&self, token: &str) -> bool {
        text::is_access(token, &self.parts.policy.brands)
    }

    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<I>> {
        let credential = attempt.credential();
        let expected =
            Expected { channel: Some(credential.channel()), tenant: attempt.tenant(), now: attempt.now() };
        self.check(credential.text(), &expected)
    }
}

impl Parts {
    /// The secret is proven before the state is looked at, so that "revoked" and "expired" are known to its
    /// holder only.
    fn judge_access(
        &self,
        found: Result<Option<Found>, StoreError>,
        presented: &AccessText,
        expected: &Expected<'_>,
    ) -> Result<Arc<LoginRecord>, Refusal> {
        let Some(Found { record, epoch }) = found.map_err(Self::store_failed)? else {
            ratchet::prove_nothing([0; 12], &presented.secret, self.policy.hash, self.pepper.as_ref());
            return Err(Refusal::Invalid(Reason::UnknownRecord));
        };
        let proven =
            ratchet::proves(Kind::Access, &record, &presented.secret, &record.access, self.pepper.as_ref())
                .map_err(|trouble| self.key_trouble(trouble, &record))?;
        let reason = if !proven {
            Reason::WrongSecret
        } else if record.revoked.is_some() {
            Reason::Revoked
        } else if epoch != Some(record.epoch) {
            Reason::EpochChanged
        } else if self.policy.bind_channel
            && expected.channel.is_some_and(|channel| channel != record.channel)
        {
            Reason::WrongChannel
        } else if expected.tenant != record.tenant() {
            Reason::WrongTenant
        } else if record.is_expired(expected.now) {
            Reason::Expired
        } else {
            return Ok(record);
        };
        Err(Refusal::Invalid(reason))
    }

    /// While confirmations are lost, the predecessor stays answered: operators should know.
    fn note_confirmation(&self, record: &LoginRecord, confirmed: Result<(), StoreError>) {
        if confirmed.is_err() {
            self.emit(EventKind::ConfirmationLost, record);
        }
    }

    pub(super) fn key_trouble(&self, trouble: KeyTrouble, record: &LoginRecord) -> Refusal {
        match trouble {
            KeyTrouble::Retired => Refusal::Invalid(Reason::RetiredKey),
            KeyTrouble::Unknown => {
                self.emit(EventKind::UnknownKey, record);
                Refusal::Unavailable("the record names a pepper key that the key ring does not know".into())
            }
        }
    }
}
