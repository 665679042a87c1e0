//! The cookie beside those of others, in caches, and out of sight.

use std::convert::Infallible;

use http::{Method, Request, Response, header::SET_COOKIE};
use portcullis::{
    session::{Session, SessionLayer},
    token::IssueOptions,
};
use tower::{Layer, ServiceExt, service_fn};

use super::{ada, cookie_of, from_page, log_in, logged_in, sessions, visit, who};
use crate::support::{Answer, Body, fixture};

#[tokio::test]
async fn sec_d14_the_cookie_is_written_once_and_only_by_what_concerns_it() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = async |act: &'static str, theirs: &'static str| {
        let service = SessionLayer::new(&sessions).layer(service_fn(|request: Request<Body>| async move {
            let session = request.extensions().get::<Session>().unwrap();
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await.unwrap()),
                _ => session.insert("a", 1).await.unwrap(),
            }
            let response = Response::builder()
                .header(SET_COOKIE, "theme=dark")
                .header(SET_COOKIE, theirs)
                .header("cache-control", "public, max-age=60");
            Ok::<_, Infallible>(response.body(Body::default()).unwrap())
        }));
        Answer::of(service.oneshot(from_page(Method::POST, None)).await.unwrap()).await
    };
    let lines = |answer: &Answer| -> Vec<String> {
        answer.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    };
    // A login is the newest there is.
    let login = answer("login", "__Host-session=older; Path=/").await;
    assert_eq!(login.headers["cache-control"], "no-store");
    assert_eq!(lines(&login)[0], "theme=dark");
    assert!(lines(&login)[1].starts_with("__Host-session=pcs_a") && lines(&login).len() == 2);
    // A session that would begin by the way gives way to a handler that writes the cookie itself.
    let records = fixture.store.memory.len();
    let data = answer("data", "__Host-session=theirs; Path=/").await;
    assert_eq!(lines(&data), ["theme=dark", "__Host-session=theirs; Path=/"]);
    assert_eq!(fixture.store.memory.len(), records);
    assert_eq!(answer("data", "other=1").await.headers.get_all(SET_COOKIE).iter().count(), 3);
}

#[tokio::test]
async fn sec_d15_an_answer_that_sets_the_cookie_is_not_stored_and_any_other_is_private() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let login = visit(&sessions, None, log_in).await;
    assert_eq!(
        (&login.headers["cache-control"], &login.headers["vary"]),
        (&"no-store".parse().unwrap(), &"cookie".parse().unwrap())
    );
    let read = visit(&sessions, Some(&cookie_of(&login)), who).await;
    assert_eq!(
        (&read.headers["cache-control"], &read.headers["vary"]),
        (&"private".parse().unwrap(), &"cookie".parse().unwrap())
    );
}

#[tokio::test]
async fn sec_d16_nothing_shows_the_cookies_value() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let secret = &cookie[22..];
    let layer = SessionLayer::new(&sessions);
    let found = sessions.tokens().verify(&cookie, None).await.unwrap();
    let shown = format!("{sessions:?} {layer:?} {found:?} {:?} {:?}", found.record(), fixture.store.memory);
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(Body::from(format!("{:?}", request.extensions().get::<Session>()))))
    }));
    let session =
        Answer::of(service.oneshot(from_page(Method::GET, Some(&cookie))).await.unwrap()).await.body;
    let events = format!("{:?}", fixture.events.all());
    for text in [shown, session, events] {
        for start in 0..secret.len() - 8 {
            assert!(!text.contains(&secret[start..start + 8]), "{text}");
        }
    }
}
