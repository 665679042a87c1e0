//! The place of one step's token: read without a lock, written by its one flight.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{runtime, task::AbortHandle};
use tracing::Span;

use super::{
    backoff::Failures, renewal::Renewal, shared::SharedToken, signal::Signal, token::AccessToken,
    window::Moments,
};
use crate::{
    clock::{Monotonic, Timestamp},
    provider::{Lease, TokenError},
    store::LeaseVersion,
};

/// What a fetch comes to.
pub(super) type Landed = Result<Arc<Held>, TokenError>;

/// A token and how long it is used.
pub(super) struct Held {
    /// It may be shared or not.
    pub(super) shared: SharedToken,
    pub(super) lease: Arc<Lease>,
    pub(super) received: Monotonic,
    pub(super) moments: Moments,
    /// Where it comes from.
    pub(super) origin: Origin,
    /// If it replaces a rejected token: how many levels up the renewal began.
    pub(super) for_rejected: Option<u32>,
    /// In nanoseconds: from when on a renewal ahead may be begun.
    ahead_from: AtomicU64,
    /// It was refused.
    rejected: AtomicBool,
    /// It was refused so soon that it is hardly the cause.
    doubted: AtomicBool,
    /// Its refresh token was refused.
    refresh_spent: AtomicBool,
}

/// What a token was made from. It is dropped with any of it.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Its step's epoch when the fetch began.
    pub(super) epoch: u64,
    /// The earlier tokens: (step, generation).
    pub(super) parents: Box<[(usize, u64)]>,
}

/// A step's token, and what the step's own flight changes.
pub(super) struct Slot {
    current: ArcSwapOption<Held>,
    /// Rises whenever what is held here, or is under way, is dropped.
    epoch: AtomicU64,
    /// In milliseconds: shared tokens whose fetch began before are not taken over.
    shared_from: AtomicI64,
    /// Nor are those of this version and lower ones.
    shared_above: AtomicU64,
    /// The last number given to a flight. Written under the lock.
    generation: AtomicU64,
    /// Never held across an await.
    control: Mutex<Control>,
}

#[derive(Default)]
pub(super) struct Control {
    /// The fetch under way.
    pub(super) flight: Option<Flying>,
    /// A rejection that no token has replaced yet: how many levels up the renewal begins.
    pub(super) rejected: Option<u32>,
    pub(super) failures: Failures,
    /// No flight begins any more.
    pub(super) stopped: bool,
}

/// A fetch under way, seen from the gate.
pub(super) struct Flying {
    /// The generation that it will bring.
    pub(super) number: u64,
    pub(super) signal: Arc<Signal<Landed>>,
    pub(super) task: AbortHandle,
    /// Linked to the span of everybody who waits.
    pub(super) span: Span,
    pub(super) runtime: runtime::Id,
    /// The renewal that it belongs to.
    pub(super) renewal: Option<Arc<Renewal>>,
    /// It has sent what works only once: it is not stopped.
    pub(super) must_finish: bool,
}

// ===== impl Held =====

impl Held {
    pub(super) fn new(
        shared: SharedToken,
        lease: Lease,
        received: Monotonic,
        moments: Moments,
        origin: Origin,
        for_rejected: Option<u32>,
    ) -> Self {
        let ahead_from = moments.soft.map_or(u64::MAX, Monotonic::as_nanos);
        Self {
            shared,
            lease: Arc::new(lease),
            received,
            moments,
            origin,
            for_rejected,
            ahead_from: AtomicU64::new(ahead_from),
            rejected: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            refresh_spent: AtomicBool::new(false),
        }
    }

    pub(super) fn token(&self) -> &AccessToken {
        self.shared.token()
    }

    pub(super) fn generation(&self) -> u64 {
        self.lease.generation()
    }

    pub(super) fn is_rejected(&self) -> bool {
        self.rejected.load(Ordering::Acquire)
    }

    /// It will not be handed out any more.
    pub(super) fn reject(&self) {
        self.rejected.store(true, Ordering::Release);
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted.load(Ordering::Relaxed)
    }

    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// Whether a renewal ahead may be begun.
    pub(super) fn is_due(&self, now: Monotonic) -> bool {
        now.as_nanos() >= self.ahead_from.load(Ordering::Relaxed)
    }

    /// No renewal ahead is begun until then.
    fn due_from(&self, moment: Monotonic) {
        if let Some(soft) = self.moments.soft {
            self.ahead_from.store(moment.max(soft).as_nanos(), Ordering::Relaxed);
        }
    }

    pub(super) fn has_refresh(&self) -> bool {
        self.token().refresh().is_some() && !self.refresh_spent.load(Ordering::Relaxed)
    }

    pub(super) fn spend_refresh(&self) {
        self.refresh_spent.store(true, Ordering::Relaxed);
    }
}

// ===== impl Slot =====

impl Slot {
    pub(super) fn empty() -> Self {
        Self {
            current: ArcSwapOption::empty(),
            epoch: AtomicU64::new(0),
            shared_from: AtomicI64::new(i64::MIN),
            shared_above: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            control: Mutex::default(),
        }
    }

    pub(super) fn load(&self) -> Guard<Option<Arc<Held>>> {
        self.current.load()
    }

    pub(super) fn store(&self, held: Arc<Held>) {
        self.current.store(Some(held));
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Drops what is held and what is under way. It needs no lock: a token with another epoch is not handed
    /// out, whenever it lands.
    pub(super) fn next_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Which shared tokens may be taken over: those whose fetch began no earlier, and of a higher version.
    pub(super) fn shared_from(&self) -> (Timestamp, LeaseVersion) {
        let from = Timestamp::from_millis(self.shared_from.load(Ordering::Acquire));
        (from, LeaseVersion::new(self.shared_above.load(Ordering::Acquire)))
    }

    /// Takes over no shared token whose fetch began before. Called before what is held is dropped.
    pub(super) fn share_from(&self, moment: Timestamp) {
        self.shared_from.fetch_max(moment.as_millis(), Ordering::AcqRel);
    }

    /// Takes over no shared token of this version or a lower one.
    pub(super) fn share_above(&self, version: LeaseVersion) {
        self.shared_above.fetch_max(version.get(), Ordering::AcqRel);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The number of a new flight. Called under the lock.
    pub(super) fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// A panic under the lock leaves every field whole: each is changed in one assignment.
    pub(super) fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, unless somebody has it.
    pub(super) fn try_control(&self) -> Option<MutexGuard<'_, Control>> {
        match self.control.try_lock() {
            Ok(control) => Some(control),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// From when on the token that is held may be renewed ahead. Called under the lock.
    pub(super) fn due_from(&self, moment: Monotonic) {
        if let Some(held) = &*self.load() {
            held.due_from(moment);
        }
    }
}

// ===== impl Control =====

impl Control {
    /// Takes this flight off, if it is still there.
    pub(super) fn take_off(&mut self, number: u64) -> bool {
        self.flight.take_if(|flying| flying.number == number).is_some()
    }

    /// A flight takes itself off before it says so. One that is still there has died with its runtime.
    pub(super) fn clear_dead(&mut self) {
        self.flight.take_if(|flying| flying.signal.is_sent());
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("lease", &self.lease)
            .field("moments", &self.moments)
            .finish_non_exhaustive()
    }
}
