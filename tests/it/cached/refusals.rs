//! A copy lets somebody in; only the store refuses.

use portcullis::{
    TokenPolicy, TokenService,
    credential::{Channel, Credential},
    event::Event,
    identity::Subject,
    keyring::{Key, KeyRing},
    problem::Reason,
    store::Change,
    token::IssueOptions,
    verify::{Attempt, Refusal, Verify},
};
use tokio::task::JoinSet;

use super::{AGE, MILLI, Node, nodes, nodes_with, policy, turns};
use crate::support::{Mode, invalid, secs};

#[tokio::test]
async fn r203_a_new_token_works_at_once_where_an_old_copy_is_kept() {
    for rekeyed in [false, true] {
        let nodes = nodes();
        let old = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&old).await);
        let id = old.record().id();
        let new = match rekeyed {
            true => invalid(nodes.a.tokens.rekey(&id).await).unwrap(),
            false => nodes.a.refresh(&old).await.unwrap(),
        };
        // The old one ends within the age, or with what the new one has made the node read.
        assert!(nodes.b.verifies_at_once(&old));
        assert!(nodes.b.verifies(&new).await);
        nodes.b.tokens.flush().await;
        assert!(!nodes.b.verifies(&old).await && nodes.b.verifies(&new).await);
        assert!(nodes.b.verifies_at_once(&new));
    }
}

#[tokio::test]
async fn r203_r035_an_old_token_ends_within_the_bound() {
    for told in [false, true] {
        let nodes = nodes();
        let say = nodes.b.listen().await;
        let old = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&old).await);
        nodes.a.refresh(&old).await.unwrap();
        assert!(!nodes.a.verifies(&old).await, "at once where it was done");
        if told {
            say.send(Change::Login(old.record().id())).unwrap();
            turns().await;
        } else {
            nodes.time.advance(AGE - MILLI);
            assert!(nodes.b.verifies(&old).await);
            nodes.time.advance(MILLI);
        }
        assert_eq!(nodes.b.verify(old.access().expose()).await, Err(Reason::WrongSecret));
    }
}

/// The text of another login, with the id of this one.
pub(crate) fn forged(login: &str, other: &str) -> String {
    // Both are `brand_a`, id, secret and check; the check is of all that precedes it.
    let (head, tail) = (login.len() - 49, other.len() - 49);
    let text = format!("{}{}", &login[..head], &other[tail..other.len() - 6]);
    let crc = crc32fast::hash(text.as_bytes());
    format!("{text}{}", base62(crc))
}

fn base62(mut number: u32) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [b'0'; 6];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    String::from_utf8(text.to_vec()).unwrap()
}

#[tokio::test]
async fn r203_a_thousand_wrong_secrets_at_once_cost_three_reads_at_most() {
    for warm in [true, false] {
        let nodes = nodes();
        let (login, other) = (nodes.a.login("ada").await, nodes.a.login("eve").await);
        if warm {
            assert!(nodes.b.verifies(&login).await);
        }
        let wrong = forged(login.access().expose(), other.access().expose());
        let (gate, finds) = (nodes.store.hold_answers(), nodes.store.finds());
        let mut crowd = JoinSet::new();
        for _ in 0..1_000 {
            let (tokens, wrong) = (nodes.b.tokens.clone(), wrong.clone());
            crowd.spawn(async move { invalid(tokens.verify(&wrong, None).await).map(|_| ()) });
        }
        turns().await;
        assert_eq!(nodes.store.finds() - finds, 1);
        let last = nodes.store.hold_answers();
        gate.add_permits(1);
        turns().await;
        last.add_permits(1);
        assert!(crowd.join_all().await.iter().all(|refused| *refused == Err(Reason::WrongSecret)));
        // One that all share, where there was no copy; one of the first whom it refuses, and one of all the others.
        assert_eq!(nodes.store.finds() - finds, if warm { 2 } else { 3 });
        assert!(nodes.b.verifies_at_once(&login), "and its owner is none the worse for it");
    }
}

/// One after the other they cost what they would without copies.
#[tokio::test]
async fn r203_a_refusal_costs_one_read() {
    let nodes = nodes();
    let (login, other) = (nodes.a.login("ada").await, nodes.a.login("eve").await);
    assert!(nodes.b.verifies(&login).await);
    let wrong = forged(login.access().expose(), other.access().expose());
    let finds = nodes.store.finds();
    for round in 1..=5 {
        assert_eq!(nodes.b.verify(&wrong).await, Err(Reason::WrongSecret));
        assert_eq!(nodes.store.finds() - finds, round);
    }
}

async fn as_of(node: &Node, text: &str, channel: Channel, tenant: Option<&str>) -> Result<(), Reason> {
    let credential = match channel {
        Channel::Cookie => Credential::cookie(text),
        _ => Credential::header(text, "Bearer"),
    };
    let mut attempt = Attempt::new(credential, node.time.now());
    if let Some(tenant) = tenant {
        attempt = attempt.with_tenant(tenant);
    }
    invalid(Verify::verify(&node.tokens, &attempt).wait().await).map(|_| ())
}

#[tokio::test]
async fn r203_the_reasons_of_refusals_are_the_same_as_without_copies() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let text = login.access().expose();
    for _ in 0..2 {
        assert_eq!(as_of(&nodes.b, text, Channel::Header, None).await, Ok(()));
        assert_eq!(as_of(&nodes.b, text, Channel::Cookie, None).await, Err(Reason::WrongChannel));
        assert_eq!(as_of(&nodes.b, text, Channel::Header, Some("x")).await, Err(Reason::WrongTenant));
        nodes.store.set(Mode::NextEpoch);
        nodes.time.advance(AGE);
        assert_eq!(as_of(&nodes.b, text, Channel::Header, None).await, Err(Reason::EpochChanged));
        nodes.store.set(Mode::Later);
    }
    nodes.time.set(login.record().access_expires());
    assert_eq!(as_of(&nodes.b, text, Channel::Header, None).await, Err(Reason::Expired));
}

/// Another node has moved the end: by the copy the session is over.
#[tokio::test]
async fn r203_an_end_that_was_moved_elsewhere_holds_at_once() {
    let hour = secs(3_600);
    let sliding = TokenPolicy::builder()
        .access_ttl(Some(hour))
        .refresh_ttl(None)
        .absolute(Some(10 * hour))
        .touch_every(Some(secs(300)))
        .sliding();
    let nodes = nodes_with(sliding, |builder| builder.age(hour));
    let options = IssueOptions::default();
    let login = nodes.a.tokens.issue_for_cookie(Subject::local("ada"), options).await.unwrap();
    nodes.time.advance(secs(1));
    assert!(nodes.b.verifies(&login).await);
    nodes.time.advance(hour / 2);
    assert!(nodes.a.verifies(&login).await);
    nodes.a.tokens.flush().await;
    nodes.time.advance(hour / 2 - secs(1));
    assert!(nodes.b.verifies(&login).await, "the copy is a second younger than its hour, its end is now");
    let told = |name: &str| nodes.events.all().iter().map(Event::name).filter(|told| *told == name).count();
    assert_eq!(told("session_use_after_expire"), 0, "what a copy says is told to nobody");

    nodes.b.tokens.flush().await;
    nodes.time.advance(hour * 3 / 2);
    assert!(!nodes.b.verifies(&login).await);
    assert_eq!(told("session_use_after_expire"), 1);
}

/// A copy of a login under a key that the node does not know is looked at again, and then told once.
#[tokio::test]
async fn r203_sec_i07_what_cannot_be_checked_is_not_refused_by_a_copy_either() {
    let nodes = nodes();
    let peppered = TokenService::new(nodes.a.cached.clone(), policy().build().unwrap())
        .clock(nodes.time.clock())
        .pepper(KeyRing::new(Key::generate().unwrap()));
    let login = peppered.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    invalid(peppered.verify(login.access().expose(), None).await).unwrap();
    let finds = nodes.store.finds();
    let outcome = nodes.a.tokens.verify(login.access().expose(), None).await;
    assert!(matches!(outcome, Err(Refusal::Unavailable(_))));
    assert_eq!((nodes.store.finds() - finds, nodes.events.count("unknown_key")), (1, 1));
}
