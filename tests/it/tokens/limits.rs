//! Several devices of one user, and how many of them may be logged in.

use std::{collections::HashSet, sync::Arc};

use portcullis::{
    TokenPolicy, TokenService,
    event::{EventKind, RevokeReason},
    identity::Subject,
    problem::Reason,
    store::{LiveLimit, MemoryStore},
    token::{IssueError, IssueErrorKind, IssueOptions, Issued, LoginQuery},
};
use serde_json::{Map, Value};
use tokio::sync::Barrier;

use crate::support::{Fixture, Mode, fixture, fixture_with, refresh_text, secs};

fn limited(limit: LiveLimit) -> TokenPolicy {
    TokenPolicy::builder().limit(limit).build().unwrap()
}

fn single() -> TokenPolicy {
    TokenPolicy::builder().single_login().build().unwrap()
}

async fn login(fixture: &Fixture, user: &str) -> Result<Issued, IssueError> {
    fixture.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await
}

#[tokio::test]
async fn r021_two_devices_of_a_user_live_side_by_side() {
    let fixture = fixture();
    let device = async |name: &str| {
        let mut context = Map::new();
        context.insert("device".into(), Value::from(name));
        let options = IssueOptions::default().context(context).label(name);
        fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap()
    };
    let (phone, laptop) = (device("phone").await, device("laptop").await);
    for (login, name) in [(&phone, "phone"), (&laptop, "laptop")] {
        let verified = fixture.tokens.verify(login.access().expose(), None).await.unwrap();
        let record = verified.record().unwrap();
        assert_eq!(record.context().get("device"), Some(Value::from(name)));
        assert_eq!((record.label(), record.id()), (Some(name), login.record().id()));
    }
    // Refreshing and ending one is nothing to the other.
    fixture.refresh(&refresh_text(&phone)).await.unwrap();
    fixture.tokens.revoke(&phone.record().id()).await.unwrap();
    fixture.verify(laptop.access().expose()).await.unwrap();
    fixture.refresh(&refresh_text(&laptop)).await.unwrap();
}

#[tokio::test]
async fn r022_with_single_login_a_new_login_ends_the_others_of_its_user() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture_with(single());
        fixture.store.set(mode);
        let other = login(&fixture, "bob").await.unwrap();
        let namesake = Subject::of("https://idp.test", "ada");
        let namesake = fixture.tokens.issue_for_header(namesake, IssueOptions::default()).await.unwrap();
        let (first, second) = (login(&fixture, "ada").await.unwrap(), fixture.cookie_login("ada").await);
        assert_eq!(fixture.verify(first.access().expose()).await, Err(Reason::Revoked));
        assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
        for alive in [&second, &other, &namesake] {
            fixture.verify(alive.access().expose()).await.unwrap();
        }
        let end = fixture.store.record(&first.record().id()).await.revoked().unwrap();
        assert_eq!(end.reason(), RevokeReason::Superseded);
        let told: Vec<_> = fixture.events.all();
        let ended: Vec<_> = told.iter().filter(|event| event.name() == "authn_token_revoked").collect();
        let [event] = &ended[..] else { panic!("{ended:?}") };
        assert!(matches!(event.kind(), EventKind::TokenRevoked { reason: RevokeReason::Superseded, .. }));
        assert_eq!(
            (event.record(), event.subject()),
            (Some(first.record().id()), Some(first.record().subject()))
        );
    }
}

#[tokio::test]
async fn r022_refreshing_the_survivor_is_no_new_login() {
    let fixture = fixture_with(limited(LiveLimit::EndOldest(2)));
    let (first, second) = (login(&fixture, "ada").await.unwrap(), login(&fixture, "ada").await.unwrap());
    let mut current = first;
    for _ in 0..5 {
        fixture.time.advance(secs(60));
        current = fixture.refresh(&refresh_text(&current)).await.unwrap();
        fixture.verify(current.access().expose()).await.unwrap();
        fixture.verify(second.access().expose()).await.unwrap();
    }
    let rekeyed = fixture.tokens.rekey(&current.record().id()).await.unwrap();
    fixture.verify(rekeyed.access().expose()).await.unwrap();
    fixture.verify(second.access().expose()).await.unwrap();
    assert_eq!(fixture.store.memory.len(), 2);
}

#[tokio::test]
async fn r022_above_a_limit_the_oldest_logins_end() {
    let fixture = fixture_with(limited(LiveLimit::EndOldest(3)));
    let mut logins = Vec::new();
    for number in 0..8_usize {
        logins.push(login(&fixture, "ada").await.unwrap());
        fixture.time.advance(secs(1));
        for (place, old) in logins.iter().enumerate() {
            let alive = fixture.verify(old.access().expose()).await.is_ok();
            assert_eq!(alive, place + 3 > number, "login {place} after login {number}");
        }
    }
}

#[tokio::test]
async fn r022_or_the_new_login_is_refused_and_nothing_changes() {
    let fixture = fixture_with(limited(LiveLimit::Refuse(2)));
    let (first, second) = (login(&fixture, "ada").await.unwrap(), login(&fixture, "ada").await.unwrap());
    for _ in 0..3 {
        assert_eq!(login(&fixture, "ada").await.unwrap_err().kind(), IssueErrorKind::LimitReached);
    }
    assert_eq!(fixture.store.memory.len(), 2);
    for alive in [&first, &second] {
        fixture.verify(alive.access().expose()).await.unwrap();
    }
    login(&fixture, "bob").await.unwrap();

    // A login that has ended makes room; one whose refresh token lives does not.
    fixture.tokens.revoke(&first.record().id()).await.unwrap();
    login(&fixture, "ada").await.unwrap();
    fixture.time.advance(secs(2 * 24 * 3600));
    assert_eq!(fixture.verify(second.access().expose()).await, Err(Reason::Expired));
    assert_eq!(login(&fixture, "ada").await.unwrap_err().kind(), IssueErrorKind::LimitReached);
    fixture.time.advance(secs(5 * 24 * 3600));
    login(&fixture, "ada").await.unwrap();
    login(&fixture, "ada").await.unwrap();
    assert_eq!(login(&fixture, "ada").await.unwrap_err().kind(), IssueErrorKind::LimitReached);
}

#[tokio::test]
async fn r022_logins_of_an_ended_epoch_do_not_count() {
    let fixture = fixture_with(limited(LiveLimit::Refuse(1)));
    login(&fixture, "ada").await.unwrap();
    assert!(login(&fixture, "ada").await.is_err());
    fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    let fresh = login(&fixture, "ada").await.unwrap();
    fixture.tokens.revoke_everyone().await.unwrap();
    assert!(fixture.verify(fresh.access().expose()).await.is_err());
    login(&fixture, "ada").await.unwrap();
}

/// The login that is replaced in the same step has left the count.
#[tokio::test]
async fn r022_a_replaced_login_makes_room() {
    let fixture = fixture_with(limited(LiveLimit::Refuse(1)));
    let first = login(&fixture, "ada").await.unwrap();
    let options = || IssueOptions::default().replaces(first.record().id());
    let second = fixture.tokens.issue_for_header(Subject::local("ada"), options()).await.unwrap();
    assert_eq!(fixture.verify(first.access().expose()).await, Err(Reason::Revoked));
    fixture.verify(second.access().expose()).await.unwrap();
    // It has ended already and makes no second place.
    let third = fixture.tokens.issue_for_header(Subject::local("ada"), options()).await;
    assert_eq!(third.unwrap_err().kind(), IssueErrorKind::LimitReached);
}

// ===== at the same moment =====

/// A hundred logins of one user at once, beside one of another; the tokens that were given out.
async fn rush(policy: TokenPolicy) -> (TokenService, Vec<Issued>, Issued) {
    let tokens = TokenService::new(MemoryStore::new(), policy);
    let other = tokens.issue_for_header(Subject::local("bob"), IssueOptions::default()).await.unwrap();
    let start = Arc::new(Barrier::new(100));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (tokens, start) = (tokens.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await
            })
        })
        .collect();
    let mut given = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(issued) => given.push(issued),
            Err(error) => assert_eq!(error.kind(), IssueErrorKind::LimitReached),
        }
    }
    (tokens, given, other)
}

async fn living(tokens: &TokenService, logins: &[Issued]) -> usize {
    let mut living = HashSet::new();
    for login in logins {
        if tokens.verify(login.access().expose(), None).await.is_ok() {
            living.insert(login.record().id());
        }
    }
    let listed = tokens.logins(LoginQuery::of(Subject::local("ada"))).await.unwrap();
    let listed: HashSet<_> = listed.logins.iter().map(|login| login.id()).collect();
    assert_eq!(living, listed, "the list of devices shows what lives");
    living.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sec_d10_a_hundred_logins_at_once_cannot_pass_a_limit_that_refuses() {
    for max in [1, 3, 99] {
        for _ in 0..20 {
            let (tokens, given, other) = rush(limited(LiveLimit::Refuse(max))).await;
            assert_eq!(given.len(), max as usize);
            assert_eq!(living(&tokens, &given).await, max as usize);
            tokens.verify(other.access().expose(), None).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn sec_d10_a_hundred_logins_at_once_leave_exactly_the_limit_where_the_oldest_end() {
    for max in [1, 3, 99] {
        for _ in 0..20 {
            let (tokens, given, other) = rush(limited(LiveLimit::EndOldest(max))).await;
            assert_eq!(given.len(), 100);
            assert_eq!(living(&tokens, &given).await, max as usize);
            tokens.verify(other.access().expose(), None).await.unwrap();
        }
    }
}

/// Users are an issuer and an id: neither limits nor endings of one reach a namesake.
#[tokio::test]
async fn sec_e10_the_same_id_of_another_issuer_is_another_user() {
    let fixture = fixture_with(single());
    let subjects = [
        Subject::local("ada"),
        Subject::of("https://one.test", "ada"),
        Subject::of("https://two.test", "ada"),
        Subject::of("", "ada"),
        Subject::local("https://one.test\0ada"),
    ];
    let mut logins = Vec::new();
    for subject in &subjects {
        logins.push(fixture.tokens.issue_for_header(subject.clone(), IssueOptions::default()).await.unwrap());
    }
    for (subject, login) in subjects.iter().zip(&logins) {
        let verified = fixture.tokens.verify(login.access().expose(), None).await.unwrap();
        assert_eq!(&**verified.identity(), subject);
        let listed = fixture.tokens.logins(LoginQuery::of(subject.clone())).await.unwrap().logins;
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].id(), login.record().id());
    }
    for (place, subject) in subjects.iter().enumerate() {
        assert_eq!(fixture.tokens.revoke_subject(subject).await.unwrap(), 1);
        for (other, login) in logins.iter().enumerate() {
            assert_eq!(fixture.verify(login.access().expose()).await.is_ok(), other > place);
        }
    }
}
