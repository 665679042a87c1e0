//! What a known caller may do: rights as types, as values, and as a layer.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::get};
use futures_util::FutureExt;
use http::{Request, Response};
use portcullis::{
    Auth, AuthLayer, Require, TokenService,
    error::{BoxError, ConfigError},
    identity::{AuthContext, Ended, Evidence, Subject},
    inbound::{Any, Denied, GuardLayer, Not, Permission, Policy},
    maybe_ready::{BoxFuture, MaybeReady},
    problem::{Reason, Rejection, RejectionKind},
    scope::Scope,
    token::IssueOptions,
    verify::{Attempt, Outcome, UserLookup, Verified, Verify},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock::Spawn;

use crate::support::{Answer, Body, Fixture, bearer, fixture, request, secs};

const SUBJECT: &str = "ada";

/// What a login has: its scope, if it is limited to one, and its context.
async fn login_with(tokens: &TokenService, scope: Option<&str>, context: &[(&str, bool)]) -> String {
    let mut options = IssueOptions::default();
    if let Some(scope) = scope {
        options = options.scope(Scope::parse(scope).unwrap());
    }
    let context = context.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
    let issued = tokens.issue_for_header(Subject::local(SUBJECT), options.context(context)).await.unwrap();
    issued.access().expose().to_owned()
}

/// The caller that a request with this token brings.
async fn auth_of<I: Send + Sync + 'static>(layer: AuthLayer<I>, token: &str) -> Auth<I> {
    let (name, value) = bearer(token);
    let found = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&found);
    let service = layer.layer(service_fn(move |request: Request<Body>| {
        *keep.lock().unwrap() = request.extensions().get::<AuthContext>().cloned();
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::default())))
    }));
    let answer = service.oneshot(request(&[(&name, &value)])).await.unwrap();
    assert!(answer.status().is_success());
    let context = found.lock().unwrap().take().unwrap();
    context.auth().unwrap().unwrap()
}

async fn caller(fixture: &Fixture, scope: Option<&str>, context: &[(&str, bool)]) -> Auth<Subject> {
    let token = login_with(&fixture.tokens, scope, context).await;
    auth_of(fixture.layer().build().unwrap(), &token).await
}

fn challenge(rejection: &Rejection) -> String {
    rejection.answer().headers()["www-authenticate"].to_str().unwrap().to_owned()
}

fn yes() -> Policy<Subject> {
    Policy::user(|_: &Subject| true)
}

fn no() -> Policy<Subject> {
    Policy::user(|_: &Subject| false)
}

fn scope(words: &str) -> Policy<Subject> {
    Policy::scope(words)
}

/// The scope that is missing; an error without one is `""`.
fn missing(policy: &Policy<Subject>, auth: &Auth<Subject>) -> Result<(), String> {
    let outcome = policy.check(auth);
    assert_eq!(policy.grants(auth), outcome.is_ok(), "{policy:?}");
    outcome.map_err(|rejection| {
        assert_eq!(rejection.kind(), RejectionKind::InsufficientScope);
        assert_eq!(rejection.reason(), Reason::NotPermitted);
        let challenge = challenge(&rejection);
        let rest = challenge.strip_prefix(r#"Bearer realm="api", error="insufficient_scope""#).unwrap();
        rest.strip_prefix(", scope=").unwrap_or(rest).trim_matches('"').to_owned()
    })
}

// ===== policies =====

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

/// A verifier outside of this crate: it knows no login records, and its scopes may change.
struct Keys(Arc<Mutex<Option<&'static str>>>);

impl Verify for Keys {
    type Identity = Subject;

    fn recognises(&self, _: &str) -> bool {
        true
    }

    fn watch(&self, _: &Evidence) -> BoxFuture<Ended> {
        Box::pin(std::future::pending())
    }

    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<Subject>> {
        let evidence = Evidence::new(attempt.credential().channel(), attempt.now(), attempt.now());
        let verified = Verified::new(Arc::new(Subject::local(SUBJECT)), evidence, Arc::new(()));
        MaybeReady::Now(Ok(match *self.0.lock().unwrap() {
            Some(scope) => verified.with_scope(Arc::new(Scope::parse(scope).unwrap())),
            None => verified,
        }))
    }
}

#[tokio::test]
async fn r032_without_a_login_record_a_policy_on_logins_denies() {
    let auth = auth_of(AuthLayer::new(Keys(Arc::default())).build().unwrap(), "key").await;
    assert_eq!(missing(&Policy::login(|_| true), &auth), Err(String::new()));
    assert_eq!(missing(&Policy::context("beta", |_| true), &auth), Err(String::new()));
    assert_eq!(missing(&yes(), &auth), Ok(()));
}

// ===== types =====

struct Reads;
struct Writes;
struct Everybody;
struct Nobody;
/// Needs another scope at night; it alone writes `check`.
struct Daytime;

impl Permission for Reads {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("orders:read");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.scope().is_none_or(|scope| scope.contains("orders:read"))
    }
}

impl Permission for Writes {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("orders:write");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.scope().is_none_or(|scope| scope.contains("orders:write"))
    }
}

impl Permission for Everybody {
    type Identity = Subject;

    fn granted(_: &Auth<Subject>) -> bool {
        true
    }
}

impl Permission for Nobody {
    type Identity = Subject;

    fn granted(_: &Auth<Subject>) -> bool {
        false
    }
}

impl Permission for Daytime {
    type Identity = Subject;

    fn granted(auth: &Auth<Subject>) -> bool {
        Self::check(auth).is_ok()
    }

    fn check(auth: &Auth<Subject>) -> Result<(), Denied> {
        Err(Denied::needs(format!("night:{}", auth.user().id())))
    }
}

#[tokio::test]
async fn r032_rights_that_are_types_combine() {
    let fixture = fixture();
    let auth = caller(&fixture, Some("orders:read"), &[]).await;
    let denied = |scope: &str| Err(scope.to_owned());
    for (policy, expected) in [
        (Policy::of::<(Everybody, Reads)>(), Ok(())),
        (Policy::of::<(Reads, Writes)>(), denied("orders:write")),
        (Policy::of::<(Writes, Nobody)>(), denied("orders:write")),
        (Policy::of::<(Nobody, Writes)>(), denied("")),
        (Policy::of::<(Everybody, Reads, Everybody)>(), Ok(())),
        (Policy::of::<(Everybody, Reads, Nobody)>(), denied("")),
        (Policy::of::<(Everybody, Reads, Everybody, Reads)>(), Ok(())),
        (Policy::of::<(Everybody, Reads, Everybody, Writes)>(), denied("orders:write")),
        (Policy::of::<Any<(Nobody, Reads)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Writes)>>(), denied("orders:write")),
        (Policy::of::<Any<(Writes, Daytime)>>(), denied("orders:write")),
        (Policy::of::<Any<(Nobody, Daytime, Writes)>>(), denied("night:ada")),
        (Policy::of::<Any<(Nobody, Writes, Everybody)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Nobody, Nobody, Reads)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Nobody, Nobody, Nobody)>>(), denied("")),
        (Policy::of::<Not<Nobody>>(), Ok(())),
        (Policy::of::<Not<Everybody>>(), denied("")),
        (Policy::of::<Not<(Reads, Writes)>>(), Ok(())),
        (Policy::of::<Not<Any<(Reads, Writes)>>>(), denied("")),
        (Policy::of::<(Any<(Nobody, Reads)>, Not<Writes>)>(), Ok(())),
    ] {
        assert_eq!(missing(&policy, &auth), expected);
    }
    assert!(<(Everybody, Reads)>::granted(&auth) && !<(Everybody, Writes)>::granted(&auth));
    assert!(<Any<(Writes, Reads)>>::granted(&auth) && !<Any<(Writes, Nobody)>>::granted(&auth));
}

// ===== hosts =====

async fn ask(router: Router, path: &str, header: Option<&(String, String)>) -> Answer {
    let mut request = Request::get(path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    Answer::of(router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap()).await
}

fn shop(fixture: &Fixture) -> Router {
    let guard = GuardLayer::new(scope("orders:write")).build().unwrap();
    let custom = GuardLayer::new(no())
        .reject_with(|why: &Rejection, answer: Response<bytes::Bytes>| {
            answer.map(|_| axum::body::Body::from(format!("sorry, {}", why.kind().code())))
        })
        .build()
        .unwrap();
    Router::new()
        .route("/layer", get(async || "in"))
        .route_layer(guard)
        .merge(Router::new().route("/custom", get(async || "in")).route_layer(custom))
        .route("/types", get(async |_: Require<(Reads, Writes)>| "in"))
        .route("/any", get(async |_: Require<Any<(Nobody, Writes)>>| "in"))
        .route(
            "/handler",
            get(async |auth: Auth<Subject>| {
                Policy::scope("orders:write").check(&auth)?;
                Ok::<_, Rejection>("in")
            }),
        )
        .layer(fixture.layer().optional().build().unwrap())
}

#[tokio::test]
async fn r032_every_guard_of_an_axum_app_tells_401_from_403() {
    let fixture = fixture();
    let all = bearer(&login_with(&fixture.tokens, None, &[]).await);
    let reader = bearer(&login_with(&fixture.tokens, Some("orders:read"), &[]).await);
    for path in ["/layer", "/types", "/any", "/handler"] {
        let granted = ask(shop(&fixture), path, Some(&all)).await;
        assert_eq!((granted.status.as_u16(), granted.body.as_str()), (200, "in"), "{path}");

        let refused = ask(shop(&fixture), path, Some(&reader)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"), "{path}");
        let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#;
        assert_eq!(refused.challenges(), [challenge], "{path}");
        assert_eq!(refused.reason(), Some(Reason::NotPermitted));

        let anonymous = ask(shop(&fixture), path, None).await;
        assert_eq!((anonymous.status.as_u16(), anonymous.code().as_str()), (401, "missing_credential"));
        assert_eq!(anonymous.challenges(), [r#"Bearer realm="api""#, r#"Token realm="api""#], "{path}");
    }
    let custom = ask(shop(&fixture), "/custom", Some(&all)).await;
    assert_eq!((custom.status.as_u16(), custom.body.as_str()), (403, "sorry, insufficient_scope"));
    let custom = ask(shop(&fixture), "/custom", None).await;
    assert_eq!((custom.status.as_u16(), custom.body.as_str()), (401, "sorry, missing_credential"));
}

/// A service that counts what reaches it.
fn counting(
    calls: &Arc<AtomicUsize>,
) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone {
    let calls = Arc::clone(calls);
    service_fn(move |_: Request<Body>| {
        calls.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok(Response::new(Body::from("in"))))
    })
}

#[tokio::test]
async fn sec_a04_a_missing_scope_is_403_with_the_scope_and_never_for_anonymous() {
    let fixture = fixture();
    let calls = Arc::new(AtomicUsize::new(0));
    let reader = login_with(&fixture.tokens, Some("orders:read"), &[]).await;
    let send = async |policy: Policy<Subject>, optional: bool, header: Option<(&str, &str)>| {
        let layer = if optional { fixture.layer().optional() } else { fixture.layer() };
        let service = ServiceBuilder::new()
            .layer(layer.cookie("token").build().unwrap())
            .layer(GuardLayer::new(policy).build().unwrap())
            .service(counting(&calls));
        let headers: Vec<_> = header.into_iter().collect();
        Answer::of(service.oneshot(request(&headers)).await.unwrap()).await
    };
    for scheme in ["Bearer", "Token"] {
        let value = format!("{scheme} {reader}");
        let refused = send(scope("orders:write"), false, Some(("authorization", &value))).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "insufficient_scope"));
        let challenge = format!(r#"{scheme} realm="api", error="insufficient_scope", scope="orders:write""#);
        assert_eq!(refused.challenges(), [challenge], "on the presented scheme alone");
        assert!(!refused.body.contains("orders"), "the body depends on nothing but the kind");
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0, "refused requests never reach the service");

    for policy in [yes(), no(), scope("orders:read"), yes().not(), no().not(), Policy::of::<Not<Nobody>>()] {
        for optional in [false, true] {
            let anonymous = send(policy.clone(), optional, None).await;
            assert_eq!((anonymous.status.as_u16(), anonymous.code().as_str()), (401, "missing_credential"));
            assert_eq!(anonymous.challenges().len(), 3);
            assert!(anonymous.challenges().iter().all(|line| !line.contains("error=")));
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
    let value = format!("Bearer {reader}");
    let granted = send(scope("orders:read"), false, Some(("authorization", &value))).await;
    assert_eq!((granted.body.as_str(), calls.load(Ordering::SeqCst)), ("in", 1));
}

#[tokio::test]
async fn sec_i04_a_guard_without_its_layer_is_a_loud_500() {
    let fixture = fixture();
    let calls = Arc::new(AtomicUsize::new(0));
    let (name, value) = bearer(&login_with(&fixture.tokens, None, &[]).await);
    let everybody = || GuardLayer::new(Policy::user(|_: &Subject| true)).build().unwrap();
    let auth = || fixture.layer().optional().build().unwrap();
    for headers in [&[(name.as_str(), value.as_str())][..], &[]] {
        let alone = ServiceBuilder::new().layer(everybody()).service(counting(&calls));
        let wrong_order = ServiceBuilder::new().layer(everybody()).layer(auth()).service(counting(&calls));
        let strings = GuardLayer::new(Policy::user(|_: &String| true)).build().unwrap();
        let other = ServiceBuilder::new().layer(auth()).layer(strings).service(counting(&calls));
        for answer in [
            alone.oneshot(request(headers)).await,
            wrong_order.oneshot(request(headers)).await,
            other.oneshot(request(headers)).await,
        ] {
            let answer = Answer::of(answer.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "auth_layer_missing"));
            assert!(answer.body.contains("AuthLayer"));
        }
    }
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r138_a_guard_is_ready_when_the_service_inside_is() {
    let fixture = fixture();
    let (name, value) = bearer(&login_with(&fixture.tokens, Some("a"), &[]).await);
    for (words, passes) in [("a", true), ("b", false)] {
        let (mock, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let guard = GuardLayer::new(scope(words)).build().unwrap();
        let stack = ServiceBuilder::new().layer(fixture.layer().build().unwrap()).layer(guard).service(mock);
        let mut spawned = Spawn::new(stack);
        handle.allow(0);
        assert!(spawned.poll_ready().is_pending());
        handle.allow(1);
        assert!(spawned.poll_ready().is_ready());
        let answer = spawned.call(request(&[(&name, &value)]));
        if passes {
            let (_, send) = handle.next_request().await.unwrap();
            send.send_response(Response::new(Body::from("in")));
            assert_eq!(answer.await.unwrap().status(), 200);
        } else {
            assert_eq!(answer.await.unwrap().status(), 403);
            assert!(handle.next_request().now_or_never().is_none(), "nothing was sent on");
        }
        handle.send_error("out of order");
        assert_eq!(spawned.poll_ready().map(|ready| ready.is_err()), std::task::Poll::Ready(true));
    }
}

#[tokio::test]
async fn a_guard_that_lets_through_allocates_nothing() {
    let fixture = fixture();
    let (name, value) = bearer(&login_with(&fixture.tokens, Some("a"), &[]).await);
    let tokens = TokenService::new(fixture.store.memory.clone(), portcullis::TokenPolicy::default());
    let auth =
        AuthLayer::new(tokens.clock(fixture.time.clock())).clock(fixture.time.clock()).build().unwrap();
    let guard = GuardLayer::new(scope("a").and(yes()).or(no())).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let without = allocations(auth.layer(counting(&calls)), || request(&[(&name, &value)]));
    let with = allocations(auth.layer(guard.layer(counting(&calls))), || request(&[(&name, &value)]));
    assert_eq!((with, calls.load(Ordering::SeqCst)), (without, 4));
}

/// Of one call that is answered at once.
fn allocations<S>(mut service: S, make: impl Fn() -> Request<Body>) -> u64
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut call = |request| service.call(request).now_or_never().expect("nothing to wait for").unwrap();
    // The first call may fill caches.
    assert!(call(make()).status().is_success());
    let request = make();
    allocation_counter::measure(|| drop(call(request))).count_total
}

// ===== changes =====

struct User {
    admin: bool,
}

/// One user, whose role is changed while a login lives.
#[derive(Clone)]
struct Directory(Arc<Mutex<bool>>);

impl UserLookup for Directory {
    type User = User;

    fn find(&self, _: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<User>>, BoxError>> {
        MaybeReady::Now(Ok(Some(Arc::new(User { admin: *self.0.lock().unwrap() }))))
    }
}

#[tokio::test]
async fn sec_i09_a_role_that_changes_counts_from_the_next_request_on_or_within_the_cache_age() {
    for age in [secs(0), secs(30)] {
        let fixture = fixture();
        let directory = Directory(Arc::new(Mutex::new(true)));
        let tokens = fixture.tokens.clone().users(directory.clone()).cache_users(age);
        let (name, value) = bearer(&login_with(&fixture.tokens, None, &[]).await);
        let guard = GuardLayer::new(Policy::user(|user: &User| user.admin)).build().unwrap();
        let auth = AuthLayer::new(tokens).clock(fixture.time.clock()).build().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let status = async || {
            let service = ServiceBuilder::new().layer(auth.clone()).layer(guard.clone());
            let answer = service.service(counting(&calls)).oneshot(request(&[(&name, &value)])).await;
            answer.unwrap().status().as_u16()
        };
        assert_eq!(status().await, 200);
        *directory.0.lock().unwrap() = false;
        if !age.is_zero() {
            assert_eq!(status().await, 200, "remembered");
            fixture.time.advance(age);
        }
        assert_eq!(status().await, 403, "{age:?}");
        *directory.0.lock().unwrap() = true;
        fixture.time.advance(age);
        assert_eq!(status().await, 200, "{age:?}");
    }
}

#[tokio::test]
async fn sec_i09_a_scope_that_changes_counts_from_the_next_request_on() {
    let scopes = Arc::new(Mutex::new(Some("orders:read orders:write")));
    let auth = AuthLayer::new(Keys(Arc::clone(&scopes))).build().unwrap();
    let guard = GuardLayer::new(scope("orders:write")).build().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let service = ServiceBuilder::new().layer(auth).layer(guard).service(counting(&calls));
    let (name, value) = bearer("key");
    for (scope, status) in [
        (Some("orders:read orders:write"), 200),
        (Some("orders:read"), 403),
        (Some("orders:write"), 200),
        (None, 200),
        (Some("orders:Write"), 403),
    ] {
        *scopes.lock().unwrap() = scope;
        let answer = service.clone().oneshot(request(&[(&name, &value)])).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{scope:?}");
    }
}
