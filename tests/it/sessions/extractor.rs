//! The session as an argument of an axum handler.
#![cfg(feature = "axum")]

use axum::{Router, body::Body, routing::get};
use http::{Request, header::SET_COOKIE};
use portcullis::session::{Session, SessionError, SessionLayer};
use tower::ServiceExt;

use super::sessions;
use crate::support::{Answer, fixture};

async fn count(session: Session) -> Result<String, SessionError> {
    session.update("visits", |seen: Option<u32>| seen.unwrap_or(0) + 1).await.map(|seen| seen.to_string())
}

fn routes() -> Router {
    Router::new().route("/count", get(count)).route(
        "/wrong",
        get(async |session: Session| session.get::<String>("visits").await.map(Option::unwrap_or_default)),
    )
}

async fn ask(router: Router, path: &str, cookie: Option<&str>) -> Answer {
    let request = Request::get(path);
    let request = match cookie {
        Some(cookie) => request.header("cookie", cookie),
        None => request,
    };
    Answer::of(router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

#[tokio::test]
async fn r060_a_handler_takes_the_session_and_answers_with_its_errors() {
    let fixture = fixture();
    let router = routes().layer(SessionLayer::new(&sessions(&fixture)));
    let first = ask(router.clone(), "/count", None).await;
    assert_eq!(first.body, "1");
    let line = first.headers[SET_COOKIE].to_str().unwrap();
    let cookie = line.split(';').next().unwrap();
    assert_eq!(ask(router.clone(), "/count", Some(cookie)).await.body, "2");
    let wrong = ask(router, "/wrong", Some(cookie)).await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (500, "internal"));
}

#[tokio::test]
async fn sec_i04_without_the_layer_a_handler_that_takes_a_session_is_a_loud_500() {
    let answer = ask(routes(), "/count", None).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "session_layer_missing"));
    assert!(answer.body.contains("SessionLayer"), "{}", answer.body);
}
