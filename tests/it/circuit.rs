//! Requests to an origin in trouble are not sent.

use std::{
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    TokenInjectLayer,
    circuit::{CircuitBreakerLayer, CircuitBreakerLayerBuilder, CircuitOpen, CircuitState, Verdict},
    clock::ManualClock,
    error::BoxError,
    outbound::{InjectError, InjectOptions},
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

use crate::{
    idp::{Idp, Reply, step},
    scripted::{Outcome, RawServer, Scripted, poll_ready, status},
    support::{Body, START, secs},
};

const API: &str = "https://api.test/";

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::default()).unwrap()
}

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

/// Opens after two failures, for half a minute; one probe at a time, two close it.
fn builder(time: &ManualClock) -> CircuitBreakerLayerBuilder {
    CircuitBreakerLayer::builder().failures(2).clock(time.clock())
}

fn manual() -> ManualClock {
    ManualClock::new(START)
}

/// The status, or the text of the error.
async fn send(layer: &CircuitBreakerLayer, api: &Scripted, target: &str) -> Result<u16, BoxError> {
    layer.layer(api.service()).oneshot(get(target)).await.map(|response| response.status().as_u16())
}

#[track_caller]
fn rejected<T>(result: Result<T, BoxError>) -> Duration {
    let Err(error) = result else { panic!("it was sent") };
    error.downcast_ref::<CircuitOpen>().expect("not sent").retry_after()
}

#[tokio::test]
async fn r124_open_sends_nothing_half_open_probes_and_successes_close() {
    let time = manual();
    let layer = builder(&time).build().unwrap();
    let api = Scripted::statuses(&[500, 503, 502, 200, 200, 200]);
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed);
    for expected in [500, 503] {
        assert_eq!(send(&layer, &api, API).await.unwrap(), expected, "the answer itself");
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);
    for _ in 0..5 {
        assert_eq!(rejected(send(&layer, &api, API).await), secs(30));
    }
    time.advance(secs(29));
    assert_eq!(rejected(send(&layer, &api, API).await), secs(1));
    assert_eq!(api.count(), 2, "nothing was sent");

    time.advance(secs(1));
    assert_eq!(send(&layer, &api, API).await.unwrap(), 502);
    assert_eq!(rejected(send(&layer, &api, API).await), secs(30), "the probe has failed");
    time.advance(secs(30));
    assert_eq!(send(&layer, &api, API).await.unwrap(), 200);
    assert_eq!(layer.state(&uri(API)), CircuitState::HalfOpen);
    assert_eq!(send(&layer, &api, API).await.unwrap(), 200);
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed);
    assert_eq!(send(&layer, &api, API).await.unwrap(), 200);
    assert_eq!(api.count(), 6);
}

#[tokio::test]
async fn r124_errors_are_failures_and_successes_are_told_too() {
    let failure = || Err(ErrorKind::ConnectionRefused.into());
    let time = manual();
    let layer = builder(&time).build().unwrap();
    let api = Scripted::new(move |number| if number == 1 { Ok(status(200)) } else { failure() });
    assert_eq!(send(&layer, &api, API).await.unwrap_err().downcast_ref::<io::Error>().unwrap().kind(), {
        ErrorKind::ConnectionRefused
    });
    assert_eq!(send(&layer, &api, API).await.unwrap(), 200);
    send(&layer, &api, API).await.unwrap_err();
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed, "a success lies between them");
    send(&layer, &api, API).await.unwrap_err();
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);
}

#[tokio::test]
async fn r124_only_5xx_and_errors_count() {
    for code in (200..600).filter(|code| StatusCode::from_u16(*code).is_ok()) {
        let layer = builder(&manual()).build().unwrap();
        let api = Scripted::statuses(&[code]);
        for _ in 0..2 {
            assert_eq!(send(&layer, &api, API).await.unwrap(), code);
        }
        let expected = if code >= 500 { CircuitState::Open } else { CircuitState::Closed };
        assert_eq!(layer.state(&uri(API)), expected, "{code}");
    }
    let layer = builder(&manual()).build().unwrap();
    let api = Scripted::statuses(&[500, 429, 500, 404, 500, 401]);
    for _ in 0..6 {
        send(&layer, &api, API).await.unwrap();
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed, "each of these shows that the origin works");
}

#[tokio::test]
async fn r124_what_counts_can_be_set() {
    let time = manual();
    let busy = |status: StatusCode, headers: &http::HeaderMap| match status.as_u16() {
        429 => Verdict::Failure,
        503 if headers.contains_key("x-planned") => Verdict::Neither,
        _ => Verdict::Success,
    };
    let planned = || {
        let mut response = status(503);
        response.headers_mut().insert("x-planned", http::HeaderValue::from_static("yes"));
        Ok(response)
    };
    let script: [fn() -> Outcome; 3] = [|| Ok(status(429)), planned, || Ok(status(429))];
    let layer = builder(&time).judge_answers(busy).build().unwrap();
    let api = Scripted::new(move |number| script[number]());
    for expected in [429, 503, 429] {
        assert_eq!(send(&layer, &api, API).await.unwrap(), expected);
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);

    let only_refused = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if kind == Some(ErrorKind::ConnectionRefused) { Verdict::Failure } else { Verdict::Neither }
    };
    let layer = builder(&time).judge_errors(only_refused).build().unwrap();
    let api = Scripted::new(|number| {
        Err(if number < 5 { ErrorKind::InvalidData } else { ErrorKind::ConnectionRefused }.into())
    });
    for number in 0..7 {
        assert_eq!(layer.state(&uri(API)), CircuitState::Closed, "{number}");
        send(&layer, &api, API).await.unwrap_err();
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn r124_a_token_that_cannot_be_had_is_not_the_origins_failure() {
    let idp = Idp::new(|_, _| Reply::Broken);
    let api = Scripted::statuses(&[200]);
    let inject = TokenInjectLayer::new(idp.pipeline().step(step("user")).build().unwrap().provider())
        .allow_origin("https://api.test")
        .build()
        .unwrap();
    let layer = builder(&manual()).build().unwrap();
    for _ in 0..10 {
        let error = layer.layer(inject.layer(api.service())).oneshot(get(API)).await.unwrap_err();
        assert!(error.is::<portcullis::outbound::InjectError>());
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed);

    // Nor is a request that the token layer refuses, or that did not wait for its token.
    let excluding = TokenInjectLayer::new(
        Idp::new(|_, _| Reply::Never).pipeline().step(step("user")).build().unwrap().provider(),
    )
    .allow_origin("https://api.test")
    .exclude_paths(["/health"])
    .wait_limit(secs(1))
    .build()
    .unwrap();
    for number in 0..10 {
        let mut request = get(if number < 5 { "https://api.test/health" } else { API });
        request.extensions_mut().insert(InjectOptions::new().require());
        let error = layer.layer(excluding.layer(api.service())).oneshot(request).await.unwrap_err();
        match error.downcast_ref() {
            Some(InjectError::NoRule) => assert!(number < 5),
            Some(InjectError::TookTooLong) => assert!(number >= 5),
            other => panic!("{other:?}"),
        }
        assert!(std::error::Error::source(&*error).unwrap().is::<portcullis::error::NotSent>());
    }
    assert_eq!((layer.state(&uri(API)), api.count()), (CircuitState::Closed, 0));

    // What goes wrong behind the token layer is.
    let inject =
        TokenInjectLayer::new(Idp::counting().pipeline().step(step("user")).build().unwrap().provider())
            .allow_origin("https://api.test")
            .build()
            .unwrap();
    let api = Scripted::new(|_| Err(ErrorKind::ConnectionReset.into()));
    for _ in 0..2 {
        layer.layer(inject.layer(api.service())).oneshot(get(API)).await.unwrap_err();
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);
}

// ===== probes =====

/// A layer whose circuit for the API is due for a probe.
async fn due(time: &ManualClock, builder: CircuitBreakerLayerBuilder) -> CircuitBreakerLayer {
    let layer = builder.build().unwrap();
    let api = Scripted::statuses(&[500]);
    for _ in 0..2 {
        send(&layer, &api, API).await.unwrap();
    }
    time.advance(secs(30));
    layer
}

#[tokio::test]
async fn r124_a_dropped_probe_gives_its_place_back() {
    let time = manual();
    let layer = due(&time, builder(&time)).await;
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let client = layer.layer(inner);
    for _ in 0..3 {
        let mut probe = task::spawn(client.clone().oneshot(get(API)));
        assert_pending!(probe.poll());
        handle.next_request().await.unwrap();
        rejected(client.clone().oneshot(get(API)).await);
        drop(probe);
    }
    // Nobody knows more than before.
    assert_eq!(layer.state(&uri(API)), CircuitState::HalfOpen);
    let mut probe = task::spawn(client.clone().oneshot(get(API)));
    assert_pending!(probe.poll());
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(status(200));
    assert_ready_ok!(probe.poll());
}

#[tokio::test]
async fn r124_a_probe_that_is_made_and_never_polled_gives_its_place_back() {
    let time = manual();
    let layer = due(&time, builder(&time)).await;
    let api = Scripted::statuses(&[200]);
    let mut client = layer.layer(api.service());
    drop(client.ready().await.unwrap().call(get(API)));
    assert_eq!(client.ready().await.unwrap().call(get(API)).await.unwrap().status(), 200);
}

#[tokio::test]
async fn r124_dropped_requests_count_as_nothing_while_closed() {
    let layer = builder(&manual()).build().unwrap();
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let client = layer.layer(inner);
    for _ in 0..10 {
        let mut call = task::spawn(client.clone().oneshot(get(API)));
        assert_pending!(call.poll());
        handle.next_request().await.unwrap();
    }
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed);
}

#[tokio::test]
async fn r124_answers_from_before_the_circuit_opened_neither_close_nor_open_it() {
    let time = manual();
    let layer = builder(&time).build().unwrap();
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let client = layer.layer(inner);
    let (mut good, mut bad) =
        (task::spawn(client.clone().oneshot(get(API))), task::spawn(client.clone().oneshot(get(API))));
    assert_pending!(good.poll());
    let (_, answer_good) = handle.next_request().await.unwrap();
    assert_pending!(bad.poll());
    let (_, answer_bad) = handle.next_request().await.unwrap();
    let api = Scripted::statuses(&[500]);
    for _ in 0..2 {
        send(&layer, &api, API).await.unwrap();
    }
    answer_good.send_response(status(200));
    assert_ready_ok!(good.poll());
    assert_eq!(layer.state(&uri(API)), CircuitState::Open);

    time.advance(secs(30));
    let mut probe = task::spawn(client.clone().oneshot(get(API)));
    assert_pending!(probe.poll());
    answer_bad.send_response(status(500));
    assert_ready_ok!(bad.poll());
    assert_eq!(layer.state(&uri(API)), CircuitState::HalfOpen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r124_a_thousand_requests_at_once_send_no_more_probes_than_there_are_places() {
    let time = manual();
    let layer = due(&time, builder(&time).probes(3)).await;
    let (sent, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let api = service_fn({
        let (sent, open) = (Arc::clone(&sent), Arc::clone(&open));
        move |_: Request<Body>| {
            sent.fetch_add(1, Ordering::SeqCst);
            let open = Arc::clone(&open);
            async move {
                while !open.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                Ok::<_, io::Error>(status(200))
            }
        }
    });
    let client = layer.layer(api);
    let calls: Vec<_> = (0..1000).map(|_| tokio::spawn(client.clone().oneshot(get(API)))).collect();
    // All but the probes are done.
    while calls.iter().filter(|call| call.is_finished()).count() < 997 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sent.load(Ordering::SeqCst), 3);
    open.store(true, Ordering::SeqCst);
    let mut refused = 0;
    for call in calls {
        refused += usize::from(call.await.unwrap().is_err());
    }
    assert_eq!(refused, 997);
    assert_eq!(layer.state(&uri(API)), CircuitState::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r124_after_a_thousand_failures_at_once_nothing_is_sent() {
    let layer = builder(&manual()).build().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let client = layer.layer(service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, io::Error>(status(500)))
    }));
    let calls: Vec<_> = (0..1000).map(|_| tokio::spawn(client.clone().oneshot(get(API)))).collect();
    for call in calls {
        drop(call.await.unwrap());
    }
    let before = sent.load(Ordering::SeqCst);
    assert!((2..1000).contains(&before), "{before}");
    rejected(client.oneshot(get(API)).await);
    assert_eq!(sent.load(Ordering::SeqCst), before);
}

// ===== origins =====

#[tokio::test]
async fn r124_each_origin_has_its_own_circuit_and_clones_share_them() {
    let layer = builder(&manual()).build().unwrap();
    let api = Scripted::statuses(&[500]);
    for path in ["https://api.test/a", "https://API.test:443/b?c"] {
        send(&layer, &api, path).await.unwrap();
    }
    for same in ["https://api.test/", "https://user@api.test/x"] {
        rejected(send(&layer.clone(), &api, same).await);
    }
    for other in
        ["http://api.test/", "https://api.test:8443/", "https://other.test/", "/path", "ftp://api.test/"]
    {
        assert_eq!(layer.state(&uri(other)), CircuitState::Closed);
        assert_eq!(send(&layer, &api, other).await.unwrap(), 500, "{other}");
    }
    // Those that name no origin are one, and nobody else's.
    rejected(send(&layer, &api, "/other").await);
    assert_eq!(layer.state(&uri("/")), CircuitState::Open);
    assert_eq!(send(&layer, &api, "https://new.test/").await.unwrap(), 500);
    assert_eq!(layer.state(&uri("https://new.test/")), CircuitState::Closed);
}

#[tokio::test]
async fn r124_a_new_origin_takes_the_place_of_a_healthy_one_and_never_of_one_in_trouble() {
    let time = manual();
    let layer = builder(&time).origins(2).build().unwrap();
    let (bad, good) = (Scripted::statuses(&[500]), Scripted::statuses(&[200]));
    for _ in 0..2 {
        send(&layer, &bad, "https://down.test/").await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(send(&layer, &good, &format!("https://n{number}.test/")).await.unwrap(), 200);
    }
    rejected(send(&layer, &good, "https://down.test/").await);

    // All places are taken: requests to others are sent, and not judged.
    for _ in 0..2 {
        send(&layer, &bad, "https://down-too.test/").await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(send(&layer, &bad, "https://third.test/").await.unwrap(), 500);
    }
    assert_eq!(layer.state(&uri("https://third.test/")), CircuitState::Closed);
    rejected(send(&layer, &good, "https://down.test/").await);
    rejected(send(&layer, &good, "https://down-too.test/").await);

    // Who is due for a probe would be asked anyway.
    time.advance(secs(30));
    for _ in 0..2 {
        send(&layer, &bad, "https://third.test/").await.unwrap();
    }
    rejected(send(&layer, &good, "https://third.test/").await);
}

// ===== the service inside =====

#[tokio::test]
async fn r124_readiness_and_its_errors_are_those_of_the_service_inside() {
    let layer = builder(&manual()).build().unwrap();
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = layer.layer(inner);
    let mut ready = task::spawn(());
    handle.allow(0);
    assert_pending!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    handle.allow(1);
    assert_ready_ok!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    let mut call = task::spawn(client.call(get(API)));
    assert_pending!(call.poll());
    let (_, send) = handle.next_request().await.unwrap();
    send.send_error("its own error");
    assert_eq!(assert_ready!(call.poll()).unwrap_err().to_string(), "its own error");
    handle.send_error("broken");
    assert_eq!(
        assert_ready!(ready.enter(|cx, _| poll_ready(&mut client, cx))).unwrap_err().to_string(),
        "broken"
    );
}

#[cfg(feature = "retry")]
#[tokio::test(start_paused = true)]
async fn r124_an_open_circuit_is_not_tried_again() {
    let layer = builder(&manual()).build().unwrap();
    let api = Scripted::new(|_| Err(ErrorKind::ConnectionRefused.into()));
    let retry = portcullis::retry::RequestRetryLayer::builder().build().unwrap();
    let client = retry.layer(layer.layer(api.service()));
    rejected(client.oneshot(get(API)).await);
    assert_eq!(api.count(), 2, "the attempts count, and the third is not sent");
    assert_eq!(api.waits().len(), 1);
}

#[test]
fn r124_contradictions_are_found_all_at_once() {
    let builder = CircuitBreakerLayer::builder;
    let error =
        builder().failures(0).probes(0).successes(0).open_for(Duration::ZERO).origins(0).build().unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["failures", "probes", "successes", "open_for", "origins"]);
    for wrong in [
        builder().failures(10_001),
        builder().probes(10_001),
        builder().successes(10_001),
        builder().open_for(secs(3601)),
        builder().open_for(Duration::from_millis(9)),
        builder().origins(1025),
    ] {
        assert_eq!(wrong.build().unwrap_err().faults().len(), 1);
    }
    assert!(builder().failures(10_000).open_for(secs(3600)).origins(1024).build().is_ok());
}

#[tokio::test]
async fn r124_five_failures_open_by_default() {
    let layer = CircuitBreakerLayer::default();
    let api = Scripted::statuses(&[500]);
    for _ in 0..5 {
        assert_eq!(layer.state(&uri(API)), CircuitState::Closed);
        send(&layer, &api, API).await.unwrap();
    }
    let wait = rejected(send(&layer, &api, API).await);
    assert!(wait > secs(20) && wait <= secs(30), "{wait:?}");
}

#[tokio::test]
async fn r124_on_a_socket_nothing_is_sent_while_the_circuit_is_open() {
    let server =
        RawServer::start(&[Some("500 Oops|"), None, Some("200 OK|a"), Some("200 OK|b"), Some("200 OK|c")])
            .await;
    let time = manual();
    let layer = builder(&time).build().unwrap();
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<bytes::Bytes>>();
    let client = layer.layer(http);
    let call = async || client.clone().oneshot(get(&server.origin)).await;
    assert_eq!(call().await.unwrap().status(), 500);
    call().await.unwrap_err();
    for _ in 0..5 {
        rejected(call().await);
    }
    assert_eq!(server.count(), 2);
    time.advance(secs(30));
    for _ in 0..3 {
        assert_eq!(call().await.unwrap().status(), 200);
    }
    assert_eq!(layer.state(&uri(&server.origin)), CircuitState::Closed);
    assert_eq!(server.count(), 5);
}
