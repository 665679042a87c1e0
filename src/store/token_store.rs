//! The port of a store of logins.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Data, Epoch, Inserted, Insertion, ListQuery, LoginRecord, Purge, Rekey, Revocation, Rotation, StoreError,
    SubjectRevocation, Touch,
};
use crate::{clock::Timestamp, identity::Subject, maybe_ready::MaybeReady, text::TokenId};

/// A login and the current epoch of its subject; `None` if the subject has none, which makes the login invalid.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Found {
    /// The login.
    pub record: Arc<LoginRecord>,
    /// The subject's epoch, read with it or after it.
    pub epoch: Option<Epoch>,
    copy: bool,
}

impl Found {
    /// A login and the epoch of its subject, as they rest now.
    pub fn new(record: Arc<LoginRecord>, epoch: Option<Epoch>) -> Self {
        Self { record, epoch, copy: false }
    }

    /// The same as a copy: it was read before it was asked for.
    #[must_use]
    pub fn into_copy(self) -> Self {
        Self { copy: true, ..self }
    }

    /// Whether this was read before it was asked for, and may be different by now. A copy may let somebody in; who would
    /// be refused by one is judged by [`TokenStore::find`].
    pub fn is_copy(&self) -> bool {
        self.copy
    }
}

/// Keeps logins. The rules are in the module docs.
///
/// A store takes a record apart as [`LoginColumns`](super::LoginColumns), and puts it together from them. Whether it keeps
/// this contract its tests find out with `portcullis::conformance` (feature `test-util`).
///
/// No method but [`recall`](Self::recall) has a default: each decides something that an attacker would like to have
/// decided otherwise. That one's is the strictest answer there is.
///
/// # Cancel safety
/// A dropped future either has done its one step or not; it never leaves half of it.
#[async_trait]
pub trait TokenStore: Send + Sync + 'static {
    /// The login and its subject's epoch, from a primary: what was acknowledged is seen.
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>>;

    /// What [`find`](Self::find) answers, perhaps from memory, for the verification of a token. What was read before this
    /// call is [a copy](Found::into_copy), and no older than the store says; that there is no such login is never known
    /// from memory.
    ///
    /// By default this is `find`. A store that wraps another one hands it on, or there is nothing to recall.
    fn recall(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.find(id)
    }

    /// Adds a login, never replacing one. `record.epoch` is overwritten with the subject's epoch, or with
    /// `insertion.first_epoch` if the subject has none yet, which is then written. In the same step, behind one
    /// lock for each subject, the limit of live logins is held and `insertion.replaces` is revoked.
    ///
    /// A login is live if it is not revoked, has its subject's epoch, and its access or refresh token has not
    /// ended. The oldest is the one that was created first.
    ///
    /// # Errors
    /// [`Conflict`](super::StoreErrorKind::Conflict) if the id is taken, [`Full`](super::StoreErrorKind::Full)
    /// at the store's bound, [`LimitReached`](super::StoreErrorKind::LimitReached) at the subject's. Nothing was
    /// changed then.
    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError>;

    /// Writes the columns of `rotation`, sets `confirmed_at` to never and `grace_hits` to zero, and takes the old
    /// refresh digest over as the previous one: where the id exists, the generation is the expected one,
    /// nothing is revoked and the record's epoch is its subject's. Returns whether a record was changed.
    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError>;

    /// Adds one to `grace_hits` where the id exists, the generation is this one, nothing is revoked and the
    /// count is below `cap`. Returns whether a record was changed.
    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError>;

    /// Sets `confirmed_at` to `now` where the id exists, the generation is this one, nothing is revoked and the
    /// moment is not set yet: the first one stays, whichever node it is from.
    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>>;

    /// Writes the columns of `touch` where the id exists, the generation is the expected one, nothing is revoked
    /// and the login was last seen at `seen_before` or earlier. No end moves back. Returns whether a record was
    /// changed.
    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>>;

    /// Writes the columns of `rekey`, sets `confirmed_at` to its moment, and forgets previous digest, nonce and `grace_hits`: where
    /// the id exists, the generation is the expected one, nothing is revoked and the record's epoch is its
    /// subject's. Returns whether a record was changed.
    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError>;

    /// Replaces the data, and nothing else, and counts the version up: where the id exists, the version is the
    /// expected one and nothing is revoked. Returns whether a record was changed.
    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError>;

    /// Replaces the label, and nothing else, where the id exists and nothing is revoked. Returns whether a record
    /// was changed.
    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError>;

    /// Marks a login as revoked where it is not yet. Returns whether this call did it.
    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError>;

    /// Marks the subject's logins as revoked, but for what is kept, and raises its epoch unless
    /// [`Keep::Untouched`](super::Keep::Untouched) says otherwise, in one step behind the subject's lock. Returns
    /// the logins that this call marked; `None` if the login to be rekeyed was not as expected, and nothing was
    /// changed.
    async fn revoke_subject(
        &self,
        subject: &Subject,
        revocation: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError>;

    /// Raises the epoch of every subject, in one step, and then marks their logins. Returns how many were marked.
    /// A call that fails or is dropped on the way has ended every login or none; marks may be missing.
    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError>;

    /// Lists logins in the order of their ids, revoked and ended ones included.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError>;

    /// Removes logins of which no token can be valid any more
    /// ([`LoginRecord::purgeable_from`]). Returns what was removed.
    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError>;

    /// Wipes the nonce of every login that was rotated before this moment and whose new pair was first used before
    /// it, too; its previous digest stays. Returns how many records were changed.
    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError>;
}
