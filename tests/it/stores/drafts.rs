//! What a store is asked to keep and to write. Only a service can make it, so a service is listened to.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use portcullis::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    identity::Subject,
    maybe_ready::MaybeReady,
    store::{
        Data, Found, Inserted, Insertion, ListQuery, LoginRecord, MemoryStore, Purge, Rekey, Revocation,
        Rotation, StoreError, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
    token::{IssueOptions, Issued, RefreshRequest},
};

use super::bench::HOUR;

/// A login, and the tokens that were handed out with it.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) record: LoginRecord,
    pub(super) issued: Issued,
}

impl Login {
    pub(super) fn id(&self) -> TokenId {
        self.record.id()
    }
}

/// Makes logins and changes for a store that has not seen them.
pub(super) struct Drafts {
    now: Timestamp,
    time: ManualClock,
    scratch: Handle,
    tokens: TokenService,
    /// The same, where every use moves the ends.
    sliding: TokenService,
}

impl Drafts {
    pub(super) fn new(now: Timestamp) -> Self {
        let time = ManualClock::new(now);
        let scratch = Handle::new(Arc::new(MemoryStore::new()));
        let service = |policy| TokenService::new(scratch.clone(), policy).clock(time.clock());
        let sliding = TokenPolicy::builder().sliding_with_refresh().touch_every(Some(Duration::ZERO));
        let (tokens, sliding) = (service(TokenPolicy::default()), service(sliding.build().unwrap()));
        Self { now, time, scratch, tokens, sliding }
    }

    pub(super) async fn login(&self, subject: Subject, options: IssueOptions) -> Login {
        let issued = self.tokens.issue_for_header(subject, options).await.unwrap();
        let record = self.scratch.notes().login.clone().unwrap();
        Login { record, issued }
    }

    async fn any(&self) -> Issued {
        self.login(Subject::local("draft"), IssueOptions::default()).await.issued
    }

    /// Of this generation, an hour later: the ends are a day and seven days after that.
    pub(super) async fn rotation(&self, generation: u32) -> Rotation {
        let issued = self.any().await;
        let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
        self.tokens.refresh(request).await.unwrap();
        let mut rotation = self.scratch.notes().rotation.clone().unwrap();
        rotation.generation = generation;
        rotation.now = self.now.plus(HOUR);
        rotation.access_expires = self.now.plus(25 * HOUR);
        rotation.refresh_expires = self.now.plus((7 * 24 + 1) * HOUR);
        rotation
    }

    /// Of this generation, an hour later, for a login that was not seen since the login.
    pub(super) async fn touch(&self, generation: u32) -> Touch {
        let issued = self.any().await;
        self.sliding.verify(issued.access().expose(), None).await.unwrap();
        let mut touch = self.scratch.notes().touch.clone().unwrap();
        touch.generation = generation;
        touch.seen_before = self.now;
        touch.now = self.now.plus(HOUR);
        touch.access_expires = Some(self.now.plus(25 * HOUR));
        touch.refresh_expires = Some(self.now.plus((7 * 24 + 1) * HOUR));
        touch.wipe_nonce = false;
        touch
    }

    /// Of this generation, an hour later, with ends of an hour and two after that.
    pub(super) async fn rekey(&self, generation: u32) -> Rekey {
        let issued = self.any().await;
        self.tokens.rekey(&issued.record().id()).await.unwrap();
        let mut rekey = self.scratch.notes().rekey.clone().unwrap();
        rekey.generation = generation;
        rekey.now = self.now.plus(HOUR);
        rekey.access_expires = self.now.plus(2 * HOUR);
        rekey.refresh_expires = self.now.plus(3 * HOUR);
        rekey
    }

    /// The moment of the drafts.
    pub(super) fn time(&self) -> &ManualClock {
        &self.time
    }
}

// ===== listening =====

/// A store as a service takes it, which notes what the service asks for.
#[derive(Clone)]
pub(super) struct Handle {
    store: Arc<dyn TokenStore>,
    notes: Arc<Mutex<Notes>>,
}

#[derive(Default)]
struct Notes {
    login: Option<LoginRecord>,
    rotation: Option<Rotation>,
    touch: Option<Touch>,
    rekey: Option<Rekey>,
}

impl Handle {
    pub(super) fn new(store: Arc<dyn TokenStore>) -> Self {
        Self { store, notes: Arc::default() }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap()
    }
}

#[async_trait]
impl TokenStore for Handle {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.store.find(id)
    }

    fn recall(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.store.recall(id)
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        self.notes().login = Some(record.clone());
        self.store.insert(record, insertion).await
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        self.notes().rotation = Some(rotation.clone());
        self.store.rotate(id, rotation).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.store.grace_hit(id, generation, cap).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.store.confirm(id, generation, now)
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        self.notes().touch = Some(touch.clone());
        self.store.touch(id, touch)
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        self.notes().rekey = Some(rekey.clone());
        self.store.rekey(id, rekey).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        self.store.save_data(id, version, data).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        self.store.set_label(id, label).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        self.store.revoke(id, revocation).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        revocation: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        self.store.revoke_subject(subject, revocation).await
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        self.store.revoke_everyone(revocation).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        self.store.list(query).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        self.store.purge(purge).await
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        self.store.wipe_nonces(settled_before).await
    }
}
