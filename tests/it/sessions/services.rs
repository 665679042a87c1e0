//! The ready services over sessions: login and logout as routes, the session in the handlers.

use axum::{Router, routing::get};
use http::{Method, Request};
use portcullis::{
    Auth, AuthLayer,
    flow::{LoginService, LogoutService},
    identity::Subject,
    session::{Session, SessionLayer},
};
use serde_json::json;
use tower::ServiceExt;

use super::{HOUR, cookie_of, guarded, id_of, sessions, written};
use crate::{
    flow::{CROSS_SITE, JSON, PASSWORD, SAME_ORIGIN, Users},
    support::{Answer, fixture, secs},
};

#[tokio::test]
async fn r055_login_and_logout_services_give_and_take_the_cookie_of_a_session() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let login = LoginService::new(sessions.tokens().clone(), Users::default()).cookie(sessions.cookie());
    let logout = LogoutService::new(sessions.tokens().clone()).cookie(sessions.cookie());
    let guard = AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie());
    let visits = async |auth: Auth<Subject>, session: Session| {
        let seen = session.update("visits", |seen: Option<u32>| seen.unwrap_or(0) + 1).await.unwrap();
        format!("{} {seen}", auth.user().id())
    };
    let app: Router = Router::new()
        .route("/visits", get(visits))
        .layer(SessionLayer::new(&sessions))
        .layer(guard.clock(fixture.time.clock()).build().unwrap())
        .route_service("/login", login.build().unwrap())
        .route_service("/logout", logout.build().unwrap());
    let call =
        async |method: Method, path: &str, cookie: Option<&str>, headers: &[(&str, &str)], body: &str| {
            let mut request = Request::builder().method(method).uri(path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(value) = cookie {
                request = request.header("cookie", format!("__Host-session={value}"));
            }
            let request = request.body(axum::body::Body::from(body.to_owned())).unwrap();
            Answer::of(app.clone().oneshot(request).await.unwrap()).await
        };
    let form = |password: &str| json!({ "username": "ada", "password": password }).to_string();
    let log_in = async |cookie: Option<&str>, password: &str| {
        call(Method::POST, "/login", cookie, &[SAME_ORIGIN, JSON], &form(password)).await
    };

    let refused = log_in(None, "wrong").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "invalid_credentials"));
    assert_eq!(written(&refused.headers), None);
    let foreign = call(Method::POST, "/login", None, &[CROSS_SITE, JSON], &form(PASSWORD)).await;
    assert_eq!(foreign.status, 403);

    let answer = log_in(None, PASSWORD).await;
    assert_eq!(answer.status, 200);
    let cookie = cookie_of(&answer);
    let line = written(&answer.headers).unwrap();
    assert_eq!(
        (line.max_age, line.rest.as_str()),
        (Some(24 * HOUR), "Path=/; Secure; HttpOnly; SameSite=Lax")
    );
    assert!(!answer.body.contains(&cookie) && answer.json().get("refresh_expires_in").is_none());
    let record = fixture.store.record(&id_of(&cookie)).await;
    assert_eq!(
        (record.absolute_expires(), record.refresh_expires()),
        (record.created().plus(secs(7 * 24 * HOUR)), None)
    );
    assert_eq!(fixture.events.count("session_created"), 1);

    // The session that handlers see is the one that the service has begun, and its end slides.
    for seen in ["ada 1", "ada 2"] {
        fixture.time.advance(secs(23 * HOUR));
        assert_eq!(call(Method::GET, "/visits", Some(&cookie), &[SAME_ORIGIN], "").await.body, seen);
        sessions.tokens().flush().await;
    }
    // Another login in the same browser replaces it, and takes nothing along.
    let next = cookie_of(&log_in(Some(&cookie), PASSWORD).await);
    assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.status, 401);
    assert_eq!(call(Method::GET, "/visits", Some(&next), &[SAME_ORIGIN], "").await.body, "ada 1");

    for _ in 0..2 {
        let out = call(Method::POST, "/logout", Some(&next), &[SAME_ORIGIN], "").await;
        assert_eq!(out.status, 204);
        let removal = written(&out.headers).unwrap();
        assert_eq!(
            (removal.value.as_str(), removal.max_age, removal.rest.as_str()),
            ("", Some(0), line.rest.as_str())
        );
    }
    assert_eq!(call(Method::GET, "/visits", Some(&next), &[SAME_ORIGIN], "").await.status, 401);
}
