//! Sessions: cookie, ends, fixation, logout, data, and what the layer leaves alone.

mod cookies;
mod data;
mod ends;
mod extractor;
mod failures;
mod fixation;
mod late;
mod login;
mod logout;
mod look_up;
mod services;
mod told;

use std::{convert::Infallible, future::Future};

use http::{HeaderMap, Method, Request, Response, header::SET_COOKIE};
use portcullis::{
    AuthLayer,
    identity::{AuthContext, Subject},
    problem::ProblemReply,
    session::{Session, SessionError, SessionLayer, SessionPolicy, Sessions},
    text::TokenId,
    token::IssueOptions,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn ada() -> Subject {
    Subject::local("ada")
}

fn sessions(fixture: &Fixture) -> Sessions {
    sessions_with(fixture, SessionPolicy::default())
}

fn sessions_with(fixture: &Fixture, policy: SessionPolicy) -> Sessions {
    Sessions::new(fixture.store.clone(), policy)
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter())
}

// ===== a browser =====

/// A request as a page of the same origin sends it.
fn from_page(method: Method, cookie: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(method).header("sec-fetch-site", "same-origin");
    let request = match cookie {
        Some(value) => request.header("cookie", format!("__Host-session={value}")),
        None => request,
    };
    request.body(Body::default()).unwrap()
}

/// Sends a request through the layer to a handler that uses the session.
async fn send<F, Fut>(layer: &SessionLayer, request: Request<Body>, handler: F) -> Answer
where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = Result<String, SessionError>>,
{
    let service = layer.layer(service_fn(|request: Request<Body>| {
        let session = request.extensions().get::<Session>().expect("the layer's extension").clone();
        let handled = handler(session);
        async move {
            Ok::<_, Infallible>(match handled.await {
                Ok(text) => Response::new(Body::from(text)),
                Err(error) => error.rejection().respond(&ProblemReply),
            })
        }
    }));
    Answer::of(service.oneshot(request).await.unwrap()).await
}

async fn visit<F, Fut>(sessions: &Sessions, cookie: Option<&str>, handler: F) -> Answer
where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = Result<String, SessionError>>,
{
    send(&SessionLayer::new(sessions), from_page(Method::POST, cookie), handler).await
}

/// Who is there, in the words of the tests.
async fn who(session: Session) -> Result<String, SessionError> {
    Ok(session.subject().await?.map_or_else(|| "nobody".to_owned(), |subject| subject.id().to_owned()))
}

async fn log_in(session: Session) -> Result<String, SessionError> {
    session.login(ada(), IssueOptions::default()).await.map(|id| id.as_str().to_owned())
}

/// A `Set-Cookie`, every part of it read.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    value: String,
    max_age: Option<u64>,
    rest: String,
}

/// The one `Set-Cookie` of the session, strictly.
fn written(headers: &HeaderMap) -> Option<Written> {
    let mut lines = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().unwrap().strip_prefix("__Host-session="));
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "the cookie is written twice");
    let (value, mut attributes) = line.split_once("; ").unwrap_or((line, ""));
    let mut max_age = None;
    if let Some(rest) = attributes.strip_prefix("Max-Age=") {
        let (seconds, rest) = rest.split_once("; ").unwrap();
        (max_age, attributes) = (Some(seconds.parse().unwrap()), rest);
    }
    Some(Written { value: value.to_owned(), max_age, rest: attributes.to_owned() })
}

fn cookie_of(answer: &Answer) -> String {
    let written = written(&answer.headers).expect("a cookie");
    assert_eq!(written.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!written.value.is_empty());
    written.value
}

/// Logs ada in; gives the cookie.
async fn logged_in(sessions: &Sessions) -> String {
    cookie_of(&visit(sessions, None, log_in).await)
}

/// The public id in a cookie's value.
fn id_of(cookie: &str) -> TokenId {
    TokenId::parse(&cookie["pcs_a".len()..][..17]).unwrap()
}

/// An anonymous session with something in it.
async fn shopping(sessions: &Sessions) -> String {
    let put =
        |session: Session| async move { session.insert("cart", ["book"]).await.map(|()| String::new()) };
    cookie_of(&visit(sessions, None, put).await)
}

fn sets_no_cookie(answer: &Answer) {
    assert_eq!(written(&answer.headers), None, "{:?}", answer.headers);
}

/// Both layers, and a handler that says what they found.
async fn guarded(sessions: &Sessions, fixture: &Fixture, cookie: Option<&str>, optional: bool) -> Answer {
    let builder = AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie());
    let builder = builder.clock(fixture.time.clock());
    let guard = if optional { builder.optional() } else { builder }.build().unwrap();
    let service =
        guard.layer(SessionLayer::new(sessions).layer(service_fn(|request: Request<Body>| async move {
            let context = request.extensions().get::<AuthContext>().unwrap();
            let session = request.extensions().get::<Session>().unwrap();
            let same = session.id().await.unwrap() == context.evidence().and_then(|known| known.record());
            let text = format!("{} {same}", who(session.clone()).await.unwrap());
            Ok::<_, Infallible>(Response::new(Body::from(text)))
        })));
    Answer::of(service.oneshot(from_page(Method::GET, cookie)).await.unwrap()).await
}
