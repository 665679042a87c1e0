//! How long a request waits for its token.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use portcullis::{
    clock::PausedClock,
    maybe_ready::MaybeReady,
    outbound::{AuthOutcome, InjectError, InjectOptions, RefreshRetry},
    pipeline::PipelineProvider,
    provider::{Ask, Lease, TokenError, TokenErrorKind, TokenEvent, TokenProvider},
};
use tokio_test::assert_pending;
use tower::{Layer, Service, ServiceExt};
use tower_test::mock;

use crate::{
    idp::{Idp, Reply, settle, step, token},
    stock::{Stock, get, layer, post, refuse, send},
    support::{Body, START, secs},
};

/// Its first fetches take no time, and those from this number on ten seconds.
fn slow_from(first: usize) -> (Idp, PipelineProvider) {
    let idp = Idp::new(move |_, number| {
        let token = token(&format!("t-{number}"));
        if number < first { Reply::Json(token) } else { Reply::After(secs(10), token) }
    });
    let provider = idp.pipeline().step(step("user")).build().unwrap().provider();
    (idp, provider)
}

fn with(options: InjectOptions) -> Request<Body> {
    let mut request = get();
    request.extensions_mut().insert(options);
    request
}

fn outcome(response: &Response<Body>) -> &'static str {
    response.extensions().get::<AuthOutcome>().map_or("none", AuthOutcome::name)
}

/// Seconds since the clock was made.
fn passed(clock: &portcullis::clock::Clock) -> u64 {
    clock.now().since(START).as_secs()
}

#[tokio::test(start_paused = true)]
async fn r119_who_has_waited_long_enough_fails_and_the_fetch_goes_on() {
    let (idp, provider) = slow_from(1);
    let clock = PausedClock::starting_at(START);
    let limited = || layer(provider.clone()).wait_limit(secs(3));
    let (answer, seen) = send(limited(), get(), refuse(&[])).await;
    assert!(matches!(answer, Err(InjectError::TookTooLong)), "{answer:?}");
    assert_eq!((passed(&clock), seen.len()), (3, 0), "and nothing was sent");
    assert_eq!(answer.unwrap_err().to_string(), "no token for the request in time");
    // The next one has less to wait for.
    let (answer, seen) = send(limited().wait_limit(secs(8)), get(), refuse(&[])).await;
    assert_eq!((answer.unwrap().status().as_u16(), &*seen[0], passed(&clock)), (200, "Bearer t-1", 10));
    assert_eq!(idp.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn r119_after_a_401_the_401_is_the_answer_once_the_wait_is_over() {
    let (idp, provider) = slow_from(2);
    let clock = PausedClock::starting_at(START);
    let told: Arc<std::sync::Mutex<Vec<(&'static str, u16)>>> = Arc::default();
    struct Recorder(Arc<std::sync::Mutex<Vec<(&'static str, u16)>>>);
    impl portcullis::provider::Recorder for Recorder {
        fn record(&self, event: &TokenEvent<'_>) {
            if let TokenEvent::Answered { outcome, status, .. } = event {
                self.0.lock().unwrap().push((outcome, status.as_u16()));
            }
        }
    }
    // The choice of an error is about fetches that fail, and this one has not.
    let limited = || {
        layer(provider.clone())
            .wait_limit(secs(3))
            .fail_if_refresh_fails()
            .recorder(Recorder(Arc::clone(&told)))
    };
    let (answer, seen) = send(limited(), get(), refuse(&["t-1"])).await;
    let answer = answer.unwrap();
    assert_eq!((answer.status().as_u16(), outcome(&answer), passed(&clock)), (401, "took_too_long", 3));
    assert!(matches!(answer.extensions().get(), Some(AuthOutcome::TookTooLong)));
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "answer", "it is whole");
    assert_eq!((seen.len(), &told.lock().unwrap()[..]), (1, &[("took_too_long", 401)][..]));

    // The fetch that it began is the next one's.
    let (answer, seen) = send(layer(provider.clone()), get(), refuse(&["t-1"])).await;
    assert_eq!((answer.unwrap().status().as_u16(), passed(&clock)), (200, 10));
    assert_eq!(seen.last().unwrap(), "Bearer t-2");
    assert_eq!(idp.names().len(), 2);
}

/// Its body goes out once, so it wants a token that lasts; one that is still good is better than none.
#[tokio::test(start_paused = true)]
async fn r119_a_request_that_cannot_be_repeated_gets_the_present_token_when_its_wait_is_over() {
    for limit in [0, 3] {
        let (idp, provider) = slow_from(2);
        provider.token().await.unwrap();
        tokio::time::advance(secs(3600 - 45)).await;
        let clock = PausedClock::starting_at(START);
        let (answer, seen) = send(layer(provider.clone()).wait_limit(secs(limit)), post(), refuse(&[])).await;
        assert_eq!((answer.unwrap().status().as_u16(), &*seen[0]), (200, "Bearer t-1"));
        assert_eq!(passed(&clock), limit);
        settle().await;
        assert_eq!(idp.names().len(), 2, "a newer one is on its way");
    }
}

/// As a client of another kind runs it.
#[test]
fn r119_a_limit_needs_no_runtime() {
    let stock = Stock::new();
    let limited = layer(stock.clone()).wait_limit(secs(3));
    let (answer, seen) = send(limited, get(), refuse(&["t-1"])).now_or_never().expect("nothing to wait for");
    assert_eq!((answer.unwrap().status().as_u16(), &*seen[1]), (200, "Bearer t-2"));
    stock.state().later = true;
    let limited = layer(stock).wait_limit(secs(3));
    assert!(send(limited, get(), refuse(&[])).now_or_never().is_none(), "it waits, without a timer");
}

#[tokio::test(start_paused = true)]
async fn r119_the_limit_of_a_request_takes_the_place_of_the_layers() {
    for (of_layer, of_request, fails_after) in [
        (None, None, None),
        (Some(3), None, Some(3)),
        (None, Some(4), Some(4)),
        (Some(3), Some(4), Some(4)),
        (Some(3), Some(30), None),
        (Some(30), Some(0), Some(0)),
    ] {
        for first in [1, 2] {
            let (_, provider) = slow_from(first);
            let clock = PausedClock::starting_at(START);
            let mut builder = layer(provider);
            if let Some(limit) = of_layer {
                builder = builder.wait_limit(secs(limit));
            }
            let options = of_request.map(|limit| InjectOptions::new().wait_limit(secs(limit)));
            let (answer, seen) = send(builder, options.map_or_else(get, with), refuse(&["t-1"])).await;
            let case = (of_layer, of_request, first);
            match (fails_after, first) {
                // A second token takes as long as the first did.
                (None, 1) => {
                    assert_eq!((answer.unwrap().status().as_u16(), passed(&clock)), (200, 20), "{case:?}")
                }
                (None, _) => {
                    assert_eq!((answer.unwrap().status().as_u16(), passed(&clock)), (200, 10), "{case:?}")
                }
                (Some(0), 2) => {
                    // There is no token at hand, and it takes no time, but it has to be waited for.
                    assert!(matches!(answer, Err(InjectError::TookTooLong)), "{case:?}");
                }
                (Some(limit), 1) => {
                    assert!(matches!(answer, Err(InjectError::TookTooLong)), "{case:?}");
                    assert_eq!((passed(&clock), seen.len()), (limit, 0), "{case:?}");
                }
                (Some(limit), _) => {
                    let answer = answer.unwrap();
                    assert_eq!((outcome(&answer), passed(&clock)), ("took_too_long", limit), "{case:?}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r119_a_token_at_hand_is_never_late() {
    let (_, provider) = slow_from(2);
    send(layer(provider.clone()), get(), refuse(&[])).await.0.unwrap();
    let (answer, _) = send(layer(provider).wait_limit(Duration::ZERO), get(), refuse(&[])).await;
    assert_eq!(answer.unwrap().status(), 200);

    // Also one that is there after a 401, and one whose future has it at once.
    let stock = Stock::new();
    let (answer, _) = send(layer(stock.clone()).wait_limit(Duration::ZERO), get(), refuse(&["t-1"])).await;
    assert_eq!(outcome(&answer.unwrap()), "repeated");
    let (answer, _) = send(layer(AtOnce(stock)).wait_limit(Duration::ZERO), get(), refuse(&[])).await;
    assert_eq!(answer.unwrap().status(), 200);
}

/// Answers with a future that is done.
struct AtOnce(Stock);

impl TokenProvider for AtOnce {
    fn header(&self) -> &http::HeaderName {
        self.0.header()
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        MaybeReady::later(self.0.lease(ask).wait())
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        self.0.newer_than(rejected)
    }
}

#[tokio::test(start_paused = true)]
async fn r119_the_waits_between_fetches_that_fail_count() {
    for after_a_401 in [false, true] {
        let stock = Stock::new();
        let failing = vec![TokenErrorKind::Timeout; 9];
        let clock = PausedClock::starting_at(START);
        let limited = layer(stock.clone()).refresh_retry(RefreshRetry::fixed(9, secs(2))).wait_limit(secs(5));
        if !after_a_401 {
            stock.state().errors = failing.clone();
        }
        let api = {
            let stock = stock.clone();
            move |token: &str| {
                stock.state().errors = failing.clone();
                refuse(&["t-1"])(token)
            }
        };
        let (answer, seen) = send(limited, get(), api).await;
        match after_a_401 {
            false => {
                assert!(matches!(answer, Err(InjectError::TookTooLong)) && seen.is_empty(), "{answer:?}")
            }
            true => assert_eq!(outcome(&answer.unwrap()), "took_too_long"),
        }
        assert_eq!(passed(&clock), 5);
    }
}

/// The token ends while the request waits for its place, and another takes longer than the request waits.
#[tokio::test(start_paused = true)]
async fn r119_who_has_waited_for_a_place_too_sends_what_is_at_hand() {
    let stock = Stock::new();
    let (inner, mut handle) = mock::pair::<Request<Body>, Response<Body>>();
    let stuck = Stuck { stock: stock.clone(), asked: Arc::default() };
    let mut client = layer(stuck).wait_limit(secs(3)).build().unwrap().layer(inner);
    handle.allow(1);
    let clock = PausedClock::starting_at(START);
    let mut call = tokio_test::task::spawn(client.ready().await.unwrap().call(get()));
    drop(client);
    handle.allow(0);
    assert_pending!(call.poll());
    tokio::time::sleep(secs(1)).await;
    handle.allow(2);
    let answer = async {
        let (request, send) = handle.next_request().await.unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer t-1");
        send.send_response(crate::stock::status(200));
    };
    let (answer, ()) = tokio::join!(call, answer);
    assert_eq!((answer.unwrap().status().as_u16(), passed(&clock)), (200, 3));
}

/// Has one token, a moment after it was asked, and never another.
struct Stuck {
    stock: Stock,
    asked: Arc<std::sync::atomic::AtomicBool>,
}

impl TokenProvider for Stuck {
    fn header(&self) -> &http::HeaderName {
        self.stock.header()
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        if self.asked.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return MaybeReady::later(std::future::pending());
        }
        MaybeReady::later(self.stock.lease(ask).wait())
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        self.stock.newer_than(rejected)
    }
}
