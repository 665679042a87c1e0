//! An endpoint that fails while requests wait for it: everybody learns of it, and it is left alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};
use portcullis::{
    clock::PausedClock,
    pipeline::PipelineProvider,
    provider::{TokenError, TokenErrorKind},
};

use crate::{
    idp::{Idp, Leased, Reply, status, step, token},
    support::{START, secs},
};

/// A server that is down until it is told otherwise.
fn down(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Idp, Arc<AtomicBool>) {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let idp = Idp::new(move |call, number| {
        if is_up.load(Ordering::SeqCst) {
            Reply::Json(token(&format!("{}-{number}", call.name())))
        } else {
            reply()
        }
    });
    (idp, up)
}

fn retry_after(code: u16, value: &str) -> Reply {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response.headers_mut().insert("retry-after", value.parse().unwrap());
    Reply::Full(response)
}

fn one_step(idp: &Idp) -> PipelineProvider {
    idp.pipeline().step(step("only")).build().unwrap().provider()
}

async fn error(provider: &PipelineProvider) -> TokenError {
    provider.leased().await.unwrap_err()
}

async fn advance(span: Duration) {
    tokio::time::advance(span).await;
}

#[tokio::test(start_paused = true)]
async fn r111_the_first_failure_is_not_kept_and_the_second_is_for_a_moment() {
    let (idp, up) = down(|| status(503, ""));
    let provider = one_step(&idp);
    let first = error(&provider).await;
    assert_eq!((first.kind(), first.retry_after()), (TokenErrorKind::Refused, None));
    let second = error(&provider).await;
    assert_eq!((second.retry_after(), idp.names().len()), (None, 2), "the second asks for itself");
    for _ in 0..100 {
        let kept = error(&provider).await;
        assert_eq!((kept.kind(), kept.step()), (TokenErrorKind::Refused, Some("only")));
        assert_eq!(kept.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        let left = kept.retry_after().unwrap();
        assert!(left >= Duration::from_millis(500) && left <= secs(1), "{left:?}");
    }
    assert_eq!(idp.names().len(), 2, "and is told to everybody for a moment");
    let left = error(&provider).await.retry_after().unwrap();
    up.store(true, Ordering::SeqCst);
    advance(left - Duration::from_millis(1)).await;
    assert_eq!(error(&provider).await.retry_after(), Some(Duration::from_millis(1)));
    advance(Duration::from_millis(1)).await;
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer only-3");
}

#[tokio::test(start_paused = true)]
async fn r111_a_dead_endpoint_is_asked_every_few_seconds_whatever_the_load() {
    for reply in [|| status(503, ""), || Reply::Broken, || status(400, r#"{"error":"invalid_client"}"#)] {
        let (idp, up) = down(reply);
        let provider = one_step(&idp);
        for _ in 0..120 {
            for _ in 0..10 {
                error(&provider).await;
            }
            advance(Duration::from_millis(500)).await;
        }
        // Waits of 2.5 s to 5 s, after a few shorter ones.
        assert!((12..=30).contains(&idp.names().len()), "{}", idp.names().len());
        // However final it looks, it is not latched for ever.
        up.store(true, Ordering::SeqCst);
        advance(secs(5)).await;
        assert!(provider.leased().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn r111_a_success_forgets_the_failures() {
    let idp = Idp::new(|_, number| match number {
        3 => Reply::Json(r#"{"access_token":"t3","expires_in":10}"#.to_owned()),
        _ => Reply::Broken,
    });
    let provider = idp.pipeline().step(step("only")).without_refresh_ahead().build().unwrap().provider();
    for _ in 0..2 {
        error(&provider).await;
    }
    advance(secs(1)).await;
    provider.leased().await.unwrap();
    advance(secs(10)).await;
    // The next failure is the first one again.
    for calls in [4, 5, 5] {
        error(&provider).await;
        assert_eq!(idp.names().len(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn r111_retry_after_is_heeded_from_the_first_failure_on() {
    for (code, says, heeded) in [(429, "30", 30), (503, "120", 120), (503, "99999999", 3600)] {
        let (idp, up) = down(move || retry_after(code, says));
        let provider = one_step(&idp);
        assert!(error(&provider).await.retry_after().is_some());
        up.store(true, Ordering::SeqCst);
        for _ in 0..10 {
            assert_eq!(error(&provider).await.retry_after(), Some(secs(heeded)));
        }
        advance(secs(heeded) - Duration::from_millis(1)).await;
        error(&provider).await;
        assert_eq!(idp.names().len(), 1, "{says}");
        advance(Duration::from_millis(1)).await;
        assert_eq!(provider.leased().await.unwrap().value(), "Bearer only-2", "{says}");
    }
}

/// A step that waits for a failing one fails with its error, and no later than that one asks again.
#[tokio::test(start_paused = true)]
async fn r111_who_waits_for_a_failing_step_waits_no_longer_than_it() {
    let (idp, up) = down(|| retry_after(503, "100"));
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x", "app"));
    let provider = builder.build().unwrap().provider();
    assert_eq!(error(&provider).await.step(), Some("app"));
    advance(secs(60)).await;
    let kept = error(&provider).await;
    assert_eq!((kept.step(), kept.retry_after()), (Some("app"), Some(secs(40))));
    up.store(true, Ordering::SeqCst);
    advance(secs(40)).await;
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer user-1");
    assert_eq!(idp.names(), ["app", "app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r111_a_thousand_callers_of_a_hanging_endpoint_share_its_timeout() {
    let (idp, _up) = down(|| Reply::Never);
    let provider = one_step(&idp);
    let clock = PausedClock::starting_at(START);
    let callers: Vec<_> = (0..1000).map(|_| tokio::spawn(provider.leased())).collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), TokenErrorKind::Timeout);
    }
    assert_eq!((idp.names().len(), clock.now().since(START)), (1, secs(30)));
}

#[tokio::test(start_paused = true)]
async fn r111_a_fetcher_that_panics_is_left_alone_like_an_endpoint() {
    let (idp, _up) = down(|| panic!("a fetcher's own fault"));
    let provider = one_step(&idp);
    for calls in [1, 2, 2, 2] {
        assert_eq!(error(&provider).await.kind(), TokenErrorKind::Panicked);
        assert_eq!(idp.names().len(), calls);
    }
}

/// A runtime that ends is nobody's failure.
#[test]
fn sec_k07_a_runtime_that_ends_is_no_failure_of_the_endpoint() {
    let (idp, up) = down(|| Reply::Never);
    let pipeline = portcullis::TokenPipeline::builder("test").http(idp.client()).step(step("only"));
    let provider = pipeline.build().unwrap().provider();
    for _ in 0..5 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut lease = Box::pin(provider.leased());
            assert!(futures_util::FutureExt::now_or_never(lease.as_mut()).is_none());
            tokio::task::yield_now().await;
        });
    }
    up.store(true, Ordering::SeqCst);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(provider.leased()).unwrap().value(), "Bearer only-6");
}
