//! The windows in a token's life: when it is renewed ahead, and when it is not sent any more.

use std::{sync::Arc, time::Duration};

use http::Extensions;
use portcullis::{
    TokenPipeline,
    clock::{ManualClock, PausedClock},
    maybe_ready::MaybeReady,
    pipeline::PipelineProvider,
    provider::{Ask, Lease, TokenProvider},
};

use crate::{
    idp::{Idp, Leased, Reply, settle, status, step, token},
    support::{START, secs},
};

/// What a request gets at once; `None` if it has to wait.
fn at_hand(provider: &PipelineProvider) -> Option<String> {
    text(provider.lease(&Ask::new(&Extensions::new())))
}

/// The same for a request that cannot be repeated.
fn at_hand_once(provider: &PipelineProvider) -> Option<String> {
    text(provider.lease(&Ask::new(&Extensions::new()).once()))
}

fn text<E: std::fmt::Debug>(lease: MaybeReady<Result<Arc<Lease>, E>>) -> Option<String> {
    match lease {
        MaybeReady::Now(lease) => Some(lease.unwrap().value().to_str().unwrap().to_owned()),
        MaybeReady::Later(_) => None,
    }
}

async fn wait_once(provider: &PipelineProvider) -> String {
    let lease = provider.lease(&Ask::new(&Extensions::new()).once()).wait().await.unwrap();
    lease.value().to_str().unwrap().to_owned()
}

/// A step whose tokens live an hour: the soft window begins between 2400 s and 2640 s, the hard one at 3570 s.
fn hourly(idp: &Idp) -> PipelineProvider {
    idp.pipeline().step(step("only")).build().unwrap().provider()
}

async fn advance(seconds: u64) {
    tokio::time::advance(secs(seconds)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn r092_in_the_soft_window_the_token_is_handed_out_at_once_and_renewed_once() {
    let idp = Idp::new(|_, number| Reply::After(secs(2), token(&format!("t{number}"))));
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    advance(2399).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    settle().await;
    assert_eq!(idp.names().len(), 1, "not yet");
    advance(241).await;
    for _ in 0..1000 {
        assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    }
    settle().await;
    assert_eq!(idp.names().len(), 2);
    // While it is under way nobody waits, and nobody begins another.
    advance(1).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    advance(1).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t2");
    settle().await;
    assert_eq!(idp.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r092_the_jitter_is_drawn_once_for_each_token() {
    let idps: Vec<Idp> = (0..40).map(|_| Idp::counting()).collect();
    let providers: Vec<_> = idps.iter().map(hourly).collect();
    for provider in &providers {
        provider.leased().await.unwrap();
    }
    let renewed = || idps.iter().filter(|idp| idp.names().len() > 1).count();
    let ask_often = || async {
        for provider in &providers {
            (0..200).for_each(|_| drop(at_hand(provider)));
        }
        settle().await;
    };
    advance(2399).await;
    ask_often().await;
    assert_eq!(renewed(), 0);
    advance(121).await;
    ask_often().await;
    // Drawn at each look, the earliest of two hundred draws would count.
    assert!((5..36).contains(&renewed()), "{} of 40 in the first half", renewed());
    advance(120).await;
    ask_often().await;
    assert_eq!(renewed(), 40);
}

#[tokio::test(start_paused = true)]
async fn r092_what_the_endpoint_says_overrides_the_soft_window() {
    for (says, seconds) in [(100, 100), (3000, 3000)] {
        let idp = Idp::new(move |_, number| {
            Reply::Json(format!(r#"{{"access_token":"t{number}","expires_in":3600,"refresh_in":{says}}}"#))
        });
        let provider = hourly(&idp);
        provider.leased().await.unwrap();
        advance(seconds - 1).await;
        at_hand(&provider).unwrap();
        settle().await;
        assert_eq!(idp.names().len(), 1);
        advance(1).await;
        assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
        settle().await;
        assert_eq!(at_hand(&provider).unwrap(), "Bearer t2");
    }
}

#[tokio::test(start_paused = true)]
async fn r092_the_soft_window_can_be_set_and_half_the_life_is_the_most() {
    for (window, from, to) in [(600, 3000, 3120), (6000, 1800, 2160)] {
        let idp = Idp::counting();
        let builder = idp.pipeline().step(step("only")).refresh_window(secs(window));
        let provider = builder.build().unwrap().provider();
        provider.leased().await.unwrap();
        advance(from - 1).await;
        at_hand(&provider).unwrap();
        settle().await;
        assert_eq!(idp.names().len(), 1);
        advance(to - from + 1).await;
        at_hand(&provider).unwrap();
        settle().await;
        assert_eq!(idp.names().len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn r092_without_refresh_ahead_nothing_runs_in_the_background() {
    let idp = Idp::counting();
    let builder = idp.pipeline().step(step("only")).without_refresh_ahead();
    let provider = builder.build().unwrap().provider();
    provider.leased().await.unwrap();
    advance(3569).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer only-1");
    advance(0).await;
    assert_eq!(idp.names().len(), 1);
    advance(1).await;
    assert_eq!(at_hand(&provider), None);
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer only-2");
}

/// A request may be made on a thread without a runtime, as long as nothing has to be waited for.
#[test]
fn r092_outside_a_runtime_the_token_is_handed_out_and_nothing_is_begun() {
    let (idp, time) = (Idp::counting(), ManualClock::new(START));
    let pipeline = TokenPipeline::builder("test").http(idp.client()).clock(time.clock()).step(step("only"));
    let provider = pipeline.build().unwrap().provider();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(provider.leased()).unwrap();
    time.advance(secs(3000));
    assert_eq!(at_hand(&provider).unwrap(), "Bearer only-1");
    assert_eq!(at_hand_once(&provider).unwrap(), "Bearer only-1");
    runtime.block_on(settle());
    assert_eq!(idp.names().len(), 1);
    // And it is begun as soon as there is one.
    runtime.block_on(async {
        assert_eq!(at_hand(&provider).unwrap(), "Bearer only-1");
        settle().await;
        assert_eq!(at_hand(&provider).unwrap(), "Bearer only-2");
    });
    // Near its end, a token that cannot be replaced here is still good for a request that cannot be repeated.
    time.advance(secs(3550));
    let outside = provider.lease(&Ask::new(&Extensions::new()).once()).wait();
    let lease = futures_util::FutureExt::now_or_never(outside).expect("nothing to wait for").unwrap();
    assert_eq!(lease.value(), "Bearer only-2");
}

/// The runtime that a renewal ahead was begun on ends before it has run: others begin another.
#[test]
fn r092_a_renewal_ahead_does_not_get_lost_with_its_runtime() {
    let (idp, time) = (Idp::counting(), ManualClock::new(START));
    let pipeline = TokenPipeline::builder("test").http(idp.client()).clock(time.clock()).step(step("only"));
    let provider = pipeline.build().unwrap().provider();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (first, second) = (runtime(), runtime());
    first.block_on(provider.leased()).unwrap();
    time.advance(secs(3000));
    first.block_on(async { at_hand(&provider).unwrap() });
    drop(first);
    assert_eq!(idp.names().len(), 1, "it was begun and never ran");
    time.advance(secs(1));
    second.block_on(async {
        assert_eq!(at_hand(&provider).unwrap(), "Bearer only-1");
        settle().await;
        assert_eq!(at_hand(&provider).unwrap(), "Bearer only-2");
    });
}

#[tokio::test(start_paused = true)]
async fn r092_a_renewal_ahead_is_joined_when_the_token_has_ended_meanwhile() {
    let idp = Idp::new(|_, number| {
        let wait = if number == 1 { 0 } else { 20 };
        Reply::After(secs(wait), token(&format!("t{number}")))
    });
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    advance(3560).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    settle().await;
    advance(10).await;
    assert_eq!(at_hand(&provider), None);
    let clock = PausedClock::starting_at(START);
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer t2");
    assert_eq!((idp.names().len(), clock.now().since(START)), (2, secs(10)));
}

/// Earlier steps are none of its business: they are fetched where the last one has to be.
#[tokio::test(start_paused = true)]
async fn r106_a_renewal_ahead_fetches_no_earlier_step_that_is_still_fresh() {
    let idp = Idp::counting();
    let builder = idp.pipeline().step(step("app").ttl(secs(3590))).step(step("user").header_from("x", "app"));
    let provider = builder.build().unwrap().provider();
    provider.leased().await.unwrap();
    advance(2640).await;
    at_hand(&provider).unwrap();
    settle().await;
    assert_eq!(idp.names(), ["app", "user", "user"]);
    advance(2640).await;
    at_hand(&provider).unwrap();
    settle().await;
    assert_eq!(idp.names()[3..], ["app", "user"]);
}

// ===== an endpoint that is down in the soft window =====

#[tokio::test(start_paused = true)]
async fn r111_an_endpoint_that_is_down_in_the_soft_window_fails_no_request() {
    let idp = Idp::new(|_, number| match number {
        1 => Reply::Json(token("t1")),
        _ => status(503, ""),
    });
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    advance(2640).await;
    let mut at = Vec::new();
    for second in 0..930 {
        for _ in 0..10 {
            assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
        }
        let known = idp.names().len();
        advance(1).await;
        if idp.names().len() > known {
            at.push(second);
        }
    }
    // Uniform up to 5, 10, 20 and then 30 s: one attempt in about sixteen seconds.
    assert!((30..=110).contains(&at.len()), "{}", at.len());
    assert_eq!(idp.names().len(), at.len() + 1, "one attempt at a time");
    let gaps: Vec<i32> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= 6 && gaps.iter().all(|gap| *gap <= 31), "{gaps:?}");
    assert!(gaps.iter().any(|gap| *gap > 20), "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn r111_an_endpoint_that_comes_back_renews_the_token_in_time() {
    let idp = Idp::new(|_, number| match number {
        2..5 => Reply::Broken,
        number => Reply::Json(token(&format!("t{number}"))),
    });
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    advance(2640).await;
    for _ in 0..(5 + 10 + 20 + 3) {
        at_hand(&provider).unwrap();
        advance(1).await;
    }
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t5");
    assert_eq!(idp.names().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn r111_a_renewal_ahead_heeds_retry_after_up_to_an_hour() {
    for (says, heeded) in [("600", 600), ("86400", 3600)] {
        let idp = Idp::new(move |_, number| match number {
            2 => {
                let mut response = http::Response::new(bytes::Bytes::new());
                *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                response.headers_mut().insert("retry-after", says.parse().unwrap());
                Reply::Full(response)
            }
            number => Reply::Json(format!(r#"{{"access_token":"t{number}","expires_in":36000}}"#)),
        });
        // The default window is too narrow for an hour.
        let provider =
            idp.pipeline().step(step("only")).refresh_window(secs(18_000)).build().unwrap().provider();
        provider.leased().await.unwrap();
        advance(21_600).await;
        at_hand(&provider).unwrap();
        settle().await;
        assert_eq!(idp.names().len(), 2);
        for _ in 0..heeded / 10 - 1 {
            advance(10).await;
            assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
        }
        settle().await;
        assert_eq!(idp.names().len(), 2, "{says}");
        advance(10).await;
        at_hand(&provider).unwrap();
        settle().await;
        assert_eq!(at_hand(&provider).unwrap(), "Bearer t3", "{says}");
    }
}

/// Some endpoints hand the same token out until shortly before its end, each time with what is left of its life.
#[tokio::test(start_paused = true)]
async fn r111_an_endpoint_that_returns_the_same_token_is_not_hammered() {
    let clock = PausedClock::starting_at(START);
    let idp = Idp::new(move |_, _| {
        let gone = clock.now().since(START).as_secs();
        let (hour, left) = (gone / 3600, 3600 - gone % 3600);
        Reply::Json(format!(r#"{{"access_token":"t{hour}","expires_in":{left}}}"#))
    });
    let provider = hourly(&idp);
    for _ in 0..3600 {
        provider.leased().await.unwrap();
        advance(1).await;
    }
    assert!(idp.names().len() <= 15, "{}", idp.names().len());
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer t1");
}

#[tokio::test(start_paused = true)]
async fn r113_a_failed_renewal_early_in_life_does_not_open_the_soft_window() {
    let idp = Idp::new(|_, number| match number {
        2 => Reply::Broken,
        number => Reply::Json(token(&format!("t{number}"))),
    });
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    assert!(provider.refresh().await.is_err());
    advance(2300).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    settle().await;
    assert_eq!(idp.names().len(), 2);
}

// ===== requests that cannot be repeated =====

fn without_ahead(idp: &Idp) -> PipelineProvider {
    idp.pipeline().step(step("only")).without_refresh_ahead().build().unwrap().provider()
}

#[tokio::test(start_paused = true)]
async fn r092_a_request_that_cannot_be_repeated_wants_twice_the_margin() {
    let idp = Idp::counting();
    let provider = without_ahead(&idp);
    provider.leased().await.unwrap();
    advance(3539).await;
    assert_eq!(at_hand_once(&provider).unwrap(), "Bearer only-1");
    advance(1).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer only-1", "others are served");
    assert_eq!(wait_once(&provider).await, "Bearer only-2");
    assert_eq!(idp.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r092_where_requests_come_regularly_none_of_them_waits() {
    let idp = Idp::new(|_, number| Reply::After(secs(u64::from(number > 1)), token(&format!("t{number}"))));
    let provider = hourly(&idp);
    provider.leased().await.unwrap();
    for _ in 0..1000 {
        advance(10).await;
        assert!(at_hand_once(&provider).is_some());
    }
    assert!(idp.names().len() >= 4);
}

#[tokio::test(start_paused = true)]
async fn r092_it_gets_the_present_token_where_no_other_can_be_had() {
    let idp = Idp::new(|_, number| match number {
        1 => Reply::Json(token("t1")),
        2 => status(503, ""),
        3 => Reply::Broken,
        4 => Reply::Never,
        _ => Reply::Json(token("t5")),
    });
    let provider = without_ahead(&idp);
    provider.leased().await.unwrap();
    advance(3545).await;
    let clock = PausedClock::starting_at(START);
    assert_eq!(wait_once(&provider).await, "Bearer t1", "the fetch failed");
    assert_eq!(wait_once(&provider).await, "Bearer t1", "and once more");
    assert_eq!(wait_once(&provider).await, "Bearer t1", "the endpoint is left alone");
    assert_eq!((idp.names().len(), clock.now().since(START)), (3, Duration::ZERO));
    advance(2).await;
    // The fetch hangs: nobody waits longer than the token is good for everybody.
    assert_eq!(wait_once(&provider).await, "Bearer t1");
    assert_eq!((idp.names().len(), clock.now().since(START)), (4, secs(25)));
    // One that has ended is not handed out.
    let error = provider.lease(&Ask::new(&Extensions::new()).once()).wait().await.unwrap_err();
    assert_eq!(error.kind(), portcullis::provider::TokenErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn r092_it_does_not_get_a_token_that_was_refused_while_it_waited() {
    let idp = Idp::new(|_, number| match number {
        1 => Reply::Json(token("t1")),
        2 => Reply::Never,
        number => Reply::Json(token(&format!("t{number}"))),
    });
    let builder = idp.pipeline().step(step("only")).without_refresh_ahead().fetch_timeout(secs(5));
    let provider = builder.build().unwrap().provider();
    let refused = provider.leased().await.unwrap();
    advance(3545).await;
    let waiting = {
        let provider = provider.clone();
        tokio::spawn(async move { wait_once(&provider).await })
    };
    advance(1).await;
    let newer = tokio::spawn(provider.newer_than(&refused).wait());
    assert_eq!(waiting.await.unwrap(), "Bearer t3");
    assert!(newer.await.unwrap().is_err(), "it shared the fetch that hung");
}
