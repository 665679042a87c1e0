//! What the conditional writes write, and the state that each of them expects.

use std::sync::Arc;

use super::{Digest, Epoch, LoginRecord, Revocation};
use crate::{clock::Timestamp, identity::Subject, secret::SecretBytes, text::TokenId};

/// The circumstances of a new login, all of which are one step with it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Insertion {
    /// The subject's epoch if it has none yet.
    pub first_epoch: Epoch,
    /// The moment of the login.
    pub now: Timestamp,
    /// A full store may remove what was [purgeable](super::LoginRecord::purgeable_from) from here on.
    pub purge_before: Timestamp,
    /// How many live logins the subject may have.
    pub limit: LiveLimit,
    /// A login that ends with this step: the anonymous session of the same browser.
    pub replaces: Option<TokenId>,
}

/// How many live logins a subject may have, the new one included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LiveLimit {
    /// Any number.
    #[default]
    Unlimited,
    /// A login above the limit is refused.
    Refuse(u32),
    /// The oldest logins end until the new one fits in.
    EndOldest(u32),
}

/// What became of a new login's circumstances.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inserted {
    /// The login as it rests.
    pub record: Arc<LoginRecord>,
    /// The logins of the same subject that ended for it under the limit.
    pub ended: Vec<TokenId>,
    /// Whether [`Insertion::replaces`] ended with it: it lived until then.
    pub replaced: bool,
    /// What the store has removed to make room for it.
    pub purged: Vec<Arc<LoginRecord>>,
}

/// The columns that a rotation writes, and the generation it expects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rotation {
    /// The generation that was read; the new one is one more.
    pub generation: u32,
    /// Digest of the new access token.
    pub access: Digest,
    /// Digest of the new refresh token; the one it replaces becomes the previous one.
    pub refresh: Digest,
    /// What the pair was derived with.
    pub nonce: SecretBytes,
    /// The moment of the rotation.
    pub now: Timestamp,
    /// New end of the access token.
    pub access_expires: Timestamp,
    /// New end of the refresh token; an end that is later already stays.
    pub refresh_expires: Timestamp,
}

/// The columns that a touch writes, and the state it expects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Touch {
    /// The generation that was verified.
    pub generation: u32,
    /// Only a login that was last seen at this moment or earlier is touched.
    pub seen_before: Timestamp,
    /// The moment of the touch.
    pub now: Timestamp,
    /// New end of the access token; an end that is later already stays.
    pub access_expires: Option<Timestamp>,
    /// New end of the refresh token; an end that is later already stays.
    pub refresh_expires: Option<Timestamp>,
    /// Digest of the same access token under the newest pepper key.
    pub access: Option<Digest>,
    /// The last rotation can no longer be repeated, so what repeated it may go.
    pub wipe_nonce: bool,
}

/// The columns that a rekey writes, and the generation it expects.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rekey {
    /// The generation that was read; the new one is one more.
    pub generation: u32,
    /// Digest of the new access token.
    pub access: Digest,
    /// Digest of the new refresh token, if the login has one.
    pub refresh: Option<Digest>,
    /// The new lineage: old texts are not even proven to be old.
    pub lineage: SecretBytes,
    /// The moment of the rekey.
    pub now: Timestamp,
    /// New end of the access token.
    pub access_expires: Timestamp,
    /// New end of the refresh token.
    pub refresh_expires: Timestamp,
}

/// Which logins of a subject end.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SubjectRevocation {
    /// When and why.
    pub revocation: Revocation,
    /// What stays.
    pub keep: Keep,
}

/// The login that outlives the end of a subject's others.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Keep {
    /// None: the epoch is raised.
    Nothing,
    /// This one, as it is; the epoch stays.
    Untouched(TokenId),
    /// This one, with new secrets and the raised epoch; if it cannot be rekeyed, nothing is changed at all.
    Rekeyed(TokenId, Box<Rekey>),
}

/// Which logins to list.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only this subject's.
    pub subject: Option<Subject>,
    /// Only those behind this one, in the order of ids.
    pub after: Option<TokenId>,
    /// At most so many.
    pub limit: usize,
}

/// Which logins to remove.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Purge {
    /// Only this subject's.
    pub subject: Option<Subject>,
    /// Only those that were [purgeable](super::LoginRecord::purgeable_from) at this moment or earlier.
    pub before: Timestamp,
    /// At most so many.
    pub limit: usize,
}

// ===== for stores and tests outside this crate =====

impl Insertion {
    /// A login without any circumstance, at this moment.
    pub fn new(first_epoch: Epoch, now: Timestamp) -> Self {
        Self { first_epoch, now, purge_before: now, limit: LiveLimit::Unlimited, replaces: None }
    }
}

impl Inserted {
    /// A login for which nothing else had to end or go.
    pub fn new(record: Arc<LoginRecord>) -> Self {
        Self { record, ended: Vec::new(), replaced: false, purged: Vec::new() }
    }
}

impl SubjectRevocation {
    /// Ends all logins but what is kept.
    pub fn new(revocation: Revocation, keep: Keep) -> Self {
        Self { revocation, keep }
    }
}

impl ListQuery {
    /// The first `limit` logins, of one subject or of all.
    pub fn new(subject: Option<Subject>, limit: usize) -> Self {
        Self { subject, after: None, limit }
    }
}

impl Purge {
    /// Up to `limit` logins of which no token was valid any more at `before`, of one subject or of all.
    pub fn new(subject: Option<Subject>, before: Timestamp, limit: usize) -> Self {
        Self { subject, before, limit }
    }
}
