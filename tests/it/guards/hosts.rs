//! Guards in an application: as a layer, as an extractor, and in a handler.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::get};
use futures_util::FutureExt;
use http::{Request, Response};
use portcullis::{
    Auth, AuthLayer, Require, TokenService,
    identity::Subject,
    inbound::{Any, GuardLayer, Not, Policy},
    problem::{Reason, Rejection},
};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_test::mock::Spawn;

use super::{
    counting, login_with, no, scope,
    types::{Nobody, Reads, Writes},
    yes,
};
use crate::support::{Answer, Body, Fixture, bearer, fixture, request};

async fn ask(router: Router, path: &str, header: Option<&(String, String)>) -> Answer {
    let mut request = Request::get(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    Answer::of(router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap()).await
}

fn shop(fixture: &Fixture) -> Router {
    let guard = GuardLayer::new(scope("orders:write")).build().unwrap();
    let custom = GuardLayer::new(no())
        .reject_with(|why: &Rejection, answer: Response<bytes::Bytes>| {
            answer.map(|_| axum::body::Body::from(format!("sorry, {}", why.kind().code())))
        })
        .build()
        .unwrap();
    Router::new()
        .route("/layer", get(async || "in"))
        .route_layer(guard)
        .merge(Router::new().route("/custom", get(async || "in")).route_layer(custom))
        .route("/types", get(async |_: Require<(Reads, Writes)>| "in"))
        .route("/any", get(async |_: Require<Any<(Nobody, Writes)>>| "in"))
        .route(
            "/handler",
            get(async |auth: Auth<Subject>| {
                Policy::scope("orders:write").check(&auth)?;
                Ok::<_, Rejection>("in")
            }),
        )
        .layer(fixture.layer().optional().build().unwrap())
}

#[tokio::test]
async fn r032_every_guard_of_an_axum_app_tells_401_from_403() {
    let fixture = fixture();
    let all = bearer(&login_with(&fixture.tokens, None, &[]).await);
    let reader = bearer(&login_with(&fixture.tokens, Some("orders:read"), &[]).await);
    for path in ["/layer", "/types", "/any", "/handler"] {
        let granted = ask(shop(&fixture), path, Some(&all)).await;
        assert_eq!((granted.status.as_u16(), granted.body.as_str()), (200, "in"), "{path}");

        let refused = ask(shop(&fixture), path, Some(&reader)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"), "{path}");
        let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#;
        assert_eq!(refused.challenges(), [challenge], "{path}");
        assert_eq!(refused.reason(), Some(Reason::NotPermitted));

        let anonymous = ask(shop(&fixture), path, None).await;
        assert_eq!((anonymous.status.as_u16(), anonymous.code().as_str()), (401, "missing_credential"));
        assert_eq!(anonymous.challenges(), [r#"Bearer realm="api""#, r#"Token realm="api""#], "{path}");
    }
    let custom = ask(shop(&fixture), "/custom", Some(&all)).await;
    assert_eq!((custom.status.as_u16(), custom.body.as_str()), (403, "sorry, insufficient_scope"));
    let custom = ask(shop(&fixture), "/custom", None).await;
    assert_eq!((custom.status.as_u16(), custom.body.as_str()), (401, "sorry, missing_credential"));
}

#[tokio::test]
async fn sec_a04_a_missing_scope_is_403_with_the_scope_and_never_for_anonymous() {
    let fixture = fixture();
    let calls = Arc::new(AtomicUsize::new(0));
    let reader = login_with(&fixture.tokens, Some("orders:read"), &[]).await;
    let send = async |policy: Policy<Subject>, optional: bool, header: Option<(&str, &str)>| {
        let layer = if optional { fixture.layer().optional() } else { fixture.layer() };
        let service = ServiceBuilder::new()
            .layer(layer.cookie("token").build().unwrap())
            .layer(GuardLayer::new(policy).build().unwrap())
            .service(counting(&calls));
        let headers: Vec<_> = header.into_iter().collect();
        Answer::of(service.oneshot(request(&headers)).await.unwrap()).await
    };
    for scheme in ["Bearer", "Token"] {
        let value = format!("{scheme} {reader}");
        let refused = send(scope("orders:write"), false, Some(("authorization", &value))).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
        let challenge = format!(r#"{scheme} realm="api", error="insufficient_scope", scope="orders:write""#);
        assert_eq!(refused.challenges(), [challenge], "on the presented scheme alone");
        assert!(!refused.body.contains("orders"), "the body depends on nothing but the kind");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "refused requests never reach the service");

    for policy in [yes(), no(), scope("orders:read"), yes().not(), no().not(), Policy::of::<Not<Nobody>>()] {
        for optional in [false, true] {
            let anonymous = send(policy.clone(), optional, None).await;
            assert_eq!((anonymous.status.as_u16(), anonymous.code().as_str()), (401, "missing_credential"));
            assert_eq!(anonymous.challenges().len(), 3);
            assert!(anonymous.challenges().iter().all(|line| !line.contains("error=")));
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let value = format!("Bearer {reader}");
    let granted = send(scope("orders:read"), false, Some(("authorization", &value))).await;
    assert_eq!((granted.body.as_str(), calls.load(Ordering::SeqCst)), ("in", 1));
}

#[tokio::test]
async fn sec_i04_a_guard_without_its_layer_is_a_loud_500() {
    let fixture = fixture();
    let calls = Arc::new(AtomicUsize::new(0));
    let (name, value) = bearer(&login_with(&fixture.tokens, None, &[]).await);
    let everybody = || GuardLayer::new(Policy::user(|_: &Subject| true)).build().unwrap();
    let auth = || fixture.layer().optional().build().unwrap();
    for headers in [&[(name.as_str(), value.as_str())][..], &[]] {
        let alone = ServiceBuilder::new().layer(everybody()).service(counting(&calls));
        let wrong_order = ServiceBuilder::new().layer(everybody()).layer(auth()).service(counting(&calls));
        let strings = GuardLayer::new(Policy::user(|_: &String| true)).build().unwrap();
        let other = ServiceBuilder::new().layer(auth()).layer(strings).service(counting(&calls));
        for answer in [
            alone.oneshot(request(headers)).await,
            wrong_order.oneshot(request(headers)).await,
            other.oneshot(request(headers)).await,
        ] {
            let answer = Answer::of(answer.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "auth_layer_missing"));
            assert!(answer.body.contains("AuthLayer"));
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r138_a_guard_is_ready_when_the_service_inside_is() {
    let fixture = fixture();
    let (name, value) = bearer(&login_with(&fixture.tokens, Some("a"), &[]).await);
    for (words, passes) in [("a", true), ("b", false)] {
        let (mock, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let guard = GuardLayer::new(scope(words)).build().unwrap();
        let stack = ServiceBuilder::new().layer(fixture.layer().build().unwrap()).layer(guard).service(mock);
        let mut spawned = Spawn::new(stack);
        handle.allow(0);
        assert!(spawned.poll_ready().is_pending());
        handle.allow(1);
        assert!(spawned.poll_ready().is_ready());
        let answer = spawned.call(request(&[(&name, &value)]));
        if passes {
            let (_, send) = handle.next_request().await.unwrap();
            send.send_response(Response::new(Body::from("in")));
            assert_eq!(answer.await.unwrap().status(), 200);
        } else {
            assert_eq!(answer.await.unwrap().status(), 403);
            assert!(handle.next_request().now_or_never().is_none(), "nothing was sent on");
        }
        handle.send_error("out of order");
        assert_eq!(spawned.poll_ready().map(|ready| ready.is_err()), std::task::Poll::Ready(true));
    }
}

#[tokio::test]
async fn a_guard_that_lets_through_allocates_nothing() {
    let fixture = fixture();
    let (name, value) = bearer(&login_with(&fixture.tokens, Some("a"), &[]).await);
    let tokens = TokenService::new(fixture.store.memory.clone(), portcullis::TokenPolicy::default());
    let auth =
        AuthLayer::new(tokens.clock(fixture.time.clock())).clock(fixture.time.clock()).build().unwrap();
    let guard = GuardLayer::new(scope("a").and(yes()).or(no())).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let without = allocations(auth.layer(counting(&calls)), || request(&[(&name, &value)]));
    let with = allocations(auth.layer(guard.layer(counting(&calls))), || request(&[(&name, &value)]));
    assert_eq!((with, calls.load(Ordering::SeqCst)), (without, 4));
}

/// Of one call that is answered at once.
fn allocations<S>(mut service: S, make: impl Fn() -> Request<Body>) -> u64
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut call = |request| service.call(request).now_or_never().expect("nothing to wait for").unwrap();
    // The first call may fill caches.
    assert!(call(make()).status().is_success());
    let request = make();
    allocation_counter::measure(|| drop(call(request))).count_total
}
