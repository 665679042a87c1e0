//! What a status of 16 leads to.

use std::time::Duration;

use portcullis::{
    clock::Clock,
    outbound::{AuthOutcome, EmptyOnly, Tee},
};
use tokio::time::timeout;
use tonic::{Code, Status};
use tonic_health::{ServingStatus, pb::health_client::HealthClient};
use tower::{Layer, Service, ServiceBuilder, limit::ConcurrencyLimitLayer};

use super::{Api, Refusal, SERVING, about};
use crate::{
    idp::{Idp, step},
    stock::Stock,
};

#[tokio::test]
async fn r205_an_unauthenticated_call_is_sent_once_more_with_a_newer_token() {
    for refusal in [Refusal::Interceptor, Refusal::Handler] {
        let (api, stock) = (Api::serve(refusal).await, Stock::new());
        api.reporter.set_service_status("a name", ServingStatus::Serving).await;
        api.refuse("t-1");
        let mut client = api.client(api.layer(stock.clone()));
        let answer = client.check(about("a name")).await.unwrap();
        assert_eq!(answer.get_ref().status, SERVING);
        assert_eq!(answer.extensions().get::<AuthOutcome>().unwrap().name(), "repeated");
        assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"], "{refusal:?}");
        assert!(api.names().iter().all(|name| name == "a name"), "{:?}", api.names());
        assert_eq!(stock.state().rejected, [1]);

        client.check(about("a name")).await.unwrap();
        assert_eq!(api.seen().len(), 3);
    }
}

#[tokio::test]
async fn r205_a_stream_of_answers_that_is_refused_at_once_begins_anew() {
    for refusal in [Refusal::Interceptor, Refusal::Handler] {
        let api = Api::serve(refusal).await;
        api.refuse("t-1");
        let mut items = api.client(api.layer(Stock::new())).watch(about("")).await.unwrap().into_inner();
        assert_eq!(items.message().await.unwrap().unwrap().status, SERVING);
        assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"], "{refusal:?}");
    }
}

/// By then the caller has the answer, and may have read messages of it.
#[tokio::test]
async fn r205_a_status_in_the_trailers_is_the_callers_alone() {
    let (api, stock) = (Api::serve(Refusal::Trailers).await, Stock::new());
    api.refuse("t-1");
    let mut items = api.client(api.layer(stock.clone())).watch(about("")).await.unwrap().into_inner();
    assert_eq!(items.message().await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(api.seen(), ["Bearer t-1"]);
    assert!(stock.state().rejected.is_empty());
}

#[tokio::test]
async fn sec_k05_a_second_unauthenticated_is_the_answer() {
    for refusal in [Refusal::Interceptor, Refusal::Handler] {
        let (api, stock) = (Api::serve(refusal).await, Stock::new());
        api.refuse_all();
        let status = api.client(api.layer(stock.clone())).check(about("")).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "no to this token"));
        assert_eq!(status.metadata().get("x-refused").unwrap(), "Bearer t-2");
        assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"]);
        let state = stock.state();
        assert_eq!((&state.rejected[..], &state.rejected_again[..]), (&[1][..], &[2][..]));
    }
}

#[tokio::test]
async fn sec_k05_no_other_status_costs_a_token() {
    for code in [Code::PermissionDenied, Code::InvalidArgument, Code::Unavailable, Code::Cancelled] {
        for refusal in [Refusal::Interceptor, Refusal::Handler] {
            let (api, stock) = (Api::serve_with(refusal, code).await, Stock::new());
            api.refuse_all();
            let status = api.client(api.layer(stock.clone())).check(about("")).await.unwrap_err();
            assert_eq!((status.code(), api.seen().len()), (code, 1));
            assert!(stock.state().rejected.is_empty());
        }
    }
}

#[tokio::test]
async fn r117_a_message_above_the_limit_is_sent_once() {
    let (api, stock) = (Api::serve(Refusal::Handler).await, Stock::new());
    let (short, long) = ("s".repeat(1_000), "l".repeat(100_000));
    for name in [&short, &long] {
        api.reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    let mut client = api.client(api.layer(stock.clone()).replay(Tee::new().limit(2_000)));
    api.refuse("t-1");
    let status = client.check(about(&long)).await.unwrap_err();
    assert_eq!((status.code(), api.seen().len()), (Code::Unauthenticated, 1));
    client.check(about(&long)).await.unwrap();
    assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"], "the token was renewed all the same");

    api.refuse("t-2");
    client.check(about(&short)).await.unwrap();
    assert_eq!(api.names(), [&long[..], &long, &short, &short]);
    assert_eq!(stock.state().rejected, [1, 2]);
}

/// Every message has a body, so that the default replay repeats no call.
#[tokio::test]
async fn r117_without_a_tee_no_call_is_repeated() {
    let (api, stock) = (Api::serve(Refusal::Interceptor).await, Stock::new());
    api.refuse("t-1");
    let mut client = api.client(api.layer(stock.clone()).replay(EmptyOnly));
    assert_eq!(client.check(about("")).await.unwrap_err().code(), Code::Unauthenticated);
    client.check(about("")).await.unwrap();
    assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"]);
}

/// Ten megabytes, refused before they are read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_an_early_refusal_of_a_long_message_is_an_answer() {
    let (api, stock) = (Api::serve(Refusal::Interceptor).await, Stock::new());
    api.refuse("t-1");
    let mut client = api.client(api.layer(stock.clone()));
    let status = client.check(about(&"l".repeat(10 * 1024 * 1024))).await.unwrap_err();
    assert_eq!((status.code(), api.seen().len()), (Code::Unauthenticated, 1));
    client.check(about("")).await.unwrap();
    assert_eq!(api.seen(), ["Bearer t-1", "Bearer t-2"]);
    assert_eq!(stock.state().rejected, [1]);
}

/// Fifty calls with one stale token, on a channel that has room for all, for one at a time, and for two behind a limit
/// of its own: all are answered, by one fetch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k05_fifty_stale_calls_cause_one_fetch_and_no_lock_up() {
    let wide = |api: &Api| api.endpoint().connect_lazy();
    let narrow = |api: &Api| api.endpoint().concurrency_limit(1).connect_lazy();
    stale_calls(wide).await;
    stale_calls(narrow).await;
    stale_calls(|api| {
        ServiceBuilder::new().layer(ConcurrencyLimitLayer::new(2)).service(api.endpoint().connect_lazy())
    })
    .await;
}

async fn stale_calls<S>(channel: impl Fn(&Api) -> S)
where
    S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (api, idp) = (Api::serve(Refusal::Interceptor).await, Idp::counting());
    let pipeline = idp.pipeline_at(Clock::system()).step(step("user")).build().unwrap();
    let layer = api.layer(pipeline.provider()).build().unwrap();
    let client = HealthClient::new(layer.layer(channel(&api)));
    client.clone().check(about("")).await.unwrap();
    api.refuse("user-1");
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { client.check(about("")).await })
        })
        .collect();
    for call in calls {
        let answer = timeout(Duration::from_secs(30), call).await.expect("no lock-up").unwrap();
        assert_eq!(answer.unwrap().get_ref().status, SERVING);
    }
    assert_eq!(idp.names(), ["user", "user"], "one fetch for all");
    assert!(api.seen().len() <= 101, "no call was sent more than twice");
}

/// The types of a stack with everything around the layer are those that generated clients take.
#[tokio::test]
async fn r205_a_stack_around_the_layer_is_a_channel_too() {
    let api = Api::serve(Refusal::Interceptor).await;
    api.refuse("t-1");
    let stack = ServiceBuilder::new()
        .map_err(Status::from)
        .layer(api.layer(Stock::new()).build().unwrap())
        .service(api.endpoint().connect_lazy());
    let answer = HealthClient::new(stack).check(about("")).await.unwrap();
    assert_eq!(answer.extensions().get::<AuthOutcome>().unwrap().name(), "repeated");
}
