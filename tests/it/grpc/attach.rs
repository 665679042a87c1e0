//! Which calls get a token.

use portcullis::outbound::{AuthOutcome, ExistingHeader, InjectOptions};
use tonic::{Code, Request};
use tonic_health::pb::health_client::HealthClient;
use tower::Layer;

use super::{Api, Refusal, SERVING, about};
use crate::{grpc::NOT_SERVING, stock::Stock};

#[tokio::test]
async fn r121_a_generated_client_gets_the_token_of_the_default_origin() {
    let api = Api::serve(Refusal::Interceptor).await;
    let (with, without) = (Stock::new(), Stock::new());
    let answer = api.client(api.layer(with)).check(about("")).await.unwrap();
    assert_eq!(answer.get_ref().status, SERVING);
    assert!(answer.extensions().get::<AuthOutcome>().is_none());
    api.client(api.bare_layer(without.clone())).check(about("")).await.unwrap();
    assert_eq!(api.seen(), ["Bearer t-1", "-"]);
    assert!(without.state().repeatable.is_empty(), "no token was asked for");
}

/// A client that names its origin needs no default, and a foreign name counts although the channel goes to the
/// allowed origin: what a channel is connected to cannot be seen from above.
#[tokio::test]
async fn r121_an_origin_that_the_client_names_counts() {
    let api = Api::serve(Refusal::Interceptor).await;
    for (named, expected) in [(api.origin.as_str(), "Bearer t-1"), ("https://other.test", "-")] {
        for layer in [api.bare_layer(Stock::new()), api.layer(Stock::new())] {
            let channel = layer.build().unwrap().layer(api.endpoint().connect_lazy());
            HealthClient::with_origin(channel, named.parse().unwrap()).check(about("")).await.unwrap();
            assert_eq!(api.seen().pop().unwrap(), expected, "{named}");
        }
    }
}

#[tokio::test]
async fn sec_k04_a_channel_to_an_origin_that_is_not_allowed_gets_no_token() {
    let (api, other) = (Api::serve(Refusal::Interceptor).await, Api::serve(Refusal::Interceptor).await);
    let stock = Stock::new();
    let layer = api.bare_layer(stock.clone()).default_origin(&other.origin);
    other.refuse_all();
    let status = other.client(layer).check(about("")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(other.seen(), ["-"]);
    assert!(stock.state().repeatable.is_empty() && stock.state().rejected.is_empty());
}

#[tokio::test]
async fn r120_the_path_of_a_method_can_be_excluded() {
    let api = Api::serve(Refusal::Interceptor).await;
    let layer = api.layer(Stock::new()).exclude_paths(["/grpc.health.v1.Health/Check"]);
    let mut client = api.client(layer);
    client.check(about("")).await.unwrap();
    client.watch(about("")).await.unwrap();
    assert_eq!(api.seen(), ["-", "Bearer t-1"]);
}

#[tokio::test]
async fn r205_a_stream_of_answers_has_the_token_and_streams() {
    let api = Api::serve(Refusal::Interceptor).await;
    let mut items = api.client(api.layer(Stock::new())).watch(about("")).await.unwrap().into_inner();
    assert_eq!(items.message().await.unwrap().unwrap().status, SERVING);
    api.reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    assert_eq!(items.message().await.unwrap().unwrap().status, NOT_SERVING);
    assert_eq!(api.seen(), ["Bearer t-1"]);
}

#[tokio::test]
async fn r116_options_of_one_call_travel_in_its_extensions() {
    let api = Api::serve(Refusal::Interceptor).await;
    let (stock, call) = (Stock::new(), |options: InjectOptions| {
        let mut request = Request::new(about(""));
        request.extensions_mut().insert(options);
        request
    });
    let mut client = api.client(api.layer(stock.clone()));
    client.check(call(InjectOptions::new().skip())).await.unwrap();
    assert_eq!(api.seen(), ["-"]);

    let own = |options| {
        let mut request = call(options);
        request.metadata_mut().insert("authorization", "Bearer mine".parse().unwrap());
        request
    };
    client.check(own(InjectOptions::new())).await.unwrap();
    client.check(own(InjectOptions::new().existing_header(ExistingHeader::Replace))).await.unwrap();
    assert_eq!(api.seen()[1..], ["Bearer mine", "Bearer t-1"]);

    api.refuse("t-1");
    let status = client.check(call(InjectOptions::new().never_repeat())).await.unwrap_err();
    assert_eq!((status.code(), api.seen().len()), (Code::Unauthenticated, 4));
    assert_eq!(stock.state().rejected, [1], "the next call has a newer one");

    let bare = api.client(api.bare_layer(stock)).check(call(InjectOptions::new().require())).await;
    assert_eq!(bare.unwrap_err().message(), "no rule gives the request a token");
    assert_eq!(api.seen().len(), 4);
}
