//! Who a cookie is, and for whom it is nobody.

use std::sync::Arc;

use http::{Method, Request};
use portcullis::{
    credential::Channel,
    error::BoxError,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    session::{Session, SessionLayer},
    token::IssueOptions,
    verify::UserLookup,
};

use super::{HOUR, ada, from_page, guarded, logged_in, send, sessions, sets_no_cookie, shopping, visit, who};
use crate::support::{Body, Mode, fixture, secs};

#[tokio::test]
async fn r056_a_guard_lets_living_sessions_in_and_answers_all_others_alike() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        let finds = fixture.store.finds();
        let known = guarded(&sessions, &fixture, Some(&cookie), false).await;
        assert_eq!((known.status.as_u16(), known.body.as_str()), (200, "ada true"));
        assert_eq!(fixture.store.finds() - finds, 1, "one look-up for both layers");

        let absent = guarded(&sessions, &fixture, None, false).await;
        assert_eq!((absent.status.as_u16(), absent.reason()), (401, Some(Reason::Absent)));

        let elsewhere = crate::support::fixture();
        let unknown = logged_in(&self::sessions(&elsewhere)).await;
        let revoked = logged_in(&sessions).await;
        visit(&sessions, Some(&revoked), |session: Session| async move {
            session.logout().await.map(|()| String::new())
        })
        .await;
        let mut answers = Vec::new();
        for refused in ["nonsense", &unknown, &revoked] {
            answers.push(guarded(&sessions, &fixture, Some(refused), false).await);
        }
        fixture.time.advance(secs(24 * HOUR));
        answers.push(guarded(&sessions, &fixture, Some(&cookie), false).await);
        for answer in &answers {
            assert_eq!(answer.status, 401);
            assert_eq!((&answer.body, &answer.headers), (&answers[0].body, &answers[0].headers));
            sets_no_cookie(answer);
        }
        assert_eq!(answers[3].reason(), Some(Reason::Expired));
    }
}

#[tokio::test]
async fn r056_a_browser_whose_user_is_not_known_is_nobody_for_a_guard() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = shopping(&sessions).await;
    let refused = guarded(&sessions, &fixture, Some(&cookie), false).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "missing_credential"));
    // Where guests are welcome, this one is a guest, with the session it has.
    let guest = guarded(&sessions, &fixture, Some(&cookie), true).await;
    assert_eq!((guest.status.as_u16(), guest.body.as_str()), (200, "nobody false"));
    let direct = sessions.tokens().verify(&cookie, Some(Channel::Cookie)).await;
    assert_eq!(crate::support::invalid(direct).map(|_| ()), Err(Reason::AnonymousSession));
}

#[tokio::test]
async fn r056_a_session_of_an_inactive_user_is_nobodys() {
    struct Nobody;
    impl UserLookup for Nobody {
        type User = String;
        fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<String>>, BoxError>> {
            match subject.id() {
                "broken" => MaybeReady::Now(Err("no database".into())),
                _ => MaybeReady::later(async { Ok(None) }),
            }
        }
    }
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (cookie, cart) = (logged_in(&sessions).await, shopping(&sessions).await);
    let strict = SessionLayer::new(&sessions.clone().users(Nobody));
    assert_eq!(send(&strict, from_page(Method::GET, Some(&cookie)), who).await.body, "nobody");
    // Nobody is looked up for a session of nobody.
    let kept = send(&strict, from_page(Method::GET, Some(&cart)), |session: Session| async move {
        Ok(session.get::<Vec<String>>("cart").await?.unwrap_or_default().join(","))
    })
    .await;
    assert_eq!(kept.body, "book");
    let (broken, _) = sessions.login(Subject::local("broken"), IssueOptions::default()).await.unwrap();
    let unknown = send(&strict, from_page(Method::GET, Some(broken.access().expose())), who).await;
    assert_eq!(unknown.status, 503);
}

#[tokio::test]
async fn r056_a_session_of_a_tenant_needs_a_layer_that_knows_the_tenant() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (issued, _) = sessions.login(ada(), IssueOptions::default().tenant("red")).await.unwrap();
    let answer = visit(&sessions, Some(issued.access().expose()), who).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal"));
    sets_no_cookie(&answer);
}

#[tokio::test]
async fn sec_d13_the_session_is_not_used_when_its_cookie_comes_twice() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let twice = format!("__Host-session={cookie}; __Host-session=x");
    let request = || {
        let request = Request::builder().header("cookie", twice.as_str());
        request.body(Body::default()).unwrap()
    };
    let layer = SessionLayer::new(&sessions);
    let answer = send(&layer, request(), who).await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (400, Some(Reason::DuplicateCookie)));
    assert_eq!(answer.challenges().len(), 1);
    let open = send(&layer, request(), |_: Session| async { Ok("open".to_owned()) }).await;
    assert_eq!(open.body, "open");
}

#[tokio::test]
async fn sec_j01_a_request_of_another_site_cannot_use_the_session() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let layer = SessionLayer::new(&sessions);
    for site in ["cross-site", "same-site"] {
        let request = |method| {
            let mut request = from_page(method, Some(&cookie));
            request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
            request
        };
        let out = |session: Session| async move { session.logout().await.map(|()| String::new()) };
        let refused = send(&layer, request(Method::POST), out).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "csrf"), "{site}");
        sets_no_cookie(&refused);
        assert_eq!(send(&layer, request(Method::GET), who).await.body, "ada");
    }
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
}
