//! The end of a login.

use std::sync::Arc;

use super::{
    pepper::KeyTrouble,
    ratchet::{self, Kind},
    service::{Parts, TokenService},
};
use crate::{
    credential::Channel,
    event::{Event, EventKind, RevokeReason},
    identity::Subject,
    store::{Found, Keep, LoginRecord, Revocation, StoreError, SubjectRevocation},
    text::{self, TokenId},
    verify::Refusal,
};

impl<I> TokenService<I> {
    /// Ends one login: its access and refresh tokens fail from now on. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not answer; the login may live on.
    ///
    /// # Cancel safety
    /// The login has ended or it has not.
    pub async fn revoke(&self, id: &TokenId) -> Result<(), StoreError> {
        if self.parts.revoke_login(id, RevokeReason::Logout).await? {
            let kind = EventKind::TokenRevoked { reason: RevokeReason::Logout };
            self.parts.reporter.emit(Event::new(kind, self.parts.clock.now()).with_record(*id));
        }
        Ok(())
    }

    /// Ends one login if it is this subject's: what a list of devices offers. Says whether it is.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_of(&self, subject: &Subject, id: &TokenId) -> Result<bool, StoreError> {
        let found = self.parts.store.find(id).wait().await?;
        let own = found.is_some_and(|found| *found.record.subject == *subject);
        if own {
            self.revoke(id).await?;
        }
        Ok(own)
    }

    /// Ends the login of an access or refresh token that is presented on this channel, also if it has expired; says
    /// whether there was one. For a logout, which shall work with a token that can do nothing else any more.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if the store did not answer or a pepper key is missing: the login may live on.
    ///
    /// # Cancel safety
    /// As [`revoke`](Self::revoke).
    pub async fn logout(&self, token: &str, channel: Channel) -> Result<bool, Refusal> {
        let Some(record) = self.login_of(token, channel).await? else {
            return Ok(false);
        };
        self.revoke(&record.id).await.map_err(Parts::store_failed)?;
        Ok(true)
    }

    /// [`logout`](Self::logout) of all logins of the same subject, if the token's own login lives: whoever holds a
    /// token of one that has ended has no say over the others. Says how many ended; none is no error, so it may be
    /// repeated.
    ///
    /// A refresh token that is older than the direct predecessor of the current one ends its own login and no other, as
    /// its refresh would: no honest client still has it. The predecessor has a say, because its client may have lost the
    /// answer with the current one.
    ///
    /// # Errors
    /// As [`logout`](Self::logout).
    ///
    /// # Cancel safety
    /// As [`revoke_subject`](Self::revoke_subject).
    pub async fn logout_everywhere(&self, token: &str, channel: Channel) -> Result<u64, Refusal> {
        let Some(record) = self.login_of(token, channel).await? else {
            return Ok(0);
        };
        let found = self.parts.store.find(&record.id).wait().await.map_err(Parts::store_failed)?;
        let Some(Found { record, .. }) = found.filter(|found| self.parts.lives(found)) else {
            return Ok(0);
        };
        if self.parts.is_outdated(&record, token)? {
            self.revoke(&record.id).await.map_err(Parts::store_failed)?;
            return Ok(1);
        }
        self.revoke_subject(&record.subject).await.map_err(Parts::store_failed)
    }

    /// The login of an access or refresh token that is presented on this channel, in whatever state it is.
    pub(crate) async fn login_of(
        &self,
        token: &str,
        channel: Channel,
    ) -> Result<Option<Arc<LoginRecord>>, Refusal> {
        let parts = &*self.parts;
        let brands = &parts.policy.brands;
        if let Some(presented) = text::parse_access(token, brands) {
            let Some(record) = parts.record(&presented.id).await? else {
                return Ok(None);
            };
            let own = record.channel == channel || !parts.policy.bind_channel;
            match parts.proves_access(&record, &presented) {
                Ok(proven) => Ok((proven && own).then_some(record)),
                Err(Refusal::Invalid(_)) => Ok(None),
                Err(unavailable) => Err(unavailable),
            }
        } else if let Some(presented) = text::parse_refresh(token, brands) {
            let Some(record) = parts.record(&presented.id).await? else {
                return Ok(None);
            };
            // The tag is over the whole text, and only this login can have made it.
            let own = record.channel == channel && ratchet::tag_matches(&record.lineage, &presented);
            Ok(own.then_some(record))
        } else {
            Ok(None)
        }
    }

    /// Ends all logins of a subject, those of which the store has lost track included. Returns how many were
    /// ended.
    ///
    /// A login that is issued after it lives: change the password first, then call this.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    /// All have ended or none has.
    pub async fn revoke_subject(&self, subject: &Subject) -> Result<u64, StoreError> {
        self.parts.revoke_but(subject, Keep::Nothing).await
    }

    /// Ends all logins of a subject but this one. Returns how many were ended.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    /// As [`revoke_subject`](Self::revoke_subject).
    pub async fn revoke_others(&self, subject: &Subject, keep: &TokenId) -> Result<u64, StoreError> {
        self.parts.revoke_but(subject, Keep::Untouched(*keep)).await
    }

    /// Ends every login of every subject: after a leak. Returns how many were ended.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    /// All have ended or none has; the records of some may not say so yet.
    pub async fn revoke_everyone(&self) -> Result<u64, StoreError> {
        let revocation = Revocation::new(self.parts.clock.now(), RevokeReason::Everyone);
        let ended = self.parts.store.revoke_everyone(revocation).await?;
        self.parts.watchers.wake_all();
        self.parts.emit_of_store(EventKind::TokensRevoked { count: ended });
        Ok(ended)
    }
}

impl Parts {
    async fn record(&self, id: &TokenId) -> Result<Option<Arc<LoginRecord>>, Refusal> {
        let found = self.store.find(id).wait().await.map_err(Self::store_failed)?;
        Ok(found.map(|Found { record, .. }| record))
    }

    /// Whether this is a refresh token of the login, but neither the current one nor its direct predecessor.
    fn is_outdated(&self, record: &LoginRecord, token: &str) -> Result<bool, Refusal> {
        let Some(presented) = text::parse_refresh(token, &self.policy.brands) else {
            return Ok(false);
        };
        let stored = if presented.generation == record.generation {
            record.refresh.as_ref()
        } else if presented.generation.checked_add(1) == Some(record.generation) {
            record.previous.as_deref()
        } else {
            None
        };
        let Some(stored) = stored else {
            return Ok(true);
        };
        match ratchet::proves(Kind::Refresh, record, &presented.secret, stored, self.pepper.as_ref()) {
            Ok(proven) => Ok(!proven),
            Err(KeyTrouble::Retired) => Ok(true),
            Err(unknown) => Err(self.key_trouble(unknown, record)),
        }
    }

    /// Says whether this call ended it.
    pub(super) async fn revoke_login(&self, id: &TokenId, reason: RevokeReason) -> Result<bool, StoreError> {
        let first = self.store.revoke(id, Revocation::new(self.clock.now(), reason)).await?;
        self.watchers.wake(id);
        Ok(first)
    }

    /// The logins that ended; `None` if the one to be rekeyed was not as expected.
    pub(super) async fn revoke_logins(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let ended = self.store.revoke_subject(subject, what).await?;
        ended.iter().flatten().for_each(|id| self.watchers.wake(id));
        if let Some(count) = ended.as_ref().map(|ended| ended.len() as u64).filter(|count| *count > 0) {
            let event = Event::new(EventKind::TokensRevoked { count }, self.clock.now());
            self.reporter.emit(event.with_subject(Arc::new(subject.clone())));
        }
        Ok(ended)
    }

    async fn revoke_but(&self, subject: &Subject, keep: Keep) -> Result<u64, StoreError> {
        let revocation = Revocation::new(self.clock.now(), RevokeReason::Logout);
        let ended = self.revoke_logins(subject, SubjectRevocation::new(revocation, keep)).await?;
        Ok(ended.map_or(0, |ended| ended.len() as u64))
    }
}
