//! One handle for everything that is kept on a server.

use std::{fmt, sync::Arc};

use data_encoding::BASE64URL_NOPAD;
use redis::{Script, ScriptInvocation};

use super::{builder::RedisStoreBuilder, changes::RedisChanges, link::Link};
use crate::{
    identity::Subject,
    secret::Secret,
    store::{ChangeFeed, SubjectKey},
    text::TokenId,
};

/// Keeps logins, API keys, one-time values, counters and shared tokens on Redis 7 or Valkey. Clones share the
/// connection.
///
/// It is a [`TokenStore`](crate::store::TokenStore), a [`KeyStore`](crate::store::KeyStore), a
/// [`OnceStore`](crate::store::OnceStore), a [`CounterStore`](crate::store::CounterStore) and a
/// [`LeaseStore`](crate::store::LeaseStore). The connection is made with the first operation and again after it broke;
/// while there is none, operations fail within the two time-outs. Operations need a tokio runtime with its timer and
/// I/O enabled.
///
/// ```
/// use portcullis::{RedisStore, TokenPolicy, TokenService};
///
/// let store = RedisStore::builder("redis://user:password@localhost:6379/0").build()?;
/// let tokens = TokenService::new(store, TokenPolicy::default());
/// # Ok::<(), portcullis::error::ConfigError>(())
/// ```
///
/// # The server
/// * **Address**: that of the primary. A replica refuses what is written and would answer what is read with what was.
/// * **`maxmemory-policy noeviction`**. What is evicted is gone, and its logins are invalid: a login without its
///   subject's epoch, and any login without the era, is refused. But a one-time value that goes too early is a replay
///   that passes. A server that is full refuses new logins with [`Full`](crate::store::StoreErrorKind::Full); logins
///   can be ended all the same.
/// * **Durability**: a server that loses its last writes when it crashes or fails over brings back what was revoked in
///   them, may give one lock twice, or lose a refresh token: let it write through (`appendfsync always`,
///   `min-replicas-to-write`) where that matters. One that is started anew without its data knows no login: all tokens are
///   invalid, and nothing is made for them.
/// * **Rights** of its user: `+@read +@write +@scripting +@connection +@pubsub`, the keys `~{portcullis}:*` and those
///   of the namespaces of shared tokens, the channel `&{portcullis}:changes`.
/// * **Cluster**: every key but those of shared tokens has the same hash tag, `{portcullis}`, so that all are in one
///   slot, as the steps that belong to a whole subject need it. One shard keeps them all, and the address is its
///   primary's.
///
/// # What it keeps, and for how long
/// Nothing is removed but by [`purge`](crate::store::TokenStore::purge): have it run. Where it does not, the server
/// forgets a login 30 days after its last end, and its place in the indexes goes with the next purge. The epoch of a
/// subject has no end; it goes with its last login. One-time values and counters go by themselves. What it keeps of tokens
/// that others share is sealed by whoever hands it over (`SharedLeases::sealed`).
///
/// To end the logins of a subject is one step, during which the server does nothing else: about 10 µs for each login that
/// was not purged. A [limit](crate::TokenPolicy) of logins keeps that small.
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    link: Arc<Link>,
    /// What every key begins with.
    at: Box<str>,
}

impl RedisStore {
    /// Starts a store on the server with this address, such as `redis://user:password@host:6379/0`.
    pub fn builder(url: impl Into<Secret>) -> RedisStoreBuilder {
        RedisStoreBuilder::new(url.into())
    }

    /// Listens for changes that any node makes to the logins, on a connection of its own, which is made with the first
    /// [`next`](ChangeFeed::next). A connection on which nothing comes is asked every two seconds whether it still
    /// stands; a broken one is replaced, after a pause that grows to one second.
    ///
    /// It ends when it is dropped. Where the server does not let its user subscribe, it tells of nothing but that
    /// nothing was heard: whoever listens bounds the age of what it keeps.
    pub fn changes(&self) -> impl ChangeFeed + use<> {
        RedisChanges::new(Arc::clone(&self.0.link), self.key("changes"))
    }

    pub(super) fn new(link: Link, prefix: &str) -> Self {
        Self(Arc::new(Shared { link: Arc::new(link), at: format!("{{{prefix}}}:").into() }))
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.0.at)
    }

    pub(super) fn key_of(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.0.at)
    }

    /// A step on this key. Its script makes the names of other keys itself, from what they begin with.
    pub(super) fn step(&self, script: &'static Script, key: String) -> ScriptInvocation<'static> {
        let mut step = script.key(key);
        step.arg(&*self.0.at);
        step
    }

    /// A step on this login.
    pub(super) fn login(&self, script: &'static Script, id: &TokenId) -> ScriptInvocation<'static> {
        let mut step = self.step(script, self.key_of("login", id.as_str()));
        step.arg(id.as_bytes());
        step
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

/// A subject as a part of keys.
pub(super) fn name_of(subject: &Subject) -> String {
    BASE64URL_NOPAD.encode(SubjectKey::of(subject).as_bytes())
}

/// From behind this id on, as an index takes it.
pub(super) fn behind(id: Option<&TokenId>) -> String {
    id.map_or_else(|| "-".to_owned(), |id| format!("({}", id.as_str()))
}
