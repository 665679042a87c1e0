//! What a test of a suite is given.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use crate::{
    maybe_ready::BoxFuture,
    store::{CounterStore, KeyStore, LeaseStore, OnceStore, TokenStore},
};

/// Two handles of one empty store that nobody else uses, as two processes have them.
///
/// Of a store whose clones share a connection or a cache, make two that do not: what one has written the other has to
/// see.
pub struct Fixture<S: ?Sized> {
    pub(super) one: Arc<S>,
    pub(super) two: Arc<S>,
    pub(super) dump: Option<Box<Dump>>,
    pub(super) passing: Box<Passing>,
    pub(super) kept: Vec<Box<dyn Any + Send + Sync>>,
}

/// What the suite for logins needs.
pub type TokenFixture = Fixture<dyn TokenStore>;
/// What the suite for counters needs.
pub type CounterFixture = Fixture<dyn CounterStore>;
/// What the suite for API keys needs.
pub type KeyFixture = Fixture<dyn KeyStore>;
/// What the suite for one-time values needs.
pub type OnceFixture = Fixture<dyn OnceStore>;
/// What the suite for shared tokens needs.
pub type LeaseFixture = Fixture<dyn LeaseStore>;

pub(super) type Dump = dyn Fn() -> BoxFuture<Vec<u8>> + Send + Sync;
pub(super) type Passing = dyn Fn(Duration) -> BoxFuture<()> + Send + Sync;

// ===== impl Fixture =====

impl<S: ?Sized> Fixture<S> {
    /// Two handles of one store.
    pub fn new(one: Arc<S>, two: Arc<S>) -> Self {
        Self {
            one,
            two,
            dump: None,
            passing: Box::new(|span| Box::pin(tokio::time::sleep(span))),
            kept: Vec::new(),
        }
    }

    /// Gives everything that the engine holds, as it is in its memory, its files or its backup. The suite for
    /// logins searches it for secrets, or skips that test without it; the others have no secret to look for.
    #[must_use]
    pub fn dump<F>(mut self, dump: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<u8>> + Send + 'static,
    {
        self.dump = Some(Box::new(move || Box::pin(dump())));
        self
    }

    /// Keeps something for as long as the test runs, and drops it then: a server, a folder.
    #[must_use]
    pub fn keep(mut self, what: impl Any + Send + Sync) -> Self {
        self.kept.push(Box::new(what));
        self
    }
}

impl Fixture<dyn LeaseStore> {
    /// Lets time pass for a store with a clock that can be moved. The default waits.
    #[must_use]
    pub fn passing<F>(mut self, pass: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.passing = Box::new(move |span| Box::pin(pass(span)));
        self
    }
}

impl<S: ?Sized> fmt::Debug for Fixture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("dump", &self.dump.is_some()).finish_non_exhaustive()
    }
}
