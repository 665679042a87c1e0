//! Which store tokens are shared by, and on what terms.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
    store::{LeaseKey, LeaseNamespace, LeaseStore, MemoryLeases},
};
#[cfg(feature = "seal")]
use crate::{keyring::KeyRing, seal::Sealer};

use super::{renew::Unsaved, sealing::Sealing};

/// Tokens that are shared through a store, under the names `<namespace>:<pipeline>:<step>`; cheap to clone.
///
/// Whoever has the same store, namespace and key ring shares. Give two applications, or two identities of one
/// application, different namespaces: their pipelines would else use each other's tokens wherever names agree.
#[derive(Clone)]
pub struct SharedLeases {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) sealing: Sealing,
    pub(super) namespace: LeaseNamespace,
    pub(super) refresh_life: Duration,
    pub(super) lock_margin: Duration,
    pub(super) refresh_without_store: bool,
    pub(super) clock: Clock,
    /// Rotated tokens that could not be stored. Never held across an await.
    pub(super) unsaved: Mutex<HashMap<LeaseKey, Unsaved>>,
}

/// Makes [`SharedLeases`].
#[must_use]
pub struct SharedLeasesBuilder {
    namespace: String,
    store: Arc<dyn LeaseStore>,
    sealing: Sealing,
    refresh_life: Duration,
    lock_margin: Duration,
    refresh_without_store: bool,
    clock: Clock,
}

// ===== impl SharedLeases =====

impl SharedLeases {
    /// Shared by the pipelines of this process.
    pub fn in_memory(namespace: impl Into<String>, store: &MemoryLeases) -> SharedLeasesBuilder {
        SharedLeasesBuilder::new(namespace.into(), Arc::new(store.clone()), Sealing::Plain)
    }

    /// Shared through any store, each token sealed under the ring's current key and bound to its name and version.
    ///
    /// To exchange the key, give every process the new one with [`KeyRing::verify_only`] first, then make it the
    /// current one, then retire the old. A process that meets a key it has never heard of leaves the record alone.
    #[cfg(feature = "seal")]
    #[cfg_attr(docsrs, doc(cfg(feature = "seal")))]
    pub fn sealed(
        namespace: impl Into<String>,
        store: impl LeaseStore,
        ring: KeyRing,
    ) -> SharedLeasesBuilder {
        let sealing = Sealing::Ring(Box::new(Sealer::new(ring, "shared token")));
        SharedLeasesBuilder::new(namespace.into(), Arc::new(store), sealing)
    }

    pub(in crate::pipeline) fn has_clock(&self, clock: &Clock) -> bool {
        self.inner.clock.is_same(clock)
    }

    /// The name of a step's token.
    pub fn key(&self, pipeline: &str, step: &str) -> LeaseKey {
        LeaseKey::new(&self.inner.namespace, pipeline, step)
    }
}

impl fmt::Debug for SharedLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLeases").field("namespace", &self.inner.namespace).finish_non_exhaustive()
    }
}

// ===== impl SharedLeasesBuilder =====

impl SharedLeasesBuilder {
    fn new(namespace: String, store: Arc<dyn LeaseStore>, sealing: Sealing) -> Self {
        Self {
            namespace,
            store,
            sealing,
            refresh_life: Duration::from_secs(30 * 86_400),
            lock_margin: Duration::from_secs(5),
            refresh_without_store: false,
            clock: Clock::system(),
        }
    }

    /// How long a record with a refresh token is kept, counted from its last renewal; longer, if its access token
    /// lives longer. Default 30 days. One without is kept as long as its access token lives.
    pub fn refresh_life(mut self, life: Duration) -> Self {
        self.refresh_life = life;
        self
    }

    /// By how much the lock under which a refresh token is redeemed outlasts the fetch's deadline. Default 5 s.
    ///
    /// After a crash in the middle of a refresh, the others wait for both together.
    pub fn lock_margin(mut self, margin: Duration) -> Self {
        self.lock_margin = margin;
        self
    }

    /// Redeems shared refresh tokens also while the store is down, and hands out what could not be stored.
    ///
    /// With an endpoint that accepts a refresh token once, two processes that do so may end the login for all.
    pub fn danger_refresh_without_store(mut self) -> Self {
        self.refresh_without_store = true;
        self
    }

    /// Replaces the clock; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. The store is not asked.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<SharedLeases, ConfigError> {
        let mut faults = Faults::default();
        let namespace = LeaseNamespace::new(&self.namespace).map_err(|error| faults.append(error));
        for (field, span) in [("refresh_life", self.refresh_life), ("lock_margin", self.lock_margin)] {
            faults.check(!span.is_zero(), field, span, "must not be zero");
        }
        faults.finish()?;
        Ok(SharedLeases {
            inner: Arc::new(Inner {
                store: self.store,
                sealing: self.sealing,
                namespace: namespace.expect("its absence is a fault"),
                refresh_life: self.refresh_life,
                lock_margin: self.lock_margin,
                refresh_without_store: self.refresh_without_store,
                clock: self.clock,
                unsaved: Mutex::default(),
            }),
        })
    }
}

impl fmt::Debug for SharedLeasesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLeasesBuilder").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
