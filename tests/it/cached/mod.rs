//! Copies of logins: what is seen when, by which node, and what it costs the store.

mod bounds;
mod changes;
mod outage;
mod reads;
mod refusals;
mod sessions;
mod uses;

use std::{future::pending, time::Duration};

use async_trait::async_trait;
use portcullis::{
    TokenPolicy, TokenService,
    clock::ManualClock,
    credential::{Channel, Credential},
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{CachedStore, CachedStoreBuilder, Change, ChangeFeed},
    token::{IssueOptions, Issued, RefreshRequest, TokenPolicyBuilder},
    verify::{Attempt, Verify},
};
#[allow(unused_imports)] // by tests over servers
pub(crate) use refusals::forged;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::yield_now,
};

use crate::support::{Events, Fixture, Mode, ProbeStore, fixture_with, invalid, refresh_text};

const AGE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

/// One process in front of the common store.
struct Node {
    cached: CachedStore,
    tokens: TokenService,
    time: ManualClock,
}

/// Two of them, and what they share. Nobody tells one what the other does, unless the test does.
struct Nodes {
    a: Node,
    b: Node,
    store: ProbeStore,
    time: ManualClock,
    events: Events,
}

/// A feed that a test writes.
struct Told(UnboundedReceiver<Change>);

#[async_trait]
impl ChangeFeed for Told {
    async fn next(&mut self) -> Change {
        match self.0.recv().await {
            Some(change) => change,
            None => pending().await,
        }
    }
}

/// Uses are not noted, so that a test counts its own calls only.
fn policy() -> TokenPolicyBuilder {
    TokenPolicy::builder().touch_every(None)
}

/// A slow store.
fn nodes() -> Nodes {
    nodes_with(policy(), |builder| builder)
}

fn nodes_with(
    policy: TokenPolicyBuilder,
    settings: impl Fn(CachedStoreBuilder) -> CachedStoreBuilder,
) -> Nodes {
    let policy = policy.build().unwrap();
    let Fixture { time, store, events, .. } = fixture_with(policy.clone());
    store.set(Mode::Later);
    let node = || {
        let cached = settings(CachedStore::builder(store.clone()).clock(time.clock())).build().unwrap();
        let tokens = TokenService::new(cached.clone(), policy.clone());
        let tokens = tokens.clock(time.clock()).reporter(events.reporter());
        Node { cached, tokens, time: time.clone() }
    };
    Nodes { a: node(), b: node(), store, time, events }
}

impl Node {
    async fn login(&self, user: &str) -> Issued {
        self.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
    }

    async fn verify(&self, text: &str) -> Result<(), Reason> {
        invalid(self.tokens.verify(text, None).await).map(|_| ())
    }

    async fn verifies(&self, login: &Issued) -> bool {
        self.verify(login.access().expose()).await.is_ok()
    }

    async fn refresh(&self, login: &Issued) -> Result<Issued, Reason> {
        let text = refresh_text(login);
        invalid(self.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await)
    }

    /// Verifies without waiting for anything.
    fn verifies_at_once(&self, login: &Issued) -> bool {
        let credential = Credential::header(login.access().expose(), "Bearer");
        match Verify::verify(&self.tokens, &Attempt::new(credential, self.time.now())) {
            MaybeReady::Now(outcome) => outcome.is_ok(),
            MaybeReady::Later(_) => false,
        }
    }

    /// From now on the node is told what the test says.
    async fn listen(&self) -> UnboundedSender<Change> {
        let (say, told) = unbounded_channel();
        self.cached.follow(Told(told));
        turns().await;
        say
    }
}

/// Lets everything else go on as far as it can.
async fn turns() {
    for _ in 0..50 {
        yield_now().await;
    }
}
