//! All layers of a client together, on sockets, in the order of their page.
#![cfg(feature = "retry")]

use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    BodyTokenFetcher, TokenInjectLayer, TokenPipeline,
    circuit::{CircuitBreakerLayer, CircuitOpen, CircuitState},
    correlation::{CorrelationId, CorrelationLayer},
    http_client::HttpClient,
    outbound::Cloned,
    rate_info::{RateInfo, RateInfoLayer},
    retry::{ClonedBodies, RequestRetryLayer},
};
use tower::{ServiceBuilder, ServiceExt, timeout::TimeoutLayer};

use crate::{
    scripted::RawServer,
    support::{Body, secs},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r123_the_layers_of_a_client_work_together() {
    let token = |text: &str| format!(r#"200 OK|{{"access_token":"{text}","expires_in":3600}}"#);
    let idp = RawServer::start(&[Some(&token("t-1")), Some(&token("t-2"))]).await;
    let api = RawServer::start(&[
        Some("503 Busy|Retry-After: 0|later"),
        Some("401 Unauthorized|WWW-Authenticate: Bearer error=\"invalid_token\"|no"),
        Some("200 OK|RateLimit: \"day\";r=7;t=60|done"),
        Some("500 Oops|broken"),
    ])
    .await;

    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let pipeline = TokenPipeline::builder("stack")
        .http(HttpClient::new(http.clone()))
        .danger_allow_http_on_loopback()
        .step(BodyTokenFetcher::post("app", format!("{}/token", idp.origin)))
        .build()
        .unwrap();
    let circuits = CircuitBreakerLayer::default();
    let client = ServiceBuilder::new()
        .layer(CorrelationLayer::new())
        .layer(TimeoutLayer::new(secs(60)))
        .layer(RateInfoLayer::new())
        .layer(
            RequestRetryLayer::builder()
                .first_wait(Duration::from_millis(1))
                .bodies(ClonedBodies)
                .build()
                .unwrap(),
        )
        .layer(circuits.clone())
        .layer(
            TokenInjectLayer::new(pipeline.provider())
                .danger_allow_http_on_loopback()
                .allow_origin(api.origin.clone())
                .replay(Cloned)
                .build()
                .unwrap(),
        )
        .layer(TimeoutLayer::new(secs(30)))
        .service(http);

    let put = || Request::put(format!("{}/thing", api.origin)).body(Body::from("bytes")).unwrap();
    let response = client.clone().oneshot(put()).await.unwrap();
    assert_eq!(response.status(), 200);
    let id = response.extensions().get::<CorrelationId>().unwrap().clone();
    assert_eq!(response.extensions().get::<RateInfo>().unwrap().quotas()[0].remaining(), Some(7));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    let heads = api.heads();
    for (head, token) in heads.iter().zip(["t-1", "t-1", "t-2"]) {
        assert!(head.contains(&format!("authorization: bearer {token}\r\n")), "{head}");
        assert!(head.contains(&format!("x-request-id: {id}\r\n")), "{head}");
    }
    assert_eq!((heads.len(), idp.count()), (3, 2));

    // Four attempts fail, and the next request finds the circuit open after one more.
    assert_eq!(client.clone().oneshot(put()).await.unwrap().status(), 500);
    assert_eq!(api.count(), 7);
    let error = client.clone().oneshot(put()).await.unwrap_err();
    assert!(error.is::<CircuitOpen>(), "{error:?}");
    assert_eq!(api.count(), 8);
    assert_eq!(circuits.state(put().uri()), CircuitState::Open);
    assert_eq!(idp.count(), 2);
}
