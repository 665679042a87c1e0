//! A memory of looked-up users, so that not every request asks for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use papaya::{HashMap, Operation};

use crate::{
    clock::{Clock, Monotonic},
    error::BoxError,
    identity::Subject,
    maybe_ready::MaybeReady,
    verify::UserLookup,
};

/// Users that are remembered at most; others are looked up every time.
pub(super) const CAPACITY: usize = 100_000;

/// Remembers active users for a while. An answer that somebody is unknown or inactive is given to nobody else, nor is an
/// error.
pub(super) struct RememberedUsers<U>(Arc<Lookup<U>>);

/// Never answers from the memory, which learns from it: whoever is found inactive here is so for every request.
pub(super) struct FreshUsers<U>(Arc<Lookup<U>>);

struct Lookup<U> {
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
    /// `None` where none was found, so that a look-up that is still on its way does not bring one back.
    user: Option<Arc<U>>,
    /// Before the look-up of a user, after that of nobody: whatever began up to then is older.
    since: Monotonic,
}

/// Both look-ups over one memory.
pub(super) fn remembering<U: Send + Sync + 'static>(
    inner: Arc<dyn UserLookup<User = U>>,
    age: Duration,
    clock: Clock,
) -> (RememberedUsers<U>, FreshUsers<U>) {
    let memory = Memory { known: HashMap::new(), age, since_sweep: AtomicU64::new(0) };
    let lookup = Arc::new(Lookup { inner, memory: Arc::new(memory), clock });
    (RememberedUsers(Arc::clone(&lookup)), FreshUsers(lookup))
}

impl<U: Send + Sync + 'static> UserLookup for RememberedUsers<U> {
    type User = U;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<U>>, BoxError>> {
        match self.0.memory.get(subject, self.0.clock.monotonic()) {
            Some(user) => MaybeReady::Now(Ok(Some(user))),
            None => self.0.ask(subject),
        }
    }
}

impl<U: Send + Sync + 'static> UserLookup for FreshUsers<U> {
    type User = U;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<U>>, BoxError>> {
        self.0.ask(subject)
    }
}

impl<U: Send + Sync + 'static> Lookup<U> {
    fn ask(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<U>>, BoxError>> {
        // Read before the look-up: what is remembered must not outlive its age.
        let began = self.clock.monotonic();
        match self.inner.find(subject) {
            MaybeReady::Now(found) => {
                self.memory.note(subject, &found, began, &self.clock);
                MaybeReady::Now(found)
            }
            MaybeReady::Later(found) => {
                let (memory, clock, subject) =
                    (Arc::clone(&self.memory), self.clock.clone(), Arc::clone(subject));
                MaybeReady::later(async move {
                    let found = found.await;
                    memory.note(&subject, &found, began, &clock);
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
        found.user.as_ref().filter(|_| now.since(found.since) < self.age).map(Arc::clone)
    }

    fn note(
        &self,
        subject: &Arc<Subject>,
        found: &Result<Option<Arc<U>>, BoxError>,
        began: Monotonic,
        clock: &Clock,
    ) {
        let (user, since) = match found {
            Ok(Some(user)) => (Some(user), began),
            Ok(None) => (None, clock.monotonic()),
            Err(_) => return,
        };
        let known = self.known.pin();
        // One search for every CAPACITY of users: what a crowd costs is shared by the crowd.
        if self.since_sweep.fetch_add(1, Ordering::Relaxed) >= CAPACITY as u64 {
            self.since_sweep.store(0, Ordering::Relaxed);
            known.retain(|_, old| since.since(old.since) < self.age);
        }
        let full = known.len() >= CAPACITY;
        known.compute(Arc::clone(subject), |old| match old {
            None if full => Operation::Abort(()),
            Some((_, old)) if old.is_newer_than(since) => Operation::Abort(()),
            _ => Operation::Insert(Known { user: user.map(Arc::clone), since }),
        });
    }
}

impl<U> Known<U> {
    /// Whether this is younger than what a look-up found that began at `began`.
    fn is_newer_than(&self, began: Monotonic) -> bool {
        match self.user {
            Some(_) => self.since > began,
            // The clock has ticks: in the same one, the user may have been found before.
            None => self.since >= began,
        }
    }
}
