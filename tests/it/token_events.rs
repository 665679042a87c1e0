//! What a recorder is told of a pipeline's tokens.

use std::sync::{Arc, Mutex};

use portcullis::provider::{Recorder, TokenEvent, TokenProvider};

use tracing::{Dispatch, Instrument, Subscriber, info_span, span, subscriber::NoSubscriber};
use tracing_subscriber::{Layer, layer::Context, prelude::*, registry::LookupSpan};

use crate::{
    idp::{Idp, Leased, Reply, settle, status, step, token},
    support::secs,
};

/// Writes down a line for each event.
#[derive(Clone, Default)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    hits: bool,
}

impl Lines {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

impl Recorder for Lines {
    fn record(&self, event: &TokenEvent<'_>) {
        let line = match event {
            TokenEvent::Leased { pipeline, outcome, .. } => format!("{pipeline} lease {}", outcome.as_str()),
            TokenEvent::Fetched { step, generation, kind, took, life, .. } => {
                let (took, life) = (took.as_secs(), life.as_secs());
                format!("{step} {generation} by {} in {took} s for {life} s", kind.as_str())
            }
            TokenEvent::Failed { step, error, took, .. } => {
                format!("{step} failed after {} s: {error}", took.as_secs())
            }
            TokenEvent::Rejected { step, generation, by, .. } => {
                format!("{step} {generation} refused by {}", by.as_str())
            }
            other => format!("{other:?}"),
        };
        self.lines.lock().unwrap().push(line);
    }

    fn wants_hits(&self) -> bool {
        self.hits
    }
}

#[tokio::test(start_paused = true)]
async fn r111_a_recorder_is_told_what_becomes_of_tokens() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 1) => status(503, "planted"),
        (name, number) => Reply::After(secs(2), token(&format!("{name}-{number}"))),
    });
    let lines = Lines::default();
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    let provider = builder.recorder(lines.clone()).build().unwrap().provider();

    assert!(provider.leased().await.is_err());
    assert_eq!(
        lines.take(),
        [
            "app 1 by fetch in 2 s for 3600 s",
            r#"user failed after 0 s: step "user": the token endpoint refused (status 503)"#,
            "test lease error"
        ]
    );
    let (one, two) = (tokio::spawn(provider.leased()), tokio::spawn(provider.leased()));
    let (lease, _) = (one.await.unwrap().unwrap(), two.await.unwrap().unwrap());
    assert_eq!(lines.take(), ["user 2 by fetch in 2 s for 3600 s", "test lease miss", "test lease wait"]);
    provider.leased().await.unwrap();
    assert!(lines.take().is_empty(), "a hit is told to those only who want it");
    tokio::time::advance(secs(2640)).await;
    provider.leased().await.unwrap();
    settle().await;
    tokio::time::sleep(secs(3)).await;
    assert_eq!(lines.take(), ["test lease stale", "user 3 by fetch in 2 s for 3600 s"]);
    assert!(provider.newer_than(&lease).wait().await.unwrap().is_some());
    assert!(lines.take().is_empty(), "it was replaced already");
    let lease = provider.leased().await.unwrap();
    for _ in 0..3 {
        provider.newer_than(&lease).wait().await.unwrap().unwrap();
    }
    assert_eq!(lines.take(), ["user 3 refused by api", "user 4 by fetch in 2 s for 3600 s"]);
}

#[tokio::test(start_paused = true)]
async fn r111_hits_are_told_to_who_wants_them() {
    let idp = Idp::counting();
    let lines = Lines { hits: true, ..Lines::default() };
    let builder = idp.pipeline().step(step("only")).recorder(Lines::default()).recorder(lines.clone());
    let provider = builder.build().unwrap().provider();
    provider.leased().await.unwrap();
    provider.leased().await.unwrap();
    provider.token().await.unwrap();
    assert_eq!(lines.take()[1..], ["test lease miss", "test lease hit", "test lease hit"]);
}

#[tokio::test(start_paused = true)]
async fn r206_a_refused_parent_is_told_of_with_who_refused_it() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2) => status(401, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let lines = Lines::default();
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    let pipeline = builder.recorder(lines.clone()).build().unwrap();
    pipeline.token().await.unwrap();
    lines.take();
    pipeline.refresh().await.unwrap();
    let told = lines.take();
    assert!(told[0].starts_with("user failed"), "{told:?}");
    assert_eq!(told[1], "app 1 refused by step");
    assert!(told[2].starts_with("app 2 by fetch") && told[3].starts_with("user 2 by fetch"), "{told:?}");
}

/// The hook may ask the pipeline itself: no lock is held while it is told.
#[tokio::test(start_paused = true)]
async fn r111_hooks_hold_no_lock_and_their_panics_change_nothing() {
    let idp = Idp::new(|_, number| match number {
        2 => status(503, ""),
        number => Reply::Json(token(&format!("t{number}"))),
    });
    let called = Arc::new(Mutex::new(Vec::new()));
    let provider_cell = Arc::new(std::sync::OnceLock::<portcullis::pipeline::PipelineProvider>::new());
    let (log, cell) = (Arc::clone(&called), Arc::clone(&provider_cell));
    let builder =
        idp.pipeline().step(step("only")).on_event(|_| panic!("the first hook's own fault")).on_event(
            move |event| {
                if let Some(provider) = cell.get() {
                    let _ = provider.invalidate("nobody");
                    drop(provider.lease(&portcullis::provider::Ask::new(&http::Extensions::new())));
                }
                log.lock().unwrap().push(format!("{event:?}").split([' ', '{']).next().unwrap().to_owned());
            },
        );
    let provider = builder.build().unwrap().provider();
    provider_cell.set(provider.clone()).unwrap();
    let lease = provider.leased().await.unwrap();
    assert!(provider.newer_than(&lease).wait().await.is_err());
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer t3");
    let names = called.lock().unwrap().clone();
    assert_eq!(names, ["Fetched", "Leased", "Rejected", "Failed", "Fetched", "Leased"]);
}

/// Writes down which span follows from which, by name.
#[derive(Clone, Default)]
struct Links(Arc<Mutex<Vec<(&'static str, &'static str)>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Links {
    fn on_follows_from(&self, span: &span::Id, follows: &span::Id, ctx: Context<'_, S>) {
        let name = |id| ctx.span(id).unwrap().name();
        self.0.lock().unwrap().push((name(span), name(follows)));
    }
}

#[tokio::test(start_paused = true)]
async fn r111_a_flight_has_one_span_that_is_linked_to_all_who_wait() {
    let links = Links::default();
    // With one subscriber alone, another test's thread could say for all that nobody reads these spans.
    let _second = Dispatch::new(NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(links.clone()));
    let idp = Idp::new(|_, _| Reply::After(secs(1), token("t")));
    let provider = idp.pipeline().step(step("user")).build().unwrap().provider();
    let (first, second) = (info_span!("first"), info_span!("second"));
    let (one, two) = tokio::join!(provider.leased().instrument(first), provider.leased().instrument(second),);
    assert!(one.is_ok() && two.is_ok());
    provider.leased().instrument(info_span!("late")).await.unwrap();
    assert_eq!(*links.0.lock().unwrap(), [("token_flight", "first"), ("token_flight", "second")]);
    assert_eq!(idp.names().len(), 1);
}
