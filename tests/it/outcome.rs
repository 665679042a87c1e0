//! The outbound layer after an answer: what is a rejection, what it does about it, and what it says of that.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response};
use portcullis::{
    clock::{ManualClock, PausedClock},
    outbound::{
        AuthOutcome, Cloned, FinalUri, InjectError, InjectOptions, RefreshRetry, RepeatBudget, Replay,
        TokenInjectLayerBuilder,
    },
    provider::{StaticBearer, TokenErrorKind},
};

use crate::{
    stock::{Stock, get, layer, lease, post, refuse, send, status},
    support::{Body, START, secs},
};

fn outcome(response: &Response<Body>) -> &'static str {
    response.extensions().get::<AuthOutcome>().map_or("none", AuthOutcome::name)
}

/// Sends one request and compares status, outcome, and the number of times the API was asked.
#[track_caller]
fn told(
    (response, seen): (Result<Response<Body>, InjectError>, Vec<String>),
    expected: (u16, &str, usize),
) -> Response<Body> {
    let response = response.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response), seen.len()), expected, "{seen:?}");
    response
}

fn challenge(code: u16, value: &'static str) -> Response<Body> {
    let mut response = status(code);
    response.headers_mut().insert("www-authenticate", HeaderValue::from_static(value));
    response
}

#[tokio::test]
async fn r117_an_accepted_token_and_other_answers_leave_no_outcome() {
    for code in [200, 204, 304, 307, 400, 403, 404, 407, 429, 500, 503] {
        let stock = Stock::new();
        told(send(layer(stock.clone()), get(), move |_| status(code)).await, (code, "none", 1));
        assert!(stock.state().rejected.is_empty());
    }
    let foreign = Request::get("https://other.test/").body(Body::default()).unwrap();
    told(send(layer(Stock::new()), foreign, |_| status(401)).await, (401, "none", 1));
}

#[tokio::test]
async fn r117_the_outcome_says_what_has_become_of_a_rejected_token() {
    let stock = Stock::new();
    let (response, seen) = send(layer(stock.clone()), get(), refuse(&["t-1"])).await;
    assert_eq!(seen, ["Bearer t-1", "Bearer t-2"]);
    told((response, seen), (200, "repeated", 2));
    assert_eq!(stock.state().rejected, [1]);
    assert!(stock.state().rejected_again.is_empty());

    let not_found = |token: &str| status(if token == "Bearer t-1" { 401 } else { 500 });
    told(send(layer(Stock::new()), get(), not_found).await, (500, "repeated", 2));

    told(send(layer(Stock::new()), post(), refuse(&["t-1"])).await, (401, "not_repeatable", 1));
    told(send(layer(Stock::new()).replay(Cloned), post(), refuse(&["t-1"])).await, (200, "repeated", 2));

    let stock = Stock::new();
    stock.state().exhausted = true;
    told(send(layer(stock), get(), refuse(&["t-1"])).await, (401, "no_newer_token", 1));

    let fixed = StaticBearer::new("t-1").unwrap();
    told(send(layer(fixed), get(), refuse(&["t-1"])).await, (401, "no_newer_token", 1));
}

/// A provider that promises something newer and hands out something else is not believed.
#[tokio::test]
async fn r117_only_a_later_generation_with_another_text_is_sent() {
    for (newer, outcome, sends) in [
        (lease("t-1", 2), "no_newer_token", 1),
        (lease("t-0", 0), "no_newer_token", 1),
        (lease("other", 1), "no_newer_token", 1),
        (lease("other", 2), "repeated", 2),
    ] {
        let stock = Stock::new();
        stock.state().newer = Some(Arc::clone(&newer));
        let code = if sends == 2 { 200 } else { 401 };
        told(send(layer(stock), get(), refuse(&["t-1", "t-0"])).await, (code, outcome, sends));
    }
}

#[tokio::test]
async fn sec_k05_a_second_401_is_returned_as_it_came_and_nothing_is_sent_a_third_time() {
    let stock = Stock::new();
    let api = |token: &str| {
        let mut response = challenge(401, "Bearer error=\"invalid_token\"");
        response.headers_mut().insert("x-token", HeaderValue::from_str(token).unwrap());
        *response.body_mut() = Body::from(format!("no to {token}"));
        response
    };
    let response = told(send(layer(stock.clone()), get(), api).await, (401, "rejected_again", 2));
    assert_eq!(response.headers()["x-token"], "Bearer t-2");
    assert_eq!(response.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    assert_eq!(body, "no to Bearer t-2");
    assert_eq!(stock.state().rejected, [1]);
    assert_eq!(stock.state().rejected_again, [2]);
}

#[tokio::test]
async fn sec_k05_what_is_no_rejection_costs_no_token() {
    let cases: [(Response<Body>, &str); 7] = [
        (challenge(401, "Bearer error=\"insufficient_scope\", scope=\"a b\""), "insufficient_scope"),
        (challenge(403, "Bearer realm=\"x, y\", error=\"insufficient_scope\""), "insufficient_scope"),
        (challenge(401, "Basic realm=\"x\", Bearer error=\"insufficient_scope\""), "insufficient_scope"),
        (challenge(401, "Bearer error=\"invalid_request\""), "not_the_token"),
        (challenge(401, "DPoP error=\"use_dpop_nonce\""), "not_the_token"),
        (status(403), "none"),
        (challenge(403, "Bearer error=\"invalid_token\""), "none"),
    ];
    for (answer, expected) in cases {
        let stock = Stock::new();
        let code = answer.status().as_u16();
        told(send(layer(stock.clone()), get(), move |_| answer.clone()).await, (code, expected, 1));
        assert!(stock.state().rejected.is_empty(), "{expected}");
    }
    let scope = challenge(401, "Bearer error=\"insufficient_scope\", scope=\"a b\"");
    let response =
        told(send(layer(Stock::new()), get(), move |_| scope.clone()).await, (401, "insufficient_scope", 1));
    let Some(AuthOutcome::InsufficientScope { scope: Some(scope), .. }) = response.extensions().get() else {
        panic!("no scope")
    };
    assert_eq!(&**scope, "a b");
    // Also when only the newer token gets as far as that.
    let api = |token: &str| match token {
        "Bearer t-1" => status(401),
        _ => challenge(403, "Bearer error=\"insufficient_scope\""),
    };
    told(send(layer(Stock::new()), get(), api).await, (403, "insufficient_scope", 2));
}

#[tokio::test]
async fn r119_other_statuses_count_if_they_are_listed_and_a_condition_may_disagree() {
    let forbid = |token: &str| status(if token == "Bearer t-1" { 403 } else { 200 });
    told(send(layer(Stock::new()), get(), forbid).await, (403, "none", 1));
    told(send(layer(Stock::new()).also_refresh_on(403), get(), forbid).await, (200, "repeated", 2));
    let scope = |_: &str| challenge(403, "Bearer error=\"insufficient_scope\"");
    told(send(layer(Stock::new()).also_refresh_on(403), get(), scope).await, (403, "insufficient_scope", 1));

    let condition = |layer: TokenInjectLayerBuilder| {
        layer
            .also_refresh_on(403)
            .refresh_if(|status, headers| status == 401 || headers.contains_key("x-ended"))
    };
    told(send(condition(layer(Stock::new())), get(), forbid).await, (403, "not_the_token", 1));
    told(send(condition(layer(Stock::new())), get(), refuse(&["t-1"])).await, (200, "repeated", 2));
    let ended = move |token: &str| {
        let mut response = forbid(token);
        response.headers_mut().insert("x-ended", HeaderValue::from_static("yes"));
        response
    };
    told(send(condition(layer(Stock::new())), get(), ended).await, (200, "repeated", 2));

    for wrong in [0, 99, 200, 302, 600, 1000] {
        let error = layer(Stock::new()).also_refresh_on(wrong).build().unwrap_err();
        assert_eq!(error.faults()[0].field(), "also_refresh_on", "{wrong}");
    }
}

#[tokio::test]
async fn r205_an_unauthenticated_grpc_answer_is_a_rejection() {
    let api = |token: &str| {
        let mut response = status(200);
        let status = if token == "Bearer t-1" { "16" } else { "0" };
        response.headers_mut().insert("grpc-status", HeaderValue::from_static(status));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    };
    told(send(layer(Stock::new()), get(), api).await, (200, "repeated", 2));
}

#[tokio::test]
async fn r205_an_answer_from_elsewhere_neither_rejects_a_token_nor_accepts_it() {
    for (code, uri, expected) in [
        (401, "https://other.test/", "foreign"),
        (401, "/path", "foreign"),
        (403, "https://other.test/", "none"),
        (200, "https://other.test/", "none"),
        (401, "https://api.test/there", "no_newer_token"),
        (200, "https://api.test/there", "none"),
    ] {
        let stock = Stock::new();
        stock.state().exhausted = true;
        let api = move |_: &str| {
            let mut response = status(code);
            response.extensions_mut().insert(FinalUri::new(uri.parse().unwrap()));
            response
        };
        told(send(layer(stock.clone()), get(), api).await, (code, expected, 1));
        let accepted = stock.state().current.as_ref().unwrap().was_accepted();
        assert_eq!(accepted, code == 200 && uri.starts_with("https://api.test"), "{code} {uri}");
        assert_eq!(stock.state().rejected.is_empty(), expected != "no_newer_token", "{code} {uri}");
    }
    // The same for the answer to a repeat.
    let stock = Stock::new();
    let api = |token: &str| {
        let mut response = refuse(&["t-1", "t-2"])(token);
        if token == "Bearer t-2" {
            response.extensions_mut().insert(FinalUri::new("https://other.test/".parse().unwrap()));
        }
        response
    };
    told(send(layer(stock.clone()), get(), api).await, (401, "repeated", 2));
    assert!(stock.state().rejected_again.is_empty());
}

// ===== requests that are not repeated =====

#[tokio::test]
async fn r117_methods_and_requests_can_be_kept_from_being_repeated() {
    let only_get = |layer: TokenInjectLayerBuilder| layer.replay(Cloned).repeat_methods([Method::GET]);
    told(send(only_get(layer(Stock::new())), get(), refuse(&["t-1"])).await, (200, "repeated", 2));
    let stock = Stock::new();
    told(send(only_get(layer(stock.clone())), post(), refuse(&["t-1"])).await, (401, "not_repeatable", 1));
    // A newer token is there for the next one all the same.
    told(send(only_get(layer(stock.clone())), post(), refuse(&["t-1"])).await, (200, "none", 1));

    let mut once = get();
    once.extensions_mut().insert(InjectOptions::new().never_repeat());
    let stock = Stock::new();
    told(send(layer(stock.clone()), once, refuse(&["t-1"])).await, (401, "not_repeatable", 1));
    assert_eq!(stock.state().rejected, [1]);
}

#[tokio::test]
async fn r117_a_request_that_cannot_be_repeated_asks_for_a_token_with_some_life_left() {
    for later in [false, true] {
        let stock = Stock::new();
        stock.state().later = later;
        let mut never = get();
        never.extensions_mut().insert(InjectOptions::new().never_repeat());
        let _ = send(layer(stock.clone()), get(), refuse(&[])).await;
        let _ = send(layer(stock.clone()), post(), refuse(&[])).await;
        let _ = send(layer(stock.clone()).replay(Cloned), post(), refuse(&[])).await;
        let _ = send(layer(stock.clone()).repeat_methods([]), get(), refuse(&[])).await;
        let _ = send(layer(stock.clone()), never, refuse(&[])).await;
        assert_eq!(stock.state().repeatable, [true, false, true, false, false], "{later}");
    }
}

/// Counts what is kept.
#[derive(Clone, Default)]
struct Counting(Arc<std::sync::atomic::AtomicUsize>);

impl Replay<Body> for Counting {
    type Saved = Body;

    fn can_save(&self, _: &Body) -> bool {
        true
    }

    fn save(&self, body: &mut Body) -> Option<Body> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Some(body.clone())
    }

    fn is_lost(&self, _: &Body) -> bool {
        false
    }

    fn restore(&self, saved: Body) -> Option<Body> {
        Some(saved)
    }
}

#[tokio::test]
async fn r117_nothing_is_kept_where_no_repeat_can_follow() {
    let saved = async |layer: TokenInjectLayerBuilder, request| {
        let counting = Counting::default();
        let _ = send(layer.replay(counting.clone()), request, refuse(&[])).await;
        counting.0.load(std::sync::atomic::Ordering::SeqCst)
    };
    let mut never = get();
    never.extensions_mut().insert(InjectOptions::new().never_repeat());
    let foreign = Request::get("https://other.test/").body(Body::default()).unwrap();
    assert_eq!(saved(layer(Stock::new()), post()).await, 1);
    assert_eq!(saved(layer(StaticBearer::new("x").unwrap()), post()).await, 0);
    assert_eq!(saved(layer(Stock::new()).repeat_methods([Method::GET]), post()).await, 0);
    assert_eq!(saved(layer(Stock::new()), never).await, 0);
    assert_eq!(saved(layer(Stock::new()), foreign).await, 0);
}

// ===== fetches that fail =====

#[tokio::test(start_paused = true)]
async fn r119_if_no_newer_token_can_be_had_the_401_is_the_answer_or_an_error() {
    // The lease is answered, and what is asked for after the 401 fails.
    let failing = |stock: &Stock| {
        let stock = stock.clone();
        move |token: &str| {
            stock.state().errors = vec![TokenErrorKind::Refused];
            refuse(&["t-1"])(token)
        }
    };
    let stock = Stock::new();
    let response = told(send(layer(stock.clone()), get(), failing(&stock)).await, (401, "refresh_failed", 1));
    let Some(AuthOutcome::RefreshFailed(error)) = response.extensions().get() else { panic!() };
    assert_eq!(error.kind(), TokenErrorKind::Refused);

    let stock = Stock::new();
    let (response, seen) = send(layer(stock.clone()).fail_if_refresh_fails(), get(), failing(&stock)).await;
    assert!(matches!(response, Err(InjectError::Token(error)) if error.kind() == TokenErrorKind::Refused));
    assert_eq!(seen.len(), 1);

    // Nothing newer is no failure.
    let stock = Stock::new();
    stock.state().exhausted = true;
    told(
        send(layer(stock).fail_if_refresh_fails(), get(), refuse(&["t-1"])).await,
        (401, "no_newer_token", 1),
    );

    let stock = Stock::new();
    stock.state().errors = vec![TokenErrorKind::Refused];
    let (response, seen) = send(layer(stock), get(), refuse(&[])).await;
    assert!(matches!(response, Err(InjectError::Token(_))) && seen.is_empty(), "and no token, no request");
}

/// The waits are between fetches, not before the first.
#[tokio::test(start_paused = true)]
async fn r119_a_failed_fetch_is_begun_again_as_the_strategy_says() {
    use TokenErrorKind::{Refused, Timeout, Transport};

    let fixed = RefreshRetry::fixed(2, secs(3));
    let doubling = RefreshRetry::exponential(2, secs(1), secs(60));
    for (retry, errors, expected, waited) in [
        (RefreshRetry::none(), vec![], "repeated", 0..=0),
        (fixed, vec![], "repeated", 0..=0),
        (RefreshRetry::none(), vec![Transport], "refresh_failed", 0..=0),
        (fixed, vec![Transport], "repeated", 3..=3),
        (fixed, vec![Transport, Timeout], "repeated", 6..=6),
        (fixed, vec![Transport; 3], "refresh_failed", 6..=6),
        (fixed, vec![Refused], "refresh_failed", 0..=0),
        (doubling, vec![Transport; 2], "repeated", 0..=3),
    ] {
        for later in [false, true] {
            let stock = Stock::new();
            stock.state().later = later;
            let clock = PausedClock::starting_at(START);
            let (failing, fails) = (stock.clone(), errors.clone());
            let api = move |token: &str| {
                failing.state().errors = fails.clone();
                refuse(&["t-1"])(token)
            };
            let (response, seen) = send(layer(stock.clone()).refresh_retry(retry), get(), api).await;
            let response = response.unwrap();
            assert_eq!(outcome(&response), expected, "{retry:?} {errors:?}");
            assert_eq!(seen.len(), if expected == "repeated" { 2 } else { 1 });
            let passed = clock.now().since(START).as_secs();
            assert!(waited.contains(&passed), "{retry:?} {errors:?}: {passed}");
            let asked = stock.state().rejected.len();
            assert!(asked <= errors.len() + 1, "{retry:?} {errors:?}: {asked}");

            // So it is for the first token.
            let stock = Stock::new();
            stock.state().later = later;
            stock.state().errors = errors.clone();
            let clock = PausedClock::starting_at(START);
            let (response, seen) = send(layer(stock).refresh_retry(retry), get(), refuse(&[])).await;
            assert_eq!(response.is_ok(), expected == "repeated");
            assert_eq!(seen.len(), usize::from(expected == "repeated"));
            assert!(waited.contains(&clock.now().since(START).as_secs()));
        }
    }
}

// ===== the budget =====

/// A provider that hands out the first token for ever, and for it the second: every request is rejected twice.
#[tokio::test]
async fn r117_a_budget_bounds_the_repeats_with_a_token_that_was_rejected_itself() {
    let time = ManualClock::new(START);
    let stock = Stock::new();
    stock.state().newer = Some(lease("t-2", 2));
    let layer = layer(stock.clone())
        .clock(time.clock())
        .repeat_budget(RepeatBudget::new().per_second(1).percent(0))
        .build()
        .unwrap();
    let refused = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let rest = Arc::clone(&refused);
    let inner = tower::service_fn(move |request: Request<Body>| {
        let all = rest.load(std::sync::atomic::Ordering::SeqCst);
        let refused = all || request.headers()["authorization"] == "Bearer t-1";
        std::future::ready(Ok::<_, std::convert::Infallible>(status(if refused { 401 } else { 200 })))
    });
    let call = async || {
        use tower::{Layer, ServiceExt};

        let response = layer.layer(inner.clone()).oneshot(get()).await.unwrap();
        outcome(&response)
    };
    for number in 0..30 {
        let expected = if number <= 10 { "rejected_again" } else { "over_budget" };
        assert_eq!(call().await, expected, "{number}: the first is free, ten seconds' worth follow");
    }
    time.advance(Duration::from_millis(2_500));
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(call().await);
    }
    assert_eq!(outcomes, ["rejected_again", "rejected_again", "over_budget", "over_budget"]);

    // A token that was accepted since then costs nothing.
    refused.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(call().await, "over_budget");
    time.advance(secs(1));
    for _ in 0..30 {
        assert_eq!(call().await, "repeated");
    }
}

/// Which sending has found the newer token wanting does not matter.
#[tokio::test]
async fn r117_a_newer_token_that_another_request_was_rejected_with_is_charged_too() {
    for (budget, expected) in [
        (RepeatBudget::new().per_second(0).percent(0), "over_budget"),
        (RepeatBudget::new().per_second(0).percent(100), "rejected_again"),
    ] {
        let time = ManualClock::new(START);
        let stock = Stock::new();
        let (old, newer) = (lease("t-1", 1), lease("t-2", 2));
        stock.state().newer = Some(Arc::clone(&newer));
        let layer = |stock: &Stock| layer(stock.clone()).clock(time.clock()).repeat_budget(budget);
        let both = layer(&stock).build().unwrap();
        let inner = tower::service_fn(|_: Request<Body>| {
            std::future::ready(Ok::<_, std::convert::Infallible>(status(401)))
        });
        let call = async |current: &Arc<portcullis::provider::Lease>| {
            use tower::{Layer, ServiceExt};

            stock.state().current = Some(Arc::clone(current));
            outcome(&both.layer(inner).oneshot(get()).await.unwrap())
        };
        assert_eq!(call(&newer).await, "no_newer_token");
        assert!(newer.was_rejected());
        assert_eq!(call(&old).await, expected);
        // What was in the budget at first is gone; each rejection brings one back, or none.
        for _ in 0..5 {
            assert_eq!(call(&old).await, expected);
        }
    }
}

/// Told of what has an outcome, and of nothing else; a panic is not the request's.
#[tokio::test]
async fn r117_recorders_are_told_of_every_outcome() {
    use std::sync::Mutex;

    use portcullis::provider::{Recorder, TokenEvent};

    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<(&'static str, u16)>>>);

    impl Recorder for Told {
        fn record(&self, event: &TokenEvent<'_>) {
            let TokenEvent::Answered { outcome, status, .. } = event else { panic!("{event:?}") };
            self.0.lock().unwrap().push((*outcome, status.as_u16()));
        }
    }

    struct Broken;

    impl Recorder for Broken {
        fn record(&self, _: &TokenEvent<'_>) {
            panic!("planted");
        }
    }

    let told = Told::default();
    let layer = || layer(Stock::new()).recorder(Broken).recorder(told.clone());
    let _ = send(layer(), get(), refuse(&[])).await;
    let _ = send(layer(), get(), refuse(&["t-1"])).await;
    let _ = send(layer(), get(), refuse(&["t-1", "t-2"])).await;
    let _ = send(layer(), post(), refuse(&["t-1"])).await;
    let _ = send(layer(), get(), |_| challenge(403, "Bearer error=insufficient_scope")).await;
    assert_eq!(
        *told.0.lock().unwrap(),
        [("repeated", 200), ("rejected_again", 401), ("not_repeatable", 401), ("insufficient_scope", 403),]
    );
}
