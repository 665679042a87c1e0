//! The service and its parts.

use std::{fmt, sync::Arc};

use super::{pepper::Pepper, policy::TokenPolicy};
use crate::{
    clock::Clock,
    error::BoxError,
    event::{Event, EventKind, Observer, Reporter},
    identity::Subject,
    keyring::KeyRing,
    maybe_ready::MaybeReady,
    store::{LoginRecord, StoreError, TokenStore},
    verify::{Refusal, UserLookup},
};

/// Issues, verifies, refreshes and revokes opaque tokens. Cheap to clone; clones share everything.
///
/// Without [`users`](Self::users) the identity is the [`Subject`] itself. See the module docs.
pub struct TokenService<I = Subject> {
    pub(super) parts: Arc<Parts>,
    pub(super) users: Arc<dyn UserLookup<User = I>>,
}

#[derive(Clone)]
pub(super) struct Parts {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) policy: TokenPolicy,
    pub(super) clock: Clock,
    pub(super) pepper: Option<Pepper>,
    reporter: Reporter,
}

/// Every subject is a user and active.
struct SubjectsAreUsers;

// ===== impl TokenService =====

impl TokenService<Subject> {
    /// A service over this store.
    pub fn new(store: impl TokenStore, policy: TokenPolicy) -> Self {
        let parts = Parts {
            store: Arc::new(store),
            policy,
            clock: Clock::system(),
            pepper: None,
            reporter: Reporter::default(),
        };
        Self { parts: Arc::new(parts), users: Arc::new(SubjectsAreUsers) }
    }
}

impl<I> TokenService<I> {
    /// Looks the user up on every request; inactive users are refused everywhere.
    #[must_use]
    pub fn users<L: UserLookup>(self, users: L) -> TokenService<L::User> {
        TokenService { parts: self.parts, users: Arc::new(users) }
    }

    /// Replaces the clock; the default is [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        Arc::make_mut(&mut self.parts).clock = clock;
        self
    }

    /// Adds a server-side key to every new digest. Digests made without it keep working until they are rotated.
    #[must_use]
    pub fn pepper(mut self, ring: KeyRing) -> Self {
        Arc::make_mut(&mut self.parts).pepper = Some(Pepper::new(ring));
        self
    }

    /// Reports events through this reporter, which may be shared with other services and with layers. It
    /// replaces the one before, observers included. The default only logs.
    #[must_use]
    pub fn reporter(mut self, reporter: Reporter) -> Self {
        Arc::make_mut(&mut self.parts).reporter = reporter;
        self
    }

    /// Reports events to this observer, too.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        let parts = Arc::make_mut(&mut self.parts);
        parts.reporter = std::mem::take(&mut parts.reporter).observer(observer);
        self
    }
}

impl<I> Clone for TokenService<I> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), users: Arc::clone(&self.users) }
    }
}

impl<I> fmt::Debug for TokenService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenService").field("policy", &self.parts.policy).finish_non_exhaustive()
    }
}

// ===== impl Parts =====

impl Parts {
    pub(super) fn emit(&self, kind: EventKind, record: &LoginRecord) {
        let event = Event::new(kind, self.clock.now())
            .with_record(record.id)
            .with_subject(Arc::clone(&record.subject))
            .with_channel(record.channel);
        self.reporter.emit(event);
    }

    pub(super) fn emit_of_store(&self, kind: EventKind) {
        self.reporter.emit(Event::new(kind, self.clock.now()));
    }

    /// A store that does not answer is never an invalid token.
    pub(super) fn store_failed(error: StoreError) -> Refusal {
        Refusal::Unavailable(error.into())
    }
}

// ===== impl SubjectsAreUsers =====

impl UserLookup for SubjectsAreUsers {
    type User = Subject;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
        MaybeReady::Now(Ok(Some(Arc::clone(subject))))
    }
}
