//! tonic's body, frame by frame, and both doors on one channel.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use portcullis::{
    AuthLayer, BodyTokenFetcher, MemoryStore, TokenInjectLayer, TokenPipeline, TokenPolicy, TokenService,
    identity::Subject,
    outbound::{AuthOutcome, Tee},
    problem::Rejection,
    token::IssueOptions,
};
use serde_json::json;
use tokio::net::TcpListener;
use tonic::{
    Code, Status,
    body::Body,
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceExt, service_fn};

use super::{SERVING, about};
use crate::{
    idp::socket_client,
    stock::{Stock, layer},
};

fn chunks(size: usize) -> Body {
    let trailers = HeaderMap::from_iter([(HeaderName::from_static("x-end"), HeaderValue::from_static("z"))]);
    let frames = [
        Ok::<_, Status>(Frame::data(Bytes::from(vec![b'a'; size]))),
        Ok(Frame::data(Bytes::from_static(b"bc"))),
        Ok(Frame::trailers(trailers)),
    ];
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

/// What a service has received of one body.
type Received = (Bytes, Option<HeaderMap>, Option<u64>);

#[tokio::test]
async fn r117_tonics_body_is_repeated_frame_by_frame() {
    let received: Arc<Mutex<Vec<Received>>> = Arc::default();
    let log = Arc::clone(&received);
    let api = service_fn(move |request: http::Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            let refused = request.headers()["authorization"] == "Bearer t-1";
            let length = request.body().size_hint().exact();
            let body = request.into_body().collect().await.unwrap();
            let trailers = body.trailers().cloned();
            log.lock().unwrap().push((body.to_bytes(), trailers, length));
            let answer = if refused { Status::unauthenticated("") } else { Status::ok("") };
            Ok::<_, Infallible>(answer.into_http::<Body>())
        }
    });
    for body in
        [|| chunks(3), || chunks(5_000), || Body::new(http_body_util::Full::from("whole")), Body::empty]
    {
        let client = layer(Stock::new()).replay(Tee::new()).build().unwrap().layer(api.clone());
        let request = http::Request::post("https://api.test/").body(body()).unwrap();
        let response = client.oneshot(request).await.unwrap();
        assert_eq!(response.extensions().get::<AuthOutcome>().unwrap().name(), "repeated");
        let received = std::mem::take(&mut *received.lock().unwrap());
        let (length, plain) = (body().size_hint().exact(), body().collect().await.unwrap());
        let trailers = plain.trailers().cloned();
        let [first, second] = &received[..] else { panic!("{received:?}") };
        assert_eq!(*first, (plain.to_bytes(), trailers, length));
        assert_eq!(first, second);
    }
}

/// Refusals in gRPC's own form are what the other door understands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_the_two_doors_meet_on_a_channel() {
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let refuse = |_: &Rejection, _: http::Response<Bytes>| Status::unauthenticated("").into_http::<Body>();
    let (_reporter, health) = tonic_health::server::health_reporter();
    let serving = Server::builder()
        .layer(AuthLayer::new(tokens.clone()).reject_with(refuse).build().unwrap())
        .add_service(health)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serving);
    let channel = Endpoint::from_shared(origin.clone()).unwrap().connect_lazy();

    let status = HealthClient::new(channel.clone()).check(about("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");

    let issuer = tokens.clone();
    let router = axum::Router::new().fallback(axum::routing::post(async move || {
        let issued = issuer.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        axum::Json(json!({ "access_token": issued.access().expose(), "expires_in": 3600 }))
    }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let idp = format!("http://{}/token", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let pipeline = TokenPipeline::builder("grpc")
        .http(socket_client())
        .danger_allow_http_on_loopback()
        .step(BodyTokenFetcher::post("app", idp))
        .build()
        .unwrap();
    let layer = TokenInjectLayer::new(pipeline.provider())
        .danger_allow_http_on_loopback()
        .allow_origin(&origin)
        .default_origin(&origin)
        .replay(Tee::new())
        .build()
        .unwrap();
    let mut client = HealthClient::new(layer.layer(channel));
    assert_eq!(client.check(about("")).await.unwrap().get_ref().status, SERVING);
    assert_eq!(tokens.revoke_subject(&Subject::local("ada")).await.unwrap(), 1);
    let answer = client.check(about("")).await.unwrap();
    assert_eq!(answer.extensions().get::<AuthOutcome>().unwrap().name(), "repeated");
}
