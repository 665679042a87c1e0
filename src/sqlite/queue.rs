//! Work that waits for threads of its own, in a bounded queue.

use std::{
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;

/// The threads are started when they are needed, and end when the queue is closed and empty.
pub(super) struct Queue<J> {
    state: Mutex<State<J>>,
    came: Condvar,
    room: Arc<Semaphore>,
    threads_max: usize,
}

struct State<J> {
    jobs: VecDeque<(J, Room)>,
    threads: usize,
    /// Threads that wait, and those of them that were called.
    idle: usize,
    called: usize,
    is_closed: bool,
}

/// A place in the queue, free again when a thread has taken what is in it.
pub(super) struct Room(#[allow(dead_code, reason = "held")] OwnedSemaphorePermit);

/// Counts a thread out, also one that panics.
struct Serving<'a, J>(&'a Queue<J>);

// ===== impl Queue =====

impl<J: Send + 'static> Queue<J> {
    pub(super) fn new(threads_max: usize, length: usize) -> Arc<Self> {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0, called: 0, is_closed: false };
        Arc::new(Self {
            state: Mutex::new(state),
            came: Condvar::new(),
            room: Arc::new(Semaphore::new(length)),
            threads_max,
        })
    }

    /// Waits for a place.
    pub(super) async fn room(&self) -> Result<Room, Failure> {
        Arc::clone(&self.room).acquire_owned().await.map(Room).map_err(|_closed| Failure::Thread)
    }

    /// A place, if there is one at once.
    pub(super) fn try_room(&self) -> Result<Room, Failure> {
        Arc::clone(&self.room).try_acquire_owned().map(Room).map_err(|_full_or_closed| Failure::Crowded)
    }

    /// Adds a job, and starts a thread that does what `work` makes if none is free and there may be another. A thread
    /// whose work panics begins anew: others may wait behind it.
    pub(super) fn push<W>(
        self: &Arc<Self>,
        job: J,
        room: Room,
        work: impl Fn() -> W + Send + 'static,
    ) -> Result<(), Failure>
    where
        W: FnMut(&Self) -> bool + Send + 'static,
    {
        let mut state = self.lock();
        state.jobs.push_back((job, room));
        if state.idle > state.called {
            state.called += 1;
            drop(state);
            self.came.notify_one();
            return Ok(());
        }
        if state.threads == self.threads_max {
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let queue = Arc::clone(self);
        let body = move || {
            let serving = Serving(&queue);
            loop {
                let mut work = work();
                // Nothing of what has panicked is used again, and whoever waited for it is told by its end.
                let served = panic::catch_unwind(AssertUnwindSafe(|| while work(serving.0) {}));
                if served.is_ok() {
                    break;
                }
            }
        };
        match thread::Builder::new().name("portcullis-sqlite".to_owned()).spawn(body) {
            // The handle is dropped: the thread ends by itself when the queue is closed.
            Ok(_runs_by_itself) => Ok(()),
            Err(_no_thread) => {
                let mut state = self.lock();
                state.threads -= 1;
                // Others will come to it.
                if state.threads > 0 { Ok(()) } else { Err(Failure::Thread) }
            }
        }
    }

    /// Waits for jobs and takes up to `max` of them; none when the queue is closed and empty.
    pub(super) fn take(&self, max: usize) -> Vec<J> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.is_closed {
            state.idle += 1;
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
            state.called = state.called.saturating_sub(1).min(state.idle);
        }
        let count = state.jobs.len().min(max);
        state.jobs.drain(..count).map(|(job, _room)| job).collect()
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_all();
    }
}

impl<J> Queue<J> {
    /// Nothing under the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> Drop for Serving<'_, J> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
    }
}
