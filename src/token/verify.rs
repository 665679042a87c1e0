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
    identity::{Ended, Evidence},
    maybe_ready::{BoxFuture, MaybeReady},
    problem::Reason,
    settings::Description,
    store::{Found, LoginRecord, StoreError},
    text::{self, AccessText, TokenId},
    verify::{Attempt, Outcome, Refusal, Verified, Verify},
};

/// What the place where the token was found demands of it.
#[derive(Clone)]
pub(super) struct Expected<T> {
    pub(super) channel: Option<Channel>,
    pub(super) tenant: Option<T>,
    pub(super) now: Timestamp,
    /// Whether a renewal has to be written before the answer.
    pub(super) inline: bool,
}

/// Which look at the store it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// The first one, which may have found a copy.
    Recall,
    /// The second and last.
    Find,
}

/// Why a login is not there for a token.
pub(super) enum Refused {
    /// That is so.
    Finally(Refusal),
    /// It would be so by a copy of the record: the store has to be asked.
    ByCopy,
}

/// What is wrong with a token.
enum Flaw {
    Reason(Reason),
    Key(KeyTrouble),
}

/// What the text of a proven token is made of again, should it be renewed.
#[derive(Clone, Copy)]
pub(super) struct Presented {
    pub(super) secret: [u8; 43],
    pub(super) brand: usize,
}

/// A proven token of an active user.
pub(super) struct Proven<I> {
    pub(super) user: Arc<I>,
    pub(super) record: Arc<LoginRecord>,
    pub(super) presented: Presented,
    /// The one it came on: with `danger_any_channel` that need not be the one it was issued for.
    pub(super) channel: Channel,
    pub(super) now: Timestamp,
    pub(super) inline: bool,
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
        let expected = Expected { channel, tenant: None, now: self.parts.clock.now(), inline: false };
        self.check(token, &expected).wait().await
    }

    fn check(&self, token: &str, expected: &Expected<&str>) -> MaybeReady<Outcome<I>> {
        let Some(presented) = text::parse_access(token, &self.parts.policy.brands) else {
            return MaybeReady::Now(Err(Refusal::Invalid(Reason::Malformed)));
        };
        let recalled = self.parts.store.recall(&presented.id);
        self.await_and_judge(recalled, Look::Recall, presented, expected)
    }

    fn await_and_judge(
        &self,
        found: MaybeReady<Result<Option<Found>, StoreError>>,
        look: Look,
        presented: AccessText,
        expected: &Expected<&str>,
    ) -> MaybeReady<Outcome<I>> {
        match found {
            MaybeReady::Now(found) => self.judge(found, look, presented, expected),
            MaybeReady::Later(found) => {
                let this = self.clone();
                let owned = Expected {
                    channel: expected.channel,
                    tenant: expected.tenant.map(Box::<str>::from),
                    now: expected.now,
                    inline: expected.inline,
                };
                MaybeReady::later(async move {
                    let found = found.await;
                    let Expected { channel, tenant, now, inline } = owned;
                    let expected = Expected { channel, tenant: tenant.as_deref(), now, inline };
                    this.judge(found, look, presented, &expected).wait().await
                })
            }
        }
    }

    fn judge(
        &self,
        found: Result<Option<Found>, StoreError>,
        look: Look,
        presented: AccessText,
        expected: &Expected<&str>,
    ) -> MaybeReady<Outcome<I>> {
        let record = match self.parts.judge_session(found, look, &presented, expected) {
            // Whose login it is never changes, so this holds by a copy, too.
            Ok(record) if record.subject.is_anonymous() => {
                return MaybeReady::Now(Err(Refusal::Invalid(Reason::AnonymousSession)));
            }
            Ok(record) => record,
            Err(Refused::Finally(refusal)) => return MaybeReady::Now(Err(refusal)),
            Err(Refused::ByCopy) => {
                let found = self.parts.store.find(&presented.id);
                return self.await_and_judge(found, Look::Find, presented, expected);
            }
        };
        let channel = expected.channel.unwrap_or(record.channel);
        let (now, inline) = (expected.now, expected.inline);
        let presented = Presented { secret: presented.secret, brand: presented.brand };
        let subject = Arc::clone(&record.subject);
        let proven = move |user| Proven { user, record, presented, channel, now, inline };
        match self.users.find(&subject) {
            MaybeReady::Now(user) => match active(user) {
                Ok(user) => self.admit(proven(user)),
                Err(refusal) => MaybeReady::Now(Err(refusal)),
            },
            MaybeReady::Later(user) => {
                let this = self.clone();
                MaybeReady::later(async move { this.admit(proven(active(user.await)?)).wait().await })
            }
        }
    }

    /// Nothing is written for a user who is not active: the look-up comes first.
    fn admit(&self, proven: Proven<I>) -> MaybeReady<Outcome<I>> {
        if !proven.record.is_confirmed() {
            self.parts.confirm(&proven.record, proven.now);
        }
        match self.parts.touch(&proven) {
            MaybeReady::Now(renewal) => MaybeReady::Now(Ok(verified(proven, renewal))),
            MaybeReady::Later(renewal) => {
                MaybeReady::later(async move { Ok(verified(proven, renewal.await)) })
            }
        }
    }
}

pub(super) fn active<I>(user: Result<Option<Arc<I>>, BoxError>) -> Result<Arc<I>, Refusal> {
    match user {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(Refusal::Invalid(Reason::InactiveUser)),
        Err(error) => Err(Refusal::Unavailable(error)),
    }
}

fn verified<I>(proven: Proven<I>, touched: Option<super::touch::Touched>) -> Verified<I> {
    let Proven { user, record, channel, .. } = proven;
    let (record, renewal) = touched.map_or((record, None), |touched| (touched.record, touched.renewal));
    let evidence = Evidence::new(channel, record.created, record.access_expires()).with_record(record.id);
    let (scope, subject) = (record.shared_scope(), Arc::clone(&record.subject));
    let mut verified = Verified::new(user, evidence, record).with_subject(subject);
    if let Some(scope) = scope {
        verified = verified.with_scope(scope);
    }
    match renewal {
        Some(renewal) => verified.with_renewal(renewal),
        None => verified,
    }
}

impl<I: Send + Sync + 'static> Verify for TokenService<I> {
    type Identity = I;

    fn recognises(&self, token: &str) -> bool {
        text::is_access(token, &self.parts.policy.brands)
    }

    fn selector(&self, token: &str) -> Option<TokenId> {
        text::parse_access(token, &self.parts.policy.brands).map(|presented| presented.id)
    }

    fn describe(&self) -> Description {
        Self::describe(self)
    }

    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<I>> {
        let credential = attempt.credential();
        let expected = Expected {
            channel: Some(credential.channel()),
            tenant: attempt.tenant(),
            now: attempt.now(),
            inline: attempt.renews_inline(),
        };
        self.check(credential.text(), &expected)
    }

    fn watch(&self, evidence: &Evidence) -> BoxFuture<Ended> {
        Box::pin(self.clone().ended(*evidence))
    }
}

impl Parts {
    /// A login of somebody, or the session of a browser whose user is not known.
    ///
    /// A copy of a record lets somebody in. Only the store refuses, and only that is told.
    pub(super) fn judge_session(
        &self,
        found: Result<Option<Found>, StoreError>,
        look: Look,
        presented: &AccessText,
        expected: &Expected<&str>,
    ) -> Result<Arc<LoginRecord>, Refused> {
        let found = found.map_err(|error| Refused::Finally(Self::store_failed(error)))?;
        let Some(found) = found else {
            ratchet::prove_nothing([0; 12], &presented.secret, self.policy.hash, self.pepper.as_ref());
            return Err(Refused::Finally(Refusal::Invalid(Reason::UnknownRecord)));
        };
        match self.inspect(&found, presented, expected) {
            Ok(()) => Ok(found.record),
            Err(_) if look == Look::Recall && found.is_copy() => Err(Refused::ByCopy),
            Err(Flaw::Key(trouble)) => Err(Refused::Finally(self.key_trouble(trouble, &found.record))),
            Err(Flaw::Reason(reason)) => {
                if reason == Reason::Expired && found.record.is_session() {
                    self.emit(EventKind::SessionUseAfterExpire, &found.record);
                }
                Err(Refused::Finally(Refusal::Invalid(reason)))
            }
        }
    }

    /// The secret is proven before the state is looked at, so that "revoked" and "expired" are known to its
    /// holder only.
    fn inspect(
        &self,
        Found { record, epoch, .. }: &Found,
        presented: &AccessText,
        expected: &Expected<&str>,
    ) -> Result<(), Flaw> {
        let proven = self.proves(record, presented).map_err(Flaw::Key)?;
        let reason = if !proven {
            Reason::WrongSecret
        } else if record.revoked.is_some() {
            Reason::Revoked
        } else if *epoch != Some(record.epoch) || self.policy.is_before_floor(record) {
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
            return Ok(());
        };
        Err(Flaw::Reason(reason))
    }

    /// Whether this is the record's access token.
    pub(super) fn proves_access(
        &self,
        record: &LoginRecord,
        presented: &AccessText,
    ) -> Result<bool, Refusal> {
        self.proves(record, presented).map_err(|trouble| self.key_trouble(trouble, record))
    }

    fn proves(&self, record: &LoginRecord, presented: &AccessText) -> Result<bool, KeyTrouble> {
        ratchet::proves(Kind::Access, record, &presented.secret, &record.access, self.pepper.as_ref())
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
