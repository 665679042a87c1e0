//! Calls whose messages come one after the other, or late.

use std::time::Duration;

use futures_util::{Stream, stream};
use portcullis::outbound::{Tee, TokenInject};
use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};
use tonic::{Code, Request, Response, Status, client::Grpc, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tower::Layer;

use super::{Api, Refusal, SERVING, about};
use crate::stock::Stock;

/// The health check, as a client would call it that streams its one message.
async fn check(
    channel: TokenInject<Channel, Tee>,
    messages: impl Stream<Item = HealthCheckRequest> + Send + 'static,
) -> Result<Response<HealthCheckResponse>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    client.client_streaming(Request::new(messages), path, ProstCodec::default()).await
}

/// Whether the body is back by the time that there is a newer token is the transport's to say. Either way the message is
/// read once, and nothing is sent a third time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_a_refusal_while_the_caller_still_streams_is_an_answer_or_a_repeat() {
    for _ in 0..20 {
        let (api, stock) = (Api::serve(Refusal::Interceptor).await, Stock::new());
        api.refuse("t-1");
        let channel = api.layer(stock.clone()).build().unwrap().layer(api.endpoint().connect_lazy());
        let (send, receive) = oneshot::channel();
        let late = stream::once(async { receive.await.unwrap() });
        let call = tokio::spawn(check(channel.clone(), late));
        while !call.is_finished() && api.seen().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        let _gone_with_a_call_that_has_ended = send.send(about(""));
        let answer = timeout(Duration::from_secs(30), call).await.expect("an answer").unwrap();
        match answer {
            Ok(answer) => {
                assert_eq!(answer.get_ref().status, SERVING);
                assert_eq!((api.seen().len(), api.names().len()), (2, 1));
            }
            Err(status) => {
                assert_eq!(status.code(), Code::Unauthenticated);
                assert_eq!((api.seen().len(), api.names().len()), (1, 0));
            }
        }
        assert_eq!(stock.state().rejected, [1]);
        check(channel, stream::iter([about("")])).await.unwrap();
        assert_eq!(api.seen().pop().unwrap(), "Bearer t-2");
    }
}
