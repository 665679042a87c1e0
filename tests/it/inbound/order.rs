//! The order in which a request meets verifier, user, renewal, hooks and service.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{Request, Response};
use portcullis::{
    AuthLayer, TokenService,
    error::BoxError,
    identity::{AuthContext, Ended, Evidence, Subject},
    maybe_ready::{BoxFuture, MaybeReady},
    problem::Reason,
    verify::{Attempt, Outcome, UserLookup, Verified, Verify},
};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    MODES,
    hooks::{answer, sliding},
};
use crate::support::{Answer, Body, Fixture, Mode, request, secs};

/// What happened, in order.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<&'static str>>>);

impl Journal {
    pub(super) fn note(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    pub(super) fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Another verifier, written down.
struct Written<V>(V, Journal);

impl<V: Verify> Verify for Written<V> {
    type Identity = V::Identity;

    fn recognises(&self, text: &str) -> bool {
        self.1.note("extracted");
        self.0.recognises(text)
    }

    fn watch(&self, evidence: &Evidence) -> BoxFuture<Ended> {
        self.0.watch(evidence)
    }

    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<V::Identity>> {
        self.1.note("verifying");
        self.0.verify(attempt)
    }
}

#[derive(Debug, PartialEq)]
struct User(String);

struct Users {
    journal: Journal,
    mode: Mode,
    active: Arc<Mutex<bool>>,
}

impl UserLookup for Users {
    type User = User;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<User>>, BoxError>> {
        self.journal.note("user");
        let user = Arc::new(User(subject.id().to_owned()));
        answer(self.mode, Ok(Some(user).filter(|_| *self.active.lock().unwrap())))
    }
}

struct Written26 {
    fixture: Fixture,
    journal: Journal,
    active: Arc<Mutex<bool>>,
    tokens: TokenService<User>,
    layer: AuthLayer<User>,
}

fn written(mode: Mode) -> Written26 {
    let (fixture, journal, active) = (sliding(), Journal::default(), Arc::new(Mutex::new(true)));
    let users = Users { journal: journal.clone(), mode, active: Arc::clone(&active) };
    let tokens = fixture.tokens.clone().users(users);
    let (on_renewal, on_auth, store) = (journal.clone(), journal.clone(), fixture.store.clone());
    let layer = AuthLayer::new(Written(tokens.clone(), journal.clone()))
        .cookie("token")
        .clock(fixture.time.clock())
        .on_auth(move |verified: Verified<User>, _: &Attempt<'_>| {
            on_auth.note("on_auth");
            answer(mode, Ok(verified))
        })
        .on_renewal(move |verified: Verified<User>, _: &Attempt<'_>| {
            assert!(verified.renewal().is_some() && verified.evidence().renewed());
            assert_eq!(store.touches(), 1, "the renewal is written already");
            on_renewal.note("on_renewal");
            answer(mode, Ok(verified))
        })
        .build()
        .unwrap();
    Written26 { fixture, journal, active, tokens, layer }
}

impl Written26 {
    async fn send(&self, cookie: &str) -> Answer {
        let journal = self.journal.clone();
        let service = self.layer.layer(service_fn(move |request: Request<Body>| {
            let auth = request.extensions().get::<AuthContext>().unwrap().auth::<User>().unwrap().unwrap();
            journal.note(if auth.renewed() { "inner, renewed" } else { "inner" });
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        }));
        Answer::of(service.oneshot(request(&[("cookie", cookie)])).await.unwrap()).await
    }
}

#[tokio::test]
async fn r026_extract_verify_user_renewal_hooks_and_then_the_service() {
    for mode in MODES {
        let written = written(mode);
        let issued =
            written.tokens.issue_for_cookie(Subject::local("ada"), Default::default()).await.unwrap();
        let cookie = format!("__Host-token={}", issued.access().expose());
        written.fixture.store.set(mode);
        written.journal.take();

        written.send(&cookie).await;
        assert_eq!(written.journal.take(), ["extracted", "verifying", "user", "on_auth", "inner"]);
        written.fixture.time.advance(secs(60));
        written.send(&cookie).await;
        let order = ["extracted", "verifying", "user", "on_renewal", "on_auth", "inner, renewed"];
        assert_eq!(written.journal.take(), order);
    }
}

#[tokio::test]
async fn r028_no_hook_runs_for_an_inactive_user_and_nothing_is_renewed() {
    // An event would have the credential looked at once more.
    let _nobody = crate::log::silence();
    for mode in MODES {
        let written = written(mode);
        let issued =
            written.tokens.issue_for_cookie(Subject::local("ada"), Default::default()).await.unwrap();
        let cookie = format!("__Host-token={}", issued.access().expose());
        written.fixture.store.set(mode);
        written.fixture.time.advance(secs(60));
        *written.active.lock().unwrap() = false;
        written.journal.take();
        let answer = written.send(&cookie).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::InactiveUser)));
        assert_eq!(written.journal.take(), ["extracted", "verifying", "user"]);
        assert!(!answer.headers.contains_key("set-cookie"));
        written.tokens.flush().await;
        assert_eq!(written.fixture.store.touches(), 0);
        assert_eq!(written.fixture.events.count("session_renewed"), 0);
    }
}
