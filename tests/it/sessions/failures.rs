//! Answers where something went wrong, and the cookie that goes with them or does not.

use http::header::SET_COOKIE;
use portcullis::{session::Session, token::IssueOptions};

use super::{ada, cookie_of, logged_in, sessions, visit, who};
use crate::support::{Mode, fixture};

#[tokio::test]
async fn r060_a_store_that_is_down_is_a_503_and_touches_no_cookie() {
    let write = |session: Session| async move {
        session.insert("a", 1).await?;
        Ok(String::new())
    };
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly, Mode::AlwaysLate] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        for cookie in [None, Some(cookie.as_str())] {
            if cookie.is_none() && mode == Mode::AlwaysLate {
                continue;
            }
            fixture.store.set(mode);
            let answer = visit(&sessions, cookie, write).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{mode:?}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.headers["retry-after"], "5");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert!(!answer.headers.contains_key(SET_COOKIE));
            fixture.store.set(Mode::Now);
        }
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    }
}

/// The old value is dead: without the new one the user would be logged out.
#[tokio::test]
async fn r060_a_rekey_keeps_its_cookie_where_the_data_could_not_be_saved() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let store = fixture.store.clone();
    let answer = visit(&sessions, Some(&cookie), |session: Session| {
        let store = store.clone();
        async move {
            session.rekey().await?;
            session.insert("a", 1).await?;
            store.set(Mode::Down);
            Ok(String::new())
        }
    })
    .await;
    fixture.store.set(Mode::Now);
    assert_eq!(answer.status, 503);
    let next = cookie_of(&answer);
    assert_eq!(visit(&sessions, Some(&next), who).await.body, "ada");
}

#[tokio::test]
async fn r060_a_login_that_ends_in_a_500_still_sends_its_cookie() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = visit(&sessions, None, |session: Session| async move {
        session.login(ada(), IssueOptions::default()).await?;
        session.insert("list", [1]).await?;
        session.get::<String>("list").await?;
        Ok(String::new())
    })
    .await;
    assert_eq!(answer.status, 500);
    let cookie = cookie_of(&answer);
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
}
