//! The service and its parts.

use std::{fmt, sync::Arc};

use data_encoding::HEXLOWER;

use super::{background::Background, pepper::Pepper, policy::TokenPolicy, users, watch::Watchers};
use crate::{
    clock::{Clock, Timestamp},
    error::BoxError,
    event::{Event, EventKind, Observer, Reporter, RevokeReason},
    identity::Subject,
    keyring::KeyRing,
    maybe_ready::MaybeReady,
    settings::Description,
    store::{Found, LoginRecord, StoreError, TokenStore},
    text::TokenId,
    verify::{Refusal, UserLookup},
};

/// Issues, verifies, refreshes and revokes opaque tokens. Cheap to clone; clones share everything.
///
/// Without [`users`](Self::users) the identity is the [`Subject`] itself. See the module docs.
pub struct TokenService<I = Subject> {
    pub(super) parts: Arc<Parts>,
    /// The look-up as it was given.
    pub(super) source: Arc<dyn UserLookup<User = I>>,
    /// Asked on every request; may remember.
    pub(super) users: Arc<dyn UserLookup<User = I>>,
    /// Asked where tokens are handed out: always the source.
    pub(super) lookup: Arc<dyn UserLookup<User = I>>,
}

#[derive(Clone)]
pub(super) struct Parts {
    pub(super) store: Arc<dyn TokenStore>,
    pub(super) policy: TokenPolicy,
    pub(super) clock: Clock,
    pub(super) pepper: Option<Pepper>,
    pub(super) background: Arc<Background>,
    pub(super) watchers: Arc<Watchers>,
    pub(super) reporter: Reporter,
}

/// Every subject is a user and active.
struct SubjectsAreUsers;

// ===== impl TokenService =====

impl TokenService<Subject> {
    /// A service over this store.
    pub fn new(store: impl TokenStore, policy: TokenPolicy) -> Self {
        Self::over(Arc::new(store), policy)
    }

    pub(crate) fn over(store: Arc<dyn TokenStore>, policy: TokenPolicy) -> Self {
        let parts = Parts {
            store,
            policy,
            clock: Clock::system(),
            pepper: None,
            background: Arc::default(),
            watchers: Arc::default(),
            reporter: Reporter::default(),
        };
        let source = Arc::new(SubjectsAreUsers);
        let (users, lookup) = (Arc::clone(&source), Arc::clone(&source));
        Self { parts: Arc::new(parts), source, users, lookup }
    }
}

impl<I: Send + Sync + 'static> TokenService<I> {
    /// Looks the user up on every request, or as often as [`cache_users`] says; inactive users are refused
    /// everywhere.
    ///
    /// [`cache_users`]: super::TokenPolicyBuilder::cache_users
    #[must_use]
    pub fn users<L: UserLookup>(self, users: L) -> TokenService<L::User> {
        let source = Arc::new(users);
        let (users, lookup) = (Arc::clone(&source), Arc::clone(&source));
        TokenService { parts: self.parts, source, users, lookup }.remember()
    }

    /// Replaces the clock; the default is [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        Arc::make_mut(&mut self.parts).clock = clock;
        self.remember()
    }

    fn remember(mut self) -> Self {
        let (source, age) = (Arc::clone(&self.source), self.parts.policy.cache_users);
        if age.is_zero() {
            (self.users, self.lookup) = (Arc::clone(&source), source);
        } else {
            let (remembered, fresh) = users::remembering(source, age, self.parts.clock.clone());
            (self.users, self.lookup) = (Arc::new(remembered), Arc::new(fresh));
        }
        self
    }
}

impl<I> TokenService<I> {
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

impl<I> TokenService<I> {
    /// The settings in force: those of the policy, and by which key, if any, new digests are made.
    pub fn describe(&self) -> Description {
        let key = self.parts.pepper.as_ref().map(|pepper| HEXLOWER.encode(pepper.current().id.as_bytes()));
        let own = Description::new(vec![("pepper", key.unwrap_or_else(|| "none".to_owned()))]);
        self.parts.policy.describe().with_part("", &own)
    }

    pub(crate) fn policy(&self) -> &TokenPolicy {
        &self.parts.policy
    }

    /// The moment by which tokens are judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Reports what `event` makes of an event of this kind, if anybody would learn of it.
    pub(crate) fn report(&self, kind: EventKind, event: impl FnOnce(Event) -> Event) {
        if self.parts.reporter.wants(&kind) {
            self.parts.reporter.emit(event(Event::new(kind, self.now())));
        }
    }

    /// Whom this service tells, for services in front of it.
    pub(crate) fn shared_reporter(&self) -> Reporter {
        self.parts.reporter.clone()
    }
}

impl<I> Clone for TokenService<I> {
    fn clone(&self) -> Self {
        Self {
            parts: Arc::clone(&self.parts),
            source: Arc::clone(&self.source),
            users: Arc::clone(&self.users),
            lookup: Arc::clone(&self.lookup),
        }
    }
}

impl<I> fmt::Debug for TokenService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenService").field("policy", &self.parts.policy).finish_non_exhaustive()
    }
}

// ===== impl Parts =====

impl Parts {
    pub(super) fn event(&self, kind: EventKind, record: &LoginRecord) -> Event {
        Event::new(kind, self.clock.now())
            .with_record(record.id)
            .with_subject(Arc::clone(&record.subject))
            .with_channel(record.channel)
    }

    pub(super) fn emit(&self, kind: EventKind, record: &LoginRecord) {
        self.reporter.emit(self.event(kind, record));
    }

    pub(super) fn emit_revoked(&self, id: TokenId, subject: &Arc<Subject>, reason: RevokeReason) {
        let event = Event::new(EventKind::TokenRevoked { reason }, self.clock.now());
        self.reporter.emit(event.with_record(id).with_subject(Arc::clone(subject)));
    }

    pub(super) fn emit_of_store(&self, kind: EventKind) {
        self.reporter.emit(Event::new(kind, self.clock.now()));
    }

    /// Whether a token of this login may be valid now: the access token, or the refresh token.
    pub(super) fn lives(&self, Found { record, epoch, .. }: &Found) -> bool {
        *epoch == Some(record.epoch)
            && !self.policy.is_before_floor(record)
            && record.is_live(self.clock.now())
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
