//! What a call ends with that could not be sent.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use portcullis::{
    TokenInjectLayer,
    clock::Clock,
    http_client::HttpClient,
    outbound::InjectError,
    provider::{TokenError, TokenErrorKind},
};
use tokio::net::TcpListener;
use tonic::{Code, Status, transport::Endpoint};
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder, service_fn};

use super::{Api, Refusal, about};
use crate::{
    idp::{Idp, Reply, status, step},
    stock::Stock,
};

/// What a client of this API says about a call, with the status made by us and by tonic.
async fn called(api: &Api, idp: &Idp, client: Option<HttpClient>) -> (Status, Status) {
    let mut builder = idp.pipeline_at(Clock::system());
    if let Some(client) = client {
        builder = builder.http(client);
    }
    let provider = builder.step(step("user")).build().unwrap().provider();
    let layer = api.layer(provider).build().unwrap();
    let stack = ServiceBuilder::new()
        .map_err(Status::from)
        .layer(layer.clone())
        .service(api.endpoint().connect_lazy());
    let ours = HealthClient::new(stack).check(about("")).await.unwrap_err();
    let plain = HealthClient::new(layer.layer(api.endpoint().connect_lazy()));
    let theirs = { plain }.check(about("")).await.unwrap_err();
    (ours, theirs)
}

#[tokio::test]
async fn sec_k06_without_a_token_the_call_is_not_sent_and_its_status_says_whether_to_come_back() {
    for (answer, code, kind) in [
        (503, Code::Unavailable, TokenErrorKind::Refused),
        (401, Code::Unauthenticated, TokenErrorKind::Refused),
        (200, Code::Unauthenticated, TokenErrorKind::Malformed),
        (0, Code::Unavailable, TokenErrorKind::Transport),
    ] {
        let idp = Idp::new(move |_, _| match answer {
            0 => Reply::Broken,
            answer => status(answer, r#"{"error_description":"planted","x":"planted"}"#),
        });
        let api = Api::serve(Refusal::Interceptor).await;
        let (ours, theirs) = called(&api, &idp, None).await;
        assert_eq!((ours.code(), ours.message()), (code, "no token for the request"), "{answer}");
        assert_eq!((theirs.code(), theirs.message()), (Code::Unknown, "no token for the request"));
        for status in [ours, theirs] {
            let InjectError::Token(error) = status.source().unwrap().downcast_ref().unwrap() else {
                panic!("{status:?}")
            };
            assert_eq!((error.kind(), error.step()), (kind, Some("user")));
            assert!(!format!("{status} {status:?}").contains("planted"));
        }
        assert!(api.seen().is_empty(), "nothing was sent");
    }
}

/// A token endpoint may be asked by a client whose errors tonic knows: they are no status of the call.
#[tokio::test]
async fn r127_what_the_token_endpoints_client_says_is_no_status_of_the_call() {
    let api = Api::serve(Refusal::Interceptor).await;
    let client = HttpClient::new(service_fn(|_: http::Request<Full<Bytes>>| async {
        Err::<http::Response<Full<Bytes>>, _>(Status::permission_denied("theirs"))
    }));
    let (ours, theirs) = called(&api, &Idp::counting(), Some(client)).await;
    assert_eq!((ours.code(), ours.message()), (Code::Unavailable, "no token for the request"));
    assert_eq!((theirs.code(), theirs.message()), (Code::PermissionDenied, "theirs"), "hence the conversion");
}

#[tokio::test]
async fn r127_a_channel_that_cannot_connect_says_so_as_without_the_layer() {
    // Bound and dropped: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let channel = || Endpoint::from_shared(origin.clone()).unwrap().connect_lazy();
    let bare = HealthClient::new(channel()).check(about("")).await.unwrap_err();
    let layer = TokenInjectLayer::new(Stock::new())
        .danger_allow_http_on_loopback()
        .allow_origin(&origin)
        .default_origin(&origin)
        .build()
        .unwrap();
    let stack = ServiceBuilder::new().map_err(Status::from).layer(layer.clone()).service(channel());
    let ours = HealthClient::new(stack).check(about("")).await.unwrap_err();
    let theirs = HealthClient::new(layer.layer(channel())).check(about("")).await.unwrap_err();
    assert_eq!((bare.code(), ours.code(), theirs.code()), (Code::Unavailable, bare.code(), bare.code()));
    assert_eq!(ours.message(), bare.message());
}

#[tokio::test]
async fn r127_every_error_of_the_layer_has_a_status() {
    let status = |error: InjectError| Status::from(error);
    for (kind, code) in [
        (TokenErrorKind::Timeout, Code::Unavailable),
        (TokenErrorKind::Busy, Code::Unavailable),
        (TokenErrorKind::Absent, Code::Unauthenticated),
        (TokenErrorKind::Stopped, Code::Unauthenticated),
    ] {
        assert_eq!(status(InjectError::Token(TokenError::new(kind))).code(), code, "{kind:?}");
    }
    let none = status(InjectError::NoRule);
    assert_eq!((none.code(), none.message()), (Code::Unauthenticated, "no rule gives the request a token"));
    assert!(matches!(none.source().unwrap().downcast_ref(), Some(InjectError::NoRule)));
    let inner = status(InjectError::Inner(Box::new(Status::data_loss("theirs"))));
    assert_eq!((inner.code(), inner.message()), (Code::DataLoss, "theirs"));
}
