//! Pipelines: what is fetched when, and what is not.

use std::time::Duration;

use http::Extensions;
use portcullis::{
    TokenPipeline,
    clock::PausedClock,
    maybe_ready::MaybeReady,
    pipeline::{BodyTokenFetcher, HeaderTokenFetcher, Lifetime, PipelineProvider},
    provider::{Ask, TokenError, TokenErrorKind, TokenProvider},
};

use crate::{
    idp::{Idp, Leased, Reply, status, step, token},
    support::{START, secs},
};

async fn lease(provider: &PipelineProvider) -> Result<String, TokenError> {
    provider.leased().await.map(|lease| lease.value().to_str().unwrap().to_owned())
}

fn minutes(minutes: u64) -> Duration {
    secs(60 * minutes)
}

#[tokio::test(start_paused = true)]
async fn r104_a_run_makes_one_call_a_step_and_the_next_none() {
    let idp = Idp::counting();
    let pipeline = idp.pipeline().step(step("app")).step(step("user").header_from("x-app-token", "app"));
    let provider = pipeline.build().unwrap().provider();
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    assert_eq!(idp.names(), ["app", "user"]);
    for _ in 0..20 {
        assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    }
    assert_eq!(idp.names(), ["app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r097_a_step_carries_earlier_tokens_in_header_and_body() {
    let idp = Idp::counting();
    let provider = idp
        .pipeline()
        .step(step("device").header("x-device-id", "d1"))
        .step(
            step("app")
                .form([("client_id", "me & you"), ("grant_type", "client_credentials")])
                .body_from("device", "device"),
        )
        .step(
            step("user")
                .json(serde_json::json!({ "login": "ada" }))
                .header_from("x-app-token", "app")
                .bearer_from("device")
                .body_from("app_token", "app"),
        )
        .build()
        .unwrap()
        .provider();
    lease(&provider).await.unwrap();
    let calls = idp.calls();
    let [device, app, user] = &calls[..] else { panic!("three calls") };
    assert_eq!(device.headers["x-device-id"], "d1");
    assert!(device.body.is_empty() && !device.headers.contains_key("content-type"));
    assert_eq!(app.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(app.body, "client_id=me+%26+you&grant_type=client_credentials&device=device-1");
    assert_eq!(user.headers["content-type"], "application/json");
    assert_eq!(user.headers["x-app-token"], "app-1");
    assert_eq!(user.headers["authorization"], "Bearer device-1");
    let body: serde_json::Value = serde_json::from_str(&user.body).unwrap();
    assert_eq!(body, serde_json::json!({ "login": "ada", "app_token": "app-1" }));
}

#[tokio::test(start_paused = true)]
async fn r095_a_header_token_can_feed_a_body_step() {
    let idp = Idp::new(|call, number| match call.name() {
        "session" => {
            let mut response = http::Response::new(bytes::Bytes::new());
            let value = format!("Bearer session-{number}").parse().unwrap();
            response.headers_mut().insert("x-session", value);
            Reply::Full(response)
        }
        name => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let session =
        HeaderTokenFetcher::get("session", "https://idp.test/v1/session", "X-Session").ttl(minutes(60));
    let provider =
        idp.pipeline().step(session).step(step("user").bearer_from("session")).build().unwrap().provider();
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    assert_eq!(idp.calls()[1].headers["authorization"], "Bearer session-1");
}

#[tokio::test(start_paused = true)]
async fn r105_each_step_is_fetched_when_its_own_life_ends() {
    let idp =
        Idp::new(|call, number| Reply::Json(format!(r#"{{"access_token":"{}-{number}"}}"#, call.name())));
    let provider = idp
        .pipeline()
        .margin(Duration::ZERO)
        .step(step("device").ttl(minutes(60)))
        .step(step("app").ttl(minutes(30)).header_from("x-device", "device"))
        .step(step("user").ttl(minutes(15)).header_from("x-app", "app"))
        .build()
        .unwrap()
        .provider();
    lease(&provider).await.unwrap();
    let mut before = idp.names().len();
    assert_eq!(before, 3);
    for (wait, expected) in
        [(16, vec!["user"]), (15, vec!["app", "user"]), (30, vec!["device", "app", "user"])]
    {
        tokio::time::advance(minutes(wait)).await;
        lease(&provider).await.unwrap();
        assert_eq!(idp.names()[before..], expected[..]);
        before = idp.names().len();
    }
}

#[tokio::test(start_paused = true)]
async fn r106_a_valid_final_token_needs_nothing_upstream() {
    let idp = Idp::counting();
    let provider = idp
        .pipeline()
        .step(step("app").ttl(minutes(1)))
        .step(step("user").header_from("x-app", "app"))
        .build()
        .unwrap()
        .provider();
    lease(&provider).await.unwrap();
    tokio::time::advance(minutes(30)).await;
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    assert_eq!(idp.names(), ["app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r094_the_shorter_life_counts_unless_the_step_shall_win() {
    for (rule, usable) in [(Lifetime::Shorter, 60), (Lifetime::StepWins, 3600)] {
        let idp =
            Idp::new(|_, number| Reply::Json(format!(r#"{{"access_token":"t{number}","expires_in":"60"}}"#)));
        let step = step("only").ttl(minutes(60)).lifetime(rule);
        let provider = idp.pipeline().margin(Duration::ZERO).step(step).build().unwrap().provider();
        assert_eq!(lease(&provider).await.unwrap(), "Bearer t1");
        tokio::time::advance(secs(usable) - Duration::from_millis(1)).await;
        assert_eq!(lease(&provider).await.unwrap(), "Bearer t1");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(lease(&provider).await.unwrap(), "Bearer t2");
    }
}

#[tokio::test(start_paused = true)]
async fn r094_a_token_without_a_life_is_used_for_five_minutes() {
    let idp = Idp::new(|_, number| Reply::Json(format!(r#"{{"access_token":"t{number}"}}"#)));
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    lease(&provider).await.unwrap();
    tokio::time::advance(secs(269)).await;
    assert_eq!(lease(&provider).await.unwrap(), "Bearer t1");
    tokio::time::advance(secs(1)).await;
    assert_eq!(lease(&provider).await.unwrap(), "Bearer t2", "30 s before the end");
}

#[tokio::test(start_paused = true)]
async fn r092_a_short_lived_token_is_usable_by_those_who_depend_on_it() {
    let idp = Idp::new(|call, number| {
        Reply::Json(format!(r#"{{"access_token":"{}-{number}","expires_in":10}}"#, call.name()))
    });
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    let provider = builder.build().unwrap().provider();
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    tokio::time::advance(Duration::from_millis(8_999)).await;
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-2");
}

#[tokio::test(start_paused = true)]
async fn r108_a_failing_step_is_named_and_spoils_no_other() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("app", 1) => status(503, "planted-body"),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let provider = idp
        .pipeline()
        .step(step("device"))
        .step(step("app").header_from("x-device", "device"))
        .step(step("user").header_from("x-app", "app"))
        .build()
        .unwrap()
        .provider();
    let error = lease(&provider).await.unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Refused, Some("app")));
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503));
    assert_eq!(idp.names(), ["device", "app"]);
    assert_eq!(lease(&provider).await.unwrap(), "Bearer user-1");
    assert_eq!(idp.names(), ["device", "app", "app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r111_a_thousand_callers_share_one_fetch_and_its_result() {
    for fails in [false, true] {
        let idp = Idp::new(move |_, number| {
            let text = if fails && number == 1 { "{}".to_owned() } else { token(&format!("t{number}")) };
            Reply::After(secs(1), text)
        });
        let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
        let callers: Vec<_> = (0..1_000)
            .map(|_| {
                let provider = provider.clone();
                tokio::spawn(async move { lease(&provider).await })
            })
            .collect();
        for caller in callers {
            let result = caller.await.unwrap();
            match (fails, result) {
                (false, Ok(value)) => assert_eq!(value, "Bearer t1"),
                (true, Err(error)) => assert_eq!(error.kind(), TokenErrorKind::Malformed),
                (_, other) => panic!("{other:?}"),
            }
        }
        assert_eq!(idp.names().len(), 1);
        // A failure is not kept.
        assert!(lease(&provider).await.is_ok());
        assert_eq!(idp.names().len(), if fails { 2 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn r111_branches_that_do_not_depend_on_each_other_run_side_by_side() {
    let idp = Idp::new(|call, number| Reply::After(secs(1), token(&format!("{}-{number}", call.name()))));
    let both = step("user").header_from("x-a", "a").header_from("x-b", "b");
    let provider = idp.pipeline().step(step("a")).step(step("b")).step(both).build().unwrap().provider();
    let clock = PausedClock::starting_at(START);
    lease(&provider).await.unwrap();
    assert_eq!(clock.now().since(START), secs(2));
}

#[tokio::test(start_paused = true)]
async fn sec_k07_dropping_every_caller_neither_stops_nor_spoils_the_fetch() {
    let idp = Idp::new(|_, number| Reply::After(secs(10), token(&format!("t{number}"))));
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let provider = provider.clone();
            tokio::spawn(async move { lease(&provider).await })
        })
        .collect();
    tokio::time::sleep(secs(1)).await;
    for caller in &callers {
        caller.abort();
    }
    tokio::time::sleep(secs(1)).await;
    // Nobody waits any more, and the fetch goes on all the same: its token is there when somebody comes.
    tokio::time::sleep(secs(10)).await;
    let found = provider.lease(&Ask::new(&Extensions::new()));
    assert!(matches!(&found, MaybeReady::Now(Ok(lease)) if lease.value() == "Bearer t1"), "{found:?}");
    assert_eq!(idp.names().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn sec_k07_who_began_the_fetch_goes_away_and_the_others_get_its_token() {
    let idp = Idp::new(|_, number| Reply::After(secs(10), token(&format!("t{number}"))));
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    let call = || {
        let provider = provider.clone();
        tokio::spawn(async move { lease(&provider).await })
    };
    let first = call();
    tokio::time::sleep(secs(1)).await;
    assert_eq!(idp.names().len(), 1, "it has begun the fetch");
    let others = [call(), call()];
    tokio::time::sleep(secs(1)).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), "Bearer t1");
    }
    assert_eq!(idp.names().len(), 1);
}

// ===== checked when built =====

#[track_caller]
fn faults(builder: portcullis::pipeline::TokenPipelineBuilder) -> Vec<String> {
    builder.build().unwrap_err().faults().iter().map(ToString::to_string).collect()
}

#[test]
fn r103_dependencies_are_checked_when_the_pipeline_is_built() {
    let idp = Idp::counting();
    let start = || TokenPipeline::builder("test").http(idp.client());
    let needs = |name: &str, other: &str| step(name).depends_on(other);

    assert_eq!(faults(start().step(needs("user", "app"))), [r#"depends_on = "user -> app": names no step"#]);
    assert_eq!(
        faults(start().step(needs("user", "app")).step(step("app"))),
        [r#"depends_on = "user -> app": must name an earlier step"#]
    );
    assert_eq!(
        faults(start().step(needs("app", "app"))),
        [r#"depends_on = "app -> app": must not be the step itself"#]
    );
    let cycle = start().any_order().step(needs("a", "b")).step(needs("b", "c")).step(needs("c", "a"));
    assert_eq!(
        faults(cycle),
        [
            r#"depends_on = "a -> b": must not lead back to the step"#,
            r#"depends_on = "b -> c": must not lead back to the step"#,
            r#"depends_on = "c -> a": must not lead back to the step"#,
        ]
    );
    assert_eq!(faults(start().step(step("app")).step(step("app"))), [r#"step = "app": must not come twice"#]);
    assert!(start().any_order().step(step("x")).step(needs("user", "app")).step(step("app")).build().is_ok());
}

#[test]
fn r103_everything_else_is_checked_too_and_all_at_once() {
    let idp = Idp::counting();
    let plain = BodyTokenFetcher::post("plain", "http://idp.test/token");
    let loopback = || BodyTokenFetcher::post("loopback", "http://127.0.0.1:1/token");
    let relative = BodyTokenFetcher::post("relative", "/token");
    let bad =
        step("bad").json(["no", "object"]).header("bad name", "x").header("x", "a\r\nb").ttl(Duration::ZERO);
    let get = HeaderTokenFetcher::get("get", "https://idp.test/", "bad name").form([("a", "b")]);
    let builder = TokenPipeline::builder("test")
        .header("bad name")
        .scheme("a b")
        .fetch_timeout(Duration::ZERO)
        .refresh_from("nobody")
        .step(plain)
        .step(loopback())
        .step(relative)
        .step(bad)
        .step(get);
    let found = faults(builder);
    for expected in [
        "http = ",
        "header = ",
        "scheme = ",
        "fetch_timeout = ",
        "refresh_from = ",
        "plain.url",
        "loopback.url",
        "relative.url",
        "bad.json",
        "bad.header",
        "bad.ttl",
        "get.body",
        "get.token header",
    ] {
        assert!(found.iter().any(|fault| fault.contains(expected)), "{expected} in {found:#?}");
    }
    assert!(found.iter().all(|fault| !fault.contains("a\r\nb")));
    let open = TokenPipeline::builder("test").http(idp.client()).danger_allow_http_on_loopback();
    assert!(open.step(loopback()).build().is_ok());
    assert!(TokenPipeline::builder("test").http(idp.client()).build().is_err());
}
