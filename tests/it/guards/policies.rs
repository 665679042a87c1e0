//! Rights as values.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use portcullis::{
    Auth, AuthLayer,
    error::ConfigError,
    identity::Subject,
    inbound::{GuardLayer, Policy},
};

use super::{
    Keys, SUBJECT, auth_of, caller, missing, no, scope,
    types::{Nobody, Reads, Writes},
    yes,
};
use crate::support::fixture;

#[tokio::test]
async fn r032_a_policy_asks_user_login_context_and_scope() {
    let fixture = fixture();
    let auth = caller(&fixture, Some("orders:read users:read"), &[("beta", true), ("old", false)]).await;
    let denied = |scope: &str| Err(scope.to_owned());
    let is_true = |value: &serde_json::Value| value == true;
    for (policy, expected) in [
        (Policy::user(|user: &Subject| user.id() == SUBJECT), Ok(())),
        (Policy::user(|user: &Subject| user.id() == "eve"), denied("")),
        (Policy::login(|login| login.generation() == 0), Ok(())),
        (Policy::login(|login| login.label().is_some()), denied("")),
        (Policy::context("beta", is_true), Ok(())),
        (Policy::context("old", is_true), denied("")),
        (Policy::context("none", |_| true), denied("")),
        (Policy::auth(|auth: &Auth<Subject>| auth.scheme() == "Bearer"), Ok(())),
        (Policy::auth(|auth: &Auth<Subject>| auth.scheme() == "Token"), denied("")),
        (Policy::scope("orders:read"), Ok(())),
        (Policy::scope("users:read orders:read"), Ok(())),
        (Policy::scope("Orders:read"), denied("Orders:read")),
        (Policy::scope("orders"), denied("orders")),
        (Policy::scope("orders:read orders:write"), denied("orders:read orders:write")),
        (Policy::explicit_scope("orders:read"), Ok(())),
        (Policy::explicit_scope("orders:write"), denied("orders:write")),
        (Policy::of::<Reads>(), Ok(())),
        (Policy::of::<Writes>(), denied("orders:write")),
        (Policy::of::<Nobody>(), denied("")),
    ] {
        assert_eq!(policy.validate(), Ok(()));
        assert_eq!(missing(&policy, &auth), expected, "{policy:?}");
        assert_eq!(missing(&policy.clone().not(), &auth).is_ok(), expected.is_err(), "not {policy:?}");
    }
}

#[tokio::test]
async fn r032_a_login_without_a_scope_may_do_what_its_user_may() {
    let fixture = fixture();
    let auth = caller(&fixture, None, &[]).await;
    assert_eq!(missing(&scope("orders:read"), &auth), Ok(()));
    assert_eq!(missing(&Policy::explicit_scope("orders:read"), &auth), Err("orders:read".to_owned()));
}

#[tokio::test]
async fn r032_policies_combine_and_name_the_scope_that_would_help() {
    let fixture = fixture();
    let auth = caller(&fixture, Some("a b"), &[]).await;
    let denied = |scope: &str| Err(scope.to_owned());
    for (policy, expected) in [
        (yes().and(yes()), Ok(())),
        (yes().and(no()), denied("")),
        (no().and(yes()), denied("")),
        (no().or(yes()), Ok(())),
        (yes().or(no()), Ok(())),
        (no().or(no()), denied("")),
        (no().not(), Ok(())),
        (yes().not(), denied("")),
        (no().not().not(), denied("")),
        (yes().and(yes()).and(no()).or(yes()), Ok(())),
        (scope("a").and(scope("x")).and(scope("y")), denied("x")),
        (scope("x").and(no()), denied("x")),
        // Asking for the scope alone would not help.
        (no().and(scope("x")), denied("")),
        (no().or(scope("x")).or(scope("y")), denied("x")),
        (scope("y").or(scope("x")), denied("y")),
        (scope("a").not(), denied("")),
        (Policy::all([yes(), scope("a"), scope("b")]), Ok(())),
        (Policy::all([yes(), scope("a"), scope("c")]), denied("c")),
        (Policy::any([no(), scope("c"), scope("b")]), Ok(())),
        (Policy::any([no(), scope("c"), scope("d")]), denied("c")),
        (Policy::all([Policy::any([no(), yes()]), no().not()]), Ok(())),
    ] {
        assert_eq!(policy.validate(), Ok(()));
        assert_eq!(missing(&policy, &auth), expected, "{policy:?}");
    }
}

#[tokio::test]
async fn r032_policies_stop_where_the_answer_is_known() {
    let fixture = fixture();
    let auth = caller(&fixture, None, &[]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = |answer: bool| {
        let asked = Arc::clone(&asked);
        Policy::user(move |_: &Subject| {
            asked.fetch_add(1, Ordering::SeqCst);
            answer
        })
    };
    for (policy, times) in [
        (Policy::all([count(true), count(false), count(true)]), 2),
        (Policy::any([count(false), count(true), count(false)]), 2),
        (Policy::all([count(true), count(true)]), 2),
    ] {
        asked.store(0, Ordering::SeqCst);
        let _either = policy.check(&auth);
        assert_eq!(asked.load(Ordering::SeqCst), times, "each is asked at most once");
    }
}

fn fields(outcome: Result<(), ConfigError>) -> Vec<&'static str> {
    outcome.map_or_else(|error| error.faults().iter().map(|fault| fault.field()).collect(), |()| Vec::new())
}

#[tokio::test]
async fn r032_a_policy_with_a_fault_denies_everything_and_no_layer_is_built_of_it() {
    let fixture = fixture();
    for auth in [caller(&fixture, None, &[]).await, caller(&fixture, Some("a"), &[]).await] {
        for (policy, expected) in [
            (scope(""), vec!["scope"]),
            (scope("a  b"), vec!["scope"]),
            (scope("a\"b"), vec!["scope"]),
            (Policy::explicit_scope("a\r\nb"), vec!["scope"]),
            (Policy::all([]), vec!["all"]),
            (Policy::any([]), vec!["any"]),
            (Policy::all([]).not(), vec!["all"]),
            (Policy::any([]).not(), vec!["any"]),
            (scope("").not(), vec!["scope"]),
            (yes().or(scope("")), vec!["scope"]),
            (scope("").or(yes()).not(), vec!["scope"]),
            (yes().and(Policy::any([yes(), Policy::all([])]).not()), vec!["all"]),
            (scope(" ").and(scope("\\")).or(Policy::any([])), vec!["scope", "scope", "any"]),
        ] {
            assert!(!policy.grants(&auth), "{policy:?}");
            assert_eq!(missing(&policy, &auth), Err(String::new()));
            assert_eq!(fields(policy.validate()), expected);
            assert_eq!(fields(GuardLayer::new(policy).build().map(|_| ())), expected);
        }
    }
}

#[tokio::test]
async fn r032_without_a_login_record_a_policy_on_logins_denies() {
    let auth = auth_of(AuthLayer::new(Keys(Arc::default())).build().unwrap(), "key").await;
    assert_eq!(missing(&Policy::login(|_| true), &auth), Err(String::new()));
    assert_eq!(missing(&Policy::context("beta", |_| true), &auth), Err(String::new()));
    assert_eq!(missing(&yes(), &auth), Ok(()));
}
