//! Logging out, and what ends with it.

use portcullis::{
    event::RevokeReason,
    problem::Reason,
    session::{Session, SessionPolicy},
    store::{ListQuery, TokenStore},
};

use super::{
    ada, cookie_of, guarded, id_of, logged_in, sessions, sessions_with, sets_no_cookie, visit, who, written,
};
use crate::support::{Mode, fixture};

#[tokio::test]
async fn r059_a_logout_ends_the_session_on_every_instance_and_removes_the_cookie() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let (here, there) = (sessions(&fixture), sessions(&fixture));
        let cookie = logged_in(&here).await;
        let out = |session: Session| async move {
            session.insert("late", 1).await?;
            session.logout().await?;
            assert!(session.is_anonymous().await?);
            Ok(String::new())
        };
        for _ in 0..2 {
            let answer = visit(&here, Some(&cookie), out).await;
            let removal = written(&answer.headers).unwrap();
            assert_eq!((removal.value.as_str(), removal.max_age), ("", Some(0)));
            assert_eq!(removal.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert!(!answer.headers.contains_key("clear-site-data"));
            let replay = guarded(&there, &fixture, Some(&cookie), false).await;
            assert_eq!((replay.status.as_u16(), replay.reason()), (401, Some(Reason::Revoked)));
        }
        let none =
            visit(
                &here,
                None,
                |session: Session| async move { session.logout().await.map(|()| String::new()) },
            )
            .await;
        assert_eq!(none.status, 200);
        assert_eq!(written(&none.headers).unwrap().max_age, Some(0));
        let kept = fixture.store.list(&ListQuery::new(Some(ada()), 9)).await.unwrap();
        let reasons: Vec<_> = kept.iter().map(|found| found.record.revoked().unwrap().reason()).collect();
        assert_eq!(reasons, [RevokeReason::Logout]);
    }
}

#[tokio::test]
async fn sec_d07_ending_one_all_others_or_all_sessions_of_a_subject_is_seen_by_every_instance() {
    let fixture = fixture();
    let (here, there) = (sessions(&fixture), sessions(&fixture));
    let seen = async |cookie: &str| guarded(&there, &fixture, Some(cookie), false).await.status.is_success();
    let (one, two, three) = (logged_in(&here).await, logged_in(&here).await, logged_in(&here).await);
    here.tokens().revoke(&id_of(&one)).await.unwrap();
    assert_eq!((seen(&one).await, seen(&two).await, seen(&three).await), (false, true, true));
    here.tokens().revoke_others(&ada(), &id_of(&three)).await.unwrap();
    assert_eq!((seen(&two).await, seen(&three).await), (false, true));
    here.tokens().revoke_everyone().await.unwrap();
    assert!(!seen(&three).await);
}

#[tokio::test]
async fn r059_a_logout_that_did_not_happen_leaves_the_cookie_for_the_next_try() {
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        fixture.store.set(mode);
        let out = |session: Session| async move { session.logout().await.map(|()| String::new()) };
        let answer = visit(&sessions, Some(&cookie), out).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        sets_no_cookie(&answer);
        fixture.store.set(Mode::Now);
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    }
}

#[tokio::test]
async fn sec_d15_a_logout_clears_the_sites_data_where_the_policy_says_so() {
    let fixture = fixture();
    let sessions = sessions_with(&fixture, SessionPolicy::builder().clear_site_data().build().unwrap());
    let cookie = logged_in(&sessions).await;
    let out = visit(&sessions, Some(&cookie), |session: Session| async move {
        session.logout().await.map(|()| String::new())
    })
    .await;
    assert_eq!(out.headers["clear-site-data"], r#""cache", "cookies", "storage""#);
    // A session that begins after the logout must not be cleared with it.
    let anew = visit(&sessions, None, |session: Session| async move {
        session.logout().await?;
        session.insert("language", "nl").await?;
        Ok(String::new())
    })
    .await;
    assert!(!anew.headers.contains_key("clear-site-data"));
    let cookie = cookie_of(&anew);
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
}
