//! Writing through: what is written here is forgotten here, when the write has ended, whatever became of it.

use std::sync::Arc;

use async_trait::async_trait;

use super::{CachedStore, cache::Cache};
use crate::{
    clock::Timestamp,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Found, Inserted, Insertion, Keep, ListQuery, LiveLimit, LoginRecord, Purge, Rekey, Revocation,
        Rotation, StoreError, StoreErrorKind, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

/// Forgets what a write may have changed, when it is dropped: with the answer, or with a write that nobody waits for any
/// more. Until then the write has not been acknowledged, and copies may be what was before.
struct Forget {
    cache: Arc<Cache>,
    what: What,
}

enum What {
    Logins(Vec<TokenId>),
    /// Some logins of this subject.
    LoginsOf(Arc<Subject>),
    Everything,
}

// ===== impl Forget =====

impl CachedStore {
    fn forget(&self, what: What) -> Forget {
        Forget { cache: Arc::clone(&self.0.cache), what }
    }

    fn forget_login(&self, id: &TokenId) -> ForgetLogin<'_> {
        ForgetLogin { cache: &self.0.cache, id: *id }
    }

    fn inner(&self) -> &dyn TokenStore {
        self.0.cache.store()
    }
}

impl Drop for Forget {
    fn drop(&mut self) {
        let copies = self.cache.copies();
        match &self.what {
            What::Logins(ids) => copies.forget(ids),
            What::LoginsOf(subject) => copies.forget_subject(subject),
            What::Everything => copies.forget_everything(),
        }
    }
}

/// [`Forget`] for one login, the usual case.
struct ForgetLogin<'a> {
    cache: &'a Cache,
    id: TokenId,
}

impl Drop for ForgetLogin<'_> {
    fn drop(&mut self) {
        self.cache.copies().forget(&[self.id]);
    }
}

// ===== impl TokenStore =====

#[async_trait]
impl TokenStore for CachedStore {
    /// From the store. Who comes while a read of the same login is under way shares the next one.
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.0.cache.find(id)
    }

    /// A copy, if there is one that is young enough.
    fn recall(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.0.cache.recall(id)
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let _replaced = insertion.replaces.map(|id| self.forget_login(&id));
        let mut ended = self.forget(match insertion.limit {
            LiveLimit::EndOldest(_) => What::LoginsOf(Arc::clone(&record.subject)),
            LiveLimit::Unlimited | LiveLimit::Refuse(_) => What::Logins(Vec::new()),
        });
        let inserted = self.inner().insert(record, insertion).await;
        match &inserted {
            Ok(inserted) => {
                let purged = inserted.purged.iter().map(|record| record.id);
                ended.what = What::Logins(inserted.ended.iter().copied().chain(purged).collect());
            }
            // Nobody knows whether it was done.
            Err(error) if error.kind() == StoreErrorKind::Unavailable => {}
            Err(_) => ended.what = What::Logins(Vec::new()),
        }
        inserted
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        let _forget = self.forget_login(id);
        self.inner().rotate(id, rotation).await
    }

    /// How often a pair was given again is no matter of verification.
    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.inner().grace_hit(id, generation, cap).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.after_use(id, self.inner().confirm(id, generation, now))
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        self.after_use(id, self.inner().touch(id, touch))
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        let _forget = self.forget_login(id);
        self.inner().rekey(id, rekey).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        let _forget = self.forget_login(id);
        self.inner().save_data(id, version, data).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        let _forget = self.forget_login(id);
        self.inner().set_label(id, label).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let _forget = self.forget_login(id);
        self.inner().revoke(id, revocation).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        revocation: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let kept = match revocation.keep {
            Keep::Nothing => None,
            Keep::Untouched(id) | Keep::Rekeyed(id, _) => Some(id),
        };
        let mut forget = self.forget(What::LoginsOf(Arc::new(subject.clone())));
        let ended = self.inner().revoke_subject(subject, revocation).await?;
        forget.what = What::Logins(ended.iter().flatten().copied().chain(kept).collect());
        Ok(ended)
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        let _forget = self.forget(What::Everything);
        self.inner().revoke_everyone(revocation).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        self.inner().list(query).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let purged = self.inner().purge(purge).await?;
        drop(self.forget(What::Logins(purged.iter().map(|record| record.id).collect())));
        Ok(purged)
    }

    /// Nonces are for refreshes, which no copy answers.
    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        self.inner().wipe_nonces(settled_before).await
    }
}

impl CachedStore {
    /// What notes a use. Where nothing was written the copy is behind, or the same would be tried at every use.
    ///
    /// Where the store did not answer the copy stays: it lacks at most a later end and the moment of a use, and without
    /// it an outage would keep out whoever happens to have a use to be noted.
    fn after_use<T: Send + 'static>(
        &self,
        id: &TokenId,
        write: MaybeReady<Result<T, StoreError>>,
    ) -> MaybeReady<Result<T, StoreError>> {
        let mut forget = self.forget(What::Logins(vec![*id]));
        match write {
            MaybeReady::Now(written) => {
                if written.is_err() {
                    forget.what = What::Logins(Vec::new());
                }
                MaybeReady::Now(written)
            }
            MaybeReady::Later(writing) => MaybeReady::later(async move {
                let written = writing.await;
                if written.is_err() {
                    forget.what = What::Logins(Vec::new());
                }
                drop(forget);
                written
            }),
        }
    }
}
