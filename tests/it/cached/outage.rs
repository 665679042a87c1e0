//! The store does not answer.

use portcullis::{TokenPolicy, store::Change, token::IssueOptions, verify::Refusal};

use super::{AGE, MILLI, Node, nodes, nodes_with, policy, turns};
use crate::support::{Mode, secs};

const OUTAGES: [Mode; 2] = [Mode::Down, Mode::DownLater];

async fn cannot_check(node: &Node, text: &str) -> bool {
    matches!(node.tokens.verify(text, None).await, Err(Refusal::Unavailable(_)))
}

#[tokio::test]
async fn r203_sec_i07_copies_outlive_an_outage_up_to_their_age() {
    for outage in OUTAGES {
        let nodes = nodes();
        let (known, unknown) = (nodes.a.login("ada").await, nodes.a.login("bob").await);
        assert!(nodes.b.verifies(&known).await);
        nodes.store.set(outage);
        for _ in 0..2 {
            assert!(cannot_check(&nodes.b, unknown.access().expose()).await);
        }
        nodes.time.advance(AGE - MILLI);
        assert!(nodes.b.verifies(&known).await);
        nodes.time.advance(MILLI);
        assert!(cannot_check(&nodes.b, known.access().expose()).await);
        nodes.store.set(Mode::Later);
        // Nobody has kept that it could not be checked.
        assert!(nodes.b.verifies(&known).await && nodes.b.verifies(&unknown).await);
    }
}

#[tokio::test]
async fn r203_sec_i07_with_an_age_of_zero_nobody_is_let_in_without_the_store() {
    let nodes = nodes_with(policy(), |builder| builder.age(secs(0)));
    let login = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&login).await);
    nodes.store.set(Mode::Down);
    assert!(cannot_check(&nodes.b, login.access().expose()).await);
}

/// Whom a copy would refuse is not refused without the store, and not let in.
#[tokio::test]
async fn r203_sec_i07_who_would_be_refused_by_a_copy_could_not_be_checked() {
    for outage in OUTAGES {
        let nodes = nodes();
        let login = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&login).await);
        let rotated = nodes.a.refresh(&login).await.unwrap();
        nodes.store.set(outage);
        assert!(cannot_check(&nodes.b, rotated.access().expose()).await);
        assert!(nodes.b.verifies(&login).await);
        nodes.store.set(Mode::Later);
        assert!(nodes.b.verifies(&rotated).await);
    }
}

/// Uses that cannot be noted keep nobody out: neither a touch that is due, nor the first use of a new pair.
#[tokio::test]
async fn r203_sec_i07_a_use_that_cannot_be_noted_ends_no_copy() {
    for outage in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        let touching = TokenPolicy::builder().touch_every(Some(secs(10)));
        let nodes = nodes_with(touching, |builder| builder);
        let first = nodes.a.login("ada").await;
        let login = nodes.a.refresh(&first).await.unwrap();
        // The copy is of before the first use of the pair.
        let record = nodes.b.cached.clone();
        let id = login.record().id();
        let kept = portcullis::store::TokenStore::recall(&record, &id).wait().await.unwrap().unwrap();
        assert!(!kept.is_copy());
        nodes.time.advance(secs(20));
        nodes.store.set(outage);
        for _ in 0..3 {
            assert!(nodes.b.verifies(&login).await, "{outage:?}");
            nodes.b.tokens.flush().await;
        }
        assert!(nodes.events.count("touch_lost") > 0 && nodes.events.count("confirmation_lost") > 0);
        nodes.store.set(Mode::Later);
        assert!(nodes.b.verifies(&login).await);
        nodes.b.tokens.flush().await;
        assert_eq!(nodes.store.record(&id).await.last_seen(), nodes.time.now());
    }
}

/// A feed that reconnects says so; with the store still down, nobody is let in any more.
#[tokio::test]
async fn r203_sec_i07_an_outage_of_the_feed_alone_opens_nothing() {
    let nodes = nodes();
    let say = nodes.b.listen().await;
    let login = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&login).await);
    nodes.store.set(Mode::Down);
    say.send(Change::Anything).unwrap();
    turns().await;
    assert!(cannot_check(&nodes.b, login.access().expose()).await);
    let again =
        nodes.a.tokens.issue_for_header(portcullis::identity::Subject::local("ada"), IssueOptions::default());
    again.await.unwrap_err();
}
