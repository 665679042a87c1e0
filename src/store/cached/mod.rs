//! A store whose logins are remembered, so that to verify a token needs no I/O.
//!
//! 1. A copy lets somebody in; only the store itself refuses. What would be refused by a copy is read once more, so a
//!    token that another node has issued a moment ago works here at once, and a wrong one costs what it would cost
//!    without copies.
//! 2. A copy is never older than the age that was set, counted from when its read began. With a [`ChangeFeed`] it goes
//!    as soon as the store tells that its login has changed, and at once with what was written through this store.
//! 3. A read that is under way when its login changes is not kept.
//! 4. Kept is what lives: neither that a login is unknown or revoked, nor that the store did not answer.
//! 5. There is one read of a login at a time. Whoever comes while it is under way shares the next one, or, where a copy
//!    would have done, this one.
//! 6. Copies have a bound, and the one that was kept first gives way. Ids that nobody has issued take no room.
//!
//! | what happens to a login | its tokens, on the node that did it | on a node with a feed | without one |
//! |---|---|---|---|
//! | it is revoked, alone or with its subject's others | end at once | end when the node is told | end within the age |
//! | it is refreshed or rekeyed: the new token | works at once | works at once | works at once |
//! | it is refreshed or rekeyed: the old token | ends at once | ends when the node is told | ends within the age |
//! | its data or label changes, or its last use | is seen at once | is seen when the node is told | is seen within the age |
//! | its end is moved by use | holds at once | holds at once | holds at once |
//!
//! Only verification and the opening of a session take copies. Refreshes, rekeys, lists, changes of data and the question
//! whether a renewed cookie still holds go to the store. A user's roles are no part of a login: how long those are
//! remembered is [`cache_users`](crate::token::TokenPolicyBuilder::cache_users), and the two add nothing up: a revoked
//! login is refused whatever is remembered of its user.
//!
//! While the store does not answer, copies go on to let their owners in until they are too old, and all others get
//! "could not check". With an age of zero nothing is kept, and nobody is let in without the store.

mod builder;
mod cache;
mod copies;
mod port;
mod reads;
mod slots;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::task::AbortHandle;

pub use self::builder::CachedStoreBuilder;
use self::cache::Cache;
use super::{Change, ChangeFeed, TokenStore};
use crate::settings::{self, Description};

/// A [`TokenStore`] in front of another one, which remembers logins for verification. See the module docs for what is
/// seen when.
///
/// It keeps 100 000 logins for up to 60 s. Clones share the copies. Every service of a process that uses the store should
/// have a clone, or what one writes the other learns only from a feed, or by age.
///
/// ```
/// use std::time::Duration;
/// use portcullis::{TokenPolicy, TokenService, store::{CachedStore, MemoryStore}};
///
/// let store = MemoryStore::new(); // or one on a network
/// let cached = CachedStore::builder(store).age(Duration::from_secs(10)).build()?;
/// let tokens = TokenService::new(cached, TokenPolicy::default());
/// # Ok::<(), portcullis::error::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct CachedStore(Arc<Handle>);

/// What the clones share, and reads under way do not.
struct Handle {
    cache: Arc<Cache>,
    followers: Mutex<Vec<AbortHandle>>,
}

// ===== impl CachedStore =====

impl CachedStore {
    /// Remembers up to 100 000 logins of this store for up to 60 s.
    pub fn new(store: impl TokenStore) -> Self {
        Self::over(Cache::new(Arc::new(store), &CachedStoreBuilder::DEFAULT))
    }

    /// Settings of one.
    pub fn builder(store: impl TokenStore) -> CachedStoreBuilder {
        CachedStoreBuilder::new(Arc::new(store))
    }

    fn over(cache: Cache) -> Self {
        Self(Arc::new(Handle { cache: Arc::new(cache), followers: Mutex::default() }))
    }

    /// Forgets copies as this feed tells it, until the last clone of this store is dropped: a task on the runtime of the
    /// caller does it. If that runtime ends before, the age alone bounds what is kept.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn follow(&self, mut feed: impl ChangeFeed) {
        // Weak: with the last handle the copies go, whether or not something changes any more.
        let cache = Arc::downgrade(&self.0.cache);
        let task = tokio::spawn(async move {
            loop {
                let change = feed.next().await;
                let Some(cache) = cache.upgrade() else {
                    return;
                };
                match change {
                    Change::Login(id) => cache.copies().forget(&[id]),
                    Change::Anything => cache.copies().forget_everything(),
                }
            }
        });
        self.0.followers.lock().unwrap_or_else(PoisonError::into_inner).push(task.abort_handle());
    }

    /// How many logins are remembered, those that are too old by now included.
    pub fn copies(&self) -> usize {
        self.0.cache.copies().len()
    }

    /// The settings in force: the age, which is the bound within which changes are seen without a feed, and the capacity.
    pub fn describe(&self) -> Description {
        let copies = self.0.cache.copies();
        Description::new(vec![
            ("age", settings::span(copies.age())),
            ("capacity", copies.capacity().to_string()),
        ])
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = self.0.cache.copies();
        f.debug_struct("CachedStore")
            .field("age", &copies.age())
            .field("capacity", &copies.capacity())
            .field("copies", &copies.len())
            .field("reading", &copies.reading())
            .finish_non_exhaustive()
    }
}

// ===== impl Handle =====

impl Drop for Handle {
    fn drop(&mut self) {
        let followers = self.followers.get_mut().unwrap_or_else(PoisonError::into_inner);
        followers.iter().for_each(AbortHandle::abort);
    }
}
