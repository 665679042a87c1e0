//! Renewing a token that others have, too: processes are handles that know nothing of one another but the store.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::{
    clock::{Clock, ManualClock, PausedClock, Timestamp},
    keyring::{Key, KeyRing},
    pipeline::{AccessToken, ExchangeError, SharedLeases, SharedLeasesBuilder, SharedToken, Want},
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
    store::{LeaseKey, LeaseStore, LockOwner, LockState, MemoryLeases},
};

use super::{
    Watch,
    endpoint::Endpoint,
    faulty::{Fault, FaultyLeases},
};
use crate::support::{START, secs};

const TIMEOUT: Duration = Duration::from_secs(30);

/// One store, one key, one endpoint.
struct Site {
    clock: Clock,
    store: FaultyLeases,
    ring: KeyRing,
    endpoint: Endpoint,
}

/// A process: a handle with faults of its own.
struct Process {
    store: FaultyLeases,
    shared: SharedLeases,
    endpoint: Endpoint,
}

impl Site {
    fn new(endpoint: Endpoint) -> Self {
        let clock = PausedClock::starting_at(START);
        let store = FaultyLeases::new(MemoryLeases::with_clock(clock.clone()));
        Self { clock, store, ring: KeyRing::new(Key::generate().unwrap()), endpoint }
    }

    fn process(&self) -> Process {
        self.process_with(|builder| builder)
    }

    fn process_with(&self, set: impl FnOnce(SharedLeasesBuilder) -> SharedLeasesBuilder) -> Process {
        let store = self.store.another();
        let builder =
            SharedLeases::sealed("shop", store.clone(), self.ring.clone()).clock(self.clock.clone());
        Process { store, shared: set(builder).build().unwrap(), endpoint: self.endpoint.clone() }
    }
}

impl Process {
    fn key(&self) -> LeaseKey {
        self.shared.key("crm", "user")
    }

    async fn renew(&self, want: Want<'_>) -> Result<SharedToken, TokenError> {
        self.shared.renew(&self.key(), want, TIMEOUT, self.endpoint.exchange()).await
    }

    async fn first(&self) -> SharedToken {
        self.renew(Want::any()).await.unwrap()
    }

    async fn next(&self, held: &SharedToken) -> SharedToken {
        self.renew(Want::later_than(held)).await.unwrap()
    }
}

fn text(token: &SharedToken) -> &str {
    token.token().value().expose()
}

fn kind(renewed: Result<SharedToken, TokenError>) -> TokenErrorKind {
    renewed.unwrap_err().kind()
}

// ===== taking over =====

#[tokio::test(start_paused = true)]
async fn r102_what_one_process_has_fetched_the_next_takes_over_with_every_field() {
    let site = Site::new(Endpoint::new(false));
    let (one, two) = (site.process(), site.process());
    let token = AccessToken::new("planted-access")
        .unwrap()
        .with_type("MAC")
        .with_lifetime(secs(600))
        .with_refresh(Secret::new("planted-refresh"))
        .with_scope("read write")
        .with_extra(serde_json::from_str(r#"{"id":7,"list":[null,"x"]}"#).unwrap());
    one.shared.publish(&one.key(), token.clone()).await.unwrap();
    tokio::time::advance(secs(100)).await;
    let taken = two.first().await;
    assert!(site.endpoint.asked().is_empty() && !taken.was_fetched());
    let got = taken.token();
    assert_eq!(got.value(), token.value());
    assert_eq!((got.token_type(), got.scope()), (Some("MAC"), Some("read write")));
    assert_eq!(got.refresh(), token.refresh());
    assert_eq!(got.extra(), token.extra());
    assert_eq!(got.lifetime(), Some(secs(500)), "what is left of it");
    let bare = AccessToken::new("planted-bare").unwrap();
    two.shared.publish(&one.key(), bare).await.unwrap();
    let got = one.shared.load(&one.key()).await.unwrap().unwrap();
    assert_eq!((got.token().token_type(), got.token().refresh(), got.token().scope()), (None, None, None));
    assert!(got.token().extra().is_empty() && got.version() > taken.version());
}

#[tokio::test(start_paused = true)]
async fn r102_a_record_is_kept_for_what_is_left_of_its_token_or_for_its_refresh_token() {
    let site = Site::new(Endpoint::new(false));
    let process = site.process();
    let left =
        async |key: &LeaseKey| site.store.memory.get(key).await.unwrap().map(|found| found.remaining());
    process.first().await;
    assert_eq!(left(&process.key()).await, Some(secs(3600)));
    tokio::time::advance(secs(3600)).await;
    assert_eq!(left(&process.key()).await, None, "not a moment longer");
    let token = AccessToken::new("planted").unwrap().with_refresh(Secret::new("planted-refresh"));
    process.shared.publish(&process.key(), token).await.unwrap();
    assert_eq!(left(&process.key()).await, Some(secs(30 * 86_400)));
    tokio::time::advance(secs(86_400)).await;
    let found = process.shared.load(&process.key()).await.unwrap().unwrap();
    assert_eq!(found.token().lifetime(), Some(Duration::ZERO), "the access token has ended");
}

/// The store's measure bounds a clock that is behind; one that is ahead makes a token end early.
#[tokio::test(start_paused = true)]
async fn r102_no_clock_of_another_machine_makes_a_token_live_longer() {
    let site = Site::new(Endpoint::new(false));
    let (writer, reader) = (site.process(), |offset: i64| {
        let start = Timestamp::from_millis(START.as_millis() + offset * 1000 + 100_000);
        site.process_with(|builder| builder.clock(PausedClock::starting_at(start)))
    });
    for refresh in [None, Some(Secret::new("planted-refresh"))] {
        let mut token = AccessToken::new("planted").unwrap().with_lifetime(secs(600));
        if let Some(refresh) = refresh {
            token = token.with_refresh(refresh);
        }
        let published = Watch::on(&site.clock);
        writer.shared.publish(&writer.key(), token).await.unwrap();
        tokio::time::advance(secs(100)).await;
        assert_eq!(published.elapsed(), secs(100));
        for (offset, left) in [(-3600, 500), (3600, 0)] {
            let reader = reader(offset + i64::try_from(published.elapsed().as_secs()).unwrap() - 100);
            let found = reader.shared.load(&reader.key()).await.unwrap().unwrap();
            let lifetime = found.token().lifetime().unwrap();
            assert!(lifetime <= secs(left), "{offset}: {lifetime:?}");
            assert!(left == 0 || lifetime >= secs(left - 1), "{offset}: {lifetime:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r115_pipelines_exchange_no_tokens_unless_every_name_agrees() {
    let site = Site::new(Endpoint::new(false));
    let process = site.process();
    process.first().await;
    let elsewhere = SharedLeases::sealed("shop2", site.store.another(), site.ring.clone());
    let elsewhere = elsewhere.clock(site.clock.clone()).build().unwrap();
    for (shared, pipeline, step) in
        [(&process.shared, "crm", "app"), (&process.shared, "crm2", "user"), (&elsewhere, "crm", "user")]
    {
        let key = shared.key(pipeline, step);
        assert!(shared.load(&key).await.unwrap().is_none(), "{key:?}");
    }
    let memory = MemoryLeases::new();
    let error = SharedLeases::in_memory("", &memory).refresh_life(Duration::ZERO).build().unwrap_err();
    let faults: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(faults, ["namespace", "refresh_life"]);
    let (one, two) = (
        || SharedLeases::in_memory("a", &memory).build().unwrap(),
        || SharedLeases::in_memory("b", &memory).build().unwrap(),
    );
    one().publish(&one().key("crm", "user"), AccessToken::new("planted").unwrap()).await.unwrap();
    assert!(one().load(&one().key("crm", "user")).await.unwrap().is_some());
    assert!(two().load(&two().key("crm", "user")).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn r102_only_what_lives_longer_is_taken_over() {
    let site = Site::new(Endpoint::new(false));
    let (one, two) = (site.process(), site.process());
    let held = one.first().await;
    let shorter = AccessToken::new("planted-shorter").unwrap().with_lifetime(secs(3000));
    two.shared.publish(&two.key(), shorter).await.unwrap();
    let fetched = one.next(&held).await;
    assert_eq!(site.endpoint.asked(), ["fetch", "fetch"]);
    assert!(fetched.was_fetched());
    assert_eq!(text(&two.first().await), text(&fetched), "it has replaced the shorter one");
    let again = one.renew(Want::later_than(&held)).await.unwrap();
    assert_eq!(text(&again), text(&fetched));
}

#[tokio::test(start_paused = true)]
async fn r102_a_token_is_taken_over_while_more_than_the_margin_or_a_tenth_of_its_life_is_left() {
    for (margin, last) in [(secs(0), 1), (secs(100), 101), (secs(300), 301), (secs(3600), 361)] {
        let site = Site::new(Endpoint::new(false));
        let (one, two) = (site.process(), site.process());
        one.first().await;
        tokio::time::advance(secs(3600 - last)).await;
        let taken = two.renew(Want::any().living(margin)).await.unwrap();
        assert!(!taken.was_fetched(), "{margin:?}");
        tokio::time::advance(secs(1)).await;
        let fetched = two.renew(Want::any().living(margin)).await.unwrap();
        assert!(fetched.was_fetched(), "{margin:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r102_a_rejected_token_is_not_taken_over_again_and_what_replaced_it_is() {
    let site = Site::new(Endpoint::new(false));
    let (one, two) = (site.process(), site.process());
    let rejected = one.first().await;
    let also = two.first().await;
    site.endpoint.lives(secs(60));
    let renewed = one.renew(Want::instead_of(&rejected)).await.unwrap();
    assert!(renewed.was_fetched());
    let taken = two.renew(Want::instead_of(&also)).await.unwrap();
    assert_eq!((text(&taken), taken.was_fetched()), (text(&renewed), false), "although it lives shorter");
    assert_eq!(site.endpoint.asked().len(), 2);
    one.shared.forget(&one.key(), &rejected).await.unwrap();
    assert_eq!(text(&two.first().await), text(&renewed), "an old version's end removes no new one");
    one.shared.forget(&one.key(), &renewed).await.unwrap();
    assert!(two.shared.load(&two.key()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn r102_what_was_made_before_a_drop_is_neither_taken_over_nor_refreshed() {
    let site = Site::new(Endpoint::new(true));
    let (one, two) = (site.process(), site.process());
    one.first().await;
    tokio::time::advance(secs(10)).await;
    let dropped = site.clock.now();
    let fresh = two.renew(Want::any().not_before(dropped)).await.unwrap();
    assert_eq!(site.endpoint.asked(), ["fetch", "fetch"]);
    let taken = one.renew(Want::any().not_before(dropped)).await.unwrap();
    assert_eq!(text(&taken), text(&fresh));
    one.renew(Want::later_than(&taken).from_the_start()).await.unwrap();
    assert_eq!(site.endpoint.asked(), ["fetch", "fetch", "fetch"], "no refresh token was redeemed");
}

// ===== one fetch for all =====

#[tokio::test(start_paused = true)]
async fn r207_of_fifty_processes_one_fetches() {
    for refreshes in [false, true] {
        let site = Site::new(Endpoint::new(refreshes));
        let processes: Vec<Process> = (0..50).map(|_| site.process()).collect();
        let mut held = join_all(processes.iter().map(Process::first)).await;
        assert_eq!(site.endpoint.asked(), ["fetch"]);
        for round in 1..20 {
            tokio::time::advance(secs(3500)).await;
            held = join_all(processes.iter().zip(&held).map(|(process, held)| process.next(held))).await;
            assert_eq!(site.endpoint.asked().len(), round + 1, "one for each round");
            assert!(held.iter().all(|token| text(token) == text(&held[0])));
        }
        assert!(!site.endpoint.was_reused());
        assert_eq!(site.endpoint.asked()[1..].iter().any(|asked| asked == "fetch"), !refreshes);
    }
}

#[tokio::test(start_paused = true)]
async fn r207_a_slow_fetch_is_waited_for_its_lock_is_renewed() {
    let site = Site::new(Endpoint::new(false));
    site.endpoint.takes(secs(25));
    let (one, two) = (site.process(), site.process());
    let (first, second) = tokio::join!(one.first(), two.first());
    assert_eq!((text(&first), site.endpoint.asked().len()), (text(&second), 1));
}

#[tokio::test(start_paused = true)]
async fn r207_a_fetch_that_fails_leaves_the_lock_to_the_next() {
    let site = Site::new(Endpoint::new(false));
    let (one, two) = (site.process(), site.process());
    site.endpoint.fails(true);
    assert_eq!(kind(one.renew(Want::any()).await), TokenErrorKind::Transport);
    site.endpoint.fails(false);
    let started = Watch::on(&site.clock);
    two.first().await;
    assert_eq!(started.elapsed(), secs(1), "nobody is waited for");
}

#[tokio::test(start_paused = true)]
async fn r207_who_does_not_answer_in_time_is_given_up() {
    let site = Site::new(Endpoint::new(false));
    site.endpoint.takes(secs(1000));
    let started = Watch::on(&site.clock);
    let process = site.process();
    assert_eq!(kind(process.renew(Want::any()).await), TokenErrorKind::Timeout);
    assert_eq!(started.elapsed(), TIMEOUT);
    assert!(process.shared.longest(TIMEOUT) > 4 * TIMEOUT);
}

/// A process that is killed in the middle is a future that is dropped.
#[tokio::test(start_paused = true)]
async fn r207_after_a_crash_the_next_goes_on_when_the_lock_has_ended() {
    for (refreshes, waits) in [(false, secs(5)), (true, secs(35))] {
        let site = Site::new(Endpoint::new(refreshes));
        let (one, two) = (site.process(), site.process());
        let held = one.first().await;
        tokio::time::advance(secs(3500)).await;
        let crashed =
            tokio::time::timeout(Duration::from_millis(500), one.renew(Want::later_than(&held))).await;
        assert!(crashed.is_err());
        let started = Watch::on(&site.clock);
        let renewed = two.next(&held).await;
        let waited = started.elapsed();
        assert!(renewed.was_fetched());
        assert!(waited > waits - secs(1) && waited < waits + secs(2), "{waited:?}");
        assert!(!site.endpoint.was_reused());
    }
}

#[tokio::test(start_paused = true)]
async fn r207_without_the_lock_a_client_credential_is_fetched_and_a_refresh_token_is_not_redeemed() {
    let site = Site::new(Endpoint::new(false));
    let process = site.process();
    process.store.set(Fault::NoLocks);
    let started = Watch::on(&site.clock);
    assert!(process.first().await.was_fetched());
    assert!(started.elapsed() >= TIMEOUT + secs(1) && started.elapsed() < TIMEOUT + secs(2));
    assert!(site.process().shared.load(&process.key()).await.unwrap().is_some(), "and shared");

    let site = Site::new(Endpoint::new(true));
    let process = site.process();
    let held = process.first().await;
    process.store.set(Fault::NoLocks);
    let started = Watch::on(&site.clock);
    assert_eq!(kind(process.renew(Want::later_than(&held)).await), TokenErrorKind::Busy);
    assert!(started.elapsed() >= secs(35) && started.elapsed() < secs(37));
    assert_eq!(site.endpoint.asked(), ["fetch"]);
    // Somebody else has redeemed it meanwhile.
    let (waiting, other) = tokio::join!(process.renew(Want::later_than(&held)), async {
        tokio::time::sleep(secs(10)).await;
        site.process().next(&held).await
    });
    assert_eq!(text(&waiting.unwrap()), text(&other));
}

/// A process stands still in the middle of a refresh, until its lock has ended: somebody else may take it, what was
/// stored meanwhile counts, and the other's lock is not released.
#[tokio::test(start_paused = true)]
async fn r207_a_lock_that_overran_is_left_to_who_took_it_and_what_it_stored_counts() {
    let mut site = Site::new(Endpoint::new(true));
    let store_time = ManualClock::new(START);
    site.store = FaultyLeases::new(MemoryLeases::with_clock(store_time.clock()));
    let (slow, other) = (site.process(), site.process());
    let held = slow.first().await;
    let key = slow.key();
    let renewal = slow.renew(Want::later_than(&held));
    let (late, (lock, stored)) = tokio::join!(renewal, async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let owner = LockOwner::generate().unwrap();
        assert!(
            site.store.memory.lock(&key, &owner, secs(60)).await.unwrap().is_none(),
            "it is under its lock"
        );
        store_time.advance(secs(36));
        let lock = site.store.memory.lock(&key, &owner, secs(60)).await.unwrap().unwrap();
        let token = AccessToken::new("planted-other").unwrap().with_lifetime(secs(8000));
        let token = token.with_refresh(Secret::new("planted-other"));
        (lock, other.shared.publish(&key, token).await.unwrap())
    });
    let late = late.unwrap();
    assert_eq!((late.version(), text(&late)), (stored.version(), "planted-other"));
    assert_eq!(site.endpoint.asked(), ["fetch", "planted-refresh-1"]);
    assert_eq!(site.store.memory.renew(&key, &lock, secs(60)).await.unwrap(), LockState::Held);
}

// ===== faults of the store =====

#[tokio::test(start_paused = true)]
async fn r207_while_the_store_is_down_client_credentials_are_fetched_and_shared_refresh_tokens_rest() {
    let site = Site::new(Endpoint::new(false));
    let process = site.process();
    process.store.set(Fault::Down);
    let alone = process.first().await;
    assert_eq!((alone.was_fetched(), alone.version()), (true, None));
    let held = process.next(&alone).await;
    process.store.set(Fault::None);
    assert!(process.next(&held).await.version().is_some(), "shared again when the store is back");

    let site = Site::new(Endpoint::new(true));
    let process = site.process();
    let held = process.first().await;
    process.store.set(Fault::Down);
    let error = process.renew(Want::later_than(&held)).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Store);
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(site.endpoint.asked(), ["fetch"]);
    process.renew(Want::later_than(&held).from_the_start()).await.unwrap();
    assert_eq!(site.endpoint.asked(), ["fetch", "fetch"], "what needs none of it can be had");
}

/// A refresh token that was never stored is nobody else's.
#[tokio::test(start_paused = true)]
async fn r207_a_refresh_token_that_nobody_else_knows_is_redeemed_without_the_store() {
    let site = Site::new(Endpoint::new(true));
    let process = site.process();
    process.store.set(Fault::Down);
    let alone = process.first().await;
    let next = process.next(&alone).await;
    assert_eq!(site.endpoint.asked(), ["fetch", "planted-refresh-1"]);
    process.store.set(Fault::None);
    let shared = process.next(&next).await;
    assert_eq!(site.endpoint.asked()[2], "planted-refresh-2");
    assert_eq!(text(&site.process().first().await), text(&shared));
}

#[tokio::test(start_paused = true)]
async fn r207_a_rotated_token_that_cannot_be_stored_is_an_error_and_its_predecessor_is_not_sent_again() {
    let site = Site::new(Endpoint::new(true));
    let (one, two) = (site.process(), site.process());
    let held = one.first().await;
    one.store.set(Fault::Puts);
    let error = one.renew(Want::later_than(&held)).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Unsaved);
    assert!(one.store.puts() > 2, "it was tried more than once");
    for _ in 0..3 {
        assert_eq!(kind(one.renew(Want::later_than(&held)).await), TokenErrorKind::Unsaved);
    }
    assert_eq!(site.endpoint.asked(), ["fetch", "planted-refresh-1"]);
    one.store.set(Fault::None);
    let saved = one.next(&held).await;
    assert_eq!(text(&saved), "planted-access-2");
    assert_eq!(text(&two.next(&held).await), "planted-access-2");
    assert_eq!(site.endpoint.asked().len(), 2, "it was only stored");
    tokio::time::advance(secs(3500)).await;
    two.next(&saved).await;
    assert_eq!(site.endpoint.asked()[2], "planted-refresh-2");
    assert!(!site.endpoint.was_reused());
}

#[tokio::test(start_paused = true)]
async fn r207_who_insists_goes_on_without_the_store_and_stores_what_came_of_it_later() {
    let site = Site::new(Endpoint::new(true));
    let one = site.process_with(SharedLeasesBuilder::danger_refresh_without_store);
    let held = one.first().await;
    one.store.set(Fault::Down);
    let second = one.next(&held).await;
    assert_eq!((text(&second), second.version()), ("planted-access-2", None));
    tokio::time::advance(secs(3500)).await;
    let third = one.next(&second).await;
    assert_eq!(site.endpoint.asked(), ["fetch", "planted-refresh-1", "planted-refresh-2"]);
    one.store.set(Fault::Puts);
    tokio::time::advance(secs(3500)).await;
    let fourth = one.next(&third).await;
    one.store.set(Fault::None);
    let saved = one.renew(Want::later_than(&third)).await.unwrap();
    assert_eq!(text(&saved), text(&fourth));
    assert_eq!(text(&site.process().first().await), text(&fourth));
    assert!(!site.endpoint.was_reused());
}

#[tokio::test(start_paused = true)]
async fn r207_a_write_whose_answer_was_lost_counts() {
    let site = Site::new(Endpoint::new(true));
    let one = site.process();
    let held = one.first().await;
    one.store.set(Fault::PutAnswers);
    let renewal = one.renew(Want::later_than(&held));
    let (renewed, ()) = tokio::join!(renewal, async {
        // Into the pause before the second attempt: the endpoint takes a second.
        tokio::time::sleep(Duration::from_millis(1050)).await;
        one.store.set(Fault::None);
    });
    let renewed = renewed.unwrap();
    assert_eq!(site.process().first().await.version(), renewed.version());
    // And if every answer is lost, it is found at the next call.
    one.store.set(Fault::PutAnswers);
    tokio::time::advance(secs(3500)).await;
    assert_eq!(kind(one.renew(Want::later_than(&renewed)).await), TokenErrorKind::Unsaved);
    one.store.set(Fault::None);
    let found = one.next(&renewed).await;
    assert_eq!((text(&found), site.endpoint.asked().len()), ("planted-access-3", 3));
}

// ===== refused refresh tokens =====

#[tokio::test(start_paused = true)]
async fn r207_after_a_refusal_what_a_sibling_has_stored_is_taken_over() {
    let site = Site::new(Endpoint::new(true));
    let (one, sibling) = (site.process(), site.process());
    let held = one.first().await;
    let key = one.key();
    let mut calls = Vec::new();
    let renewed = one
        .shared
        .renew(&key, Want::later_than(&held), TIMEOUT, |refresh| {
            calls.push(refresh.map(|refresh| refresh.expose().to_owned()));
            let (sibling, key) = (&sibling, &key);
            async move {
                // It did not keep to the lock.
                let token = AccessToken::new("planted-sibling").unwrap().with_lifetime(secs(4000));
                sibling.shared.publish(key, token.with_refresh(Secret::new("planted-next"))).await?;
                Err(ExchangeError::refused_refresh(TokenError::new(TokenErrorKind::Refused)))
            }
        })
        .await
        .unwrap();
    assert_eq!(text(&renewed), "planted-sibling");
    assert_eq!(calls, [Some("planted-refresh-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn r207_after_a_refusal_another_refresh_token_is_redeemed_once_and_then_it_is_fetched_from_the_start() {
    let site = Site::new(Endpoint::new(true));
    let (one, sibling) = (site.process(), site.process());
    let held = one.first().await;
    let key = one.key();
    let (mut calls, mut number) = (Vec::new(), 0);
    let renewed = one
        .shared
        .renew(&key, Want::later_than(&held), TIMEOUT, |refresh| {
            calls.push(refresh.clone().map_or("fetch".to_owned(), |refresh| refresh.expose().to_owned()));
            number += 1;
            let (sibling, key) = (&sibling, &key);
            async move {
                if refresh.is_none() {
                    return Err(TokenError::new(TokenErrorKind::Refused).into());
                }
                // Its access token is of no use, so its refresh token is tried.
                let token = AccessToken::new("planted-short").unwrap().with_lifetime(secs(1));
                let next = Secret::new(format!("planted-other-{number}"));
                sibling.shared.publish(key, token.with_refresh(next)).await?;
                Err(ExchangeError::refused_refresh(TokenError::new(TokenErrorKind::Refused)))
            }
        })
        .await;
    assert_eq!(kind(renewed), TokenErrorKind::Refused);
    assert_eq!(calls, ["planted-refresh-1", "planted-other-1", "fetch"]);
}

#[tokio::test(start_paused = true)]
async fn r207_a_refusal_is_final_if_nothing_has_changed_and_a_fetch_from_the_start_is_refused() {
    let site = Site::new(Endpoint::new(true));
    let one = site.process();
    let held = one.first().await;
    let mut calls = 0;
    let refused = || ExchangeError::refused_refresh(TokenError::new(TokenErrorKind::Refused));
    let renewed = one
        .shared
        .renew(&one.key(), Want::later_than(&held), TIMEOUT, |_| {
            calls += 1;
            std::future::ready(Err(refused()))
        })
        .await;
    assert_eq!((kind(renewed), calls), (TokenErrorKind::Refused, 2));
    // Nothing is held, so that the next may try.
    assert!(
        site.store.memory.lock(&one.key(), &LockOwner::generate().unwrap(), secs(1)).await.unwrap().is_some()
    );
}
