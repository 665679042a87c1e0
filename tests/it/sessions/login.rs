//! A login in a session, and the cookie that comes of it.

use http::{HeaderMap, header::SET_COOKIE};
use portcullis::{
    identity::Subject,
    problem::Reason,
    session::{Session, SessionPolicy},
    store::LiveLimit,
    token::IssueOptions,
};

use super::{
    HOUR, ada, cookie_of, guarded, log_in, logged_in, sessions, sessions_with, sets_no_cookie, shopping,
    visit, who, written,
};
use crate::support::{Mode, fixture};

#[tokio::test]
async fn r055_a_login_sets_one_cookie_with_every_protection_and_the_life_of_the_session() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let answer = visit(&sessions, None, log_in).await;
        let cookie = written(&answer.headers).unwrap();
        assert_eq!(cookie.max_age, Some(24 * HOUR));
        assert_eq!(cookie.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 1);
        assert!(answer.headers[SET_COOKIE].is_sensitive());
        assert_eq!(visit(&sessions, Some(&cookie.value), who).await.body, "ada");
        // The id that handlers see is not the cookie's value.
        assert!(cookie.value.contains(&answer.body) && cookie.value.len() > answer.body.len() + 43);
    }
}

#[tokio::test]
async fn r055_a_cookie_can_end_with_the_browser() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = visit(&sessions, None, |session: Session| async move {
        session.login(ada(), IssueOptions::default().browser_session()).await?;
        Ok(String::new())
    })
    .await;
    assert_eq!(written(&answer.headers).unwrap().max_age, None);
}

#[tokio::test]
async fn r055_a_login_service_without_the_layer_gets_cookie_and_removal() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (before, _) = sessions.login(Subject::local("bob"), IssueOptions::default()).await.unwrap();
    let over = before.access().expose();
    let (issued, line) = sessions.login_over(over, ada(), IssueOptions::default()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, line);
    let cookie = written(&headers).unwrap().value;
    assert_eq!(cookie, issued.access().expose());
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    assert_eq!(visit(&sessions, Some(over), who).await.body, "nobody");

    for presented in [None, Some("nonsense"), Some(cookie.as_str()), Some(cookie.as_str())] {
        headers.insert(SET_COOKIE, sessions.logout(presented).await.unwrap());
        let removal = written(&headers).unwrap();
        assert_eq!((removal.value.as_str(), removal.max_age), ("", Some(0)));
    }
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
    assert_eq!(sessions.clear_site_data(), None);

    let nobody = sessions.login(Subject::anonymous("x"), IssueOptions::default()).await;
    assert!(nobody.is_err());
    fixture.store.set(Mode::Down);
    assert!(sessions.logout(Some(over)).await.is_err());
    assert!(sessions.login_over(over, ada(), IssueOptions::default()).await.is_err());
}

#[tokio::test]
async fn r055_a_login_above_the_limit_is_refused_or_ends_the_oldest() {
    let fixture = fixture();
    let policy = SessionPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap();
    let sessions = sessions_with(&fixture, policy);
    let first = logged_in(&sessions).await;
    let refused = visit(&sessions, None, log_in).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (409, Some(Reason::LoginLimit)));
    sets_no_cookie(&refused);
    // The session of the same browser makes room for its successor.
    let next = cookie_of(&visit(&sessions, Some(&first), log_in).await);
    assert_eq!(visit(&sessions, Some(&next), who).await.body, "ada");
}

#[tokio::test]
async fn r212_sessions_report_what_begins_and_what_ends() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cart = shopping(&sessions).await;
    visit(&sessions, Some(&cart), log_in).await;
    let names: Vec<_> = fixture.events.all().iter().map(|event| event.name()).collect();
    // The cookie of the cart was looked up, and is nobody's; the login is a session, too.
    let login = ["authn_token_revoked", "authn_token_created", "session_created"];
    assert_eq!(names, [&["session_created"], &login[..]].concat());
}

/// Whatever is logged in is somebody: there is no id that means "not logged in".
#[tokio::test]
async fn r055_any_id_is_somebody_zero_and_the_empty_one_included() {
    for id in ["0", "", "false", "null", "anonymous"] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let enter = |session: Session| async move {
            session.login(Subject::local(id), IssueOptions::default()).await?;
            assert!(!session.is_anonymous().await?);
            Ok(String::new())
        };
        let cookie = cookie_of(&visit(&sessions, None, enter).await);
        let seen = visit(&sessions, Some(&cookie), |session: Session| async move {
            session.rekey().await?;
            Ok(format!("{:?}", session.subject().await?.map(|subject| subject.id().to_owned())))
        })
        .await;
        assert_eq!(seen.body, format!("Some({id:?})"));
        let guard = guarded(&sessions, &fixture, Some(&cookie_of(&seen)), false).await;
        assert_eq!((guard.status.as_u16(), guard.body), (200, format!("{id} true")));
    }
}
