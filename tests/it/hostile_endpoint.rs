//! Token endpoints that misbehave: a typed error that names the step, nothing bad kept, no secret said.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;
use portcullis::{
    TokenPipeline,
    clock::PausedClock,
    http_client::HttpClient,
    provider::{TokenError, TokenErrorKind},
};

use crate::{
    idp::{Idp, Leased, Reply, status, step, token},
    log::Log,
    support::{START, secs},
};

/// Everything that is said of an error, down to its last cause.
pub(crate) fn whole_text(error: &TokenError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

/// The second of two steps meets this answer; then the endpoint mends.
async fn check(what: &str, kind: TokenErrorKind, answer: impl Fn() -> Reply + Send + Sync + 'static) {
    let log = Log::default();
    let _listening = log.listen();

    let idp = Idp::new(move |call, number| match (call.name(), number) {
        ("user", 1) => answer(),
        (name, number) => Reply::Json(token(&format!("planted-{name}-{number}"))),
    });
    let user =
        step("user").json(serde_json::json!({ "password": "planted-password" })).header_from("x-app", "app");
    let app = step("app").form([("client_secret", "planted-client-secret")]);
    let provider = idp.pipeline().step(app).step(user).build().unwrap().provider();

    let clock = PausedClock::starting_at(START);
    let error = provider.leased().await.expect_err(what);
    assert!(clock.now().since(START) <= secs(30), "{what}: within the deadline");
    assert_eq!((error.kind(), error.step()), (kind, Some("user")), "{what}");
    let text = whole_text(&error);
    assert!(text.contains("user") && !text.contains("planted"), "{what}: {text}");

    let lease = provider.leased().await.expect("the next call is fine");
    assert_eq!(lease.value(), "Bearer planted-user-2", "{what}: nothing bad was kept");
    assert!(lease.value().is_sensitive());
    assert_eq!(idp.names(), ["app", "user", "user"], "{what}");
    assert!(!format!("{lease:?} {provider:?}").contains("planted"));

    let log = log.text();
    assert!(
        log.contains("token fetch failed") && log.contains("token fetched"),
        "{what}: the log was captured"
    );
    assert!(!log.contains("planted"), "{what}: {log}");
}

#[tokio::test(start_paused = true)]
async fn r099_whatever_an_endpoint_answers_is_a_typed_error() {
    for (what, body) in [
        ("nothing", ""),
        ("text", "planted text"),
        ("html", "<html>planted</html>"),
        ("half", r#"{"access_token":"planted"#),
        ("list", r#"["planted"]"#),
        ("no token", r#"{"token":"planted"}"#),
        ("null token", r#"{"access_token":null,"x":"planted"}"#),
        ("number token", r#"{"access_token":7,"x":"planted"}"#),
        ("empty token", r#"{"access_token":""}"#),
        ("crlf token", r#"{"access_token":"planted\r\nx-admin: 1"}"#),
        ("blank token", r#"{"access_token":"planted token"}"#),
        ("unicode token", r#"{"access_token":"plantéd-planted"}"#),
        ("null life", r#"{"access_token":"planted","expires_in":null}"#),
        ("negative life", r#"{"access_token":"planted","expires_in":-1}"#),
        ("zero life", r#"{"access_token":"planted","expires_in":0}"#),
        ("huge life", r#"{"access_token":"planted","expires_in":1e300}"#),
        ("text life", r#"{"access_token":"planted","expires_in":"planted"}"#),
        ("crlf type", r#"{"access_token":"planted","token_type":"a\r\nb"}"#),
    ] {
        check(what, TokenErrorKind::Malformed, move || Reply::Json(body.to_owned())).await;
    }
    for code in [300, 302, 307, 400, 401, 403, 404, 429, 500, 503] {
        let text = format!("status {code}");
        check(&text, TokenErrorKind::Refused, move || status(code, &token("planted"))).await;
    }
    let refused = r#"{"error":"invalid_client","error_description":"planted"}"#;
    check("error in 200", TokenErrorKind::Refused, move || Reply::Json(refused.to_owned())).await;
    check("reset", TokenErrorKind::Transport, || Reply::Broken).await;
    check("too much", TokenErrorKind::Transport, || Reply::Json("planted ".repeat(10_000))).await;
    check("silence", TokenErrorKind::Timeout, || Reply::Never).await;
    check("slowness", TokenErrorKind::Timeout, || Reply::After(secs(31), token("planted"))).await;
}

#[tokio::test(start_paused = true)]
async fn r099_the_deadline_is_thirty_seconds_unless_set() {
    for (timeout, expected) in [(None, 30), (Some(secs(3)), 3)] {
        let idp = Idp::new(|_, _| Reply::Never);
        let builder = idp.pipeline().step(step("only"));
        let builder = if let Some(timeout) = timeout { builder.fetch_timeout(timeout) } else { builder };
        let clock = PausedClock::starting_at(START);
        let error = builder.build().unwrap().provider().leased().await.unwrap_err();
        assert_eq!((error.kind(), clock.now().since(START)), (TokenErrorKind::Timeout, secs(expected)));
    }
}

#[tokio::test(start_paused = true)]
async fn r099_a_fetcher_that_panics_is_an_error_to_all_who_wait() {
    let idp = Idp::new(|_, number| match number {
        1 => panic!("a fetcher's own fault"),
        _ => Reply::Json(token("fine")),
    });
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    let error = provider.leased().await.unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Panicked, Some("only")));
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer fine");
}

#[test]
fn r099_without_a_runtime_it_says_so_and_a_runtime_may_come_later() {
    let idp = Idp::counting();
    let pipeline = TokenPipeline::builder("test").http(idp.client()).step(step("only")).build().unwrap();
    let lease = || pipeline.provider().leased();
    let error = lease().now_or_never().expect("nothing to wait for").unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::NoRuntime, Some("only")));
    // The future is made here and run there.
    let future = lease();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    assert_eq!(runtime.block_on(future).unwrap().value(), "Bearer only-1");
}

/// The head comes at once, the body never.
#[tokio::test(start_paused = true)]
async fn r099_a_body_that_stalls_meets_the_deadline_too() {
    struct Stalled;

    impl http_body::Body for Stalled {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }

    let http =
        HttpClient::new(tower::service_fn(|_| async { Ok::<_, io::Error>(http::Response::new(Stalled)) }));
    let provider = TokenPipeline::builder("test").http(http).step(step("only")).build().unwrap().provider();
    let clock = PausedClock::starting_at(START);
    let error = provider.leased().await.unwrap_err();
    assert_eq!((error.kind(), clock.now().since(START)), (TokenErrorKind::Timeout, secs(30)));
}

/// The runtime of the caller that started the fetch ends, or is not driven any more: others get their token all
/// the same.
#[test]
fn sec_k07_a_fetch_does_not_die_with_the_runtime_of_one_caller() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for (begun, ended) in [(true, true), (false, true), (true, false)] {
        let hangs = Arc::new(AtomicBool::new(true));
        let answer = Arc::clone(&hangs);
        let idp =
            Idp::new(
                move |_, _| {
                    if answer.load(Ordering::SeqCst) { Reply::Never } else { Reply::Json(token("t")) }
                },
            );
        let pipeline = TokenPipeline::builder("test")
            .http(idp.client())
            .step(step("only"))
            .fetch_timeout(std::time::Duration::from_millis(200));
        let provider = pipeline.build().unwrap().provider();
        let first = runtime();
        // One poll starts the fetch; a turn of the runtime begins it.
        first.block_on(async {
            let mut lease = Box::pin(provider.leased());
            assert!(lease.as_mut().now_or_never().is_none());
            if begun {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(idp.names().len(), usize::from(begun));
        // Outside a runtime it is an error also while that fetch is under way.
        let outside = provider.leased().now_or_never().expect("nothing to wait for").unwrap_err();
        assert_eq!(outside.kind(), TokenErrorKind::NoRuntime);
        hangs.store(false, Ordering::SeqCst);
        let second = runtime();
        if ended {
            drop(first);
        } else {
            let error = second.block_on(provider.leased()).unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Timeout);
        }
        assert_eq!(second.block_on(provider.leased()).unwrap().value(), "Bearer t");
    }
}
