//! A memory of looked-up users, so that not every request asks for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::HashMap;

use crate::{
    clock::{Clock, Monotonic},
    error::BoxError,
    identity::Subject,
    maybe_ready::MaybeReady,
    verify::UserLookup,
};

/// Users that are remembered at most; others are looked up every time.
const CAPACITY: usize = 100_000;

/// Remembers active users for a while. That somebody is unknown or inactive is never remembered, nor is an error.
pub(super) struct RememberedUsers<U> {
    inner: Arc<dyn UserLookup<User = U>>,
    memory: Arc<Memory<U>>,
    clock: Clock,
}

struct Memory<U> {
    known: HashMap<Arc<Subject>, Known<U>>,
    age: Duration,
    /// How many were remembered since the last search for those that are too old.
    since_sweep: AtomicU64,
}

struct Known<U> {
    user: Arc<U>,
    since: Monotonic,
}

impl<U: Send + Sync + 'static> RememberedUsers<U> {
    pub(super) fn new(inner: Arc<dyn UserLookup<User = U>>, age: Duration, clock: Clock) -> Self {
        let memory = Memory { known: HashMap::new(), age, since_sweep: AtomicU64::new(0) };
        Self { inner, memory: Arc::new(memory), clock }
    }
}

impl<U: Send + Sync + 'static> UserLookup for RememberedUsers<U> {
    type User = U;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<U>>, BoxError>> {
        // Read before the look-up: what is remembered must not outlive its age.
        let now = self.clock.monotonic();
        if let Some(user) = self.memory.get(subject, now) {
            return MaybeReady::Now(Ok(Some(user)));
        }
        match self.inner.find(subject) {
            MaybeReady::Now(found) => {
                self.memory.note(subject, &found, now);
                MaybeReady::Now(found)
            }
            MaybeReady::Later(found) => {
                let (memory, subject) = (Arc::clone(&self.memory), Arc::clone(subject));
                MaybeReady::later(async move {
                    let found = found.await;
                    memory.note(&subject, &found, now);
                    found
                })
            }
        }
    }
}

impl<U: Send + Sync + 'static> Memory<U> {
    fn get(&self, subject: &Arc<Subject>, now: Monotonic) -> Option<Arc<U>> {
        let known = self.known.pin();
        let found = known.get(subject)?;
        (now.since(found.since) < self.age).then(|| Arc::clone(&found.user))
    }

    fn note(&self, subject: &Arc<Subject>, found: &Result<Option<Arc<U>>, BoxError>, since: Monotonic) {
        let known = self.known.pin();
        match found {
            Ok(Some(user)) => {
                // One search for every CAPACITY of users: what a crowd costs is shared by the crowd.
                if self.since_sweep.fetch_add(1, Ordering::Relaxed) >= CAPACITY as u64 {
                    self.since_sweep.store(0, Ordering::Relaxed);
                    known.retain(|_, old| since.since(old.since) < self.age);
                }
                if known.len() < CAPACITY {
                    known.insert(Arc::clone(subject), Known { user: Arc::clone(user), since });
                }
            }
            Ok(None) => drop(known.remove(subject)),
            Err(_) => {}
        }
    }
}
