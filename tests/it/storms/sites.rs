//! A store of any kind, opened twice as two nodes open it, or by its address in another process.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portcullis::{
    MemoryStore, PostgresStore, RedisStore, SqliteStore, TokenPolicy, TokenService,
    clock::{Clock, Timestamp},
    credential::Channel,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{
        CachedStore, Data, Found, Inserted, Insertion, ListQuery, LockOwner, LoginRecord, Purge, Rekey,
        Revocation, Rotation, StoreError, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
    token::{IssueOptions, Issued, RefreshRequest, TokenPolicyBuilder},
};

use crate::{
    servers::{Database, Program, SharedPostgres, SharedServer},
    sqlite::Folder,
    support::invalid,
};

/// For what a busy machine does slowly, and no test waits for in vain.
const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Memory,
    Sqlite,
    Postgres,
    Redis,
    Valkey,
}

/// Two handles of one store that nobody else uses.
pub(super) struct Site {
    pub(super) engine: Engine,
    pub(super) stores: [Store; 2],
    /// For another handle, by way of another port or in another process. None in memory.
    pub(super) address: Option<Address>,
    _kept: Box<dyn Any + Send + Sync>,
}

/// Where a store is.
#[derive(Debug, Clone)]
pub(super) enum Address {
    Sqlite(String),
    Postgres(String),
    /// The server, and the prefix on it.
    Redis(String, String),
}

/// A store of any kind. Counts what is looked up.
#[derive(Clone)]
pub(super) struct Store {
    kind: Kind,
    finds: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Kind {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
    Redis(RedisStore),
}

// ===== impl Site =====

impl Site {
    pub(super) async fn on(engine: Engine) -> Self {
        let (address, kept): (_, Box<dyn Any + Send + Sync>) = match engine {
            Engine::Memory => {
                let store = Store::new(Kind::Memory(MemoryStore::new()));
                let stores = [store.clone(), store];
                return Self { engine, stores, address: None, _kept: Box::new(()) };
            }
            Engine::Sqlite => {
                let folder = Folder::new();
                (Address::of_file(&folder), Box::new(folder))
            }
            Engine::Postgres => {
                let server = SharedPostgres::get();
                (Address::Postgres(server.database().url().to_owned()), Box::new(server))
            }
            Engine::Redis | Engine::Valkey => {
                let program = if engine == Engine::Redis { Program::Redis } else { Program::Valkey };
                let server = SharedServer::of(program);
                (Address::Redis(server.url().to_owned(), unique_name()), Box::new(server))
            }
        };
        address.make_tables().await;
        Self { engine, stores: [address.open(), address.open()], address: Some(address), _kept: kept }
    }

    /// Both nodes, under this policy and one clock.
    pub(super) fn nodes(&self, policy: TokenPolicyBuilder, clock: &Clock) -> [TokenService; 2] {
        let policy = policy.build().unwrap();
        let node = |store: &Store| TokenService::new(store.clone(), policy.clone()).clock(clock.clone());
        [node(&self.stores[0]), node(&self.stores[1])]
    }

    pub(super) async fn record(&self, id: &TokenId) -> Arc<LoginRecord> {
        self.stores[0].find(id).wait().await.unwrap().expect("a login").record
    }
}

pub(super) fn unique_name() -> String {
    LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat()
}

/// The true time: servers forget what has ended by their own clocks.
pub(super) fn now() -> Timestamp {
    Clock::system().now()
}

// ===== impl Address =====

impl Address {
    pub(super) fn of_file(folder: &Folder) -> Self {
        Self::Sqlite(folder.file().to_str().expect("a path of ASCII").to_owned())
    }

    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite|{path}|"),
            Self::Postgres(url) => format!("postgres|{url}|"),
            Self::Redis(url, prefix) => format!("redis|{url}|{prefix}"),
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        match text.split('|').collect::<Vec<_>>()[..] {
            ["sqlite", path, ""] => Self::Sqlite(path.to_owned()),
            ["postgres", url, ""] => Self::Postgres(url.to_owned()),
            ["redis", url, prefix] => Self::Redis(url.to_owned(), prefix.to_owned()),
            _ => panic!("{text}"),
        }
    }

    /// Where its server listens, for a proxy.
    pub(super) fn server(&self) -> String {
        let (Self::Postgres(url) | Self::Redis(url, _)) = self else { panic!("no server") };
        Database::at(url).address().to_owned()
    }

    /// The same store by way of another loopback port.
    pub(super) fn by_way_of(&self, port: u16) -> Self {
        match self {
            Self::Postgres(url) => Self::Postgres(Database::at(url).url_at(port)),
            Self::Redis(url, prefix) => Self::Redis(Database::at(url).url_at(port), prefix.clone()),
            Self::Sqlite(_) => panic!("no server"),
        }
    }

    /// A handle of its own, with limits that a busy machine keeps.
    pub(super) fn open(&self) -> Store {
        Store::new(match self {
            Self::Sqlite(path) => {
                let builder = SqliteStore::builder(path).busy_timeout(LONG).step_timeout(2 * LONG);
                Kind::Sqlite(builder.build().unwrap())
            }
            Self::Postgres(url) => {
                let builder = PostgresStore::builder(url.as_str()).connect_timeout(LONG).step_timeout(LONG);
                Kind::Postgres(builder.build().unwrap())
            }
            Self::Redis(url, prefix) => {
                let builder = RedisStore::builder(url.as_str()).prefix(prefix.as_str());
                Kind::Redis(builder.response_timeout(LONG).build().unwrap())
            }
        })
    }

    pub(super) async fn make_tables(&self) {
        match self.open().kind {
            Kind::Sqlite(store) => store.migrate().await.unwrap(),
            Kind::Postgres(store) => store.migrate().await.unwrap(),
            Kind::Redis(_) | Kind::Memory(_) => {}
        }
    }
}

// ===== impl Store =====

impl Store {
    fn new(kind: Kind) -> Self {
        Self { kind, finds: Arc::default() }
    }

    pub(super) fn finds(&self) -> usize {
        self.finds.load(Ordering::SeqCst)
    }

    /// From now on these copies are told what the engine tells.
    pub(super) fn tell(&self, cached: &CachedStore) {
        match &self.kind {
            Kind::Postgres(store) => cached.follow(store.changes()),
            Kind::Redis(store) => cached.follow(store.changes()),
            Kind::Memory(_) | Kind::Sqlite(_) => panic!("it tells nothing"),
        }
    }

    fn inner(&self) -> &dyn TokenStore {
        match &self.kind {
            Kind::Memory(store) => store,
            Kind::Sqlite(store) => store,
            Kind::Postgres(store) => store,
            Kind::Redis(store) => store,
        }
    }
}

#[async_trait]
impl TokenStore for Store {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        self.finds.fetch_add(1, Ordering::SeqCst);
        self.inner().find(id)
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        self.inner().insert(record, insertion).await
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        self.inner().rotate(id, rotation).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        self.inner().grace_hit(id, generation, cap).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        self.inner().confirm(id, generation, now)
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        self.inner().touch(id, touch)
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        self.inner().rekey(id, rekey).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        self.inner().save_data(id, version, data).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        self.inner().set_label(id, label).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        self.inner().revoke(id, revocation).await
    }

    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        self.inner().revoke_subject(subject, what).await
    }

    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        self.inner().revoke_everyone(revocation).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        self.inner().list(query).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        self.inner().purge(purge).await
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        self.inner().wipe_nonces(settled_before).await
    }
}

// ===== tokens =====

pub(super) fn service(store: &Store) -> TokenService {
    TokenService::new(store.clone(), TokenPolicy::default())
}

pub(super) async fn login(node: &TokenService, user: &str) -> Issued {
    node.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
}

pub(super) async fn refresh(node: &TokenService, text: &str) -> Result<Issued, Reason> {
    invalid(node.refresh(RefreshRequest::new(text, Channel::Header)).await)
}

pub(super) async fn verify(node: &TokenService, text: &str) -> Result<(), Reason> {
    invalid(node.verify(text, None).await).map(|_| ())
}

pub(super) async fn lives(node: &TokenService, issued: &Issued) -> bool {
    verify(node, issued.access().expose()).await.is_ok()
}
