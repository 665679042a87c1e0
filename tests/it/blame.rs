//! Refused tokens: whose fault it is, and what is fetched for it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use http::Extensions;
use portcullis::{
    maybe_ready::MaybeReady,
    pipeline::{PipelineProvider, TokenPipelineBuilder},
    provider::{Ask, Lease, TokenError, TokenErrorKind, TokenProvider},
};

use crate::{
    idp::{Call, Idp, Leased, Reply, settle, status, step, token},
    support::secs,
};

/// A server that refuses some of the tokens it has given, wherever they come in.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<HashSet<String>>>);

impl Refused {
    fn add(&self, token: &str) {
        self.0.lock().unwrap().insert(token.to_owned());
    }

    fn remove(&self, token: &str) {
        self.0.lock().unwrap().remove(token);
    }

    fn has(&self, call: &Call) -> bool {
        let refused = self.0.lock().unwrap();
        call.headers.values().any(|value| refused.contains(value.to_str().unwrap()))
    }

    fn idp(&self, refusal: impl Fn() -> Reply + Send + Sync + 'static) -> Idp {
        let this = self.clone();
        Idp::new(move |call, number| {
            if this.has(call) { refusal() } else { Reply::Json(token(&format!("{}-{number}", call.name()))) }
        })
    }
}

/// device -> app -> user
fn chain(idp: &Idp) -> TokenPipelineBuilder {
    idp.pipeline()
        .step(step("device"))
        .step(step("app").header_from("x-device", "device"))
        .step(step("user").header_from("x-app", "app"))
}

fn since(idp: &Idp, before: usize) -> Vec<String> {
    idp.names()[before..].to_vec()
}

fn at_hand(provider: &PipelineProvider) -> Option<String> {
    match provider.lease(&Ask::new(&Extensions::new())) {
        MaybeReady::Now(lease) => Some(lease.unwrap().value().to_str().unwrap().to_owned()),
        MaybeReady::Later(_) => None,
    }
}

async fn newer(provider: &PipelineProvider, rejected: &Arc<Lease>) -> Result<Option<Arc<Lease>>, TokenError> {
    provider.newer_than(rejected).wait().await
}

// ===== a step's endpoint refuses =====

#[tokio::test(start_paused = true)]
async fn r206_a_step_that_is_refused_for_its_parents_token_renews_that_one_once() {
    for refusal in [
        || status(401, ""),
        || status(401, r#"{"error":"invalid_request"}"#),
        || status(400, r#"{"error":"invalid_request"}"#),
        || status(401, r#"{"error":"expired_token"}"#),
        || status(401, r#"{"error":"something"}"#),
        || status(400, r#"{"error":"invalid_token"}"#),
        || status(400, r#"{"error":"invalid_grant"}"#),
        || Reply::Json(r#"{"error":"invalid_grant"}"#.to_owned()),
    ] {
        let refused = Refused::default();
        let idp = refused.idp(refusal);
        let pipeline = chain(&idp).build().unwrap();
        pipeline.token().await.unwrap();
        refused.add("app-1");
        assert_eq!(pipeline.refresh().await.unwrap().value().expose(), "user-3");
        assert_eq!(since(&idp, 3), ["user", "app", "user"]);
        assert_eq!(idp.calls().last().unwrap().headers["x-app"], "app-2");
        // Nothing of it is left over.
        pipeline.refresh().await.unwrap();
        assert_eq!(since(&idp, 6), ["user"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r206_other_failures_blame_nobody() {
    for failure in [
        || status(400, r#"{"error":"invalid_client"}"#),
        || status(401, r#"{"error":"invalid_client"}"#),
        || status(401, r#"{"error":"unauthorized_client"}"#),
        || status(401, r#"{"error":"access_denied"}"#),
        || status(400, r#"{"error":"invalid_scope"}"#),
        || status(403, ""),
        || status(503, ""),
        || Reply::Broken,
        || Reply::Json("{}".to_owned()),
    ] {
        let refused = Refused::default();
        let idp = refused.idp(failure);
        let pipeline = chain(&idp).build().unwrap();
        pipeline.token().await.unwrap();
        refused.add("app-1");
        assert_eq!(pipeline.refresh().await.unwrap_err().step(), Some("user"));
        assert_eq!(since(&idp, 3), ["user"]);
    }
}

#[tokio::test(start_paused = true)]
async fn r206_each_level_is_renewed_once_for_one_flight() {
    let refused = Refused::default();
    let idp = refused.idp(|| status(401, ""));
    let pipeline = chain(&idp).build().unwrap();
    pipeline.token().await.unwrap();
    refused.add("app-1");
    refused.add("device-1");
    assert_eq!(pipeline.refresh().await.unwrap().value().expose(), "user-3");
    assert_eq!(since(&idp, 3), ["user", "app", "device", "app", "user"]);
}

/// The endpoint refuses whatever comes: no loop, neither within a flight nor from one to the next.
#[tokio::test(start_paused = true)]
async fn r206_an_endpoint_that_refuses_everything_is_asked_a_bounded_number_of_times() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2..) => status(401, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let pipeline = chain(&idp).build().unwrap();
    pipeline.token().await.unwrap();
    let error = pipeline.refresh().await.unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Refused, Some("user")));
    assert_eq!(since(&idp, 3), ["user", "app", "user"]);
    for _ in 0..100 {
        assert!(pipeline.refresh().await.is_err());
    }
    // A new parent that never worked is hardly the cause, and then the endpoint is left alone.
    assert_eq!(since(&idp, 6), ["user"]);
    // The first token was not touched by any of that: nothing has shown that it is not as good as before.
    assert_eq!(at_hand(&pipeline.provider()).unwrap(), "Bearer user-1");
    tokio::time::advance(secs(3600)).await;
    let asked = idp.names().len();
    for _ in 0..240 {
        assert!(pipeline.token().await.is_err());
        tokio::time::advance(std::time::Duration::from_millis(500)).await;
    }
    // Two minutes: an attempt every 2.5 s to 5 s, each with at most one renewal of each level.
    let calls = since(&idp, asked);
    let count = |name: &str| calls.iter().filter(|call| *call == name).count();
    assert!(count("user") <= 100 && count("app") <= 26 && count("device") <= 26, "{calls:?}");
}

/// An endpoint that is in trouble and says so with a 401, from now on.
#[tokio::test(start_paused = true)]
async fn r113_a_renewal_whose_endpoint_refuses_everything_displaces_no_token() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2..) => status(401, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let pipeline = chain(&idp).build().unwrap();
    let provider = pipeline.provider();
    provider.leased().await.unwrap();
    tokio::time::advance(secs(2640)).await;
    for second in 0..900 {
        assert_eq!(at_hand(&provider).unwrap(), "Bearer user-1", "{second}");
        settle().await;
        tokio::time::advance(secs(1)).await;
        if second % 100 == 0 {
            assert!(pipeline.refresh().await.is_err());
        }
    }
    assert!(idp.names().len() > 10, "it was tried");
}

/// app -> user, app -> other, both -> last
fn siblings(idp: &Idp) -> TokenPipelineBuilder {
    let both = step("last").header_from("x-user", "user").header_from("x-other", "other");
    let (user, other) = (step("user").header_from("x-app", "app"), step("other").header_from("x-app", "app"));
    idp.pipeline().step(step("app")).step(user.ttl(secs(600))).step(other).step(both.ttl(secs(600)))
}

/// That a token was refused is certain when its successor is accepted where it was not.
#[tokio::test(start_paused = true)]
async fn r206_what_else_was_made_from_a_blamed_token_is_dropped_when_its_successor_is_accepted() {
    for accepted in [true, false] {
        let refused = Refused::default();
        let this = refused.clone();
        let idp = Idp::new(move |call, number| match (call.name(), number) {
            _ if this.has(call) => status(401, ""),
            ("user", 3) if !accepted => status(401, ""),
            (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
        });
        let pipeline = siblings(&idp).build().unwrap();
        assert_eq!(pipeline.token().await.unwrap().value().expose(), "last-1");
        refused.add("app-1");
        tokio::time::advance(secs(600)).await;
        let got = pipeline.token().await;
        assert_eq!(got.is_ok(), accepted);
        let mut asked = since(&idp, 4);
        if accepted {
            // `other` was not refused itself, and yet it is made from the new token now.
            assert_eq!(asked, ["user", "app", "user", "other", "last"]);
            continue;
        }
        assert_eq!(asked, ["user", "app", "user"]);
        tokio::time::advance(secs(5)).await;
        pipeline.token().await.unwrap();
        asked = since(&idp, 7);
        assert_eq!(asked, ["user", "last"], "`other` is as good as before");
    }
}

/// What was made from the successor meanwhile stays.
#[tokio::test(start_paused = true)]
async fn r206_what_was_fetched_with_the_successor_already_is_not_dropped() {
    let refused = Refused::default();
    let this = refused.clone();
    let idp = Idp::new(move |call, number| match (call.name(), number) {
        _ if this.has(call) => status(401, ""),
        ("user", 3) => Reply::After(secs(5), token("user-3")),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let both = step("last").header_from("x-user", "user").header_from("x-other", "other");
    let made = |name| step(name).header_from("x-app", "app").ttl(secs(600));
    let builder = idp.pipeline().step(step("app")).step(made("user")).step(made("other"));
    let pipeline = builder.step(both.ttl(secs(600))).build().unwrap();
    pipeline.token().await.unwrap();
    refused.add("app-1");
    tokio::time::advance(secs(600)).await;
    pipeline.token().await.unwrap();
    let mut asked = since(&idp, 4);
    asked.sort();
    assert_eq!(asked, ["app", "last", "other", "user", "user"]);
}

/// Tokens that were fetched a moment ago, for this very flight, are not what is wrong.
#[tokio::test(start_paused = true)]
async fn r206_a_parent_that_was_just_fetched_is_not_blamed() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 1 | 2) => status(401, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let pipeline = chain(&idp).build().unwrap();
    assert_eq!(pipeline.token().await.unwrap_err().step(), Some("user"));
    assert_eq!(idp.names(), ["device", "app", "user"]);
    // For the next flight it is an old one.
    assert_eq!(pipeline.token().await.unwrap().value().expose(), "user-3");
    assert_eq!(since(&idp, 3), ["user", "app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r206_only_tokens_that_were_sent_are_blamed() {
    let refused = Refused::default();
    let idp = refused.idp(|| status(401, ""));
    let user = step("user").header_from("x-app", "app").depends_on("device");
    let pipeline = idp.pipeline().step(step("device")).step(step("app")).step(user).build().unwrap();
    pipeline.token().await.unwrap();
    refused.add("app-1");
    pipeline.refresh().await.unwrap();
    assert_eq!(since(&idp, 3), ["user", "app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r206_the_same_parent_token_again_is_not_tried_again() {
    let refused = Refused::default();
    let this = refused.clone();
    let idp = Idp::new(move |call, number| match call.name() {
        _ if this.has(call) => status(401, ""),
        "app" => Reply::Json(token("app")),
        name => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let pipeline = chain(&idp).build().unwrap();
    pipeline.token().await.unwrap();
    refused.add("app");
    assert_eq!(pipeline.refresh().await.unwrap_err().step(), Some("user"));
    assert_eq!(since(&idp, 3), ["user", "app"]);
    refused.remove("app");
    assert!(pipeline.token().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn r206_if_the_parent_cannot_be_renewed_its_error_is_the_answer() {
    let refused = Refused::default();
    let this = refused.clone();
    let idp = Idp::new(move |call, number| match (call.name(), number) {
        _ if this.has(call) => status(401, ""),
        ("app", 2) => status(503, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let pipeline = chain(&idp).build().unwrap();
    pipeline.token().await.unwrap();
    refused.add("app-1");
    let error = pipeline.refresh().await.unwrap_err();
    assert_eq!((error.step(), error.status().unwrap().as_u16()), (Some("app"), 503));
    assert_eq!(pipeline.token().await.unwrap().value().expose(), "user-1", "the old one stays");
    // The refused token is not used again.
    assert_eq!(pipeline.refresh().await.unwrap().value().expose(), "user-3");
    assert_eq!(since(&idp, 3), ["user", "app", "app", "user"]);
}

/// A parent's token that its child was accepted with has worked: if it is refused later it is the cause, at once.
#[tokio::test(start_paused = true)]
async fn r206_a_renewed_parent_that_has_worked_can_be_blamed_again() {
    let refused = Refused::default();
    let idp = refused.idp(|| status(401, ""));
    let pipeline = chain(&idp).build().unwrap();
    pipeline.token().await.unwrap();
    for round in 1..=3 {
        refused.add(&format!("app-{round}"));
        pipeline.refresh().await.unwrap();
        assert_eq!(since(&idp, 3 * round), ["user", "app", "user"]);
    }
}

// ===== the API refuses =====

#[tokio::test(start_paused = true)]
async fn r206_a_new_token_that_is_refused_again_moves_the_blame_up_one_level_a_flight() {
    let idp = Idp::counting();
    let provider = chain(&idp).build().unwrap().provider();
    let mut lease = provider.leased().await.unwrap();
    for expected in [
        &["user"][..],
        &["app", "user"],
        &["device", "app", "user"],
        // There is nothing above.
        &["device", "app", "user"],
    ] {
        let before = idp.names().len();
        lease = newer(&provider, &lease).await.unwrap().unwrap();
        assert_eq!(since(&idp, before), expected);
        // The API refuses it at once, and so it does for everybody.
        for _ in 0..100 {
            assert!(newer(&provider, &lease).await.unwrap().is_none());
        }
        assert_eq!(idp.names().len(), before + expected.len());
        assert_eq!(at_hand(&provider).unwrap(), lease.value().to_str().unwrap());
        tokio::time::advance(secs(5)).await;
    }
}

/// Refused for the first time long after it came: the token itself is the cause.
#[tokio::test(start_paused = true)]
async fn r206_a_token_that_is_refused_late_is_renewed_alone() {
    let idp = Idp::counting();
    let provider = chain(&idp).build().unwrap().provider();
    let mut lease = provider.leased().await.unwrap();
    for _ in 0..4 {
        let before = idp.names().len();
        lease = newer(&provider, &lease).await.unwrap().unwrap();
        assert_eq!(since(&idp, before), ["user"]);
        tokio::time::advance(secs(6)).await;
    }
}

/// A fetch that fails in between does not make the next token a first one.
#[tokio::test(start_paused = true)]
async fn r206_a_failed_renewal_is_remembered_as_one() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2) => status(503, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let provider = chain(&idp).build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    assert!(newer(&provider, &lease).await.is_err());
    let lease = provider.leased().await.unwrap();
    assert_eq!(lease.value(), "Bearer user-3");
    assert!(newer(&provider, &lease).await.unwrap().is_none(), "it replaced a refused one");
    assert_eq!(idp.names().len(), 5);
}

/// Also while the next one is being fetched already.
#[tokio::test(start_paused = true)]
async fn r117_a_refused_token_is_not_handed_out_while_a_renewal_is_under_way() {
    let idp =
        Idp::new(|_, number| Reply::After(secs(u64::from(number > 1) * 5), token(&format!("t{number}"))));
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    tokio::time::advance(secs(2640)).await;
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t1");
    settle().await;
    let newer = tokio::spawn(provider.newer_than(&lease).wait());
    settle().await;
    assert_eq!(at_hand(&provider), None);
    assert_eq!(newer.await.unwrap().unwrap().unwrap().value(), "Bearer t2");
    assert_eq!(idp.names().len(), 2, "one fetch for both");
    assert_eq!(at_hand(&provider).unwrap(), "Bearer t2");
}

/// With `refresh_from`, what the renewal ahead had begun is made from a token that is refused now.
#[tokio::test(start_paused = true)]
async fn r110_a_renewal_ahead_that_began_before_the_rejection_is_done_once_more() {
    let idp = Idp::new(|call, number| {
        Reply::After(secs(u64::from(number > 1) * 5), token(&format!("{}-{number}", call.name())))
    });
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    let provider = builder.refresh_from("app").build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    tokio::time::advance(secs(2640)).await;
    at_hand(&provider).unwrap();
    settle().await;
    assert_eq!(newer(&provider, &lease).await.unwrap().unwrap().value(), "Bearer user-3");
    assert_eq!(since(&idp, 2), ["user", "app", "user"]);
    assert_eq!(idp.calls().last().unwrap().headers["x-app"], "app-2");
}

/// What was dropped already is fetched from new earlier tokens: a late report of it does not drop those.
#[tokio::test(start_paused = true)]
async fn r110_a_late_report_of_a_token_that_was_dropped_or_has_ended_changes_nothing() {
    for ended in [false, true] {
        let idp = Idp::new(|call, number| {
            Reply::After(secs(u64::from(number > 1) * 5), token(&format!("{}-{number}", call.name())))
        });
        let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
        let pipeline = builder.refresh_from("app").without_refresh_ahead().build().unwrap();
        let provider = pipeline.provider();
        let lease = provider.leased().await.unwrap();
        if ended {
            tokio::time::advance(secs(3600)).await;
        } else {
            pipeline.invalidate("app").unwrap();
        }
        let next = tokio::spawn(provider.leased());
        tokio::time::sleep(secs(7)).await;
        assert_eq!(since(&idp, 2), ["app", "user"], "the new app token is there");
        let newer = newer(&provider, &lease).await.unwrap().unwrap();
        assert_eq!(newer.generation(), next.await.unwrap().unwrap().generation());
        assert_eq!(since(&idp, 2), ["app", "user"]);
    }
}

/// One thousand requests report the same token over five seconds.
#[tokio::test(start_paused = true)]
async fn r205_a_thousand_late_reports_of_one_token_cause_one_renewal() {
    let idp = Idp::new(|call, number| Reply::After(secs(1), token(&format!("{}-{number}", call.name()))));
    let provider = chain(&idp).build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    let reports: Vec<_> = (0..1000)
        .map(|number| {
            let (provider, lease) = (provider.clone(), Arc::clone(&lease));
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(5 * number)).await;
                newer(&provider, &lease).await.unwrap().unwrap().value().clone()
            })
        })
        .collect();
    for report in reports {
        assert_eq!(report.await.unwrap(), "Bearer user-2");
    }
    assert_eq!(since(&idp, 3), ["user"]);
}
