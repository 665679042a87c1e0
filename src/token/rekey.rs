//! New tokens for a login that goes on: after a change of privileges or credentials.

use std::sync::Arc;

use super::{
    Issued, lifetimes,
    ratchet::{self, Kind, Pair},
    service::{Parts, TokenService},
};
use crate::{
    clock::Timestamp,
    error::BoxError,
    event::{EventKind, RevokeReason},
    problem::Reason,
    random::{self, RandomError},
    secret::SecretBytes,
    store::{Found, Keep, LoginRecord, Rekey, Revocation, StoreError, SubjectRevocation},
    text::TokenId,
    verify::Refusal,
};

impl<I: Send + Sync + 'static> TokenService<I> {
    /// Gives a login new tokens that have nothing in common with the old ones: after a second factor, a renewed
    /// authentication, or any other change of what the login may do. Its old tokens are dead and cannot even be
    /// used to revoke it. Id, creation and absolute end stay; access and refresh life begin anew.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] if the login has ended or its user is inactive, [`Refusal::Unavailable`] if that could
    /// not be found out. The old tokens are valid then, as far as they were.
    ///
    /// # Cancel safety
    /// A dropped call has replaced the tokens or has not; if it has, nobody has the new ones.
    pub async fn rekey(&self, login: &TokenId) -> Result<Issued, Refusal> {
        self.replace_tokens(login, After::PrivilegeChange).await
    }

    /// Ends all other logins of the same subject and [rekeys](Self::rekey) this one, in one step: after a change
    /// of password, e-mail address or factors. Change them first, then call this.
    ///
    /// # Errors
    /// As [`rekey`](Self::rekey). No login has ended then.
    ///
    /// # Cancel safety
    /// As [`rekey`](Self::rekey).
    pub async fn change_credentials(&self, login: &TokenId) -> Result<Issued, Refusal> {
        self.replace_tokens(login, After::CredentialChange).await
    }

    async fn replace_tokens(&self, login: &TokenId, after: After) -> Result<Issued, Refusal> {
        let parts = &*self.parts;
        // Once more where a refresh came in between: it is the same login.
        for _ in 0..2 {
            let found = parts.store.find(login).wait().await.map_err(Parts::store_failed)?;
            let record = parts.rekeyable(found)?;
            match self.lookup.find(&record.subject).wait().await {
                Ok(Some(_)) => {}
                Ok(None) => return Err(Refusal::Invalid(Reason::InactiveUser)),
                Err(error) => return Err(Refusal::Unavailable(error)),
            }
            let now = parts.clock.now();
            let (pair, rekey) = parts
                .new_tokens(&record, now)
                .map_err(|error| Refusal::Unavailable(BoxError::from(error)))?;
            let done = match after {
                After::PrivilegeChange => parts.store.rekey(login, rekey.clone()).await,
                After::CredentialChange => parts.end_others(&record, rekey.clone(), now).await,
            };
            if done.map_err(Parts::store_failed)? {
                let mut rekeyed = record.as_ref().clone();
                rekeyed.rekey(rekey, record.epoch);
                parts.emit(after.event(), &rekeyed);
                return Ok(parts.hand_out(&pair, Arc::new(rekeyed), now));
            }
        }
        Err(Refusal::Unavailable("the login was changed by others twice in a row".into()))
    }
}

/// Why the tokens are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    PrivilegeChange,
    CredentialChange,
}

impl After {
    fn event(self) -> EventKind {
        match self {
            Self::PrivilegeChange => EventKind::PrivilegeChanged,
            Self::CredentialChange => EventKind::CredentialsChanged,
        }
    }
}

impl Parts {
    fn rekeyable(&self, found: Option<Found>) -> Result<Arc<LoginRecord>, Refusal> {
        let Some(Found { record, epoch, .. }) = found else {
            return Err(Refusal::Invalid(Reason::UnknownRecord));
        };
        let reason = if record.revoked.is_some() {
            Reason::Revoked
        } else if epoch != Some(record.epoch) || self.policy.is_before_floor(&record) {
            Reason::EpochChanged
        } else if !record.is_live(self.clock.now()) {
            Reason::Expired
        } else if record.generation == u32::MAX {
            Reason::Exhausted
        } else {
            return Ok(record);
        };
        Err(Refusal::Invalid(reason))
    }

    fn new_tokens(&self, record: &LoginRecord, now: Timestamp) -> Result<(Pair, Rekey), RandomError> {
        let pair = Pair::random()?;
        let digest = |kind, secret| {
            let binding = ratchet::binding(kind, record);
            ratchet::new_digest(binding, secret, self.policy.hash, self.pepper.as_ref())
        };
        let rekey = Rekey {
            generation: record.generation,
            access: digest(Kind::Access, &pair.access),
            refresh: record.refresh.as_ref().map(|_| digest(Kind::Refresh, &pair.refresh)),
            lineage: SecretBytes::new(random::bytes()?),
            now,
            access_expires: lifetimes::end(record.access_ttl.get(), now, record.absolute_expires),
            refresh_expires: lifetimes::end(record.refresh_ttl.get(), now, record.absolute_expires),
        };
        Ok((pair, rekey))
    }

    async fn end_others(
        &self,
        record: &LoginRecord,
        rekey: Rekey,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let revocation = Revocation::new(now, RevokeReason::CredentialsChanged);
        let keep = Keep::Rekeyed(record.id, Box::new(rekey));
        let ended = self.revoke_logins(&record.subject, SubjectRevocation::new(revocation, keep)).await?;
        Ok(ended.is_some())
    }
}
