//! A new pair for a refresh token.

use std::sync::Arc;

use super::{
    Issued, caller,
    judge::{self, Standing},
    lifetimes,
    pepper::Pepper,
    ratchet::{self, Kind},
    request::RefreshRequest,
    service::{Parts, TokenService},
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    error::BoxError,
    event::{EventKind, RevokeReason},
    identity::Subject,
    problem::Reason,
    random,
    secret::SecretBytes,
    store::{Found, LoginRecord, Rotation},
    text::{self, RefreshText},
    verify::Refusal,
};

/// What one look at the record came to.
enum Step {
    Done(Result<Issued, Refusal>),
    /// The token was the current one when we read, and another request rotated before we did.
    LostRotation,
    /// It was the predecessor, and another request changed the record before our repeat was counted.
    LostRepeat,
}

impl<I: Send + Sync + 'static> TokenService<I> {
    /// Exchanges a refresh token for the next pair. The old access token dies with it.
    ///
    /// Repeated within the policy's window, the direct predecessor gets the same pair, with what is left of its
    /// life. Otherwise a used token revokes its login.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] for every token that gets no pair: answer them all alike, and clear no cookie.
    /// [`Refusal::Unavailable`] if the store or the user look-up did not answer: nothing was revoked, and the
    /// token may be presented again.
    ///
    /// # Cancel safety
    /// A call that is dropped has rotated the pair or has not; in either case the token may be presented again.
    pub async fn refresh(&self, request: RefreshRequest<'_>) -> Result<Issued, Refusal> {
        let Some(presented) = text::parse_refresh(request.token(), &self.parts.policy.brands) else {
            return Err(Refusal::Invalid(Reason::Malformed)); // a
        };
        // The window is judged by when the request came: what it waits for meanwhile is not the client's delay.
        let arrived = self.parts.clock.now();
        let mut raced = false;
        // A record is read at most twice: whoever loses two races in a row has to ask again.
        for _ in 0..2 {
            match self.attempt(&presented, &request, arrived, raced).await {
                Step::Done(result) => return result,
                Step::LostRotation => raced = true,
                Step::LostRepeat => {}
            }
        }
        Err(Refusal::Unavailable("the login was changed by others twice in a row".into()))
    }

    async fn attempt(
        &self,
        presented: &RefreshText,
        request: &RefreshRequest<'_>,
        arrived: Timestamp,
        raced: bool,
    ) -> Step {
        let parts = &*self.parts;
        let found = match parts.store.find(&presented.id).wait().await {
            Ok(found) => found,
            Err(error) => return Step::Done(Err(Parts::store_failed(error))),
        };
        let Some(Found { record, epoch, .. }) = found else {
            parts.work_in_vain(presented); // b
            return Step::Done(Err(Refusal::Invalid(Reason::UnknownRecord)));
        };
        let (policy, pepper) = (&parts.policy, parts.pepper.as_ref());
        match judge::refuse_outright(presented, request, &record, epoch, arrived, policy, pepper) {
            Ok(None) => {}
            Ok(Some(reason)) => return Step::Done(Err(Refusal::Invalid(reason))),
            Err(trouble) => return Step::Done(Err(parts.key_trouble(trouble, &record))),
        }
        match self.lookup.find(&record.subject).wait().await {
            Ok(Some(_)) => {}
            Ok(None) => {
                return Step::Done(Err(parts.end_inactive(&record).await));
            } // h
            Err(error) => return Step::Done(Err(Refusal::Unavailable(error))),
        }
        // Read now: the look-up may have taken long, and a rotation happens when it is written.
        let now = parts.clock.now();
        match judge::standing(presented.generation, &record, arrived, raced, &parts.policy) {
            Standing::Ahead => {
                parts.emit(EventKind::StoreRegressed, &record);
                Step::Done(Err(Refusal::Invalid(Reason::AheadOfStore)))
            }
            Standing::Current => parts.rotate(presented, &record, now).await,
            Standing::Repeat => parts.repeat(presented, request, record, now).await,
            Standing::Capped => {
                parts.emit_for(EventKind::GraceCap, &record, request);
                Step::Done(Err(Refusal::Invalid(Reason::GraceCap)))
            }
            Standing::Refused(reason) => Step::Done(Err(Refusal::Invalid(reason))),
            Standing::Reuse(kind) => {
                let since_rotation = arrived.since(record.rotated_at);
                let event = EventKind::TokenReuse { kind, since_rotation };
                Step::Done(Err(parts.end_reused(&record, event, request).await))
            }
        }
    }
}

impl Parts {
    /// Branch j: the one conditional write.
    async fn rotate(&self, presented: &RefreshText, record: &LoginRecord, now: Timestamp) -> Step {
        let nonce = match random::bytes() {
            Ok(bytes) => SecretBytes::new(bytes),
            Err(error) => return Step::Done(Err(Refusal::Unavailable(BoxError::from(error)))),
        };
        let pepper = self.pepper.as_ref();
        let next = record.generation + 1;
        let key = pepper.map(Pepper::current);
        let pair = ratchet::next_pair(&presented.secret, record.id, next, &nonce, key);
        let digest = |kind, secret| {
            ratchet::new_digest(ratchet::binding(kind, record), secret, self.policy.hash, pepper)
        };
        let rotation = Rotation {
            generation: record.generation,
            access: digest(Kind::Access, &pair.access),
            refresh: digest(Kind::Refresh, &pair.refresh),
            nonce,
            now,
            access_expires: lifetimes::end(record.access_ttl.get(), now, record.absolute_expires),
            refresh_expires: lifetimes::end(record.refresh_ttl.get(), now, record.absolute_expires),
        };
        match self.store.rotate(&record.id, rotation.clone()).await {
            Ok(true) => {
                let mut rotated = record.clone();
                rotated.rotate(rotation);
                self.emit(EventKind::TokenRefreshed, &rotated);
                Step::Done(Ok(self.hand_out(&pair, Arc::new(rotated), now)))
            }
            Ok(false) => Step::LostRotation,
            Err(error) => Step::Done(Err(Self::store_failed(error))),
        }
    }

    /// Branch k: the same pair once more. Neither an end nor the moment of the rotation moves.
    async fn repeat(
        &self,
        presented: &RefreshText,
        request: &RefreshRequest<'_>,
        record: Arc<LoginRecord>,
        now: Timestamp,
    ) -> Step {
        let Some(nonce) = &record.nonce else {
            return Step::LostRepeat;
        };
        let pair = match ratchet::repeat_pair(&presented.secret, &record, nonce, self.pepper.as_ref()) {
            Ok(Some(pair)) => pair,
            Ok(None) => {
                self.emit(EventKind::Inconsistent, &record);
                return Step::Done(Err(Refusal::Invalid(Reason::Inconsistent)));
            }
            Err(trouble) => return Step::Done(Err(self.key_trouble(trouble, &record))),
        };
        match self.store.grace_hit(&record.id, record.generation, super::policy::GRACE_CAP).await {
            Ok(true) => {
                let since_rotation = now.since(record.rotated_at);
                let by = caller::repeated_by(request, &record);
                self.emit_for(EventKind::ReuseAllowed { since_rotation, by }, &record, request);
                Step::Done(Ok(self.hand_out(&pair, record, now)))
            }
            Ok(false) => Step::LostRepeat,
            Err(error) => Step::Done(Err(Self::store_failed(error))),
        }
    }

    /// Branch b: the tag and the digest of a record that is not there, so that both cases take about the same
    /// time.
    fn work_in_vain(&self, presented: &RefreshText) {
        let lineage = SecretBytes::new([0; 32]);
        std::hint::black_box(ratchet::tag_matches(&lineage, presented));
        let binding = ratchet::bind(Kind::Refresh, presented.id, &Subject::local(""), None, Channel::Header);
        ratchet::prove_nothing(binding, &presented.secret, self.policy.hash, self.pepper.as_ref());
    }

    /// Branch h: the user is gone, and so is the login.
    async fn end_inactive(&self, record: &LoginRecord) -> Refusal {
        match self.revoke_login(&record.id, RevokeReason::Inactive).await {
            Ok(first) => {
                if first {
                    self.emit(EventKind::TokenRevoked { reason: RevokeReason::Inactive }, record);
                }
                Refusal::Invalid(Reason::InactiveUser)
            }
            Err(error) => Self::store_failed(error),
        }
    }

    /// Branch m: revoked by the first proof, which alone is reported.
    async fn end_reused(
        &self,
        record: &LoginRecord,
        event: EventKind,
        request: &RefreshRequest<'_>,
    ) -> Refusal {
        match self.revoke_login(&record.id, RevokeReason::Reuse).await {
            Ok(first) => {
                if first {
                    self.emit_for(event, record, request);
                }
                Refusal::Invalid(Reason::Reuse)
            }
            Err(error) => Self::store_failed(error),
        }
    }

    fn emit_for(&self, kind: EventKind, record: &LoginRecord, request: &RefreshRequest<'_>) {
        let event = self.event(kind, record);
        self.reporter.emit(match request.client_ip() {
            Some(client_ip) => event.with_client_ip(client_ip),
            None => event,
        });
    }
}
