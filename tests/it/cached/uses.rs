//! Noting uses, where the login is a copy.

use std::{convert::Infallible, sync::Arc};

use http::{Request, Response, header::SET_COOKIE};
use portcullis::{
    AuthLayer, TokenPolicy,
    identity::Subject,
    token::{IssueOptions, TokenPolicyBuilder},
};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt, service_fn};

use super::{AGE, nodes_with, turns};
use crate::support::{Body, request, secs};

const EVERY: std::time::Duration = std::time::Duration::from_secs(300);

fn touching() -> TokenPolicyBuilder {
    TokenPolicy::builder().touch_every(Some(EVERY)).sliding_with_refresh()
}

#[tokio::test]
async fn r203_sec_d11_ten_thousand_requests_over_copies_cause_one_write_in_each_interval() {
    let nodes = nodes_with(touching(), |builder| builder.age(secs(3_600)));
    let login = Arc::new(nodes.a.login("ada").await);
    assert!(nodes.b.verifies(&login).await);
    for interval in 1..=3 {
        nodes.time.advance(EVERY);
        let (gate, writes, finds) = (nodes.store.hold_touches(), nodes.store.writes(), nodes.store.finds());
        let mut crowd = JoinSet::new();
        for _ in 0..10_000 {
            let (tokens, login) = (nodes.b.tokens.clone(), Arc::clone(&login));
            crowd.spawn(async move { tokens.verify(login.access().expose(), None).await.is_ok() });
        }
        assert!(crowd.join_all().await.iter().all(|let_in| *let_in));
        assert_eq!(nodes.store.finds(), finds, "the copy holds while the use is being noted");
        gate.add_permits(1);
        nodes.b.tokens.flush().await;
        for _ in 0..100 {
            assert!(nodes.b.verifies(&login).await);
        }
        nodes.b.tokens.flush().await;
        assert_eq!((nodes.store.touches(), nodes.store.writes() - writes), (interval, 1));
        assert_eq!(nodes.store.finds() - finds, 1, "and is read once afterwards");
    }
}

/// The other node has noted the use: by the copy, one is due at every request.
#[tokio::test]
async fn r203_a_use_that_another_node_has_noted_is_tried_once() {
    let nodes = nodes_with(touching(), |builder| builder.age(secs(3_600)));
    let login = nodes.a.login("ada").await;
    assert!(nodes.a.verifies(&login).await && nodes.b.verifies(&login).await);
    nodes.time.advance(EVERY);
    assert!(nodes.a.verifies(&login).await);
    nodes.a.tokens.flush().await;
    assert_eq!(nodes.store.touches(), 1);
    let writes = nodes.store.writes();
    for _ in 0..100 {
        assert!(nodes.b.verifies(&login).await);
        nodes.b.tokens.flush().await;
    }
    assert_eq!((nodes.store.touches(), nodes.store.writes() - writes), (1, 1));
}

#[tokio::test]
async fn r203_the_first_use_of_a_pair_is_noted_once() {
    let nodes = nodes_with(super::policy(), |builder| builder);
    let login = nodes.a.login("ada").await;
    let rotated = nodes.a.refresh(&login).await.unwrap();
    let writes = nodes.store.writes();
    for _ in 0..100 {
        assert!(nodes.b.verifies(&rotated).await);
        nodes.b.tokens.flush().await;
    }
    assert_eq!(nodes.store.writes() - writes, 1);
    assert!(nodes.b.verifies_at_once(&rotated));
}

/// Decided by a copy of before, written after the rotation: it meets another generation.
#[tokio::test]
async fn r203_a_touch_that_was_decided_by_an_old_copy_never_lands_on_a_new_generation() {
    let nodes = nodes_with(touching(), |builder| builder.age(secs(3_600)));
    let login = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&login).await);
    nodes.time.advance(EVERY);
    let gate = nodes.store.hold_touches();
    assert!(nodes.b.verifies(&login).await);
    turns().await;
    let rotated = nodes.a.refresh(&login).await.unwrap();
    let before = nodes.store.record(&rotated.record().id()).await;
    gate.add_permits(1);
    nodes.b.tokens.flush().await;
    assert_eq!(nodes.store.touches(), 0);
    assert!(Arc::ptr_eq(&before, &nodes.store.record(&rotated.record().id()).await));
    assert!(!nodes.b.verifies(&login).await, "and the copy of before is gone");
}

/// A renewed cookie is decided by a copy, and whether it still holds by the store.
#[tokio::test]
async fn r203_r041_a_slow_answer_brings_no_cookie_back_that_another_node_has_replaced() {
    for rotates in [false, true] {
        let nodes = nodes_with(touching(), |builder| builder);
        let options = IssueOptions::default();
        let login = nodes.a.tokens.issue_for_cookie(Subject::local("ada"), options).await.unwrap();
        nodes.time.advance(EVERY);
        let id = login.record().id();
        portcullis::store::TokenStore::recall(&nodes.b.cached, &id).wait().await.unwrap();
        assert_eq!(nodes.b.cached.copies(), 1);
        let layer = AuthLayer::new(nodes.b.tokens.clone()).clock(nodes.time.clock()).cookie("token");
        let other = nodes.a.tokens.clone();
        let service = layer.build().unwrap().layer(service_fn(move |_: Request<Body>| {
            let other = other.clone();
            async move {
                if rotates {
                    // Elsewhere, and nobody tells.
                    other.rekey(&id).await.unwrap();
                }
                Ok::<_, Infallible>(Response::new(Body::default()))
            }
        }));
        let cookie = format!("__Host-token={}", login.access().expose());
        let answer = service.oneshot(request(&[("cookie", &cookie)])).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().contains_key(SET_COOKIE)), (200, !rotates));
        assert!(nodes.time.now().since(crate::support::START) > AGE);
    }
}
