//! A store that does one call for each grant.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use async_trait::async_trait;
use portcullis::{
    clock::Timestamp,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Found, Inserted, Insertion, ListQuery, LoginRecord, MemoryStore, Purge, Rekey, Revocation,
        Rotation, StoreError, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

#[derive(Clone)]
pub(super) struct StepStore {
    memory: MemoryStore,
    /// The next call may be done.
    pub(super) grant: Arc<AtomicBool>,
}

impl StepStore {
    pub(super) fn new(memory: MemoryStore) -> Self {
        Self { memory, grant: Arc::default() }
    }

    /// Waits for the grant. Nobody is woken: the scheduler knows whom it lets go on.
    async fn turn(&self) {
        poll_fn(|_| match self.grant.swap(false, Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

#[async_trait]
impl TokenStore for StepStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let (this, id) = (self.clone(), *id);
        MaybeReady::later(async move {
            this.turn().await;
            this.memory.find(&id).wait().await
        })
    }

    /// Together with the step before it: as an operation of its own it is in the list of operations.
    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.memory.confirm(id, generation, now)
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let (this, id) = (self.clone(), *id);
        MaybeReady::later(async move {
            this.turn().await;
            let before = this.memory.find(&id).wait().await?.map(|found| found.record);
            let generation = touch.generation;
            let touched = this.memory.touch(&id, touch).wait().await;
            let after = this.memory.find(&id).wait().await?.map(|found| found.record);
            if let (Some(before), Some(after)) = (before, after) {
                let same = Arc::ptr_eq(&before, &after);
                assert!(same || before.generation() == generation, "an old touch landed on a new generation");
                assert_eq!(matches!(touched, Ok(true)), !same);
            }
            touched
        })
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        self.turn().await;
        self.memory.insert(record, insertion).await
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.rotate(id, rotation).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.grace_hit(id, generation, cap).await
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.rekey(id, rekey).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.save_data(id, version, data).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.set_label(id, label).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        self.turn().await;
        self.memory.revoke(id, revocation).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        self.turn().await;
        self.memory.revoke_subject(subject, what).await
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        self.turn().await;
        self.memory.revoke_everyone(revocation).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        self.turn().await;
        self.memory.list(query).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        self.turn().await;
        self.memory.purge(purge).await
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        self.turn().await;
        self.memory.wipe_nonces(settled_before).await
    }
}
