//! What falls with what: invalidation, renewal by hand, and tokens that outlive those they were made from.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Extensions, Request, Response};
use portcullis::{
    TokenInjectLayer, TokenPipeline,
    maybe_ready::MaybeReady,
    pipeline::{PipelineProvider, TokenPipelineBuilder},
    provider::{Ask, TokenErrorKind, TokenProvider},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    idp::{Idp, Leased, Reply, settle, status, step, token},
    support::{Body, secs},
};

/// device -> app -> user
fn chain(idp: &Idp) -> TokenPipelineBuilder {
    idp.pipeline()
        .step(step("device"))
        .step(step("app").header_from("x-device", "device"))
        .step(step("user").header_from("x-app", "app"))
}

async fn lease(provider: &PipelineProvider) -> String {
    provider.leased().await.unwrap().value().to_str().unwrap().to_owned()
}

fn at_hand(provider: &PipelineProvider) -> Option<String> {
    match provider.lease(&Ask::new(&Extensions::new())) {
        MaybeReady::Now(lease) => Some(lease.unwrap().value().to_str().unwrap().to_owned()),
        MaybeReady::Later(_) => None,
    }
}

fn since(idp: &Idp, before: usize) -> Vec<String> {
    idp.names()[before..].to_vec()
}

// ===== invalidation =====

#[tokio::test(start_paused = true)]
async fn r107_invalidation_refetches_the_step_and_what_builds_on_it() {
    for (dropped, expected) in
        [("user", vec!["user"]), ("app", vec!["app", "user"]), ("device", vec!["device", "app", "user"])]
    {
        for through_provider in [false, true] {
            let idp = Idp::counting();
            let pipeline = chain(&idp).build().unwrap();
            let provider = pipeline.provider();
            assert_eq!(lease(&provider).await, "Bearer user-1");
            if through_provider {
                provider.invalidate(dropped).unwrap();
            } else {
                pipeline.invalidate(dropped).unwrap();
            }
            settle().await;
            assert_eq!(idp.names().len(), 3, "nothing is fetched before it is needed");
            assert_eq!(at_hand(&provider), None);
            assert_eq!(lease(&provider).await, "Bearer user-2");
            assert_eq!(since(&idp, 3), expected, "{dropped}");
            lease(&provider).await;
            assert_eq!(idp.names().len(), 3 + expected.len());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r107_invalidation_spares_the_other_branch() {
    let idp = Idp::counting();
    let both = step("last").header_from("x-b", "b").header_from("x-c", "c");
    let builder = idp.pipeline().any_order().step(step("b").header_from("x-a", "a")).step(step("a"));
    let pipeline = builder.step(step("c")).step(both).build().unwrap();
    let provider = pipeline.provider();
    lease(&provider).await;
    for (dropped, expected) in
        [("a", vec!["a", "b", "last"]), ("b", vec!["b", "last"]), ("c", vec!["c", "last"])]
    {
        let before = idp.names().len();
        pipeline.invalidate(dropped).unwrap();
        lease(&provider).await;
        assert_eq!(since(&idp, before), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r107_an_unknown_name_is_an_error_and_drops_nothing() {
    let idp = Idp::counting();
    let pipeline = chain(&idp).build().unwrap();
    lease(&pipeline.provider()).await;
    for name in ["", "User", "test", "user "] {
        let error = pipeline.invalidate(name).unwrap_err();
        assert_eq!(error.to_string(), format!("the pipeline has no step {name:?}"));
        assert!(pipeline.provider().invalidate(name).is_err());
    }
    assert_eq!(at_hand(&pipeline.provider()).unwrap(), "Bearer user-1");
}

/// One cache: whoever asks for the token in whatever way gets the new one.
#[tokio::test(start_paused = true)]
async fn r107_invalidation_reaches_clients_and_every_provider() {
    let idp = Idp::counting();
    let pipeline = chain(&idp).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<Body>| {
        log.lock().unwrap().push(request.headers()["authorization"].to_str().unwrap().to_owned());
        async { Ok::<_, Infallible>(Response::new(Body::default())) }
    });
    let layer = TokenInjectLayer::new(pipeline.provider()).allow_origin("https://api.test").build().unwrap();
    let send = || {
        layer.layer(inner.clone()).oneshot(Request::get("https://api.test/").body(Body::default()).unwrap())
    };
    send().await.unwrap();
    pipeline.provider().invalidate("user").unwrap();
    send().await.unwrap();
    pipeline.invalidate("app").unwrap();
    assert_eq!(pipeline.clone().token().await.unwrap().value().expose(), "user-3");
    send().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), ["Bearer user-1", "Bearer user-2", "Bearer user-3"]);
    assert_eq!(pipeline.provider().token().await.unwrap().value().expose(), "user-3");
    assert_eq!(idp.names().len(), 6);
}

/// What was begun before the invalidation must not land as if nothing had happened.
#[tokio::test(start_paused = true)]
async fn r107_a_fetch_that_is_under_way_is_done_once_more() {
    let slow = || Idp::new(|call, number| Reply::After(secs(2), token(&format!("{}-{number}", call.name()))));
    // (seconds after the start, what is dropped, what is fetched in all)
    for (at, dropped, expected) in [
        (1, "device", vec!["device", "device", "app", "user"]),
        (3, "app", vec!["device", "app", "app", "user"]),
        (3, "device", vec!["device", "app", "device", "app", "user"]),
        (5, "user", vec!["device", "app", "user", "user"]),
        (5, "app", vec!["device", "app", "user", "app", "user"]),
        (5, "device", vec!["device", "app", "user", "device", "app", "user"]),
    ] {
        let idp = slow();
        let pipeline = chain(&idp).build().unwrap();
        let early = tokio::spawn(pipeline.provider().leased());
        tokio::time::sleep(secs(at)).await;
        pipeline.invalidate(dropped).unwrap();
        let late = tokio::spawn(pipeline.provider().leased());
        let (early, late) = (early.await.unwrap().unwrap(), late.await.unwrap().unwrap());
        assert_eq!(idp.names(), expected, "{dropped} after {at} s");
        let users = expected.iter().filter(|name| **name == "user").count();
        assert_eq!(late.value(), format!("Bearer user-{users}").as_str());
        assert_eq!(early.generation(), late.generation());
        assert_eq!(at_hand(&pipeline.provider()).unwrap(), format!("Bearer user-{users}"));
    }
}

// ===== what outlives what =====

/// app -> user -> last, app -> extra -> last
fn diamond(idp: &Idp) -> TokenPipelineBuilder {
    idp.pipeline()
        .without_refresh_ahead()
        .step(step("app").ttl(secs(60)))
        .step(step("user").header_from("x-app", "app").ttl(secs(600)))
        .step(step("extra").header_from("x-app", "app").ttl(secs(1800)))
        .step(step("last").header_from("x-user", "user").header_from("x-extra", "extra").ttl(secs(300)))
}

#[tokio::test(start_paused = true)]
async fn r106_a_token_outlives_the_earlier_ones_unless_it_is_bound_to_them() {
    for (bound, expected) in
        [(false, vec!["app", "user", "last"]), (true, vec!["app", "user", "extra", "last"])]
    {
        let idp = Idp::counting();
        let builder = if bound { diamond(&idp).bind_to_parents() } else { diamond(&idp) };
        let provider = builder.build().unwrap().provider();
        lease(&provider).await;
        assert_eq!(idp.names().len(), 4);
        // The earlier tokens have ended: nothing has to be fetched for one that has not.
        tokio::time::advance(secs(200)).await;
        lease(&provider).await;
        assert_eq!(idp.names().len(), 4);
        tokio::time::advance(secs(100)).await;
        lease(&provider).await;
        assert_eq!(since(&idp, 4), ["last"]);
        // The user's token has ended, and the app's, which is fetched for it: also the extra one's parent.
        tokio::time::advance(secs(300)).await;
        lease(&provider).await;
        let mut fetched = since(&idp, 5);
        fetched.sort_by_key(|name| expected.iter().position(|expected| expected == name));
        assert_eq!(fetched, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r106_what_was_made_from_a_refused_token_is_dropped_with_it() {
    let refused = Arc::new(AtomicUsize::new(usize::MAX));
    let calls = Arc::clone(&refused);
    let idp = Idp::new(move |call, number| {
        if call.name() == "user" && number == calls.load(Ordering::SeqCst) {
            return status(401, "");
        }
        Reply::Json(token(&format!("{}-{number}", call.name())))
    });
    let builder = idp
        .pipeline()
        .step(step("app"))
        .step(step("user").header_from("x-app", "app"))
        .step(step("extra").header_from("x-app", "app"))
        .step(step("last").header_from("x-user", "user").header_from("x-extra", "extra"));
    let pipeline = builder.build().unwrap();
    let provider = pipeline.provider();
    lease(&provider).await;
    refused.store(2, Ordering::SeqCst);
    pipeline.invalidate("user").unwrap();
    assert_eq!(lease(&provider).await, "Bearer last-2");
    let mut fetched = since(&idp, 4);
    fetched.sort();
    assert_eq!(fetched, ["app", "extra", "last", "user", "user"]);
    assert_eq!(idp.calls().last().unwrap().headers["x-extra"], "extra-2");
}

#[tokio::test(start_paused = true)]
async fn r110_after_a_rejection_what_builds_on_the_chosen_step_is_fetched_also_beside_the_chain() {
    let idp = Idp::counting();
    let builder = diamond(&idp).refresh_from("app");
    let provider = builder.build().unwrap().provider();
    let rejected = provider.leased().await.unwrap();
    let newer = provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    assert_eq!(newer.value(), "Bearer last-2");
    let mut fetched = since(&idp, 4);
    fetched.sort();
    assert_eq!(fetched, ["app", "extra", "last", "user"]);
}

// ===== renewal by hand =====

#[tokio::test(start_paused = true)]
async fn r107_a_forced_refresh_fetches_every_step_once() {
    let idp = Idp::counting();
    let pipeline = diamond(&idp).build().unwrap();
    lease(&pipeline.provider()).await;
    for round in 1..=3 {
        let token = if round == 2 {
            pipeline.provider().force_refresh().await.unwrap()
        } else {
            pipeline.force_refresh().await.unwrap()
        };
        assert_eq!(token.value().expose(), format!("last-{}", round + 1));
        let mut fetched = since(&idp, 4 * round);
        fetched.sort();
        assert_eq!(fetched, ["app", "extra", "last", "user"]);
        // All of one making.
        let calls = idp.calls();
        let last = calls.last().unwrap();
        assert_eq!(last.headers["x-user"], format!("user-{}", round + 1).as_str());
        assert_eq!(last.headers["x-extra"], format!("extra-{}", round + 1).as_str());
        assert_eq!(lease(&pipeline.provider()).await, format!("Bearer last-{}", round + 1));
    }
    // The first token of all can be had in this way, too.
    let idp = Idp::counting();
    let token = chain(&idp).build().unwrap().force_refresh().await.unwrap();
    assert_eq!((token.value().expose(), idp.names().len()), ("user-1", 3));
}

#[tokio::test(start_paused = true)]
async fn r113_the_old_token_is_handed_out_until_the_new_one_is_there() {
    for anew in [false, true] {
        let idp = Idp::new(|call, number| {
            Reply::After(secs(u64::from(number > 1) * 5), token(&format!("{}-{number}", call.name())))
        });
        let pipeline = chain(&idp).build().unwrap();
        let provider = pipeline.provider();
        lease(&provider).await;
        let refresh = tokio::spawn(async move {
            if anew { pipeline.force_refresh().await } else { pipeline.refresh().await }
        });
        for _ in 0..if anew { 14 } else { 4 } {
            tokio::time::sleep(secs(1)).await;
            assert_eq!(at_hand(&provider).unwrap(), "Bearer user-1");
        }
        assert_eq!(refresh.await.unwrap().unwrap().value().expose(), "user-2");
        assert_eq!(at_hand(&provider).unwrap(), "Bearer user-2");
        assert_eq!(since(&idp, 3), if anew { vec!["device", "app", "user"] } else { vec!["user"] });
    }
}

#[tokio::test(start_paused = true)]
async fn r113_a_renewal_that_fails_leaves_the_old_token() {
    for (fails, calls) in [("device", 1), ("app", 2), ("user", 3)] {
        let idp = Idp::new(move |call, number| {
            if call.name() == fails && number == 2 {
                return status(503, "");
            }
            Reply::Json(token(&format!("{}-{number}", call.name())))
        });
        let pipeline = chain(&idp).build().unwrap();
        lease(&pipeline.provider()).await;
        let error = pipeline.force_refresh().await.unwrap_err();
        assert_eq!((error.kind(), error.step()), (TokenErrorKind::Refused, Some(fails)));
        assert_eq!(idp.names().len(), 3 + calls);
        assert_eq!(at_hand(&pipeline.provider()).unwrap(), "Bearer user-1");
        pipeline.force_refresh().await.unwrap();
        assert_eq!(
            at_hand(&pipeline.provider()).unwrap(),
            format!("Bearer user-{}", if calls == 3 { 3 } else { 2 })
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r113_renewals_at_the_same_time_share_their_fetches() {
    for anew in [false, true] {
        let idp = Idp::new(|call, number| Reply::After(secs(1), token(&format!("{}-{number}", call.name()))));
        let pipeline = chain(&idp).build().unwrap();
        lease(&pipeline.provider()).await;
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let pipeline = pipeline.clone();
                tokio::spawn(async move {
                    if anew { pipeline.force_refresh().await } else { pipeline.refresh().await }
                })
            })
            .collect();
        for caller in callers {
            let token = caller.await.unwrap().unwrap();
            assert!(["user-2", "user-3"].contains(&token.value().expose()));
        }
        // The first caller's, and one for all who came when that had begun.
        assert_eq!(since(&idp, 3).len(), if anew { 6 } else { 2 });
    }
}

/// A fetch that was begun before does not count: it may have been answered already.
#[tokio::test(start_paused = true)]
async fn r113_a_renewal_waits_for_the_fetch_under_way_and_then_begins_its_own() {
    let idp = Idp::new(|call, number| Reply::After(secs(2), token(&format!("{}-{number}", call.name()))));
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    let first = tokio::spawn(provider.leased());
    tokio::time::sleep(secs(1)).await;
    let renewal = {
        let provider = provider.clone();
        tokio::spawn(async move { provider.refresh().await })
    };
    settle().await;
    assert_eq!(idp.names().len(), 1, "one after the other");
    assert_eq!(first.await.unwrap().unwrap().value(), "Bearer only-1");
    assert_eq!(renewal.await.unwrap().unwrap().value().expose(), "only-2");
}

#[tokio::test(start_paused = true)]
async fn r110_a_refresh_renews_from_the_chosen_step_on() {
    for (from, expected) in [
        (None, vec!["user"]),
        (Some("user"), vec!["user"]),
        (Some("app"), vec!["app", "user"]),
        (Some("device"), vec!["device", "app", "user"]),
    ] {
        let idp = Idp::counting();
        let builder = if let Some(from) = from { chain(&idp).refresh_from(from) } else { chain(&idp) };
        let provider = builder.build().unwrap().provider();
        lease(&provider).await;
        assert_eq!(provider.refresh().await.unwrap().value().expose(), "user-2");
        assert_eq!(since(&idp, 3), expected, "{from:?}");
    }
}

// ===== names =====

#[test]
fn r115_a_pipeline_has_a_name() {
    let idp = Idp::counting();
    let error = TokenPipeline::builder("").http(idp.client()).step(step("only")).build().unwrap_err();
    assert_eq!(error.faults()[0].to_string(), r#"name = "": must not be empty"#);
}

/// Two pipelines with steps of the same names have nothing in common.
#[tokio::test(start_paused = true)]
async fn r115_pipelines_do_not_share_tokens() {
    let idp = Idp::counting();
    let (one, two) = (chain(&idp).build().unwrap(), chain(&idp).build().unwrap());
    assert_eq!(one.token().await.unwrap().value().expose(), "user-1");
    assert_eq!(two.token().await.unwrap().value().expose(), "user-2");
    one.invalidate("device").unwrap();
    assert_eq!(two.token().await.unwrap().value().expose(), "user-2");
}
