//! A login taken apart, for stores outside this crate and in it.

use std::{fmt, sync::Arc};

use super::{Context, Data, Digest, Epoch, Life, LoginRecord, Revocation, extras::Extras, record::Binding};
use crate::{
    clock::Timestamp, credential::Channel, identity::Subject, scope::Scope, secret::SecretBytes,
    text::TokenId,
};

/// Every column of a [`LoginRecord`], as plain data: what a store writes down, and puts a record together from.
///
/// A later version may add columns. [`new`](Self::new) gives every column that it is not told a value that means
/// nothing special, so a store that does not know a column yet keeps working; [`LoginRecord::FORMAT`] says which
/// columns there are.
///
/// Digests, nonce and lineage key are what an attacker would look for in a copy of the store: they prove nothing to the
/// service, but with a token that was current once, nonce and lineage key are worth something (see
/// [`TokenPolicy`](crate::TokenPolicy)). Keep them out of logs; their `Debug` shows nothing.
#[derive(Clone)]
#[non_exhaustive]
pub struct LoginColumns {
    /// The login's public id. Compared byte by byte: case matters.
    pub id: TokenId,
    /// Whose login it is.
    pub subject: Arc<Subject>,
    /// The channel its tokens were issued for.
    pub channel: Channel,
    /// Its cookie ends with the browser.
    pub browser_session: bool,
    /// The tenant it belongs to. Any text.
    pub tenant: Option<Arc<str>>,
    /// The client that alone may refresh it. Any text.
    pub client: Option<Arc<str>>,
    /// The thumbprint (RFC 7638) of the key whose holder alone may refresh it.
    pub key_thumbprint: Option<Arc<str>>,
    /// What its access tokens may be used for.
    pub scope: Option<Arc<Scope>>,
    /// The name of the device. Any text.
    pub label: Option<Arc<str>>,
    /// What was noted at the login.
    pub context: Context,
    /// What the application keeps with it.
    pub data: Data,
    /// How often `data` was changed.
    pub version: u64,

    /// Digest of the access token.
    pub access: Digest,
    /// Digest of the refresh token, if the login has one.
    pub refresh: Option<Digest>,
    /// Digest of the refresh token before that.
    pub previous: Option<Digest>,
    /// What the current pair was derived with.
    pub nonce: Option<SecretBytes>,
    /// The key that proves the login's old refresh tokens to be its own.
    pub lineage: SecretBytes,
    /// How often the pair was rotated or replaced.
    pub generation: u32,
    /// The moment of the last rotation.
    pub rotated_at: Timestamp,
    /// When the current pair was first used; [`Timestamp::NEVER`] while that is awaited.
    pub confirmed_at: Timestamp,
    /// How often the last rotation was repeated.
    pub grace_hits: u32,

    /// The moment of the login.
    pub created: Timestamp,
    /// The last moment at which it was seen in use.
    pub last_seen: Timestamp,
    /// How long an access token lives.
    pub access_ttl: Life,
    /// How long a refresh token lives.
    pub refresh_ttl: Life,
    /// The end of the access token, not cut at `absolute_expires`.
    pub access_expires: Timestamp,
    /// The end of the refresh token, not cut at `absolute_expires`.
    pub refresh_expires: Timestamp,
    /// The end that nothing extends.
    pub absolute_expires: Timestamp,
    /// The subject's epoch at the last login or rekey.
    pub epoch: Epoch,
    /// When and why it ended.
    pub revoked: Option<Revocation>,
}

// ===== impl LoginColumns =====

impl LoginColumns {
    /// A login at this moment that never ends, has no refresh token, and nothing else that could be left out.
    pub fn new(
        id: TokenId,
        subject: impl Into<Arc<Subject>>,
        channel: Channel,
        access: Digest,
        lineage: SecretBytes,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            subject: subject.into(),
            channel,
            browser_session: false,
            tenant: None,
            client: None,
            key_thumbprint: None,
            scope: None,
            label: None,
            context: Context::default(),
            data: Data::default(),
            version: 0,
            access,
            refresh: None,
            previous: None,
            nonce: None,
            lineage,
            generation: 0,
            rotated_at: now,
            confirmed_at: now,
            grace_hits: 0,
            created: now,
            last_seen: now,
            access_ttl: Life::FOREVER,
            refresh_ttl: Life::FOREVER,
            access_expires: Timestamp::NEVER,
            refresh_expires: Timestamp::NEVER,
            absolute_expires: Timestamp::NEVER,
            epoch: Epoch::from_number(0),
            revoked: None,
        }
    }
}

impl fmt::Debug for LoginColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginColumns")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("generation", &self.generation)
            .field("created", &self.created)
            .field("access_expires", &self.access_expires)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

impl From<&LoginRecord> for LoginColumns {
    fn from(record: &LoginRecord) -> Self {
        let extras = record.extras.get();
        Self {
            id: record.id,
            subject: Arc::clone(&record.subject),
            channel: record.channel,
            browser_session: record.browser_session,
            tenant: extras.tenant.clone(),
            client: extras.client.clone(),
            key_thumbprint: extras.key_thumbprint.clone(),
            scope: extras.scope.clone(),
            label: extras.label.clone(),
            context: record.context.clone(),
            data: extras.data.clone(),
            version: extras.version,
            access: record.access.clone(),
            refresh: record.refresh.clone(),
            previous: record.previous.as_deref().cloned(),
            nonce: record.nonce.as_deref().cloned(),
            lineage: record.lineage.clone(),
            generation: record.generation,
            rotated_at: record.rotated_at,
            confirmed_at: record.confirmed_at,
            grace_hits: record.grace_hits,
            created: record.created,
            last_seen: record.last_seen,
            access_ttl: record.access_ttl,
            refresh_ttl: record.refresh_ttl,
            access_expires: record.access_expires,
            refresh_expires: record.refresh_expires,
            absolute_expires: record.absolute_expires,
            epoch: record.epoch,
            revoked: record.revoked,
        }
    }
}

impl From<LoginColumns> for LoginRecord {
    fn from(columns: LoginColumns) -> Self {
        let extras = Extras {
            tenant: columns.tenant,
            client: columns.client,
            key_thumbprint: columns.key_thumbprint,
            scope: columns.scope,
            label: columns.label,
            data: columns.data,
            version: columns.version,
        };
        Self {
            id: columns.id,
            subject: columns.subject,
            channel: columns.channel,
            context: columns.context,
            extras: extras.into(),
            browser_session: columns.browser_session,
            access: columns.access,
            refresh: columns.refresh,
            previous: columns.previous.map(Box::new),
            nonce: columns.nonce.map(Box::new),
            lineage: columns.lineage,
            generation: columns.generation,
            rotated_at: columns.rotated_at,
            confirmed_at: columns.confirmed_at,
            grace_hits: columns.grace_hits,
            created: columns.created,
            last_seen: columns.last_seen,
            access_ttl: columns.access_ttl,
            refresh_ttl: columns.refresh_ttl,
            access_expires: columns.access_expires,
            refresh_expires: columns.refresh_expires,
            absolute_expires: columns.absolute_expires,
            epoch: columns.epoch,
            revoked: columns.revoked,
            binding: Binding::default(),
        }
    }
}
