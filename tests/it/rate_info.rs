//! What servers say about their rate limits.

use std::io::ErrorKind;

use http::{Request, Response};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    clock::{ManualClock, Timestamp},
    rate_info::{RateInfo, RateInfoLayer},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    scripted::{RawServer, Scripted, poll_ready, status},
    support::{Body, START, secs},
};

fn get() -> Request<Body> {
    Request::get("https://api.test/").body(Body::default()).unwrap()
}

async fn read(headers: &[(&'static str, &'static str)], at: Timestamp) -> Option<RateInfo> {
    let headers = headers.to_vec();
    let api = Scripted::new(move |_| {
        let mut response = status(429);
        for (name, value) in &headers {
            response.headers_mut().append(*name, value.parse().unwrap());
        }
        Ok(response)
    });
    let layer = RateInfoLayer::new().clock(ManualClock::new(at).clock());
    let response = layer.layer(api.service()).oneshot(get()).await.unwrap();
    assert_eq!(response.status(), 429, "the answer itself is not touched");
    response.extensions().get().cloned()
}

#[tokio::test]
async fn r125_rate_limits_are_an_extension_of_the_answer() {
    let info = read(&[("ratelimit", r#""day";r=0;t=30"#), ("retry-after", "31")], START).await.unwrap();
    assert_eq!(info.quotas().len(), 1);
    assert_eq!(info.tightest().unwrap().reset_after(), Some(secs(30)));
    assert_eq!(info.retry_after(), Some(secs(31)));

    // START is 1 700 000 000.
    let trio = [("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "1700000010")];
    let quota = read(&trio, START).await.unwrap().tightest().unwrap().clone();
    assert_eq!((quota.remaining(), quota.reset_after()), (Some(3), Some(secs(10))));
    let late = read(&trio, START.plus(secs(60))).await.unwrap();
    assert_eq!(late.quotas()[0].reset_after(), Some(secs(0)));

    assert_eq!(read(&[], START).await, None);
    assert_eq!(read(&[("ratelimit", "junk;;"), ("retry-after", "soon")], START).await, None);
}

#[tokio::test]
async fn r125_rate_info_leaves_readiness_and_errors_alone() {
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = RateInfoLayer::new().layer(inner);
    let mut ready = task::spawn(());
    handle.allow(0);
    assert_pending!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    handle.allow(1);
    assert_ready_ok!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    let mut call = task::spawn(client.call(get()));
    assert_pending!(call.poll());
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error("its own error");
    assert_eq!(assert_ready!(call.poll()).unwrap_err().to_string(), "its own error");
    let api = Scripted::new(|_| Err(ErrorKind::NotConnected.into()));
    let error: std::io::Error = RateInfoLayer::new().layer(api.service()).oneshot(get()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected, "the error keeps its type");
}

#[tokio::test]
async fn r125_on_a_socket_rate_limits_are_read() {
    let server =
        RawServer::start(&[Some("200 OK|RateLimit: \"day\";r=7;t=60|RateLimit-Policy: \"day\";q=9|")]);
    let server = server.await;
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = RateInfoLayer::new().layer(http);
    let response = client.oneshot(Request::get(&server.origin).body(Body::default()).unwrap()).await.unwrap();
    let quota = response.extensions().get::<RateInfo>().unwrap().quotas()[0].clone();
    assert_eq!((quota.name(), quota.remaining(), quota.limit()), (Some("day"), Some(7), Some(9)));
}
