//! Every order in which up to three operations on one login can meet in the store.
//!
//! An operation is a future that stops before each call of the store. The scheduler lets one of them do one call at
//! a time, follows one order to its end, checks what must hold in every order, and takes the next order.

mod orders;
mod step_store;

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use portcullis::{
    TokenPolicy, TokenService,
    clock::ManualClock,
    credential::Channel,
    identity::Subject,
    problem::Reason,
    store::{LoginRecord, MemoryStore, TokenStore},
    text::TokenId,
    token::{IssueOptions, Issued, RefreshRequest, TouchMode},
    verify::Refusal,
};

use self::step_store::StepStore;
use crate::support::{START, refresh_text};

/// What an operation came to.
pub(super) enum Outcome {
    /// Tokens.
    Pair(Box<Issued>),
    /// A verified access token.
    Valid,
    /// A change of the data: whether it was made.
    Saved(bool),
    /// An end, or a label.
    Done,
    Refused(Reason),
    CouldNotCheck,
}

/// By its name.
#[derive(Clone, Copy)]
pub(super) struct Operation(pub(super) &'static str, pub(super) Start);

type Start = fn(Arc<World>) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// One login in the middle of its life, and a service whose store goes step by step.
pub(super) struct World {
    pub(super) time: ManualClock,
    pub(super) memory: MemoryStore,
    pub(super) stepped: TokenService,
    /// The same store without steps, for before and after.
    pub(super) plain: TokenService,
    pub(super) first: Issued,
    pub(super) current: Issued,
    store: StepStore,
}

pub(super) fn policy() -> TokenPolicy {
    TokenPolicy::builder()
        .sliding_with_refresh()
        .touch_mode(TouchMode::Inline)
        // Each use is noted, so that nothing but the generation tells an old touch from a new one.
        .touch_every(Some(Duration::ZERO))
        .build()
        .expect("a valid policy")
}

/// `confirmed` says whether the current pair was in use already; the predecessor is within its window.
fn world(policy: &TokenPolicy, confirmed: bool) -> Arc<World> {
    let (time, memory) = (ManualClock::new(START), MemoryStore::new());
    let store = StepStore::new(memory.clone());
    let plain = TokenService::new(memory.clone(), policy.clone()).clock(time.clock());
    let stepped = TokenService::new(store.clone(), policy.clone()).clock(time.clock());
    let (first, current) = async {
        let first = plain.issue_for_header(ada(), IssueOptions::default().data(&0)).await.unwrap();
        time.advance(Duration::from_secs(60));
        let text = refresh_text(&first);
        let current = plain.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
        if confirmed {
            plain.verify(current.access().expose(), None).await.unwrap();
        }
        (first, current)
    }
    .now_or_never()
    .expect("the store in memory has nothing to wait for");
    // A touch is due, and the predecessor is still answered.
    time.advance(Duration::from_secs(6));
    Arc::new(World { time, memory, stepped, plain, first, current, store })
}

pub(super) fn ada() -> Subject {
    Subject::local("ada")
}

impl World {
    pub(super) fn id(&self) -> TokenId {
        self.first.record().id()
    }

    pub(super) fn record(&self) -> Arc<LoginRecord> {
        let found = self.memory.find(&self.id()).wait().now_or_never().expect("memory answers at once");
        found.unwrap().expect("the login is there").record
    }

    fn verifies(&self, issued: &Issued) -> bool {
        self.plain.verify(issued.access().expose(), None).now_or_never().expect("at once").is_ok()
    }
}

pub(super) fn pair(result: Result<Issued, Refusal>) -> Outcome {
    match result {
        Ok(issued) => Outcome::Pair(Box::new(issued)),
        Err(Refusal::Invalid(reason)) => Outcome::Refused(reason),
        Err(Refusal::Unavailable(_)) => Outcome::CouldNotCheck,
    }
}

/// What one order came to.
pub(super) struct Run {
    pub(super) world: Arc<World>,
    pub(super) outcomes: Vec<Outcome>,
}

impl Run {
    /// The distinct pairs that the login ever had whose access token is valid at the end.
    pub(super) fn living(&self) -> usize {
        let given = self.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Pair(issued) => Some(&**issued),
            _ => None,
        });
        let mut texts: Vec<_> = [&self.world.first, &self.world.current]
            .into_iter()
            .chain(given)
            .filter(|issued| issued.record().id() == self.world.id() && self.world.verifies(issued))
            .map(|issued| issued.access().expose())
            .collect();
        texts.sort_unstable();
        texts.dedup();
        texts.len()
    }
}

/// Runs the operations in every order and hands each end to `check`. Returns how many orders there were.
pub(super) fn every_order(
    policy: &TokenPolicy,
    confirmed: bool,
    operations: &[Operation],
    check: impl Fn(&Run),
) -> usize {
    // The choice taken at each step, and how many there were.
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut orders = 0;
    loop {
        let run = one_order(policy, confirmed, operations, &mut path);
        orders += 1;
        check(&run);
        while path.pop_if(|(choice, choices)| *choice + 1 == *choices).is_some() {}
        let Some((choice, _)) = path.last_mut() else {
            return orders;
        };
        *choice += 1;
    }
}

fn one_order(
    policy: &TokenPolicy,
    confirmed: bool,
    operations: &[Operation],
    path: &mut Vec<(usize, usize)>,
) -> Run {
    let world = world(policy, confirmed);
    let mut futures: Vec<_> =
        operations.iter().map(|Operation(_, start)| Some(start(Arc::clone(&world)))).collect();
    let mut outcomes: Vec<_> = operations.iter().map(|_| None).collect();
    let mut context = Context::from_waker(Waker::noop());
    // Up to the first call of the store, which is what the order is about.
    for future in futures.iter_mut().flatten() {
        assert!(future.as_mut().poll(&mut context).is_pending());
    }
    for depth in 0.. {
        let waiting: Vec<_> = (0..futures.len()).filter(|place| futures[*place].is_some()).collect();
        if waiting.is_empty() {
            break;
        }
        if depth == path.len() {
            path.push((0, waiting.len()));
        }
        assert!(depth < 40, "an operation asks the store for ever");
        let place = waiting[path[depth].0];
        let before = world.record();
        world.store.grant.store(true, Ordering::SeqCst);
        let polled = futures[place].as_mut().expect("it waits").as_mut().poll(&mut context);
        assert!(!world.store.grant.load(Ordering::SeqCst), "one call for each step");
        holds_between(&before, &world.record());
        if let Poll::Ready(outcome) = polled {
            let gives_tokens =
                matches!(&outcome, Outcome::Pair(issued) if issued.record().id() == world.id());
            assert!(!(gives_tokens && before.revoked().is_some()), "tokens for a login that had ended");
            outcomes[place] = Some(outcome);
            futures[place] = None;
        }
    }
    let outcomes = outcomes.into_iter().map(|outcome| outcome.expect("all have ended")).collect();
    Run { world, outcomes }
}

/// What no single step may do.
fn holds_between(before: &Arc<LoginRecord>, after: &Arc<LoginRecord>) {
    if before.revoked().is_some() {
        assert!(Arc::ptr_eq(before, after), "a record that had ended was changed");
        return;
    }
    assert!(matches!(after.generation() - before.generation(), 0 | 1), "generations go up one by one");
    assert_eq!(before.created(), after.created());
    assert_eq!(before.absolute_expires(), after.absolute_expires());
    assert!(after.access_expires() <= after.absolute_expires());
    assert!(after.last_seen() >= before.last_seen());
    assert!(matches!(after.version() - before.version(), 0 | 1));
    if after.generation() == before.generation() {
        assert!(after.access_expires() >= before.access_expires(), "an end moved back");
        assert!(after.refresh_expires() >= before.refresh_expires(), "an end moved back");
    }
}
