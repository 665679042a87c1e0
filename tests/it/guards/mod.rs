//! What a known caller may do: rights as types, as values, and as a layer.

mod changes;
mod hosts;
mod policies;
mod types;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Request, Response};
use portcullis::{
    Auth, AuthLayer, TokenService,
    identity::{AuthContext, Ended, Evidence, Subject},
    inbound::Policy,
    maybe_ready::{BoxFuture, MaybeReady},
    problem::{Reason, Rejection, RejectionKind},
    scope::Scope,
    token::IssueOptions,
    verify::{Attempt, Outcome, Verified, Verify},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Body, Fixture, bearer, request};

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
