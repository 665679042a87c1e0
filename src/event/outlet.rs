//! One observer, its queue and its thread.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{Event, EventKind, Observer, log};
use crate::clock::Timestamp;

/// Events that wait for an observer; more are dropped.
pub(super) const CAPACITY: usize = 1024;

/// The observer is told of dropped events when its queue is down to this: under a steady flood that is never,
/// instead of at every second event.
pub(super) const CALM: usize = CAPACITY / 2;

thread_local! {
    /// Whether this is an observer's thread. To wait for an observer there is to wait for oneself.
    static OBSERVING: Cell<bool> = const { Cell::new(false) };
}

pub(super) struct Outlet(Arc<Shared>);

struct Shared {
    observer: Box<dyn Observer>,
    state: Mutex<State>,
    /// The worker waits here.
    work: Condvar,
    /// Those who flush wait here.
    progress: Condvar,
}

struct State {
    queue: VecDeque<Event>,
    /// There is a worker, or one is being started.
    running: bool,
    /// The worker waits for an event.
    idle: bool,
    /// The worker is telling the observer of the event it took last.
    busy: bool,
    /// No event will come any more.
    closed: bool,
    accepted: u64,
    taken: u64,
    flushing: usize,
    dropped: u64,
    /// How many of the dropped events the observer knows of.
    admitted: u64,
    last_dropped: Timestamp,
}

/// Tells the others when a worker ends, however it does.
struct Ending<'a>(&'a Shared);

// ===== impl Outlet =====

impl Outlet {
    pub(super) fn new(observer: impl Observer) -> Self {
        Self(Arc::new(Shared {
            observer: Box::new(observer),
            state: Mutex::new(State::new()),
            work: Condvar::new(),
            progress: Condvar::new(),
        }))
    }

    /// Whether there was room for the event.
    pub(super) fn push(&self, event: Event) -> bool {
        let mut state = self.0.lock();
        if state.queue.len() >= CAPACITY {
            state.dropped += 1;
            state.last_dropped = event.at();
            return false;
        }
        state.queue.push_back(event);
        state.accepted += 1;
        self.wake(state);
        true
    }

    pub(super) fn flush(&self) {
        if OBSERVING.get() {
            return;
        }
        let mut state = self.0.lock();
        let last = state.accepted;
        if !state.has_told(last) {
            // An earlier attempt to start the thread may have failed.
            self.wake(state);
            state = self.0.lock();
        }
        state.flushing += 1;
        while state.running && !state.has_told(last) {
            state = self.0.progress.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.flushing -= 1;
    }

    pub(super) fn dropped(&self) -> u64 {
        self.0.lock().dropped
    }

    /// Sees to it that the worker looks at the queue. A thread that cannot be started is tried again with the
    /// next event.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if state.running {
            if std::mem::take(&mut state.idle) {
                self.0.work.notify_one();
            }
            return;
        }
        state.running = true;
        drop(state);
        let shared = Arc::clone(&self.0);
        let started =
            thread::Builder::new().name("portcullis-events".to_owned()).spawn(move || shared.work());
        if let Err(error) = started {
            drop(Ending(&self.0));
            tracing::error!(target: log::TARGET, %error, "no thread for an observer");
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

// ===== impl Shared =====

impl Shared {
    /// Nothing that can panic runs under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        OBSERVING.set(true);
        let _ending = Ending(self);
        let mut state = self.lock();
        loop {
            let Some(event) = state.next() else {
                if state.closed {
                    return;
                }
                state.idle = true;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.busy = true;
            drop(state);
            self.tell(event);
            state = self.lock();
            state.busy = false;
            if state.flushing > 0 {
                self.progress.notify_all();
            }
        }
    }

    /// The event is dropped inside, too: what its details do then is not ours.
    fn tell(&self, event: Event) {
        if matches!(event.kind(), EventKind::EventsDropped { .. }) {
            // Made here, and so in no log yet.
            log::write(&event);
        }
        let told = catch_unwind(AssertUnwindSafe(move || self.observer.observe(&event)));
        if told.is_err() {
            tracing::error!(target: log::TARGET, "an observer panicked");
        }
    }
}

// ===== impl State =====

impl State {
    fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            running: false,
            idle: false,
            busy: false,
            closed: false,
            accepted: 0,
            taken: 0,
            flushing: 0,
            dropped: 0,
            admitted: 0,
            last_dropped: Timestamp::from_millis(0),
        }
    }

    /// What the observer is told next. Events are dropped only while the queue is full, so what was dropped is
    /// told of before the rest of that queue.
    fn next(&mut self) -> Option<Event> {
        let count = self.dropped - self.admitted;
        if count > 0 && self.queue.len() <= CALM {
            self.admitted = self.dropped;
            return Some(Event::new(EventKind::EventsDropped { count }, self.last_dropped));
        }
        let event = self.queue.pop_front()?;
        self.taken += 1;
        Some(event)
    }

    /// Whether the observer has been told of the first `count` accepted events.
    fn has_told(&self, count: u64) -> bool {
        self.taken > count || (self.taken == count && !self.busy)
    }
}

// ===== impl Ending =====

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.running, state.idle, state.busy) = (false, false, false);
        self.0.progress.notify_all();
    }
}

#[cfg(test)]
mod tests;
