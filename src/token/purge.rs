//! Removing what can never be valid again.

use std::sync::Arc;

use super::{
    renew,
    service::{Parts, TokenService},
};
use crate::{
    event::EventKind,
    identity::Subject,
    store::{LoginRecord, Purge, StoreError},
};

impl<I> TokenService<I> {
    /// Removes up to `limit` records of logins that have ended: past their access *and* their refresh life, or
    /// revoked, and kept for audit as long as the policy says. Also wipes what repeated rotations that can no
    /// longer be repeated. Returns how many records were removed; call it again while that is `limit`.
    ///
    /// Each removed session that had reached its end, and was not ended before, is one event
    /// (`session_expired`), so take a limit that observers can follow.
    ///
    /// A bounded store purges by itself when it is full; others grow until this is called. It takes care of the store
    /// of this service only: call it for each.
    ///
    /// # Errors
    /// [`StoreError`] if the store did not answer; some records may have been removed.
    ///
    /// # Cancel safety
    /// Some records may have been removed.
    pub async fn purge(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.parts.clock.now();
        self.parts.store.wipe_nonces(renew::wipe_before(now, &self.parts.policy)).await?;
        self.purge_logins(None, limit).await
    }

    /// [`purge`](Self::purge) for one subject's records.
    ///
    /// # Errors
    /// As [`purge`](Self::purge).
    ///
    /// # Cancel safety
    /// As [`purge`](Self::purge).
    pub async fn purge_subject(&self, subject: &Subject, limit: usize) -> Result<u64, StoreError> {
        self.purge_logins(Some(subject.clone()), limit).await
    }

    async fn purge_logins(&self, subject: Option<Subject>, limit: usize) -> Result<u64, StoreError> {
        let before = self.parts.policy.purge_before(self.parts.clock.now());
        let removed = self.parts.store.purge(&Purge::new(subject, before, limit)).await?;
        self.parts.tell_purged(&removed);
        Ok(removed.len() as u64)
    }
}

impl Parts {
    pub(super) fn tell_purged(&self, removed: &[Arc<LoginRecord>]) {
        for record in removed.iter().filter(|record| record.is_session() && record.revoked.is_none()) {
            self.emit(EventKind::SessionExpired, record);
        }
        let count = removed.len() as u64;
        if count > 0 {
            self.emit_of_store(EventKind::Purged { count });
        }
    }
}
