//! Sessions: what a cookie proves, also where nobody is known to be behind it.

use std::{sync::Arc, time::Duration};

use super::{
    service::TokenService,
    verify::{Expected, Look, Presented, Proven, Refused, active},
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    error::BoxError,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{Found, LoginRecord, StoreError},
    text::{self, TokenId},
    verify::{Refusal, Renewal, UserLookup},
};

/// How late a request can be that was sent with the cookie of before a login, a logout or a rekey.
const LATE: Duration = Duration::from_secs(60);

/// Where the session of a cookie stands.
pub(crate) enum Standing {
    /// It lives. The renewal is that of this request, if it caused one.
    Open(Arc<LoginRecord>, Option<Renewal>),
    /// It ended, or its cookie was replaced, a moment ago: a newer cookie may be on its way to the browser.
    Fading(Reason),
    /// It is a tenant's, and nobody has said for which tenant the request is.
    OfTenant,
    /// There is none that the cookie proves.
    Gone(Reason),
}

/// Whether a user is there, and nothing else about it.
struct Presence<U>(Arc<dyn UserLookup<User = U>>);

impl<I: Send + Sync + 'static> TokenService<I> {
    /// The same service for those who need not know what its identities are.
    pub(crate) fn without_identity(&self) -> TokenService<()> {
        TokenService {
            parts: Arc::clone(&self.parts),
            source: Arc::new(Presence(Arc::clone(&self.source))),
            users: Arc::new(Presence(Arc::clone(&self.users))),
            lookup: Arc::new(Presence(Arc::clone(&self.lookup))),
        }
    }

    /// Looks a session up and notes its use. Unlike `verify`, it also finds sessions of nobody.
    pub(crate) async fn open_session(&self, cookie: &str) -> Result<Standing, BoxError> {
        let parts = &self.parts;
        let Some(presented) = text::parse_access(cookie, &parts.policy.brands) else {
            return Ok(Standing::Gone(Reason::Malformed));
        };
        let (channel, now) = (Channel::Cookie, parts.clock.now());
        let expected = Expected { channel: Some(channel), tenant: None, now, inline: false };
        let (mut found, mut look) = (parts.store.recall(&presented.id).wait().await, Look::Recall);
        let record = loop {
            let fading = found.as_ref().is_ok_and(|found| is_fading(found.as_ref(), now));
            let refusal = match parts.judge_session(found, look, &presented, &expected) {
                Ok(record) => break record,
                Err(Refused::Finally(refusal)) => refusal,
                Err(Refused::ByCopy) => {
                    (found, look) = (parts.store.find(&presented.id).wait().await, Look::Find);
                    continue;
                }
            };
            return match refusal {
                Refusal::Unavailable(error) => Err(error),
                Refusal::Invalid(Reason::WrongTenant) => Ok(Standing::OfTenant),
                Refusal::Invalid(Reason::Expired) => Ok(Standing::Gone(Reason::Expired)),
                Refusal::Invalid(reason) if fading => Ok(Standing::Fading(reason)),
                Refusal::Invalid(reason) => Ok(Standing::Gone(reason)),
            };
        };
        if !record.subject.is_anonymous() {
            match active(self.users.find(&record.subject).wait().await) {
                Ok(_) => {}
                Err(Refusal::Unavailable(error)) => return Err(error),
                Err(Refusal::Invalid(reason)) => return Ok(Standing::Gone(reason)),
            }
        }
        let presented = Presented { secret: presented.secret, brand: presented.brand };
        let proven = Proven { user: Arc::new(()), record, presented, channel, now, inline: false };
        Ok(match parts.touch(&proven).wait().await {
            Some(touched) => Standing::Open(touched.record, touched.renewal),
            None => Standing::Open(proven.record, None),
        })
    }

    /// The login as it is now; `None` if it has ended.
    pub(crate) async fn reload_session(&self, id: &TokenId) -> Result<Option<Arc<LoginRecord>>, StoreError> {
        let found = self.parts.store.find(id).wait().await?;
        Ok(found.filter(|found| self.parts.lives(found)).map(|found| found.record))
    }

    /// The id in a text that looks like a token of this service. It proves nothing.
    pub(crate) fn named_login(&self, text: &str) -> Option<TokenId> {
        text::parse_access(text, &self.parts.policy.brands).map(|presented| presented.id)
    }
}

/// Judged by the id alone: after a rekey nobody can prove the old cookie.
fn is_fading(found: Option<&Found>, now: Timestamp) -> bool {
    found.is_some_and(|found| {
        let record = &found.record;
        let changed = record.revoked.map_or(record.rotated_at, |revocation| revocation.at());
        now.since(changed) < LATE
    })
}

impl<U: Send + Sync + 'static> UserLookup for Presence<U> {
    type User = ();

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<()>>, BoxError>> {
        let presence = |found: Result<Option<Arc<U>>, BoxError>| Ok(found?.map(|_| Arc::new(())));
        match self.0.find(subject) {
            MaybeReady::Now(found) => MaybeReady::Now(presence(found)),
            MaybeReady::Later(found) => MaybeReady::later(async move { presence(found.await) }),
        }
    }
}
