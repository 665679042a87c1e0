//! The place of one step's token: read without a lock, written by its one flight.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwapOption, Guard};
use futures_util::future::Shared;

use super::token::AccessToken;
use crate::{
    clock::Monotonic,
    maybe_ready::BoxFuture,
    provider::{Lease, TokenError},
};

/// What a fetch comes to.
pub(super) type Landed = Result<Arc<Held>, TokenError>;
/// A fetch under way, for all who wait.
pub(super) type Flight = Shared<BoxFuture<Landed>>;

/// A token and how long it is used.
pub(super) struct Held {
    pub(super) token: AccessToken,
    pub(super) lease: Arc<Lease>,
    pub(super) received: Monotonic,
    pub(super) deadline: Monotonic,
    /// Fetched because the one before was rejected.
    pub(super) for_rejected: bool,
    stale: AtomicBool,
}

/// What the token's own flight changes.
pub(super) struct Slot {
    current: ArcSwapOption<Held>,
    /// Never held across an await.
    control: Mutex<Control>,
}

#[derive(Default)]
pub(super) struct Control {
    /// The fetch under way, by the generation that it will bring.
    pub(super) flight: Option<(u64, Flight)>,
    pub(super) generation: u64,
}

impl Held {
    pub(super) fn new(
        token: AccessToken,
        lease: Lease,
        received: Monotonic,
        deadline: Monotonic,
        for_rejected: bool,
    ) -> Self {
        Self {
            token,
            lease: Arc::new(lease),
            received,
            deadline,
            for_rejected,
            stale: AtomicBool::new(false),
        }
    }

    pub(super) fn is_fresh(&self, now: Monotonic) -> bool {
        now < self.deadline && !self.stale.load(Ordering::Acquire)
    }

    pub(super) fn generation(&self) -> u64 {
        self.lease.generation()
    }

    /// It will not be handed out any more. Returns whether this call changed that.
    pub(super) fn make_stale(&self) -> bool {
        !self.stale.swap(true, Ordering::AcqRel)
    }
}

impl Slot {
    pub(super) fn empty() -> Self {
        Self { current: ArcSwapOption::empty(), control: Mutex::default() }
    }

    pub(super) fn load(&self) -> Guard<Option<Arc<Held>>> {
        self.current.load()
    }

    pub(super) fn store(&self, held: Arc<Held>) {
        self.current.store(Some(held));
    }

    /// A panic under the lock leaves both fields whole: each is changed in one assignment.
    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("lease", &self.lease)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
