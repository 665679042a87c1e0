//! Both layers on a service that is driven by hand: readiness, back-pressure, being dropped in the middle.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis::{TokenInjectLayer, identity::AuthContext};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::{assert_request_eq, mock};

use crate::{
    idp::{Idp, step},
    support::{Body, Fixture, Mode, bearer, fixture, request},
};

type Mock = mock::Mock<Request<Body>, Response<Body>>;

async fn valid(fixture: &Fixture) -> Request<Body> {
    let issued = fixture.login("ada").await;
    let (name, value) = bearer(issued.access().expose());
    request(&[(&name, &value)])
}

// ===== inbound =====

#[tokio::test]
async fn r138_the_inner_services_readiness_is_the_layers() {
    let fixture = fixture();
    let layer = fixture.layer().build().unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("broken");
    assert!(assert_ready!(service.poll_ready()).is_err());
}

/// The mock panics when a service is called that was not polled ready: a clone that takes the request away
/// would be one.
#[tokio::test]
async fn r138_the_service_that_was_polled_ready_gets_the_request() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        let request = valid(&fixture).await;
        fixture.store.set(mode);
        let layer = fixture.layer().build().unwrap();
        let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer);
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(request));
        // The first poll asks the store, the second has its answer.
        assert_pending!(response.poll());
        assert_pending!(response.poll());
        let (request, send) = handle.next_request().await.unwrap();
        assert!(!request.extensions().get::<AuthContext>().unwrap().is_anonymous());
        send.send_response(Response::new(Body::from("done")));
        assert_eq!(assert_ready_ok!(response.poll()).status(), 200);
    }
}

#[tokio::test]
async fn r138_refusals_never_reach_the_inner_service() {
    for mode in [Mode::Now, Mode::Later, Mode::Down, Mode::DownLater] {
        let fixture = fixture();
        let valid = valid(&fixture).await;
        fixture.store.set(mode);
        let layer = fixture.layer().build().unwrap();
        let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer);
        let mut refused = vec![request(&[]), request(&[("authorization", "Bearer junk")])];
        if matches!(mode, Mode::Down | Mode::DownLater) {
            refused.push(valid);
        }
        // One permit is enough for all of them, because none is used.
        handle.allow(1);
        for request in refused {
            assert_ready_ok!(service.poll_ready());
            let response = service.call(request).await.unwrap();
            assert!(matches!(response.status().as_u16(), 401 | 503));
        }
        assert_pending!(task::spawn(handle.next_request()).poll());
    }
}

#[tokio::test]
async fn r138_dropping_a_request_that_waits_for_the_store_loses_nothing() {
    let fixture = fixture();
    let (one, two) = (valid(&fixture).await, valid(&fixture).await);
    fixture.store.set(Mode::Later);
    let layer = fixture.layer().build().unwrap();
    let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer);
    assert_ready_ok!(service.poll_ready());
    let mut dropped = task::spawn(service.call(one));
    assert_pending!(dropped.poll());
    drop(dropped);
    assert_pending!(task::spawn(handle.next_request()).poll());

    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(two));
    assert_pending!(response.poll());
    assert_pending!(response.poll());
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(Response::new(Body::default()));
    assert_ready_ok!(response.poll());
}

#[tokio::test]
async fn r138_an_error_of_the_inner_service_is_no_401() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        let request = valid(&fixture).await;
        fixture.store.set(mode);
        let layer = fixture.layer().build().unwrap();
        let (mut service, mut handle) = mock::spawn_layer::<Request<Body>, Response<Body>, _>(layer);
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(request));
        assert_pending!(response.poll());
        assert_pending!(response.poll());
        let (_, send) = handle.next_request().await.unwrap();
        send.send_error("the handler's own");
        assert_eq!(assert_ready!(response.poll()).unwrap_err().to_string(), "the handler's own");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r138_ten_thousand_parallel_calls_are_answered_each_for_itself() {
    let fixture = fixture();
    fixture.store.set(Mode::Later);
    let layer = fixture.layer().build().unwrap();
    let mut logins = Vec::new();
    for user in 0..100 {
        logins.push(fixture.login(&format!("user-{user}")).await);
    }
    let service = layer.layer(tower::service_fn(|request: Request<Body>| async move {
        let context = request.extensions().get::<AuthContext>().unwrap();
        let auth = context.auth::<portcullis::identity::Subject>().unwrap().unwrap();
        Ok::<_, std::convert::Infallible>(Response::new(auth.user().id().to_owned()))
    }));
    let calls: Vec<_> = (0..10_000_usize)
        .map(|number| {
            let user = number % 100;
            let valid = number % 3 != 0;
            let text = logins[user].access().expose();
            let (name, value) = bearer(if valid { text } else { &text[1..] });
            let call = service.clone().oneshot(request(&[(&name, &value)]));
            (user, valid, tokio::spawn(call))
        })
        .collect();
    for (user, valid, call) in calls {
        let response = call.await.unwrap().unwrap();
        assert_eq!(response.status(), if valid { 200 } else { 401 });
        assert_eq!(*response.body() == format!("user-{user}"), valid);
    }
}

// ===== outbound =====

fn inject(idp: &Idp) -> TokenInjectLayer {
    let provider = idp.pipeline().step(step("user")).build().unwrap().provider();
    TokenInjectLayer::new(provider).allow_origin("https://api.test").build().unwrap()
}

fn get() -> Request<Body> {
    Request::get("https://api.test/").body(Full::<Bytes>::default()).unwrap()
}

async fn answer(handle: &mut mock::Handle<Request<Body>, Response<Body>>, token: &str, status: u16) {
    let (request, send) = handle.next_request().await.unwrap();
    assert_eq!(request.headers()["authorization"], token);
    send.send_response(Response::builder().status(status).body(Body::default()).unwrap());
}

#[tokio::test(start_paused = true)]
async fn r138_outbound_the_readied_service_sends_and_the_repeat_waits_for_readiness() {
    let idp = Idp::counting();
    let layer = inject(&idp);
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut service = task::spawn(());
    let mut client = layer.layer(inner);
    handle.allow(1);
    assert_ready_ok!(service.enter(|cx, _| <_ as Service<Request<Body>>>::poll_ready(&mut client, cx)));
    let call = tokio::spawn(client.call(get()));
    answer(&mut handle, "Bearer user-1", 401).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(!call.is_finished(), "there is no second permit yet");
    handle.allow(1);
    answer(&mut handle, "Bearer user-2", 200).await;
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
    assert_eq!(idp.names(), ["user", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r138_outbound_a_warm_lease_sends_in_the_call_itself() {
    let idp = Idp::counting();
    let layer = inject(&idp);
    let (inner, mut handle): (Mock, _) = mock::pair();
    let mut client = layer.layer(inner);
    let warm = tokio::spawn({
        let mut client = client.clone();
        async move { client.ready().await.unwrap().call(get()).await }
    });
    answer(&mut handle, "Bearer user-1", 200).await;
    warm.await.unwrap().unwrap();

    let call = client.ready().await.unwrap().call(get());
    // Not polled yet, and the request is out already.
    answer(&mut handle, "Bearer user-1", 200).await;
    assert_eq!(call.await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn r138_outbound_dropping_the_caller_keeps_the_fetch_and_sends_nothing() {
    let idp = Idp::counting();
    let layer = inject(&idp);
    let (inner, mut handle): (Mock, _) = mock::pair();
    let mut client = layer.layer(inner);
    let mut call = task::spawn(client.ready().await.unwrap().call(get()));
    assert_pending!(call.poll());
    drop(call);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(idp.names(), ["user"], "the fetch went on");
    assert_pending!(task::spawn(handle.next_request()).poll());

    let call = tokio::spawn(client.ready().await.unwrap().call(get()));
    answer(&mut handle, "Bearer user-1", 200).await;
    call.await.unwrap().unwrap();
    assert_eq!(idp.names(), ["user"]);
}

#[tokio::test]
async fn r121_outbound_foreign_requests_pass_through_untouched() {
    let idp = Idp::counting();
    let (inner, mut handle) = mock::pair::<Request<u8>, Response<Body>>();
    let mut client =
        inject(&idp).layer(tower::util::MapRequest::new(inner, |request: Request<Body>| request.map(|_| 7)));
    let call = tokio::spawn(
        client
            .ready()
            .await
            .unwrap()
            .call(Request::get("https://other.test/").body(Body::default()).unwrap()),
    );
    let (request, send) = handle.next_request().await.unwrap();
    assert!(request.headers().is_empty() && request.extensions().is_empty());
    let mut response = Response::new(Body::default());
    response.extensions_mut().insert(7_u8);
    send.send_response(response);
    let response = call.await.unwrap().unwrap();
    assert_eq!((response.extensions().len(), response.extensions().get()), (1, Some(&7_u8)));
}

#[tokio::test]
async fn the_mock_itself_hands_requests_over() {
    let (mut inner, mut handle) = mock::pair::<&'static str, &'static str>();
    let call = tokio::spawn(inner.ready().await.unwrap().call("ping"));
    assert_request_eq!(handle, "ping").send_response("pong");
    assert_eq!(call.await.unwrap().unwrap(), "pong");
}
