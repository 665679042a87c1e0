//! How a pipeline ends: with its last handle, or when it is told to.

use std::{
    future::pending,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use portcullis::{
    TokenInjectLayer, TokenPipeline,
    pipeline::{AccessToken, Fetch, TokenFetcher},
    provider::{TokenError, TokenErrorKind, TokenProvider},
    secret::Secret,
};

use crate::{
    idp::{Idp, Leased, settle},
    support::secs,
};

/// What became of the exchanges of a step.
#[derive(Default)]
struct Log {
    begun: AtomicUsize,
    dropped: AtomicUsize,
    done: AtomicUsize,
}

/// A step whose exchanges hang, or take ten seconds.
struct Slow {
    log: Arc<Log>,
    hangs: bool,
    must_finish: bool,
}

/// Counts an exchange that was dropped on its way.
struct OnTheWay<'a> {
    log: &'a Log,
    arrived: bool,
}

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        if !self.arrived {
            self.log.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Slow {
    async fn exchange(&self, after: Duration) -> AccessToken {
        self.log.begun.fetch_add(1, Ordering::SeqCst);
        let mut on_the_way = OnTheWay { log: &self.log, arrived: false };
        if self.hangs {
            pending::<()>().await;
        }
        tokio::time::sleep(after).await;
        on_the_way.arrived = true;
        let number = self.log.done.fetch_add(1, Ordering::SeqCst) + 1;
        AccessToken::new(format!("t{number}"))
            .unwrap()
            .with_lifetime(secs(3600))
            .with_refresh(Secret::new("r"))
    }
}

#[async_trait]
impl TokenFetcher for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    fn must_finish(&self) -> bool {
        self.must_finish
    }

    async fn fetch(&self, _: &Fetch) -> Result<AccessToken, TokenError> {
        Ok(self.exchange(secs(10)).await)
    }

    async fn refresh(&self, _: &Fetch, _: &Secret) -> Result<Option<AccessToken>, TokenError> {
        Ok(Some(self.exchange(secs(20)).await))
    }
}

fn pipeline(hangs: bool, must_finish: bool) -> (TokenPipeline, Arc<Log>, Weak<Log>) {
    let log = Arc::new(Log::default());
    let step = Slow { log: Arc::clone(&log), hangs, must_finish };
    let builder = TokenPipeline::builder("test").http(Idp::counting().client()).step(step);
    let weak = Arc::downgrade(&log);
    (builder.fetch_timeout(secs(3600)).build().unwrap(), log, weak)
}

fn counts(log: &Log) -> (usize, usize, usize) {
    let get = |count: &AtomicUsize| count.load(Ordering::SeqCst);
    (get(&log.begun), get(&log.dropped), get(&log.done))
}

/// One poll begins the fetch.
async fn begin(lease: impl Future) {
    let mut lease = Box::pin(lease);
    assert!(futures_util::FutureExt::now_or_never(lease.as_mut()).is_none());
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn r111_a_fetch_ends_with_the_last_handle() {
    let (pipeline, log, _) = pipeline(true, false);
    let provider = pipeline.provider();
    begin(provider.leased()).await;
    drop(pipeline);
    let layer = TokenInjectLayer::new(provider.clone()).allow_origin("https://api.test").build().unwrap();
    drop(provider);
    settle().await;
    assert_eq!(counts(&log), (1, 0, 0), "the layer holds it");
    drop(layer);
    settle().await;
    assert_eq!(counts(&log), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn r111_who_waits_for_a_token_holds_the_pipeline() {
    let (pipeline, log, _) = pipeline(false, false);
    let waiting = tokio::spawn(pipeline.provider().leased());
    settle().await;
    drop(pipeline);
    assert_eq!(waiting.await.unwrap().unwrap().value(), "Bearer t1");
    assert_eq!(counts(&log), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn r112_a_refresh_token_that_is_out_comes_to_its_end() {
    // By the step's refresh token, and by a fetch that says so of itself.
    for must_finish in [false, true] {
        let (pipeline, log, _) = pipeline(false, must_finish);
        if !must_finish {
            pipeline.token().await.unwrap();
        }
        let before = counts(&log);
        begin(pipeline.refresh()).await;
        drop(pipeline);
        tokio::time::sleep(secs(25)).await;
        assert_eq!(counts(&log), (before.0 + 1, 0, before.2 + 1), "{must_finish}");
    }
}

#[tokio::test(start_paused = true)]
async fn r111_nothing_is_left_of_a_pipeline_that_was_dropped() {
    // At rest, with a fetch under way, and with one that was abandoned by all who waited.
    for (hangs, begun, used) in [(false, false, true), (true, true, false), (false, true, true)] {
        let (pipeline, log, weak) = pipeline(hangs, false);
        drop(log);
        if used {
            pipeline.token().await.unwrap();
            pipeline.invalidate("slow").unwrap();
        }
        if begun {
            begin(pipeline.provider().leased()).await;
        }
        assert!(weak.upgrade().is_some());
        drop(pipeline);
        settle().await;
        assert!(weak.upgrade().is_none(), "hangs {hangs}, begun {begun}");
    }
}

/// A task that was begun on a runtime that is not driven any more does not keep the pipeline alive.
#[test]
fn r111_nothing_is_left_of_a_pipeline_whose_runtime_stands_still() {
    let (pipeline, log, weak) = pipeline(true, false);
    drop(log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(begin(pipeline.provider().leased()));
    drop(pipeline);
    drop(runtime);
    assert!(weak.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn r111_a_shutdown_ends_what_is_under_way_and_begins_nothing() {
    let (pipeline, log, _) = pipeline(true, false);
    let provider = pipeline.provider();
    let waiting = tokio::spawn(provider.leased());
    settle().await;
    pipeline.shutdown().await;
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Stopped, Some("slow")));
    assert_eq!(counts(&log), (1, 1, 0));
    for outcome in [provider.leased().await.map(|_| ()), provider.refresh().await.map(|_| ())] {
        assert_eq!(outcome.unwrap_err().kind(), TokenErrorKind::Stopped);
    }
    assert_eq!(counts(&log), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn r111_after_a_shutdown_the_token_that_is_there_is_used_up() {
    let idp = Idp::counting();
    let pipeline = idp.pipeline().step(crate::idp::step("only")).build().unwrap();
    let lease = pipeline.provider().leased().await.unwrap();
    pipeline.shutdown().await;
    tokio::time::advance(secs(3000)).await;
    assert_eq!(pipeline.token().await.unwrap().value().expose(), "only-1");
    settle().await;
    assert_eq!(idp.names().len(), 1, "nothing is renewed ahead");
    let error = pipeline.provider().newer_than(&lease).wait().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Stopped);
    tokio::time::advance(secs(570)).await;
    assert_eq!(pipeline.token().await.unwrap_err().kind(), TokenErrorKind::Stopped);
}

#[tokio::test(start_paused = true)]
async fn r112_a_shutdown_waits_for_a_refresh_token_that_is_out() {
    let (pipeline, log, _) = pipeline(false, false);
    pipeline.token().await.unwrap();
    begin(pipeline.refresh()).await;
    let clock = portcullis::clock::PausedClock::starting_at(crate::support::START);
    pipeline.shutdown().await;
    assert_eq!((clock.now().since(crate::support::START), counts(&log)), (secs(20), (2, 0, 2)));
    assert_eq!(pipeline.token().await.unwrap().value().expose(), "t2", "it was not lost");
}

/// A refresh token that is refused after the shutdown leads to no fetch any more.
#[tokio::test(start_paused = true)]
async fn r112_after_a_shutdown_a_refused_refresh_token_leads_to_no_fetch() {
    let idp = Idp::new(|_, number| match number {
        1 => crate::idp::Reply::Json(
            r#"{"access_token":"t","expires_in":3600,"refresh_token":"r"}"#.to_owned(),
        ),
        _ => crate::idp::Reply::After(secs(5), r#"{"error":"invalid_grant"}"#.to_owned()),
    });
    let user = portcullis::pipeline::PasswordGrant::new(
        "user",
        "https://idp.test/v1/user",
        portcullis::pipeline::ClientAuth::public("me"),
        "ada",
        "word",
    );
    let pipeline = idp.pipeline().step(user).build().unwrap();
    pipeline.token().await.unwrap();
    let waiting = {
        let pipeline = pipeline.clone();
        tokio::spawn(async move { pipeline.refresh().await })
    };
    settle().await;
    pipeline.shutdown().await;
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), TokenErrorKind::Stopped);
    assert_eq!(idp.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn r111_dropping_one_of_several_handles_stops_nothing() {
    let (pipeline, log, _) = pipeline(false, false);
    let (clone, provider) = (pipeline.clone(), pipeline.provider());
    begin(provider.leased()).await;
    drop(pipeline);
    drop(clone);
    tokio::time::sleep(secs(11)).await;
    assert_eq!(counts(&log), (1, 0, 1));
    assert_eq!(provider.token().await.unwrap().value().expose(), "t1");
}
