//! One API key.

use std::{fmt, sync::Arc};

use super::{Context, Digest, Revocation};
use crate::{clock::Timestamp, identity::Subject, scope::Scope, text::TokenId};

/// An API key, as plain data. Of the key itself the digest is kept alone.
#[derive(Clone)]
#[non_exhaustive]
pub struct KeyRecord {
    /// The key's public id. Compared byte by byte: case matters.
    pub id: TokenId,
    /// The client or the user who may use it.
    pub owner: Arc<Subject>,
    /// What kind of key it is: `sk_live`, `sk_test`, `pk_live`.
    pub kind: Arc<str>,
    /// The tenant it belongs to. Any text.
    pub tenant: Option<Arc<str>>,
    /// What it may be used for; `None` for everything that its owner may do.
    pub scope: Option<Arc<Scope>>,
    /// The name that its owner gave it. Any text.
    pub label: Option<Arc<str>>,
    /// What the application notes with it: a tier, a list of addresses.
    pub context: Context,
    /// How often label, scope, context and end were changed; a change names the version it read.
    pub version: u64,
    /// Digest of the key.
    pub digest: Digest,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The last moment at which it was used, exact to the interval of such notes; `created` if it never was.
    pub last_used: Timestamp,
    /// When and why it was revoked.
    pub revoked: Option<Revocation>,
}

/// The columns that a change of a key writes, and the version it expects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyUpdate {
    /// The version that was read; the new one is one more.
    pub version: u64,
    /// The new name.
    pub label: Option<Arc<str>>,
    /// What it may be used for from now on.
    pub scope: Option<Arc<Scope>>,
    /// What the application notes with it.
    pub context: Context,
    /// When it ends.
    pub expires: Timestamp,
}

/// Which keys to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyQuery {
    /// Only this owner's.
    pub owner: Option<Subject>,
    /// Only those that were made before this moment: the ones that a policy of rotation wants replaced.
    pub created_before: Timestamp,
    /// Only those behind this one, in the order of ids.
    pub after: Option<TokenId>,
    /// At most so many.
    pub limit: usize,
}

// ===== impl KeyRecord =====

impl KeyRecord {
    /// The columns that there are. A store keeps it with each record.
    pub const FORMAT: u16 = 1;

    /// A key that was made now, never ends, and has nothing that could be left out.
    pub fn new(
        id: TokenId,
        owner: impl Into<Arc<Subject>>,
        kind: impl Into<Arc<str>>,
        digest: Digest,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            owner: owner.into(),
            kind: kind.into(),
            tenant: None,
            scope: None,
            label: None,
            context: Context::default(),
            version: 0,
            digest,
            created: now,
            expires: Timestamp::NEVER,
            last_used: now,
            revoked: None,
        }
    }

    /// From here on the key can no longer be used, so the record may be purged.
    pub fn purgeable_from(&self) -> Timestamp {
        self.revoked.map_or(self.expires, |revocation| self.expires.min(revocation.at()))
    }
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRecord")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("revoked", &self.revoked)
            .finish_non_exhaustive()
    }
}

// ===== impl KeyUpdate =====

impl KeyUpdate {
    /// Writes what the record has already: change what shall be different.
    pub fn of(record: &KeyRecord) -> Self {
        Self {
            version: record.version,
            label: record.label.clone(),
            scope: record.scope.clone(),
            context: record.context.clone(),
            expires: record.expires,
        }
    }
}

// ===== impl KeyQuery =====

impl KeyQuery {
    /// The first `limit` keys, of one owner or of all.
    pub fn new(owner: Option<Subject>, limit: usize) -> Self {
        Self { owner, created_before: Timestamp::NEVER, after: None, limit }
    }
}
