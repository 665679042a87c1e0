//! A new login.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};

use super::{
    ratchet::{self, Kind, Pair},
    service::{Parts, TokenService},
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    event::EventKind,
    identity::Subject,
    random::{self, RandomError},
    secret::{Secret, SecretBytes},
    store::{Binding, Context, Epoch, LoginRecord, StoreError, StoreErrorKind},
    text::{self, TokenId},
};

/// What a new login is bound to and carries.
#[derive(Debug, Clone, Default)]
pub struct IssueOptions {
    tenant: Option<Arc<str>>,
    client: Option<Arc<str>>,
    key_thumbprint: Option<Arc<str>>,
    context: Context,
}

/// Fresh tokens: the only time their texts leave the service.
#[derive(Clone)]
pub struct Issued {
    access: Secret,
    refresh: Option<Secret>,
    record: Arc<LoginRecord>,
    now: Timestamp,
}

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
}

// ===== impl TokenService =====

impl<I> TokenService<I> {
    /// A new login whose tokens travel in the `Authorization` header.
    ///
    /// # Errors
    /// [`IssueError`] if the store is full or down, or there are no random bytes. Nothing was issued then.
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
        options: IssueOptions,
    ) -> Result<Issued, IssueError> {
        let now = self.clock.now();
        let pair = Pair {
            access: text::encode_secret(&*random::bytes()?),
            refresh: text::encode_secret(&*random::bytes()?),
        };
        let record = self.new_record(subject, channel, options, &pair, now)?;
        let first_epoch = Epoch::from_number(u64::from_be_bytes(*random::bytes()?));
        let record = self.store.insert(record, first_epoch, now).await.map_err(|error| {
            if error.kind() == StoreErrorKind::Full {
                self.emit_of_store(EventKind::StoreFull);
            }
            IssueError::from(error)
        })?;
        Ok(self.hand_out(&pair, record, now))
    }

    fn new_record(
        &self,
        subject: Subject,
        channel: Channel,
        options: IssueOptions,
        pair: &Pair,
        now: Timestamp,
    ) -> Result<LoginRecord, RandomError> {
        let policy = &self.policy;
        let end = |ttl: Option<Duration>| ttl.map_or(Timestamp::NEVER, |ttl| now.plus(ttl));
        let id = TokenId::from_random(&*random::bytes()?);
        let digest = |kind, secret| {
            let binding = ratchet::bind(kind, id, &subject, options.tenant.as_deref(), channel);
            ratchet::new_digest(binding, secret, policy.hash, self.pepper.as_ref())
        };
        let access = digest(Kind::Access, &pair.access);
        let refresh = policy.refresh_ttl.map(|_| digest(Kind::Refresh, &pair.refresh));
        Ok(LoginRecord {
            id,
            subject: Arc::new(subject),
            tenant: options.tenant,
            channel,
            client: options.client,
            key_thumbprint: options.key_thumbprint,
            context: options.context,
            access,
            refresh,
            previous: None,
            nonce: None,
            lineage: SecretBytes::new(random::bytes()?),
            generation: 0,
            rotated_at: now,
            confirmed: true,
            grace_hits: 0,
            created: now,
            access_ttl: policy.access_ttl,
            refresh_ttl: policy.refresh_ttl,
            access_expires: end(policy.access_ttl),
            refresh_expires: end(policy.refresh_ttl),
            absolute_expires: end(policy.absolute),
            // The store writes the subject's own.
            epoch: Epoch::from_number(0),
            revoked: None,
            binding: Binding::default(),
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
        Issued { access, refresh, record, now }
    }
}

// ===== impl IssueOptions =====

impl IssueOptions {
    /// Binds the login to a tenant: requests for another one, or for none, are refused.
    ///
    /// The inbound layer knows no tenants yet and so refuses such tokens; verify them with
    /// [`Verify::verify`](crate::verify::Verify::verify) and
    /// [`Attempt::with_tenant`](crate::verify::Attempt::with_tenant).
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Binds refreshing to a client.
    #[must_use]
    pub fn client(mut self, client: impl Into<Arc<str>>) -> Self {
        self.client = Some(client.into());
        self
    }

    /// Binds refreshing to a key by its thumbprint (RFC 7638).
    #[must_use]
    pub fn key_thumbprint(mut self, thumbprint: impl Into<Arc<str>>) -> Self {
        self.key_thumbprint = Some(thumbprint.into());
        self
    }

    /// Data of the application, kept with the login.
    #[must_use]
    pub fn context(mut self, object: Map<String, Value>) -> Self {
        self.context = object.into();
        self
    }
}

// ===== impl Issued =====

impl Issued {
    /// The access token.
    pub fn access(&self) -> &Secret {
        &self.access
    }

    /// The refresh token, if the policy gives any.
    pub fn refresh(&self) -> Option<&Secret> {
        self.refresh.as_ref()
    }

    /// The login.
    pub fn record(&self) -> &LoginRecord {
        &self.record
    }

    /// What is left of the access token's life; `None` if it never ends.
    pub fn expires_in(&self) -> Option<Duration> {
        self.remaining(self.record.access_expires())
    }

    /// What is left of the refresh token's life; `None` if there is none.
    pub fn refresh_expires_in(&self) -> Option<Duration> {
        self.remaining(self.record.refresh_expires()?)
    }

    fn remaining(&self, end: Timestamp) -> Option<Duration> {
        (end != Timestamp::NEVER).then(|| end.since(self.now))
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("record", &self.record).finish_non_exhaustive()
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
        Self { kind: IssueErrorKind::Store, source: Arc::new(error) }
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
