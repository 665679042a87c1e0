//! A new login.

use std::{error::Error, fmt, sync::Arc};

use super::{
    IssueOptions, Issued,
    lifetimes::{self, Lifetimes},
    ratchet::{self, Kind, Pair},
    service::{Parts, TokenService},
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    error::{ConfigError, Faults},
    event::{Event, EventKind, RevokeReason},
    identity::Subject,
    random::{self, RandomError},
    secret::SecretBytes,
    store::{Binding, Context, Epoch, Insertion, LoginRecord, StoreError, StoreErrorKind},
    text::{self, TokenId},
};

/// No tokens were issued.
#[derive(Clone)]
pub struct IssueError {
    kind: IssueErrorKind,
    source: Arc<dyn Error + Send + Sync>,
}

/// The kind of an [`IssueError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueErrorKind {
    /// No random bytes.
    Random,
    /// The store did not take the login.
    Store,
    /// The subject has as many live logins as it may have.
    LimitReached,
    /// The options break a rule; the source is the [`ConfigError`] that names all of them.
    Options,
}

// ===== impl TokenService =====

impl<I> TokenService<I> {
    /// A new login whose tokens travel in the `Authorization` header.
    ///
    /// # Errors
    /// [`IssueError`] if the options break a rule, the subject has too many logins, the store is full or down, or
    /// there are no random bytes. Nothing was issued then.
    ///
    /// # Cancel safety
    /// A dropped call leaves a login behind of which nobody has the tokens, or none.
    pub async fn issue_for_header(
        &self,
        subject: Subject,
        options: IssueOptions,
    ) -> Result<Issued, IssueError> {
        self.parts.issue(subject, Channel::Header, options).await
    }

    /// A new login whose tokens travel in a cookie.
    ///
    /// # Errors
    /// As [`issue_for_header`](Self::issue_for_header).
    ///
    /// # Cancel safety
    /// As [`issue_for_header`](Self::issue_for_header).
    pub async fn issue_for_cookie(
        &self,
        subject: Subject,
        options: IssueOptions,
    ) -> Result<Issued, IssueError> {
        self.parts.issue(subject, Channel::Cookie, options).await
    }
}

impl Parts {
    async fn issue(
        &self,
        subject: Subject,
        channel: Channel,
        mut options: IssueOptions,
    ) -> Result<Issued, IssueError> {
        let now = self.clock.now();
        let lifetimes = options.lifetimes(&self.policy);
        let mut faults = Faults::default();
        lifetimes.check(&mut faults);
        lifetimes::check_options(self.policy.sliding, lifetimes, &mut faults);
        let context = options.check(&mut faults);
        faults.finish()?;

        let pair = Pair::random()?;
        let mut insertion = Insertion::new(Epoch::from_number(u64::from_be_bytes(*random::bytes()?)), now);
        insertion.purge_before = self.policy.purge_before(now);
        insertion.limit = self.policy.limit;
        let replaces = options.replaces;
        insertion.replaces = replaces;
        let record = self.new_record(subject, channel, options, lifetimes, context, &pair, now)?;
        let inserted = self.store.insert(record, insertion).await.map_err(|error| {
            if error.kind() == StoreErrorKind::Full {
                self.emit_of_store(EventKind::StoreFull);
            }
            IssueError::from(error)
        })?;
        for id in inserted.ended {
            self.watchers.wake(&id);
            self.emit_revoked(id, &inserted.record.subject, RevokeReason::Superseded);
        }
        if let Some(id) = replaces.filter(|_| inserted.replaced) {
            self.watchers.wake(&id);
            // Whose it was, the store does not say: not this subject's, where it was a browser's.
            let kind = EventKind::TokenRevoked { reason: RevokeReason::Superseded };
            self.reporter.emit(Event::new(kind, now).with_record(id));
        }
        self.tell_purged(&inserted.purged);
        if !inserted.record.subject.is_anonymous() {
            self.emit(EventKind::TokenCreated, &inserted.record);
        }
        if inserted.record.is_session() {
            self.emit(EventKind::SessionCreated, &inserted.record);
        }
        Ok(self.hand_out(&pair, inserted.record, now))
    }

    #[allow(clippy::too_many_arguments)] // the parts of one record
    fn new_record(
        &self,
        subject: Subject,
        channel: Channel,
        options: IssueOptions,
        lifetimes: Lifetimes,
        context: Context,
        pair: &Pair,
        now: Timestamp,
    ) -> Result<LoginRecord, RandomError> {
        let id = TokenId::from_random(&*random::bytes()?);
        let bind = |kind| ratchet::bind(kind, id, &subject, options.extras.tenant.as_deref(), channel);
        let digest =
            |binding, secret| ratchet::new_digest(binding, secret, self.policy.hash, self.pepper.as_ref());
        let binding = bind(Kind::Access);
        let access = digest(binding, &pair.access);
        let refresh = lifetimes.refresh.map(|_| digest(bind(Kind::Refresh), &pair.refresh));
        let absolute = lifetimes::end(lifetimes.absolute, now, Timestamp::NEVER);
        Ok(LoginRecord {
            id,
            subject: Arc::new(subject),
            channel,
            context,
            extras: options.extras.into(),
            browser_session: options.browser_session,
            access,
            refresh,
            previous: None,
            nonce: None,
            lineage: SecretBytes::new(random::bytes()?),
            generation: 0,
            rotated_at: now,
            confirmed_at: now,
            grace_hits: 0,
            created: now,
            last_seen: now,
            access_ttl: lifetimes.access.into(),
            refresh_ttl: lifetimes.refresh.into(),
            access_expires: lifetimes::end(lifetimes.access, now, absolute),
            refresh_expires: lifetimes::end(lifetimes.refresh, now, absolute),
            absolute_expires: absolute,
            // The store writes the subject's own.
            epoch: Epoch::from_number(0),
            revoked: None,
            binding: Binding::known(binding),
        })
    }

    /// Writes the texts of a pair that the record now holds the digests of.
    pub(super) fn hand_out(&self, pair: &Pair, record: Arc<LoginRecord>, now: Timestamp) -> Issued {
        let brand = self.policy.brand();
        let access = text::compose_access(brand, record.id, &pair.access);
        let refresh = record.refresh.is_some().then(|| {
            text::compose_refresh(brand, record.id, record.generation, &pair.refresh, |tagged| {
                ratchet::tag(&record.lineage, tagged)
            })
        });
        Issued::new(access, refresh, record, now)
    }
}

// ===== impl IssueError =====

impl IssueError {
    /// The kind.
    pub fn kind(&self) -> IssueErrorKind {
        self.kind
    }
}

impl From<RandomError> for IssueError {
    fn from(error: RandomError) -> Self {
        Self { kind: IssueErrorKind::Random, source: Arc::new(error) }
    }
}

impl From<StoreError> for IssueError {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::LimitReached => IssueErrorKind::LimitReached,
            _ => IssueErrorKind::Store,
        };
        Self { kind, source: Arc::new(error) }
    }
}

impl From<ConfigError> for IssueError {
    fn from(error: ConfigError) -> Self {
        Self { kind: IssueErrorKind::Options, source: Arc::new(error) }
    }
}

/// Shows the kind, not the cause: its text is somebody else's.
impl fmt::Debug for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssueError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no tokens were issued")
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
