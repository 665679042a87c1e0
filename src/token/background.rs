//! Writes that no request waits for. They belong to the service and end with it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::{runtime::Handle, sync::Notify, task::AbortHandle};

use crate::{maybe_ready::BoxFuture, text::TokenId};

/// Writes under way at one time. Beyond that a write is dropped: it is due again with the next use of its login.
const CAPACITY: usize = 1024;

/// A write, of which one is under way at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Job {
    Confirm(TokenId),
    Touch(TokenId),
}

#[derive(Default)]
pub(super) struct Background {
    running: Mutex<Running>,
    ended: Notify,
}

#[derive(Default)]
struct Running {
    started: u64,
    jobs: HashMap<Job, (u64, Option<AbortHandle>)>,
}

/// The place of one write. Given up when dropped, also where the write is dropped with its runtime.
pub(super) struct Slot {
    owner: Weak<Background>,
    job: Job,
    number: u64,
}

/// Why there is no place for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// The same write is under way.
    UnderWay,
    /// Too many others are.
    Full,
}

impl Background {
    pub(super) fn reserve(self: &Arc<Self>, job: Job) -> Result<Slot, NoSlot> {
        let mut running = self.lock();
        if running.jobs.contains_key(&job) {
            return Err(NoSlot::UnderWay);
        }
        if running.jobs.len() >= CAPACITY {
            return Err(NoSlot::Full);
        }
        running.started += 1;
        let number = running.started;
        running.jobs.insert(job, (number, None));
        Ok(Slot { owner: Arc::downgrade(self), job, number })
    }

    /// Waits until every write that is under way now has ended.
    pub(super) async fn flush(&self) {
        let until = self.lock().started;
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on no end is missed.
            ended.as_mut().enable();
            if self.lock().jobs.values().all(|(number, _)| *number > until) {
                return;
            }
            ended.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        running.jobs.values().filter_map(|(_, task)| task.as_ref()).for_each(AbortHandle::abort);
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("running", &self.lock().jobs.len()).finish()
    }
}

impl Slot {
    /// Runs the write on the caller's runtime; without one it is dropped. Says whether it was started.
    pub(super) fn run(self, write: BoxFuture<()>) -> bool {
        let Ok(runtime) = Handle::try_current() else {
            return false;
        };
        let Some(owner) = self.owner.upgrade() else {
            return false;
        };
        let (job, number) = (self.job, self.number);
        let task = runtime.spawn(async move {
            write.await;
            drop(self);
        });
        // It may have ended already, and the job may be another's.
        if let Some((_, handle)) = owner.lock().jobs.get_mut(&job).filter(|(found, _)| *found == number) {
            *handle = Some(task.abort_handle());
        }
        true
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.lock().jobs.remove(&self.job);
            owner.ended.notify_waiters();
        }
    }
}
