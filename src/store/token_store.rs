//! The port of a store of logins.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Digest, Epoch, LoginRecord, Revocation, StoreError};
use crate::{
    clock::Timestamp, identity::Subject, maybe_ready::MaybeReady, secret::SecretBytes, text::TokenId,
};

/// A login and the current epoch of its subject; `None` if the subject has none, which makes the login invalid.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Found {
    /// The login.
    pub record: Arc<LoginRecord>,
    /// The subject's epoch, read with it or after it.
    pub epoch: Option<Epoch>,
}

impl Found {
    /// A login and the epoch of its subject.
    pub fn new(record: Arc<LoginRecord>, epoch: Option<Epoch>) -> Self {
        Self { record, epoch }
    }
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

/// Keeps logins. The rules are in the module docs.
///
/// Outside this crate a store can so far only wrap one of ours: a record cannot be taken apart or put together
/// yet.
///
/// No method has a default: each decides something that an attacker would like to have decided otherwise.
///
/// # Cancel safety
/// A dropped future either has done its one step or not; it never leaves half of it.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The login and its subject's epoch, from a primary: what was acknowledged is seen.
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>>;

    /// Adds a login. `record.epoch` is overwritten with the subject's epoch, or with `first` if the subject has
    /// none yet, which is then written. `now` is for purging when the bound is reached.
    ///
    /// # Errors
    /// [`Conflict`](super::StoreErrorKind::Conflict) if the id is taken, [`Full`](super::StoreErrorKind::Full)
    /// at the bound.
    async fn insert(
        &self,
        record: LoginRecord,
        first: Epoch,
        now: Timestamp,
    ) -> Result<Arc<LoginRecord>, StoreError>;

    /// Writes the columns of `rotation`, sets `confirmed = false` and `grace_hits = 0`, and takes the old
    /// refresh digest over as the previous one: where the id exists, the generation is the expected one,
    /// nothing is revoked and the record's epoch is its subject's. Returns whether a record was changed.
    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError>;

    /// Adds one to `grace_hits` where the id exists, the generation is this one, nothing is revoked and the
    /// count is below `cap`. Returns whether a record was changed.
    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError>;

    /// Sets `confirmed` where the id exists, the generation is this one and nothing is revoked.
    fn confirm(&self, id: &TokenId, generation: u32) -> MaybeReady<Result<(), StoreError>>;

    /// Marks a login as revoked where it is not yet. Returns whether this call did it.
    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError>;

    /// Raises the subject's epoch and marks its logins, in one step. Returns how many were marked; 0 for an
    /// unknown subject.
    async fn revoke_subject(&self, subject: &Subject, revocation: Revocation) -> Result<u64, StoreError>;

    /// Removes up to `limit` logins of which no token can be valid any more ([`LoginRecord::purgeable_from`]),
    /// oldest end first. Returns how many were removed.
    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64, StoreError>;
}
