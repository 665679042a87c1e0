//! Two nodes with copies of logins, and what the engine itself tells one of the other. The clock by which copies grow old
//! stands still: what a node learns it was told.

use std::time::{Duration, Instant};

use portcullis::{
    TokenPolicy, TokenService,
    clock::{Clock, ManualClock},
    problem::Reason,
    store::CachedStore,
    token::Issued,
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    on_engine,
    sites::{Site, Store, lives, login, now, refresh, service, verify},
};
use crate::{
    cached::forged,
    servers::Proxy,
    support::{invalid, refresh_text},
};

/// What a revocation may take to be seen elsewhere.
const BOUND: Duration = Duration::from_secs(2);
/// Longer than a feed needs to find its server again on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const AGE: Duration = Duration::from_secs(60);
const MILLI: Duration = Duration::from_millis(1);

/// A node with copies.
struct Node {
    cached: CachedStore,
    tokens: TokenService,
}

impl Node {
    fn over(store: &Store, clock: &Clock) -> Self {
        let cached = CachedStore::builder(store.clone()).age(AGE).clock(clock.clone()).build().unwrap();
        let tokens = TokenService::new(cached.clone(), TokenPolicy::default()).clock(clock.clone());
        Self { cached, tokens }
    }

    /// Until what another node does is told here.
    async fn listens(&self, other: &TokenService) {
        let told = async {
            loop {
                let login = login(other, "listens").await;
                assert!(lives(&self.tokens, &login).await);
                other.revoke(&login.record().id()).await.unwrap();
                if timeout(Duration::from_secs(1), self.forgets(0)).await.is_ok() {
                    return;
                }
            }
        };
        timeout(PATIENCE, told).await.expect("it is told nothing");
    }

    async fn forgets(&self, copies: usize) {
        while self.cached.copies() > copies {
            sleep(MILLI).await;
        }
    }

    /// How long until it refuses this token.
    #[allow(clippy::disallowed_methods)] // the time that a user sees, whatever clocks the nodes have
    async fn refuses(&self, login: &Issued, within: Duration) -> Duration {
        let start = Instant::now();
        let refused = async {
            while lives(&self.tokens, login).await {
                sleep(MILLI).await;
            }
        };
        timeout(within, refused).await.expect("it still lets the token in");
        start.elapsed()
    }
}

async fn r203_a_logout_on_one_node_is_seen_on_the_other_within_two_seconds(site: &Site) {
    let time = ManualClock::new(now());
    let (here, there) = (service(&site.stores[0]), Node::over(&site.stores[1], &time.clock()));
    site.stores[1].tell(&there.cached);
    there.listens(&here).await;
    let mut logins = Vec::new();
    for _ in 0..50 {
        let login = login(&here, "ada").await;
        assert!(lives(&there.tokens, &login).await);
        logins.push(login);
    }
    assert_eq!(there.cached.copies(), 50);
    let mut delays = Vec::new();
    for login in &logins {
        here.revoke(&login.record().id()).await.unwrap();
        delays.push(there.refuses(login, BOUND).await);
    }
    delays.sort();
    report(site, &delays);
    assert!(*delays.last().expect("fifty") < BOUND);
}

#[allow(clippy::print_stdout)] // what the page on speed takes
fn report(site: &Site, delays: &[Duration]) {
    println!(
        "push of a logout, {:?}: median {:?}, longest {:?}",
        site.engine,
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    );
}

/// A subject's logins, too, and everybody's.
async fn r203_the_end_of_many_logins_is_seen_on_the_other_node(site: &Site) {
    let time = ManualClock::new(now());
    let (here, there) = (service(&site.stores[0]), Node::over(&site.stores[1], &time.clock()));
    site.stores[1].tell(&there.cached);
    there.listens(&here).await;
    let (adas, bobs) = ([login(&here, "ada").await, login(&here, "ada").await], login(&here, "bob").await);
    for login in adas.iter().chain([&bobs]) {
        assert!(lives(&there.tokens, login).await);
    }
    here.revoke_subject(adas[0].record().subject()).await.unwrap();
    for login in &adas {
        there.refuses(login, BOUND).await;
    }
    assert!(lives(&there.tokens, &bobs).await);
    here.revoke_everyone().await.unwrap();
    there.refuses(&bobs, BOUND).await;
}

async fn r203_after_a_rotation_elsewhere_the_new_token_works_at_once_and_the_old_one_ends_soon(site: &Site) {
    let time = ManualClock::new(now());
    let nodes = [0, 1].map(|which: usize| {
        let node = Node::over(&site.stores[which], &time.clock());
        site.stores[which].tell(&node.cached);
        node
    });
    nodes[0].listens(&nodes[1].tokens).await;
    nodes[1].listens(&nodes[0].tokens).await;
    let mut last = login(&nodes[0].tokens, "ada").await;
    for round in 0..20 {
        let [here, there] = [&nodes[round % 2], &nodes[(round + 1) % 2]];
        assert!(lives(&there.tokens, &last).await && lives(&here.tokens, &last).await);
        let next = if round % 4 < 3 {
            refresh(&here.tokens, &refresh_text(&last)).await.unwrap()
        } else {
            invalid(here.tokens.rekey(&last.record().id()).await).unwrap()
        };
        assert!(lives(&there.tokens, &next).await, "refused by an old copy");
        assert!(!lives(&here.tokens, &last).await, "who has done it knows at once");
        there.refuses(&last, BOUND).await;
        assert!(lives(&there.tokens, &next).await);
        last = next;
    }
}

async fn r203_without_pushes_a_logout_is_seen_within_the_age(site: &Site) {
    let time = ManualClock::new(now());
    let (here, there) = (service(&site.stores[0]), Node::over(&site.stores[1], &time.clock()));
    let [ended, rotated] = [login(&here, "ada").await, login(&here, "ada").await];
    assert!(lives(&there.tokens, &ended).await && lives(&there.tokens, &rotated).await);
    here.revoke(&ended.record().id()).await.unwrap();
    let next = refresh(&here, &refresh_text(&rotated)).await.unwrap();
    time.advance(AGE - MILLI);
    assert!(lives(&there.tokens, &ended).await, "nobody has told it");
    time.advance(MILLI);
    assert_eq!(verify(&there.tokens, ended.access().expose()).await, Err(Reason::Revoked));
    assert!(!lives(&there.tokens, &rotated).await && lives(&there.tokens, &next).await);
}

/// The feed alone is cut off: what it would have told ends with the age, or when it is back.
async fn r203_a_feed_that_was_cut_off_leaves_nothing_stale(site: &Site) {
    let time = ManualClock::new(now());
    let (here, there) = (service(&site.stores[0]), Node::over(&site.stores[1], &time.clock()));
    let address = site.address.as_ref().expect("a server");
    let proxy = Proxy::to(address.server()).await;
    let feed = address.by_way_of(proxy.port()).open();
    feed.tell(&there.cached);
    there.listens(&here).await;
    let [first, second, third] =
        [login(&here, "ada").await, login(&here, "ada").await, login(&here, "ada").await];
    assert!(lives(&there.tokens, &first).await);
    proxy.refuse();
    proxy.close_all();
    proxy.has_open(0).await;
    here.revoke(&first.record().id()).await.unwrap();
    time.advance(AGE);
    assert!(!lives(&there.tokens, &first).await, "older than the age");
    for login in [&second, &third] {
        assert!(lives(&there.tokens, login).await);
    }
    here.revoke(&second.record().id()).await.unwrap();
    // It listens anew, and does not know what it has missed: the clock stands still.
    proxy.accept_again();
    there.refuses(&second, PATIENCE).await;
    assert!(lives(&there.tokens, &third).await);
    // A connection that ends under it, and no step of the store between.
    for _ in 0..2 {
        proxy.close_all();
        proxy.has_open(1).await;
    }
    here.revoke(&third.record().id()).await.unwrap();
    there.refuses(&third, PATIENCE).await;
}

async fn r203_a_thousand_wrong_secrets_at_once_share_their_reads(site: &Site) {
    let time = ManualClock::new(now());
    let store = &site.stores[1];
    let (here, there) = (service(&site.stores[0]), Node::over(store, &time.clock()));
    let [login, other] = [login(&here, "ada").await, login(&here, "eve").await];
    assert!(lives(&there.tokens, &login).await);
    let wrong = forged(login.access().expose(), other.access().expose());
    let before = store.finds();
    let mut crowd = JoinSet::new();
    for _ in 0..1_000 {
        let (node, wrong) = (there.tokens.clone(), wrong.clone());
        crowd.spawn(async move { verify(&node, &wrong).await });
    }
    assert!(crowd.join_all().await.iter().all(|refused| *refused == Err(Reason::WrongSecret)));
    let reads = store.finds() - before;
    // Each read is begun after the last one has ended, so that the engine's own speed says how many there are.
    assert!((1..=250).contains(&reads), "{reads} reads");
    assert!(lives(&there.tokens, &login).await, "and its owner is none the worse for it");
}

macro_rules! on_engines_that_tell {
    ($($test:ident)*) => {
        on_engine!(postgres, Postgres, $($test)*);
        on_engine!(redis, Redis, $($test)*);
        on_engine!(valkey, Valkey, $($test)*);
    };
}

on_engines_that_tell! {
    r203_a_logout_on_one_node_is_seen_on_the_other_within_two_seconds
    r203_the_end_of_many_logins_is_seen_on_the_other_node
    r203_after_a_rotation_elsewhere_the_new_token_works_at_once_and_the_old_one_ends_soon
    r203_without_pushes_a_logout_is_seen_within_the_age
    r203_a_feed_that_was_cut_off_leaves_nothing_stale
    r203_a_thousand_wrong_secrets_at_once_share_their_reads
}
