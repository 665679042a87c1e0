//! Users who become inactive or lose a right, and streams that end with a login.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use portcullis::{
    TokenPolicy, TokenService,
    clock::PausedClock,
    credential::Channel,
    error::BoxError,
    event::{EventKind, RevokeReason},
    identity::{Ended, Evidence, Subject},
    maybe_ready::{BoxFuture, MaybeReady},
    problem::Reason,
    token::{IssueOptions, Issued, RefreshRequest},
    verify::{Refusal, UserLookup, Verify},
};
use tokio::{sync::Semaphore, task::yield_now, time::timeout};

use crate::support::{Fixture, Mode, ProbeStore, START, fixture, fixture_with, invalid, refresh_text, secs};

/// Users by id with their role. Clones share it.
#[derive(Clone, Default)]
struct Roster(Arc<Roles>);

#[derive(Default)]
struct Roles {
    known: Mutex<HashMap<String, String>>,
    down: Mutex<bool>,
    asked: AtomicUsize,
}

impl Roster {
    fn with(users: &[&str]) -> Self {
        let roster = Self::default();
        users.iter().for_each(|user| roster.set(user, "reader"));
        roster
    }

    fn set(&self, user: &str, role: &str) {
        self.0.known.lock().unwrap().insert(user.to_owned(), role.to_owned());
    }

    fn remove(&self, user: &str) {
        self.0.known.lock().unwrap().remove(user);
    }

    fn down(&self, down: bool) {
        *self.0.down.lock().unwrap() = down;
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl UserLookup for Roster {
    type User = String;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<String>>, BoxError>> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if *self.0.down.lock().unwrap() {
            return MaybeReady::Now(Err("no database".into()));
        }
        let role = self.0.known.lock().unwrap().get(subject.id()).cloned();
        MaybeReady::Now(Ok(role.map(Arc::new)))
    }
}

async fn role(tokens: &TokenService<String>, login: &Issued) -> Result<String, Reason> {
    let verified = invalid(tokens.verify(login.access().expose(), None).await);
    verified.map(|verified| verified.identity().as_str().to_owned())
}

async fn refresh(tokens: &TokenService<String>, login: &Issued) -> Result<Issued, Reason> {
    let text = refresh_text(login);
    invalid(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await)
}

fn with_roster(policy: TokenPolicy, users: &[&str]) -> (Fixture, Roster, TokenService<String>) {
    let (fixture, roster) = (fixture_with(policy), Roster::with(users));
    let tokens = fixture.tokens.clone().users(roster.clone());
    (fixture, roster, tokens)
}

/// Users are looked up once a minute.
fn remembering() -> TokenPolicy {
    TokenPolicy::builder().cache_users(secs(60)).build().unwrap()
}

#[tokio::test]
async fn r028_for_an_inactive_user_nothing_is_written() {
    let sliding = TokenPolicy::builder().refresh_ttl(None).sliding().touch_every(Some(secs(0)));
    let (fixture, roster, tokens) = with_roster(sliding.build().unwrap(), &["ada"]);
    let login = fixture.login("ada").await;
    roster.remove("ada");
    fixture.time.advance(secs(3600));
    let before = fixture.store.record(&login.record().id()).await;
    assert_eq!(role(&tokens, &login).await, Err(Reason::InactiveUser));
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&login.record().id()).await), "no touch");
    // An account that is unlocked again goes on where it was.
    roster.set("ada", "reader");
    assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));

    let (fixture, roster, tokens) = with_roster(TokenPolicy::default(), &["ada"]);
    let first = fixture.login("ada").await;
    let second = refresh(&tokens, &first).await.unwrap();
    roster.remove("ada");
    let before = fixture.store.record(&first.record().id()).await;
    assert_eq!(role(&tokens, &second).await, Err(Reason::InactiveUser));
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&first.record().id()).await), "no confirmation");
}

#[tokio::test]
async fn r038_a_refresh_of_an_inactive_user_ends_that_login_once_and_tells() {
    let (fixture, roster, tokens) = with_roster(TokenPolicy::default(), &["ada", "bob"]);
    let (login, other, bob) =
        (fixture.login("ada").await, fixture.login("ada").await, fixture.login("bob").await);
    roster.remove("ada");
    assert_eq!(refresh(&tokens, &login).await.map(|_| ()), Err(Reason::InactiveUser));
    let end = fixture.store.record(&login.record().id()).await.revoked().unwrap();
    assert_eq!((end.reason(), end.at()), (RevokeReason::Inactive, fixture.time.now()));
    for _ in 0..3 {
        assert_eq!(refresh(&tokens, &login).await.map(|_| ()), Err(Reason::Revoked));
    }
    let told = fixture.events.all();
    let ended: Vec<_> = told.iter().filter(|event| event.name() == "authn_token_revoked").collect();
    let [event] = &ended[..] else { panic!("{ended:?}") };
    assert!(matches!(event.kind(), EventKind::TokenRevoked { reason: RevokeReason::Inactive, .. }));
    // Made active again, that login stays ended; the user's others do not.
    roster.set("ada", "reader");
    assert_eq!(refresh(&tokens, &login).await.map(|_| ()), Err(Reason::Revoked));
    refresh(&tokens, &other).await.unwrap();
    refresh(&tokens, &bob).await.unwrap();
}

#[tokio::test]
async fn r038_a_look_up_that_fails_ends_nothing() {
    let (fixture, roster, tokens) = with_roster(TokenPolicy::default(), &["ada"]);
    let login = fixture.login("ada").await;
    roster.down(true);
    let text = refresh_text(&login);
    for _ in 0..3 {
        let unknown = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        assert!(matches!(unknown, Err(Refusal::Unavailable(_))), "{unknown:?}");
        assert!(matches!(tokens.rekey(&login.record().id()).await, Err(Refusal::Unavailable(_))));
    }
    roster.down(false);
    assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));
    refresh(&tokens, &login).await.unwrap();
}

#[tokio::test]
async fn sec_d08_a_disabled_user_is_out_with_every_token_at_once() {
    let (fixture, roster, tokens) = with_roster(TokenPolicy::default(), &["ada"]);
    let logins = [fixture.login("ada").await, fixture.cookie_login("ada").await];
    let fresh = refresh(&tokens, &logins[0]).await.unwrap();
    roster.remove("ada");
    for login in [&fresh, &logins[1]] {
        assert_eq!(role(&tokens, login).await, Err(Reason::InactiveUser));
        let rekeyed = tokens.rekey(&login.record().id()).await;
        assert_eq!(invalid(rekeyed).map(|_| ()), Err(Reason::InactiveUser));
        let changed = tokens.change_credentials(&login.record().id()).await;
        assert_eq!(invalid(changed).map(|_| ()), Err(Reason::InactiveUser));
    }
    assert!(refresh(&tokens, &fresh).await.is_err());
    let text = refresh_text(&logins[1]);
    let cookie = tokens.refresh(RefreshRequest::new(&text, Channel::Cookie)).await;
    assert_eq!(invalid(cookie).map(|_| ()), Err(Reason::InactiveUser));
    for login in [&fresh, &logins[1]] {
        assert!(tokens.rekey(&login.record().id()).await.is_err());
    }
}

#[tokio::test]
async fn sec_i09_without_a_cache_a_lost_role_is_seen_by_the_next_request() {
    let (fixture, roster, tokens) = with_roster(TokenPolicy::default(), &["ada"]);
    let login = fixture.login("ada").await;
    assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));
    roster.set("ada", "nobody");
    assert_eq!(role(&tokens, &login).await.as_deref(), Ok("nobody"));
}

#[tokio::test]
async fn sec_i09_with_a_cache_it_is_seen_within_its_age() {
    // Whichever is set first.
    for users_first in [true, false] {
        let (fixture, roster) = (fixture(), Roster::with(&["ada"]));
        let tokens = TokenService::new(fixture.store.clone(), remembering());
        let tokens = if users_first {
            tokens.users(roster.clone()).clock(fixture.time.clock())
        } else {
            tokens.clock(fixture.time.clock()).users(roster.clone())
        };
        let login = fixture.login("ada").await;
        for _ in 0..100 {
            assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));
        }
        assert_eq!(roster.asked(), 1);
        roster.set("ada", "nobody");
        fixture.time.advance(secs(60) - std::time::Duration::from_millis(1));
        // The wall clock has no say in it.
        fixture.time.set(START);
        assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));
        fixture.time.advance(std::time::Duration::from_millis(1));
        assert_eq!(role(&tokens, &login).await.as_deref(), Ok("nobody"));
        assert_eq!(roster.asked(), 2);

        // Inactive: seen after the age; active again: at once.
        roster.remove("ada");
        assert_eq!(role(&tokens, &login).await.as_deref(), Ok("nobody"));
        fixture.time.advance(secs(60));
        for _ in 0..3 {
            assert_eq!(role(&tokens, &login).await, Err(Reason::InactiveUser));
        }
        roster.set("ada", "reader");
        assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));

        // A failure is not remembered, and is not hidden either.
        fixture.time.advance(secs(60));
        roster.down(true);
        let unknown = tokens.verify(login.access().expose(), None).await;
        assert!(matches!(unknown, Err(Refusal::Unavailable(_))), "{unknown:?}");
        roster.down(false);
        assert_eq!(role(&tokens, &login).await.as_deref(), Ok("reader"));
    }
}

/// Whatever looks the user up learns for all: the user's other logins need not wait for the age.
#[tokio::test(start_paused = true)]
async fn sec_i09_what_finds_a_user_inactive_ends_the_users_other_logins_at_once() {
    for way in ["refresh", "rekey", "change", "watch"] {
        let (fixture, roster, tokens) = with_roster(remembering(), &["ada", "bob"]);
        let (login, other) = (fixture.login("ada").await, fixture.login("ada").await);
        let bob = fixture.login("bob").await;
        for login in [&login, &other, &bob] {
            assert_eq!(role(&tokens, login).await.as_deref(), Ok("reader"));
        }
        fixture.time.advance(secs(1));
        roster.remove("ada");
        assert_eq!(role(&tokens, &other).await.as_deref(), Ok("reader"), "remembered");
        let id = login.record().id();
        match way {
            "refresh" => {
                assert_eq!(refresh(&tokens, &login).await.map(|_| ()), Err(Reason::InactiveUser));
            }
            "rekey" => {
                assert_eq!(invalid(tokens.rekey(&id).await).map(|_| ()), Err(Reason::InactiveUser));
            }
            "change" => {
                let changed = tokens.change_credentials(&id).await;
                assert_eq!(invalid(changed).map(|_| ()), Err(Reason::InactiveUser));
            }
            _ => assert_eq!(ends_within(tokens.watch(&evidence_of(&login)), 1).await, Ended::Revoked),
        }
        // A clone, as a layer has one.
        assert_eq!(role(&tokens.clone(), &other).await, Err(Reason::InactiveUser), "{way}");
        let asked = roster.asked();
        assert_eq!(role(&tokens, &bob).await.as_deref(), Ok("reader"));
        assert_eq!(roster.asked(), asked, "the others stay remembered");

        // Active again: seen by the next request, and remembered again as soon as time has passed.
        roster.set("ada", "writer");
        assert_eq!(role(&tokens, &other).await.as_deref(), Ok("writer"));
        fixture.time.advance(secs(1));
        assert_eq!(role(&tokens, &other).await.as_deref(), Ok("writer"));
        let asked = roster.asked();
        assert_eq!(role(&tokens, &other).await.as_deref(), Ok("writer"));
        assert_eq!(roster.asked(), asked);
    }
}

/// A lost role is seen as soon as somebody has looked; a look-up that fails changes nothing.
#[tokio::test]
async fn sec_i09_a_refresh_brings_the_users_role_up_to_date() {
    let (fixture, roster, tokens) = with_roster(remembering(), &["ada"]);
    let (login, other) = (fixture.login("ada").await, fixture.login("ada").await);
    assert_eq!(role(&tokens, &other).await.as_deref(), Ok("reader"));
    fixture.time.advance(secs(1));
    roster.set("ada", "nobody");
    roster.down(true);
    let text = refresh_text(&login);
    let unknown = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
    assert!(matches!(unknown, Err(Refusal::Unavailable(_))), "{unknown:?}");
    assert_eq!(role(&tokens, &other).await.as_deref(), Ok("reader"));
    roster.down(false);
    refresh(&tokens, &login).await.unwrap();
    let asked = roster.asked();
    assert_eq!(role(&tokens, &other).await.as_deref(), Ok("nobody"));
    assert_eq!(roster.asked(), asked);
}

/// What it knew when it was asked; the first answer is given when it is told to.
#[derive(Clone)]
struct SlowRoster(Roster, Arc<Semaphore>);

impl UserLookup for SlowRoster {
    type User = String;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<String>>, BoxError>> {
        let found = self.0.find(subject);
        if self.0.asked() > 1 {
            return found;
        }
        let gate = Arc::clone(&self.1);
        MaybeReady::later(async move {
            let _open = gate.acquire().await.unwrap();
            found.wait().await
        })
    }
}

/// A look-up that began before a newer one and answers after it decides its own request, and no other.
#[tokio::test]
async fn sec_i09_a_slow_look_up_brings_no_older_user_back() {
    // That somebody is gone counts within the same tick of the clock, too.
    for (seconds, newer) in [(0, None), (1, None), (1, Some("nobody"))] {
        let (fixture, roster) = (fixture_with(remembering()), Roster::with(&["ada"]));
        let gate = Arc::new(Semaphore::new(0));
        let slow = SlowRoster(roster.clone(), Arc::clone(&gate));
        let tokens = fixture.tokens.clone().users(slow);
        let (login, other) = (fixture.login("ada").await, Arc::new(fixture.login("ada").await));
        let first = tokio::spawn({
            let (tokens, other) = (tokens.clone(), Arc::clone(&other));
            async move { role(&tokens, &other).await }
        });
        while roster.asked() == 0 {
            yield_now().await;
        }
        fixture.time.advance(secs(seconds));
        match newer {
            Some(role) => roster.set("ada", role),
            None => roster.remove("ada"),
        }
        assert_eq!(refresh(&tokens, &login).await.is_ok(), newer.is_some());
        gate.add_permits(1);
        assert_eq!(first.await.unwrap().as_deref(), Ok("reader"));
        let now = role(&tokens, &other).await;
        assert_eq!(now, newer.map(str::to_owned).ok_or(Reason::InactiveUser));
    }
}

// ===== watching =====

/// A service whose clock follows the paused time of the test.
struct Paused {
    store: ProbeStore,
    roster: Roster,
    tokens: TokenService<String>,
    elsewhere: TokenService<String>,
}

fn paused() -> Paused {
    let (store, roster) = (ProbeStore::new(), Roster::with(&["ada"]));
    let clock = PausedClock::starting_at(START);
    let node = || {
        TokenService::new(store.clone(), TokenPolicy::default()).clock(clock.clone()).users(roster.clone())
    };
    let (tokens, elsewhere) = (node(), node());
    Paused { store, roster, tokens, elsewhere }
}

impl Paused {
    async fn login(&self) -> Issued {
        self.tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap()
    }

    async fn watch(&self, login: &Issued) -> BoxFuture<Ended> {
        let verified = self.tokens.verify(login.access().expose(), None).await.unwrap();
        self.tokens.watch(verified.evidence())
    }
}

/// How long the watch took, in seconds of paused time.
async fn ends_within(watch: BoxFuture<Ended>, bound: u64) -> Ended {
    timeout(secs(bound), watch).await.expect("the watch ends in time")
}

#[tokio::test(start_paused = true)]
async fn sec_d08_a_watch_ends_at_once_with_a_revocation_here() {
    type End = for<'a> fn(&'a Paused, &'a Issued) -> std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
    let ends: [End; 6] = [
        |node, login| Box::pin(async { node.tokens.revoke(&login.record().id()).await.unwrap() }),
        |node, _| {
            Box::pin(async {
                assert_eq!(node.tokens.revoke_subject(&Subject::local("ada")).await.unwrap(), 1)
            })
        },
        |node, _| Box::pin(async { assert_eq!(node.tokens.revoke_everyone().await.unwrap(), 1) }),
        |node, login| {
            Box::pin(async {
                assert!(node.tokens.logout(login.access().expose(), Channel::Header).await.unwrap())
            })
        },
        |node, _| {
            Box::pin(async {
                let other = node.login().await;
                node.tokens.change_credentials(&other.record().id()).await.unwrap();
            })
        },
        |node, login| {
            Box::pin(async {
                let options = IssueOptions::default().replaces(login.record().id());
                node.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
            })
        },
    ];
    for (place, end) in ends.into_iter().enumerate() {
        let node = paused();
        let login = node.login().await;
        let watch = tokio::spawn(node.watch(&login).await);
        for _ in 0..10 {
            yield_now().await;
        }
        assert!(!watch.is_finished());
        end(&node, &login).await;
        let ended = timeout(secs(1), watch).await.unwrap_or_else(|_| panic!("way {place} took a second"));
        assert_eq!(ended.unwrap(), Ended::Revoked);
        assert_eq!(ends_within(node.tokens.watch(&evidence_of(&login)), 1).await, Ended::Revoked);
    }
}

fn evidence_of(login: &Issued) -> Evidence {
    let record = login.record();
    Evidence::new(record.channel(), record.created(), record.access_expires()).with_record(record.id())
}

#[tokio::test(start_paused = true)]
async fn sec_d08_a_watch_ends_within_thirty_seconds_of_an_end_elsewhere() {
    let node = paused();
    let login = node.login().await;
    let mut watch = node.watch(&login).await;
    // It has looked once and waits.
    assert!(timeout(secs(1), &mut watch).await.is_err());
    node.elsewhere.revoke(&login.record().id()).await.unwrap();
    assert_eq!(ends_within(watch, 31).await, Ended::Revoked);

    let login = node.login().await;
    let mut watch = node.watch(&login).await;
    assert!(timeout(secs(1), &mut watch).await.is_err());
    node.roster.remove("ada");
    assert_eq!(ends_within(watch, 31).await, Ended::Revoked);
}

#[tokio::test(start_paused = true)]
async fn sec_d08_a_watch_ends_with_the_token_and_follows_a_refresh() {
    let node = paused();
    let login = node.login().await;
    let mut watch = node.watch(&login).await;
    assert!(timeout(secs(24 * 3600 - 60), &mut watch).await.is_err());
    let next =
        node.tokens.refresh(RefreshRequest::new(&refresh_text(&login), Channel::Header)).await.unwrap();
    // The refresh moved the end by nearly a day.
    assert!(timeout(secs(20 * 3600), &mut watch).await.is_err());
    assert_eq!(ends_within(watch, 4 * 3600).await, Ended::Expired);
    assert_eq!(role(&node.tokens, &next).await, Err(Reason::Expired));
}

/// What cannot be found out ends nothing before its time.
#[tokio::test(start_paused = true)]
async fn sec_d08_a_watch_survives_an_outage_and_no_longer_than_the_token() {
    let node = paused();
    let login = node.login().await;
    let mut watch = node.watch(&login).await;
    node.store.set(Mode::DownLater);
    assert!(timeout(secs(3600), &mut watch).await.is_err());
    node.store.set(Mode::Now);
    node.roster.down(true);
    assert!(timeout(secs(3600), &mut watch).await.is_err());
    node.store.set(Mode::DownLater);
    assert_eq!(ends_within(watch, 22 * 3600 + 31).await, Ended::Expired);
}
