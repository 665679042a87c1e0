//! The port of a store of API keys.

use std::sync::Arc;

use async_trait::async_trait;

use super::{KeyQuery, KeyRecord, KeyUpdate, Revocation, StoreError};
use crate::{clock::Timestamp, maybe_ready::MaybeReady, text::TokenId};

/// Keeps API keys. The rules are those of the [module](super); methods are named so that one type can be this and
/// a [`TokenStore`](super::TokenStore), too.
///
/// No method has a default: each decides something that an attacker would like to have decided otherwise.
///
/// # Cancel safety
/// A dropped future either has done its one step or has not; it never leaves half of it.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// The key, from a primary: what was acknowledged is seen. Revoked and ended ones included.
    fn find_key(&self, id: &TokenId) -> MaybeReady<Result<Option<Arc<KeyRecord>>, StoreError>>;

    /// Adds a key, never replacing one.
    ///
    /// # Errors
    /// [`Conflict`](super::StoreErrorKind::Conflict) if the id is taken, [`Full`](super::StoreErrorKind::Full) at the
    /// store's bound. Nothing was changed then.
    async fn insert_key(&self, record: KeyRecord) -> Result<(), StoreError>;

    /// Sets `last_used` to `now`, and nothing else, where the id exists, nothing is revoked and the key was last used
    /// at `seen_before` or earlier. Returns whether a record was changed.
    fn note_key_use(
        &self,
        id: &TokenId,
        seen_before: Timestamp,
        now: Timestamp,
    ) -> MaybeReady<Result<bool, StoreError>>;

    /// Writes the columns of `update`, and nothing else, and counts the version up: where the id exists, the version is
    /// the expected one and nothing is revoked. Returns whether a record was changed.
    async fn update_key(&self, id: &TokenId, update: KeyUpdate) -> Result<bool, StoreError>;

    /// Marks a key as revoked where it is not yet. Returns whether this call did it.
    async fn revoke_key(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError>;

    /// Lists keys in the order of their ids, revoked and ended ones included.
    async fn list_keys(&self, query: &KeyQuery) -> Result<Vec<Arc<KeyRecord>>, StoreError>;

    /// Removes up to `limit` keys that could no longer be used at `before`
    /// ([`KeyRecord::purgeable_from`]). Returns what was removed.
    async fn purge_keys(&self, before: Timestamp, limit: usize) -> Result<Vec<Arc<KeyRecord>>, StoreError>;
}
