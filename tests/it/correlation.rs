//! One id for a request, in the logs of everybody who handles it.

use std::io::ErrorKind;

use http::{HeaderName, HeaderValue, Request};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::correlation::{CorrelationId, CorrelationLayer};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    scripted::{RawServer, Scripted, Seen, poll_ready, status},
    support::Body,
};

fn get() -> Request<Body> {
    Request::get("https://api.test/").body(Body::default()).unwrap()
}

fn with(values: &[&'static str]) -> Request<Body> {
    let mut request = get();
    for value in values {
        request.headers_mut().append("x-request-id", HeaderValue::from_static(value));
    }
    request
}

/// What was sent, and the id that the caller is told.
async fn send(request: Request<Body>) -> (Seen, CorrelationId) {
    let api = Scripted::statuses(&[200]);
    let response = CorrelationLayer::new().layer(api.service()).oneshot(request).await.unwrap();
    (api.seen().remove(0), response.extensions().get::<CorrelationId>().expect("the caller is told").clone())
}

/// There is one id, and it is the same everywhere.
#[track_caller]
fn the_id(sent: &(Seen, CorrelationId)) -> String {
    let (seen, told) = sent;
    let headers: Vec<_> = seen.head.headers.get_all("x-request-id").iter().collect();
    assert_eq!(headers, [told.as_header()]);
    assert_eq!(seen.head.extensions.get(), Some(told));
    told.as_str().to_owned()
}

#[tokio::test]
async fn r125_a_request_without_an_id_gets_a_new_one() {
    let (one, two) = (the_id(&send(get()).await), the_id(&send(get()).await));
    assert_ne!(one, two);
    assert_eq!(one.len(), 36);
}

#[tokio::test]
async fn r125_a_sane_id_is_kept_and_another_is_replaced() {
    assert_eq!(the_id(&send(with(&["order-17"])).await), "order-17");
    for brought in [&["a b"][..], &[""], &["a\tb"], &["a,b"], &["\"a\""], &["one", "two"], &["one", "one"]] {
        let id = the_id(&send(with(brought)).await);
        assert_eq!(id.len(), 36, "{brought:?} became {id}");
    }
    let mut long = get();
    long.headers_mut().insert("x-request-id", HeaderValue::from_str(&"a".repeat(129)).unwrap());
    assert_eq!(the_id(&send(long).await).len(), 36);
    let mut bytes = get();
    bytes.headers_mut().insert("x-request-id", HeaderValue::from_bytes(b"a\xff").unwrap());
    assert_eq!(the_id(&send(bytes).await).len(), 36);
}

#[tokio::test]
async fn r125_an_id_in_the_extensions_is_passed_on() {
    let noted = |mut request: Request<Body>| {
        request.extensions_mut().insert(CorrelationId::new("noted").unwrap());
        request
    };
    assert_eq!(the_id(&send(noted(get())).await), "noted");
    assert_eq!(the_id(&send(noted(with(&["brought"]))).await), "brought", "what is sent already stays");
    assert_eq!(the_id(&send(noted(with(&["not sane"]))).await), "noted");
}

#[tokio::test]
async fn r125_the_header_can_be_another() {
    let api = Scripted::statuses(&[200]);
    let layer = CorrelationLayer::new().header(HeaderName::from_static("x-correlation-id"));
    layer.layer(api.service()).oneshot(with(&["left alone"])).await.unwrap();
    let headers = &api.seen()[0].head.headers;
    assert_eq!(headers["x-request-id"], "left alone");
    assert_eq!(headers["x-correlation-id"].len(), 36);
}

#[cfg(feature = "retry")]
#[tokio::test(start_paused = true)]
async fn r125_all_attempts_have_one_id() {
    let api = Scripted::statuses(&[503, 503, 200]);
    let retry = portcullis::retry::RequestRetryLayer::default();
    let client = CorrelationLayer::new().layer(retry.layer(api.service()));
    let response = client.oneshot(get()).await.unwrap();
    let told = response.extensions().get::<CorrelationId>().unwrap();
    assert_eq!(api.count(), 3);
    assert!(api.seen().iter().all(|seen| seen.head.headers["x-request-id"] == told.as_str()));
}

#[tokio::test]
async fn r125_readiness_and_errors_are_those_of_the_service_inside() {
    let (inner, mut handle) = mock::pair::<Request<Body>, http::Response<Body>>();
    let mut client = CorrelationLayer::new().layer(inner);
    let mut ready = task::spawn(());
    handle.allow(0);
    assert_pending!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    handle.allow(2);
    for fails in [true, false] {
        assert_ready_ok!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
        let mut call = task::spawn(client.call(get()));
        assert_pending!(call.poll());
        let (_, send) = handle.next_request().await.unwrap();
        if fails {
            send.send_error("its own error");
            assert_eq!(assert_ready!(call.poll()).unwrap_err().to_string(), "its own error");
        } else {
            send.send_response(status(204));
            assert_eq!(assert_ready_ok!(call.poll()).status(), 204);
        }
    }
    let api = Scripted::new(|_| Err(ErrorKind::NotConnected.into()));
    let error: std::io::Error =
        CorrelationLayer::new().layer(api.service()).oneshot(get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected, "the error keeps its type");
}

#[tokio::test]
async fn r125_on_a_socket_the_id_is_one_line() {
    let server = RawServer::start(&[Some("200 OK|")]).await;
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = CorrelationLayer::new().layer(http);
    let mut request = Request::get(&server.origin).body(Body::default()).unwrap();
    request.extensions_mut().insert(CorrelationId::new("order-17").unwrap());
    client.oneshot(request).await.unwrap();
    let lines: Vec<String> =
        server.heads()[0].lines().filter(|line| line.contains("x-request-id")).map(str::to_owned).collect();
    assert_eq!(lines, ["x-request-id: order-17"]);
}
