//! The end of a login.

use super::service::TokenService;
use crate::{
    identity::Subject,
    store::{Revocation, RevokeReason, StoreError},
    text::TokenId,
};

impl<I> TokenService<I> {
    /// Ends one login: its access and refresh tokens fail from now on. Repeating it is harmless.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not answer; the login may live on.
    ///
    /// # Cancel safety
    /// The login has ended or it has not.
    pub async fn revoke(&self, id: &TokenId) -> Result<(), StoreError> {
        let revocation = Revocation::new(self.parts.clock.now(), RevokeReason::Logout);
        self.parts.store.revoke(id, revocation).await.map(|_first| ())
    }

    /// Ends all logins of a subject, those of which the store has lost track included. Returns how many were
    /// ended.
    ///
    /// A login that is issued after it lives: change the password first, then call this.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    ///
    /// # Cancel safety
    /// All have ended or none has.
    pub async fn revoke_subject(&self, subject: &Subject) -> Result<u64, StoreError> {
        let revocation = Revocation::new(self.parts.clock.now(), RevokeReason::Logout);
        self.parts.store.revoke_subject(subject, revocation).await
    }
}
