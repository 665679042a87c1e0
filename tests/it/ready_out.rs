//! The outbound layer between a busy service and tokens that end while it waits.

use std::{convert::Infallible, time::Duration};

use futures_util::FutureExt;
use http::{Request, Response};
use portcullis::outbound::{InjectError, Never};
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_test::mock;

use crate::{
    stock::{Stock, get, layer, status},
    support::Body,
};

type Handle = mock::Handle<Request<Body>, Response<Body>>;

fn answer(handle: &mut Handle, code: u16) -> String {
    let (request, send) = handle.next_request().now_or_never().expect("a request").unwrap();
    send.send_response(status(code));
    request.headers()["authorization"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn r117_a_token_that_ended_while_the_repeat_waited_is_not_sent() {
    let stock = Stock::new();
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = layer(stock.clone()).build().unwrap().layer(inner);
    handle.allow(1);
    let mut call = task::spawn(client.ready().await.unwrap().call(get()));
    assert_eq!(answer(&mut handle, 401), "Bearer t-1");
    assert_pending!(call.poll());
    assert_eq!(stock.state().repeatable.len(), 1);
    // The newer one is there, and there is no place to send the request.
    stock.renew();
    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    assert_eq!(answer(&mut handle, 200), "Bearer t-3");
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(stock.state().repeatable, [true, false], "the repeat is the last sending");
}

#[tokio::test]
async fn r117_a_token_that_ended_while_the_first_sending_waited_is_not_sent() {
    let stock = Stock::new();
    stock.state().later = true;
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = layer(stock.clone()).build().unwrap().layer(inner);
    handle.allow(1);
    let mut call = task::spawn(client.ready().await.unwrap().call(get()));
    drop(client);
    handle.allow(0);
    for _ in 0..3 {
        assert_pending!(call.poll());
    }
    stock.renew();
    stock.state().later = false;
    handle.allow(1);
    assert_pending!(call.poll());
    assert_eq!(answer(&mut handle, 200), "Bearer t-2");
    assert_eq!(call.await.unwrap().status(), 200);
    assert_eq!(stock.state().repeatable, [true, true]);
}

#[tokio::test]
async fn r117_who_did_not_have_to_wait_does_not_ask_again() {
    let stock = Stock::new();
    let inner = service_fn(|request: Request<Body>| {
        let first = request.headers()["authorization"] == "Bearer t-1";
        std::future::ready(Ok::<_, Infallible>(status(if first { 401 } else { 200 })))
    });
    let client = layer(stock.clone()).build().unwrap().layer(inner);
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
    assert_eq!(stock.state().repeatable.len(), 1);
}

/// If nothing later can be had, the token at hand is sent, and the answer says the rest.
#[tokio::test]
async fn r117_a_token_that_cannot_be_replaced_is_sent() {
    use portcullis::provider::TokenErrorKind::Transport;

    for later in [false, true] {
        let stock = Stock::new();
        let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        let mut client = layer(stock.clone()).build().unwrap().layer(inner);
        handle.allow(1);
        let mut call = task::spawn(client.ready().await.unwrap().call(get()));
        answer(&mut handle, 401);
        assert_pending!(call.poll());
        stock.state().later = later;
        stock.state().errors = vec![Transport; 9];
        handle.allow(9);
        // A token that takes a turn of the executor is asked for three times.
        for _ in 0..10 {
            assert_pending!(call.poll());
        }
        assert_eq!(answer(&mut handle, 200), "Bearer t-2");
        assert_eq!(call.await.unwrap().status(), 200);
    }
}

/// The token ends while the request waits for the one place; the fetch of the next needs that place.
#[tokio::test(start_paused = true)]
async fn r138_a_request_that_waits_for_a_second_token_holds_no_place() {
    use portcullis::{TokenPipeline, clock::PausedClock, http_client::HttpClient};

    use crate::{idp::step, support::START};

    let answer = service_fn(|request: Request<Body>| async move {
        let body = match request.uri().host() {
            Some("idp.test") => r#"{"access_token":"t","expires_in":100}"#.to_owned(),
            _ => {
                tokio::time::sleep(Duration::from_secs(200)).await;
                "answer".to_owned()
            }
        };
        Ok::<_, Infallible>(Response::new(Body::from(body)))
    });
    let limited = ConcurrencyLimit::new(answer, 1);
    let pipeline = TokenPipeline::builder("limit")
        .http(HttpClient::new(limited.clone()))
        .clock(PausedClock::starting_at(START))
        .step(step("only"));
    let started = PausedClock::starting_at(START);
    let service = layer(pipeline.build().unwrap().provider()).build().unwrap().layer(limited);
    let calls: Vec<_> = (0..3).map(|_| tokio::spawn(service.clone().oneshot(get()))).collect();
    for call in calls {
        let answer = tokio::time::timeout(Duration::from_secs(10_000), call).await.expect("no lock-up");
        assert_eq!(answer.unwrap().unwrap().status(), 200);
    }
    // No fetch has waited for its deadline.
    assert_eq!(started.now().since(START).as_secs(), 600);
}

#[tokio::test]
async fn r138_an_error_of_the_busy_service_is_its_own() {
    for later in [false, true] {
        let stock = Stock::new();
        stock.state().later = later;
        let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
        let mut client = layer(stock).replay(Never).build().unwrap().layer(inner);
        handle.allow(1);
        let ready = client.ready().await.unwrap();
        if later {
            handle.send_error("broken");
            let error = ready.call(get()).await.unwrap_err();
            assert!(
                matches!(&error, InjectError::Inner(inner) if inner.to_string() == "broken"),
                "{error:?}"
            );
        }
    }
}
