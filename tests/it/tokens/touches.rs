//! What noting that a login is in use costs, and whom it keeps waiting.

use std::sync::Arc;

use futures_util::FutureExt;
use portcullis::{
    TokenPolicy, TokenService,
    credential::{Channel, Credential},
    identity::Subject,
    token::{IssueOptions, RefreshRequest, TouchMode},
    verify::{Attempt, Verify},
};
use tokio::{runtime::Handle, task::yield_now};

use super::sliding::{HOUR, MINUTE, end, open, policy, sliding};
use crate::support::{Fixture, Mode, fixture_with, refresh_text};

#[tokio::test]
async fn sec_d11_ten_thousand_requests_at_once_cause_one_write_and_none_waits_for_it() {
    let fixture = Arc::new(sliding());
    fixture.store.set(Mode::Later);
    let login = Arc::new(fixture.login("ada").await);
    for interval in 1..=2 {
        fixture.time.advance(5 * MINUTE);
        let (gate, writes) = (fixture.store.hold_touches(), fixture.store.writes());
        let requests: Vec<_> = (0..10_000)
            .map(|_| {
                let (fixture, login) = (Arc::clone(&fixture), Arc::clone(&login));
                tokio::spawn(async move { open(&fixture, &login).await.unwrap().renewal().is_some() })
            })
            .collect();
        let mut renewed = 0;
        for request in requests {
            renewed += usize::from(request.await.unwrap());
        }
        // All are answered, and the write is not done.
        assert_eq!(fixture.store.touches(), interval - 1);
        assert_eq!(renewed, 1, "one of them carries the renewal");
        gate.add_permits(1);
        fixture.tokens.flush().await;
        assert_eq!((fixture.store.touches(), fixture.store.writes() - writes), (interval, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_d11_one_write_on_many_threads_and_nodes_too() {
    let fixture = Arc::new(sliding());
    fixture.store.set(Mode::Later);
    let node =
        TokenService::new(fixture.store.clone(), policy().build().unwrap()).clock(fixture.time.clock());
    let login = Arc::new(fixture.login("ada").await);
    fixture.time.advance(5 * MINUTE);
    let requests: Vec<_> = (0..10_000)
        .map(|number| {
            let (tokens, login) =
                (if number % 2 == 0 { fixture.tokens.clone() } else { node.clone() }, Arc::clone(&login));
            tokio::spawn(async move { tokens.verify(login.access().expose(), None).await.map(|_| ()) })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    fixture.tokens.flush().await;
    node.flush().await;
    assert_eq!(fixture.store.touches(), 1, "records that were changed");
}

#[tokio::test]
async fn sec_d11_a_refresh_is_confirmed_once() {
    let fixture = Arc::new(fixture_with(TokenPolicy::default()));
    fixture.store.set(Mode::Later);
    let first = fixture.login("ada").await;
    let second = Arc::new(fixture.refresh(&refresh_text(&first)).await.unwrap());
    let writes = fixture.store.writes();
    let requests: Vec<_> = (0..1_000)
        .map(|_| {
            let (fixture, login) = (Arc::clone(&fixture), Arc::clone(&second));
            tokio::spawn(async move { open(&fixture, &login).await.map(|_| ()) })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    fixture.tokens.flush().await;
    for _ in 0..100 {
        open(&fixture, &second).await.unwrap();
    }
    fixture.tokens.flush().await;
    assert_eq!(fixture.store.writes() - writes, 1);
}

#[tokio::test]
async fn sec_d11_above_1024_writes_under_way_a_touch_is_dropped_and_due_again() {
    let fixture = sliding();
    fixture.store.set(Mode::Later);
    let mut logins = Vec::new();
    for _ in 0..1_030 {
        logins.push(fixture.login("ada").await);
    }
    // The events of the logins themselves would fill the queue of the observer.
    fixture.events.all();
    fixture.time.advance(5 * MINUTE);
    let gate = fixture.store.hold_touches();
    for (place, login) in logins.iter().enumerate() {
        assert_eq!(open(&fixture, login).await.unwrap().renewal().is_some(), place < 1_024);
    }
    assert_eq!(fixture.events.count("touch_dropped"), 6);
    gate.add_permits(1);
    fixture.tokens.flush().await;
    assert_eq!(fixture.store.touches(), 1_024);
    for login in &logins {
        open(&fixture, login).await.unwrap();
    }
    fixture.tokens.flush().await;
    assert_eq!(fixture.store.touches(), 1_030);
}

#[tokio::test]
async fn sec_d11_above_1024_writes_under_way_a_first_use_is_lost_told_and_noted_at_the_next_use() {
    let fixture = sliding();
    fixture.store.set(Mode::Later);
    let mut logins = Vec::new();
    for _ in 0..1_024 {
        logins.push(fixture.login("ada").await);
    }
    let tokens = TokenService::new(fixture.store.clone(), TokenPolicy::default());
    let tokens = tokens.clock(fixture.time.clock()).reporter(fixture.events.reporter());
    let first = tokens.issue_for_header(Subject::local("bob"), IssueOptions::default()).await.unwrap();
    fixture.time.advance(5 * MINUTE);
    let text = refresh_text(&first);
    let second = fixture.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
    fixture.events.all();
    let gate = fixture.store.hold_touches();
    for login in &logins {
        open(&fixture, login).await.unwrap();
    }
    open(&fixture, &second).await.unwrap();
    assert_eq!(fixture.events.count("confirmation_lost"), 1);
    gate.add_permits(1);
    fixture.tokens.flush().await;
    let writes = fixture.store.writes();
    open(&fixture, &second).await.unwrap();
    fixture.tokens.flush().await;
    assert_eq!((fixture.store.writes() - writes, fixture.events.count("confirmation_lost")), (1, 1));
}

/// There is nobody to write later. A service should not find out by sessions that end although they are used.
#[test]
fn sec_d11_without_a_runtime_a_slow_write_is_dropped_and_told() {
    let fixture = sliding();
    let login = fixture.login("ada").now_or_never().expect("at once");
    fixture.time.advance(5 * MINUTE);
    // Reads at once, writes after a turn.
    fixture.store.set(Mode::ReadOnly);
    let verified = open(&fixture, &login).now_or_never().expect("at once").unwrap();
    assert!(verified.renewal().is_none());
    assert_eq!(fixture.events.count("touch_dropped"), 1);
}

#[tokio::test]
async fn sec_d11_flush_waits_for_what_is_under_way() {
    let fixture = Arc::new(sliding());
    fixture.store.set(Mode::Later);
    let login = fixture.login("ada").await;
    fixture.time.advance(5 * MINUTE);
    let gate = fixture.store.hold_touches();
    open(&fixture, &login).await.unwrap();
    let flushing = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.tokens.flush().await }
    });
    for _ in 0..100 {
        yield_now().await;
    }
    assert!(!flushing.is_finished());
    gate.add_permits(1);
    flushing.await.unwrap();
    assert_eq!(fixture.store.touches(), 1);
}

/// The writes belong to the service: without it they end, and keep neither themselves nor a store alive.
#[tokio::test]
async fn sec_d11_dropping_the_service_ends_its_writes() {
    let fixture = sliding();
    fixture.store.set(Mode::Later);
    let logins = [fixture.login("ada").await, fixture.login("bob").await];
    fixture.time.advance(5 * MINUTE);
    let gate = fixture.store.hold_touches();
    for login in &logins {
        open(&fixture, login).await.unwrap();
    }
    for _ in 0..20 {
        yield_now().await;
    }
    let alive = || Handle::current().metrics().num_alive_tasks();
    assert_eq!((alive(), Arc::strong_count(&gate)), (2, 4));
    let Fixture { tokens, store, .. } = fixture;
    let clone = tokens.clone();
    drop(tokens);
    assert_eq!(alive(), 2, "a clone of the service is left");
    drop(clone);
    for _ in 0..10_000 {
        yield_now().await;
    }
    assert_eq!(alive(), 0);
    assert_eq!(Arc::strong_count(&gate), 2, "ours and the probe's");
    assert_eq!(store.touches(), 0);
}

#[tokio::test]
async fn sec_d11_inline_the_write_comes_before_the_answer() {
    let by_policy = fixture_with(policy().touch_mode(TouchMode::Inline).build().unwrap());
    for (fixture, by_attempt) in [(by_policy, false), (sliding(), true)] {
        fixture.store.set(Mode::Later);
        let login = fixture.login("ada").await;
        fixture.time.advance(5 * MINUTE);
        let mut attempt =
            Attempt::new(Credential::header(login.access().expose(), "Bearer"), fixture.time.now());
        if by_attempt {
            attempt = attempt.renewing_inline();
        }
        let verified = Verify::verify(&fixture.tokens, &attempt).wait().await.unwrap();
        assert_eq!(fixture.store.touches(), 1);
        assert_eq!(verified.renewal().unwrap().expires(), fixture.time.now().plus(HOUR));
    }
}

/// A write that fails is the next use's to repeat; nobody is told "invalid".
#[tokio::test]
async fn sec_i07_a_touch_that_fails_fails_no_request() {
    for mode in [TouchMode::Background, TouchMode::Inline] {
        let fixture = fixture_with(policy().touch_mode(mode).build().unwrap());
        let login = fixture.login("ada").await;
        fixture.time.advance(5 * MINUTE);
        fixture.store.set(Mode::ReadOnly);
        let verified = open(&fixture, &login).await.unwrap();
        assert_eq!(verified.renewal().is_some(), mode == TouchMode::Background);
        fixture.tokens.flush().await;
        assert_eq!((fixture.events.count("touch_lost"), fixture.events.count("session_renewed")), (1, 0));
        fixture.store.set(Mode::Later);
        assert!(open(&fixture, &login).await.unwrap().renewal().is_some());
        assert_eq!(end(&fixture, &login).await, fixture.time.now().plus(HOUR));
    }
}
