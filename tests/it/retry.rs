//! Requests that are sent again after a failure that may pass.
#![cfg(feature = "retry")]

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    TokenInjectLayer,
    error::BoxError,
    retry::{
        Budget, ClonedBodies, CopyBody, Repeat, RequestRetryLayer, RequestRetryLayerBuilder, TpsBudget,
        is_transient,
    },
};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    idp::{Idp, step},
    scripted::{RawServer, Scripted, poll_ready, status},
    support::{Body, START, secs},
};

const API: &str = "https://api.test/";

fn request(method: Method) -> Request<Body> {
    Request::builder().method(method).uri(API).body(Body::default()).unwrap()
}

fn get() -> Request<Body> {
    request(Method::GET)
}

fn builder() -> RequestRetryLayerBuilder {
    RequestRetryLayer::builder()
}

async fn send<C: CopyBody<Body>>(
    builder: RequestRetryLayerBuilder<C>,
    api: &Scripted,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    builder.clock(api.clock()).build().unwrap().layer(api.service()).oneshot(request).await
}

/// An answer that asks to wait.
fn busy(after: impl AsRef<str>) -> Response<Body> {
    let mut response = status(503);
    response.headers_mut().insert("retry-after", HeaderValue::from_str(after.as_ref()).unwrap());
    response
}

// ===== after what =====

#[tokio::test(start_paused = true)]
async fn r123_listed_statuses_are_repeated_and_no_others() {
    for code in (200..600).filter(|code| StatusCode::from_u16(*code).is_ok()) {
        let listed = matches!(code, 408 | 429 | 500 | 502 | 503 | 504);
        let api = Scripted::statuses(&[code]);
        let response = send(builder(), &api, get()).await.unwrap();
        assert_eq!(response.status(), code);
        assert_eq!(api.count(), if listed { 4 } else { 1 }, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn r123_the_first_answer_that_is_no_failure_is_the_answer() {
    let api = Scripted::statuses(&[503, 502, 200, 503]);
    assert_eq!(send(builder(), &api, get()).await.unwrap().status(), 200);
    assert_eq!(api.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn r123_statuses_and_the_number_of_repeats_can_be_set() {
    let api = Scripted::statuses(&[404]);
    send(builder().statuses([StatusCode::NOT_FOUND]).repeats(1), &api, get()).await.unwrap();
    assert_eq!(api.count(), 2);
    let api = Scripted::statuses(&[503]);
    send(builder().statuses([StatusCode::NOT_FOUND]), &api, get()).await.unwrap();
    assert_eq!(api.count(), 1);
    for repeats in [0, 20] {
        let api = Scripted::statuses(&[503]);
        send(builder().repeats(repeats), &api, get()).await.unwrap();
        assert_eq!(api.count(), repeats as usize + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r123_connection_errors_are_repeated_and_the_last_one_is_the_error() {
    let api = Scripted::new(|number| {
        Err(io::Error::new(ErrorKind::ConnectionReset, format!("reset number {number}")))
    });
    let error = send(builder(), &api, get()).await.unwrap_err();
    assert_eq!(api.count(), 4);
    let error = error.downcast_ref::<io::Error>().expect("the error itself, not one around it");
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::ConnectionReset, "reset number 3"));

    let api =
        Scripted::new(|number| if number == 0 { Err(ErrorKind::BrokenPipe.into()) } else { Ok(status(200)) });
    assert_eq!(send(builder(), &api, get()).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn r123_without_a_repeat_the_error_is_the_services_own() {
    let refused = |_| Err(io::Error::new(ErrorKind::ConnectionRefused, "refused"));
    let unknown = |_| Err(io::Error::new(ErrorKind::InvalidData, "invalid peer certificate: Expired"));
    for (builder, api, text) in [
        (builder().repeats(0), Scripted::new(refused), "refused"),
        (builder().errors(|_| false), Scripted::new(refused), "refused"),
        (builder(), Scripted::new(unknown), "invalid peer certificate: Expired"),
    ] {
        let error = send(builder, &api, get()).await.unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().to_string(), text);
        assert_eq!(api.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn r123_which_errors_are_repeated_can_be_set() {
    let api = Scripted::new(|_| Err(io::Error::other("dns error")));
    let dns =
        |error: &(dyn std::error::Error + 'static)| error.to_string() == "dns error" || is_transient(error);
    send(builder().errors(dns), &api, get()).await.unwrap_err();
    assert_eq!(api.count(), 4);
}

// ===== what =====

#[tokio::test(start_paused = true)]
async fn r123_idempotent_methods_only_unless_asked() {
    let count = async |builder: RequestRetryLayerBuilder, request: Request<Body>| {
        let api = Scripted::new(|number| match number {
            0 => Err(ErrorKind::ConnectionReset.into()),
            _ => Ok(status(503)),
        });
        // The error of the first attempt, or the answer to the second.
        drop(send(builder.repeats(2), &api, request).await);
        api.count() - 1
    };
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::PUT, Method::DELETE] {
        assert_eq!(count(builder(), request(method.clone())).await, 2, "{method}");
    }
    let purge = Method::from_bytes(b"PURGE").unwrap();
    for method in [Method::POST, Method::PATCH, Method::CONNECT, purge.clone()] {
        assert_eq!(count(builder(), request(method.clone())).await, 0, "{method}");
        assert_eq!(
            count(builder().repeat_method(method.clone()), request(method.clone())).await,
            2,
            "{method}"
        );
        let mut asked = request(method.clone());
        asked.extensions_mut().insert(Repeat::Allowed);
        assert_eq!(count(builder(), asked).await, 2, "{method}");
    }
    let other = builder().repeat_method(purge);
    assert_eq!(count(other, request(Method::POST)).await, 0);
    let mut never = get();
    never.extensions_mut().insert(Repeat::Never);
    assert_eq!(count(builder(), never).await, 0);
}

#[tokio::test(start_paused = true)]
async fn r123_a_body_that_cannot_be_copied_is_sent_once() {
    /// Copies nothing, as for a stream.
    #[derive(Clone)]
    struct Stream;
    impl CopyBody<Body> for Stream {
        fn copy(&self, _body: &Body) -> Option<Body> {
            None
        }
    }
    let put = || Request::put(API).body(Body::from("bytes")).unwrap();

    let api = Scripted::statuses(&[503]);
    assert_eq!(send(builder(), &api, put()).await.unwrap().status(), 503);
    assert_eq!(send(builder().bodies(Stream), &api, put()).await.unwrap().status(), 503);
    assert_eq!(api.count(), 2, "each was sent, and once");
    assert!(api.seen().iter().all(|seen| seen.body == "bytes"));

    let api = Scripted::statuses(&[503]);
    send(builder().bodies(ClonedBodies), &api, put()).await.unwrap();
    assert_eq!(api.count(), 4);
    assert!(api.seen().iter().all(|seen| seen.body == "bytes"));
}

#[tokio::test(start_paused = true)]
async fn r123_every_attempt_is_the_whole_request() {
    #[derive(Clone, Debug, PartialEq)]
    struct Note(u8);
    let api = Scripted::statuses(&[503, 503, 200]);
    let mut request = Request::put("https://api.test/a?b=c").body(Body::from("bytes")).unwrap();
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().append("x-two", HeaderValue::from_static("1"));
    request.headers_mut().append("x-two", HeaderValue::from_static("2"));
    request.extensions_mut().insert(Note(7));
    send(builder().bodies(ClonedBodies), &api, request).await.unwrap();
    assert_eq!(api.count(), 3);
    for seen in api.seen() {
        assert_eq!(seen.head.method, Method::PUT);
        assert_eq!(seen.head.uri, "https://api.test/a?b=c");
        assert_eq!(seen.head.version, Version::HTTP_2);
        assert_eq!(seen.head.headers.get_all("x-two").iter().count(), 2);
        assert_eq!(seen.head.extensions.get(), Some(&Note(7)));
        assert_eq!(seen.body, "bytes");
    }
}

// ===== how long =====

#[track_caller]
fn within(wait: Duration, least: Duration, most: Duration) {
    // The timer counts whole milliseconds, and rounds up.
    assert!(wait >= least && wait <= most + Duration::from_millis(2), "{wait:?}, not {least:?} to {most:?}");
}

#[tokio::test(start_paused = true)]
async fn r123_waits_double_and_there_is_none_after_the_last_attempt() {
    let api = Scripted::statuses(&[503]);
    send(builder().repeats(8), &api, get()).await.unwrap();
    let returned = api.clock().now();
    let waits = api.waits();
    for (wait, doubled) in waits.iter().zip([1, 2, 4, 8, 16, 32, 60, 60]) {
        within(*wait, secs(doubled) / 2, secs(doubled));
    }
    assert_eq!(waits.len(), 8);
    assert_eq!(returned, api.seen().last().unwrap().at);

    let api = Scripted::new(|_| Err(ErrorKind::ConnectionRefused.into()));
    let short = builder().first_wait(Duration::from_millis(100)).longest_wait(Duration::from_millis(150));
    send(short, &api, get()).await.unwrap_err();
    for (wait, doubled) in api.waits().iter().zip([100, 150, 150]) {
        let doubled = Duration::from_millis(doubled);
        within(*wait, doubled / 2, doubled);
    }
}

#[tokio::test(start_paused = true)]
async fn r123_requests_that_fail_together_do_not_come_back_together() {
    let api = Scripted::statuses(&[503]);
    let client = builder().repeats(1).build().unwrap().layer(api.service());
    let calls: Vec<_> = (0..20).map(|_| tokio::spawn(client.clone().oneshot(get()))).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let repeats: std::collections::BTreeSet<_> =
        api.seen()[20..].iter().map(|seen| seen.at.as_millis()).collect();
    assert!(repeats.len() > 10, "{repeats:?}");
}

#[tokio::test(start_paused = true)]
async fn r123_retry_after_is_waited_for_in_both_forms() {
    // START is Tue, 14 Nov 2023 22:13:20 GMT.
    for (after, least, most) in [
        ("10", 10_000, 11_000),
        ("60", 60_000, 61_000),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10_000, 11_000),
        ("Tuesday, 14-Nov-23 22:13:30 GMT", 10_000, 11_000),
        ("Tue Nov 14 22:13:30 2023", 10_000, 11_000),
        // Now, in the past, or nothing that can be read: the wait is our own.
        ("0", 500, 1000),
        ("Tue, 14 Nov 2023 22:13:10 GMT", 500, 1000),
        ("soon", 500, 1000),
        ("-5", 500, 1000),
    ] {
        for code in [503, 429] {
            let api = Scripted::new(move |number| {
                let mut response = busy(after);
                *response.status_mut() = StatusCode::from_u16(if number == 0 { code } else { 200 }).unwrap();
                Ok(response)
            });
            assert_eq!(send(builder(), &api, get()).await.unwrap().status(), 200);
            within(api.waits()[0], Duration::from_millis(least), Duration::from_millis(most));
        }
    }
    assert_eq!(START.as_millis(), 1_700_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn r123_an_answer_that_asks_for_too_much_is_returned_at_once() {
    for after in ["61", "Tue, 14 Nov 2023 22:14:21 GMT", "99999999999999999999"] {
        let api = Scripted::new(move |_| Ok(busy(after)));
        let response = send(builder(), &api, get()).await.unwrap();
        assert_eq!(response.headers()["retry-after"], after);
        assert_eq!((api.count(), api.clock().now()), (1, START), "{after}");
    }
    let api = Scripted::new(|number| Ok(if number == 0 { busy("61") } else { status(200) }));
    send(builder().longest_retry_after(secs(61)), &api, get()).await.unwrap();
    assert_eq!(api.count(), 2);
    let api = Scripted::new(|number| Ok(busy(if number == 0 { "0" } else { "1" })));
    send(builder().longest_retry_after(Duration::ZERO), &api, get()).await.unwrap();
    assert_eq!(api.count(), 2);
}

// ===== how often =====

#[tokio::test(start_paused = true)]
async fn r123_a_spent_budget_ends_the_repeats_of_all() {
    let api = Scripted::statuses(&[503]);
    let budget = || Arc::new(TpsBudget::new(secs(10), 0, 0.5));
    // Of ten requests, every second may be repeated once.
    let client = builder().repeats(1).budget(budget()).build().unwrap().layer(api.service());
    for _ in 0..10 {
        let response = client.clone().oneshot(get()).await.unwrap();
        assert_eq!(response.status(), 503, "the answer as it is");
    }
    assert_eq!(api.count(), 15);

    // Layers that share one share what is left.
    let api = Scripted::statuses(&[503]);
    let shared = Arc::new(TpsBudget::new(secs(10), 1, 0.0));
    for _ in 0..3 {
        let layer = builder().repeats(6).budget(Arc::clone(&shared)).first_wait(Duration::from_millis(1));
        send(layer, &api, get()).await.unwrap();
    }
    assert_eq!(api.count(), 3 + 10);
    assert!(!shared.withdraw());
}

#[tokio::test(start_paused = true)]
async fn r123_there_is_a_budget_by_default_and_it_can_be_left_out() {
    let count = async |builder: RequestRetryLayerBuilder| {
        let api = Scripted::statuses(&[503]);
        let layer = builder.first_wait(Duration::from_millis(1)).longest_wait(Duration::from_millis(1));
        let client = layer.build().unwrap().layer(api.service());
        for _ in 0..200 {
            client.clone().oneshot(get()).await.unwrap();
        }
        api.count() - 200
    };
    assert_eq!(count(builder()).await, 100 + 40);
    assert_eq!(count(builder().without_budget()).await, 600);
}

#[tokio::test(start_paused = true)]
async fn r123_requests_that_are_not_repeated_pay_into_the_budget_too() {
    let api = Scripted::statuses(&[503]);
    let layer = builder().repeats(1).budget(Arc::new(TpsBudget::new(secs(10), 0, 0.5))).build().unwrap();
    let client = layer.layer(api.service());
    for method in [Method::POST, Method::POST, Method::GET, Method::GET] {
        client.clone().oneshot(request(method)).await.unwrap();
    }
    assert_eq!(api.count(), 4 + 2);
}

// ===== what comes back =====

#[tokio::test(start_paused = true)]
async fn r123_the_last_answer_is_whole() {
    let api = Scripted::new(|number| {
        let mut response = status(503);
        response.headers_mut().insert("x-number", HeaderValue::from(number));
        *response.body_mut() = Body::from(format!("answer {number}"));
        Ok(response)
    });
    let response = send(builder(), &api, get()).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-number"]), (503, &HeaderValue::from(3)));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "answer 3");
}

#[tokio::test(start_paused = true)]
async fn r123_a_401_is_the_token_layers_and_a_503_is_not() {
    let idp = Idp::counting();
    let api = Scripted::statuses(&[503, 401, 200]);
    let inject = TokenInjectLayer::new(idp.pipeline().step(step("user")).build().unwrap().provider())
        .allow_origin("https://api.test")
        .build()
        .unwrap();
    let client = builder().repeats(1).build().unwrap().layer(inject.layer(api.service()));
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 200);
    let tokens: Vec<_> = api.seen().iter().map(|seen| seen.head.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer user-1", "Bearer user-1", "Bearer user-2"]);
    assert_eq!(idp.names(), ["user", "user"]);

    // Two 401s are one answer, and it is not repeated.
    let api = Scripted::statuses(&[401]);
    let client = builder().build().unwrap().layer(inject.layer(api.service()));
    assert_eq!(client.oneshot(get()).await.unwrap().status(), 401);
    assert_eq!(api.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn r123_a_token_that_cannot_be_had_is_asked_for_once() {
    let idp = Idp::new(|_, _| crate::idp::Reply::Broken);
    let api = Scripted::statuses(&[200]);
    let inject = TokenInjectLayer::new(idp.pipeline().step(step("user")).build().unwrap().provider())
        .allow_origin("https://api.test")
        .build()
        .unwrap();
    let client = builder().build().unwrap().layer(inject.layer(api.service()));
    let error = client.oneshot(get()).await.unwrap_err();
    assert!(error.is::<portcullis::outbound::InjectError>());
    assert_eq!((api.count(), idp.names().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn r123_a_request_that_was_refused_is_not_tried_again() {
    use portcullis::outbound::InjectOptions;

    let api = Scripted::statuses(&[200]);
    let idp = Idp::counting();
    let inject = TokenInjectLayer::new(idp.pipeline().step(step("user")).build().unwrap().provider())
        .allow_origin("https://other.test")
        .build()
        .unwrap();
    let client = builder().build().unwrap().layer(inject.layer(api.service()));
    let mut request = get();
    request.extensions_mut().insert(InjectOptions::new().require());
    let started = portcullis::clock::PausedClock::starting_at(crate::support::START);
    let error = client.oneshot(request).await.unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(portcullis::outbound::InjectError::NoRule)));
    assert_eq!((api.count(), started.now()), (0, crate::support::START));
}

// ===== the service inside =====

#[tokio::test(start_paused = true)]
async fn r123_each_attempt_waits_for_the_service_to_be_ready() {
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = builder().build().unwrap().layer(inner);
    let mut ready = task::spawn(());
    handle.allow(0);
    assert_pending!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    handle.allow(1);
    assert_ready_ok!(ready.enter(|cx, _| poll_ready(&mut client, cx)));
    let call = tokio::spawn(client.call(get()));
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(status(503));
    tokio::time::sleep(secs(100)).await;
    assert!(!call.is_finished(), "there is no second permit yet");
    handle.allow(1);
    let (_, send) = handle.next_request().await.unwrap();
    send.send_response(status(200));
    assert_eq!(call.await.unwrap().unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn r123_an_error_of_readiness_is_not_hidden() {
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let mut client = builder().build().unwrap().layer(inner);
    handle.allow(1);
    let call = tokio::spawn(client.ready().await.unwrap().call(get()));
    let (_, send) = handle.next_request().await.unwrap();
    handle.send_error("broken for good");
    send.send_response(status(503));
    assert_eq!(call.await.unwrap().unwrap_err().to_string(), "broken for good");
    handle.send_error("still broken");
    let mut ready = task::spawn(());
    assert!(assert_ready!(ready.enter(|cx, _| poll_ready(&mut client, cx))).is_err());
}

#[tokio::test(start_paused = true)]
async fn r123_a_request_that_is_dropped_while_it_waits_is_not_sent_again() {
    let api = Scripted::statuses(&[503]);
    let client = builder().build().unwrap().layer(api.service());
    let call = tokio::time::timeout(Duration::from_millis(200), client.oneshot(get()));
    assert!(call.await.is_err());
    tokio::time::sleep(secs(600)).await;
    assert_eq!(api.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn r123_a_timeout_inside_is_repeated_and_stays_a_timeout() {
    let never =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, io::Error>>());
    let slow = tower::timeout::Timeout::new(never, secs(5));
    let counted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    let slow = tower::service_fn(move |request| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        slow.clone().oneshot(request)
    });
    let error = builder().build().unwrap().layer(slow).oneshot(get()).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_eq!(counted.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[test]
fn r123_contradictions_are_found_all_at_once() {
    let error = builder()
        .repeats(21)
        .first_wait(secs(90))
        .longest_retry_after(secs(3601))
        .statuses([StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED])
        .build()
        .unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["repeats", "first_wait", "longest_retry_after", "statuses", "statuses", "statuses"]);
    for wrong in [
        builder().first_wait(Duration::ZERO),
        builder().first_wait(Duration::from_micros(999)),
        builder().longest_wait(Duration::ZERO),
        builder().longest_wait(secs(3601)),
        builder().statuses([StatusCode::FOUND]),
    ] {
        assert_eq!(wrong.build().unwrap_err().faults().len(), 1);
    }
    assert!(builder().longest_retry_after(secs(3600)).longest_wait(secs(3600)).build().is_ok());
    assert!(builder().statuses([]).first_wait(secs(60)).build().is_ok());
}

// ===== on a socket =====

fn socket_client() -> Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn quick() -> RequestRetryLayerBuilder {
    builder().first_wait(Duration::from_millis(1)).longest_wait(Duration::from_millis(5))
}

#[tokio::test]
async fn r123_on_a_socket_hang_ups_and_busy_answers_are_repeated() {
    let server =
        RawServer::start(&[None, Some("503 Busy|Retry-After: 0|later"), None, Some("200 OK|done")]).await;
    let client = quick().build().unwrap().layer(socket_client());
    let request =
        |method: &str| Request::builder().method(method).uri(&server.origin).body(Body::default()).unwrap();
    let response = client.clone().oneshot(request("GET")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    assert_eq!(server.count(), 4);

    let server = RawServer::start(&[None]).await;
    let error = client
        .clone()
        .oneshot(Request::post(&server.origin).body(Body::default()).unwrap())
        .await
        .expect_err("the server hangs up");
    assert!(is_transient(&*error), "{error:?}");
    assert!(error.is::<hyper_util::client::legacy::Error>());
    assert_eq!(server.count(), 1, "a POST is sent once");
}

#[tokio::test]
async fn r123_on_a_socket_the_last_answer_can_be_read() {
    let server = RawServer::start(&[Some("503 Busy|first"), Some("503 Busy|the last words")]).await;
    let client = quick().repeats(1).build().unwrap().layer(socket_client());
    let response = client.oneshot(Request::get(&server.origin).body(Body::default()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "the last words");
}

#[tokio::test]
async fn r123_on_a_socket_a_refused_connection_is_tried_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let attempts = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (http, count) = (socket_client(), Arc::clone(&attempts));
    let counted = tower::service_fn(move |request: Request<Body>| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        http.clone().oneshot(request)
    });
    let client = quick().build().unwrap().layer(counted);
    let error = client.oneshot(Request::get(closed).body(Body::default()).unwrap()).await.unwrap_err();
    let error = error.downcast_ref::<hyper_util::client::legacy::Error>().expect("the client's own error");
    assert!(error.is_connect());
    assert_eq!(attempts.load(std::sync::atomic::Ordering::SeqCst), 4);
}
