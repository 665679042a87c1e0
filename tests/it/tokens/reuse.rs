//! Used refresh tokens that come back: which of them end a login, and what is left of it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use portcullis::{
    TokenPolicy, TokenService,
    credential::Channel,
    event::{EventKind, ReuseKind},
    identity::Subject,
    problem::Reason,
    token::{IssueOptions, Issued, RefreshRequest},
};
use tokio::task::yield_now;

use super::{rotated, texts};
use crate::support::{Fixture, Mode, fixture, invalid, refresh_text, secs};

#[tokio::test]
async fn r037_an_ancestor_inside_the_window_ends_its_login_and_no_other() {
    let fixture = fixture();
    let bystander = fixture.login("ada").await;
    let (first, second) = rotated(&fixture).await;
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    fixture.time.advance(secs(1));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    assert_eq!(fixture.verify(third.access().expose()).await, Err(Reason::Revoked));
    assert_eq!(fixture.refresh(&refresh_text(&third)).await.map(|_| ()), Err(Reason::Revoked));
    fixture.verify(bystander.access().expose()).await.unwrap();
    let events = fixture.events.incidents();
    let [event] = &events[..] else { panic!("{events:?}") };
    let EventKind::TokenReuse { kind, since_rotation, .. } = event.kind() else { panic!("{event:?}") };
    assert_eq!((*kind, *since_rotation), (ReuseKind::StaleAncestor, secs(1)));
    assert_eq!(event.record(), Some(first.record().id()));
    assert_eq!(event.subject(), Some(&Subject::local("ada")));
    assert_eq!(event.at(), fixture.time.now());
}

#[tokio::test]
async fn r037_reuse_is_written_and_reported_once() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    let (record, writes) = (fixture.store.record(&first.record().id()).await, fixture.store.writes());
    for _ in 0..1_000 {
        assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
    }
    assert_eq!(fixture.store.writes(), writes);
    assert!(Arc::ptr_eq(&record, &fixture.store.record(&first.record().id()).await));
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
    let EventKind::TokenReuse { kind, since_rotation, .. } = *fixture.events.incidents()[0].kind() else {
        panic!("another event")
    };
    assert_eq!((kind, since_rotation), (ReuseKind::RecentPredecessor, secs(60)));
}

/// All of them have read the living record before the first one revokes it.
#[tokio::test]
async fn r037_parallel_reuse_is_reported_once() {
    let fixture = Arc::new(fixture());
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    fixture.store.gather(50);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (fixture, text) = (Arc::clone(&fixture), refresh_text(&first));
            tokio::spawn(async move { fixture.refresh(&text).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Err(Reason::Reuse));
    }
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
}

#[tokio::test]
async fn r037_a_logged_out_login_reports_no_reuse() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.tokens.revoke(&first.record().id()).await.unwrap();
    fixture.time.advance(secs(60));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
    assert!(fixture.events.incidents().is_empty());
}

#[tokio::test]
async fn sec_e05_a_repeat_from_elsewhere_is_refused_and_revokes_nothing() {
    let fixture = fixture();
    let options = IssueOptions::default().tenant("red").client("app").key_thumbprint("k1");
    let first = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let text = refresh_text(&first);
    let own = RefreshRequest::new(&text, Channel::Header)
        .with_tenant("red")
        .with_client("app")
        .with_key_thumbprint("k1");
    let second = fixture.tokens.refresh(own).await.unwrap();
    let before = fixture.store.record(&first.record().id()).await;
    let cookie = RefreshRequest::new(&text, Channel::Cookie)
        .with_tenant("red")
        .with_client("app")
        .with_key_thumbprint("k1");
    for (other, reason) in [
        (own.with_tenant("blue"), Reason::WrongTenant),
        (cookie, Reason::WrongChannel),
        (own.with_client("other"), Reason::WrongClient),
        (own.with_key_thumbprint("k2"), Reason::WrongKey),
        (RefreshRequest::new(&text, Channel::Header), Reason::WrongTenant),
    ] {
        assert_eq!(invalid(fixture.tokens.refresh(other).await).map(|_| ()), Err(reason));
    }
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&first.record().id()).await), "something was written");
    let repeat = fixture.tokens.refresh(own).await.unwrap();
    assert_eq!(texts(&repeat), texts(&second));
}

// ===== long chains =====

async fn chain(fixture: &Fixture, length: usize, pause: Duration) -> Vec<Issued> {
    let mut pairs = vec![fixture.login("ada").await];
    while pairs.len() < length {
        fixture.time.advance(pause);
        pairs.push(fixture.refresh(&refresh_text(pairs.last().unwrap())).await.unwrap());
    }
    pairs
}

/// Whichever used token it is that comes back, nothing that the login ever had works afterwards.
#[tokio::test]
async fn sec_e02_a_reuse_ends_every_token_that_the_login_ever_had() {
    for reused in 0..5 {
        let fixture = fixture();
        let (other, bystander) = (fixture.login("ada").await, fixture.login("bob").await);
        let pairs = chain(&fixture, 6, secs(3600)).await;
        fixture.verify(pairs[5].access().expose()).await.unwrap();
        fixture.time.advance(secs(60));
        assert_eq!(fixture.refresh(&refresh_text(&pairs[reused])).await.map(|_| ()), Err(Reason::Reuse));
        for pair in &pairs {
            assert!(fixture.verify(pair.access().expose()).await.is_err());
            assert_eq!(fixture.refresh(&refresh_text(pair)).await.map(|_| ()), Err(Reason::Revoked));
        }
        for alive in [&other, &bystander] {
            fixture.verify(alive.access().expose()).await.unwrap();
            fixture.refresh(&refresh_text(alive)).await.unwrap();
        }
        assert_eq!(fixture.events.count("authn_token_reuse"), 1);
    }
}

/// The window is the direct predecessor's alone.
#[tokio::test]
async fn sec_e03_a_grandparent_is_a_reuse_at_any_moment_of_the_window() {
    for used in [false, true] {
        for after in [0, 1, 9_999, 10_000, 14_999, 15_000, 3_600_000] {
            let fixture = fixture();
            let pairs = chain(&fixture, 3, Duration::ZERO).await;
            if used {
                fixture.verify(pairs[2].access().expose()).await.unwrap();
            }
            fixture.time.advance(Duration::from_millis(after));
            let found = fixture.refresh(&refresh_text(&pairs[0])).await.map(|_| ());
            assert_eq!(found, Err(Reason::Reuse), "{after} ms after the rotation");
            assert!(fixture.verify(pairs[2].access().expose()).await.is_err());
        }
    }
}

/// Requests, reads and writes of two nodes in any order that the executor finds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_e04_fifty_refreshes_over_a_jittery_store_rotate_once() {
    for round in 0..1_000_usize {
        let fixture = Arc::new(fixture());
        fixture.store.set(Mode::Later);
        let login = fixture.login("ada").await;
        let node =
            TokenService::new(fixture.store.clone(), TokenPolicy::default()).clock(fixture.time.clock());
        let tasks: Vec<_> = (0..50_usize)
            .map(|number| {
                let tokens = if number % 2 == 0 { fixture.tokens.clone() } else { node.clone() };
                let text = refresh_text(&login);
                tokio::spawn(async move {
                    for _ in 0..(number * 7 + round) % 11 {
                        yield_now().await;
                    }
                    invalid(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await)
                })
            })
            .collect();
        let mut pairs = HashSet::new();
        for task in tasks {
            let issued = task.await.unwrap().unwrap();
            pairs.insert((issued.access().expose().to_owned(), refresh_text(&issued)));
        }
        assert_eq!(pairs.len(), 1, "one successor for all");
        let record = fixture.store.record(&login.record().id()).await;
        assert_eq!((record.generation(), record.revoked()), (1, None));
    }
}
