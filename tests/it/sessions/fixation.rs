//! Nothing that a browser came with becomes a login.

use portcullis::{
    identity::{Ended, Subject},
    session::Session,
    token::IssueOptions,
    verify::Verify,
};

use super::{ada, cookie_of, guarded, log_in, logged_in, sessions, sets_no_cookie, shopping, visit, who};
use crate::support::{Mode, fixture, secs};

#[tokio::test]
async fn r058_a_login_adopts_nothing_that_the_browser_came_with() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let elsewhere = crate::support::fixture();
        let chosen = logged_in(&self::sessions(&elsewhere)).await;
        let planted = shopping(&sessions).await;
        let (bob, _) = sessions.login(Subject::local("bob"), IssueOptions::default()).await.unwrap();
        let bob = bob.access().expose().to_owned();
        for presented in [&chosen, &planted, &bob] {
            let answer = visit(&sessions, Some(presented), |session: Session| async move {
                let id = session.login(ada(), IssueOptions::default()).await?;
                assert_eq!(session.id().await?, Some(id));
                assert_eq!(session.get::<Vec<String>>("cart").await?, None);
                Ok(id.as_str().to_owned())
            })
            .await;
            let cookie = cookie_of(&answer);
            assert_ne!(&cookie[..21], &presented[..21], "another id");
            assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
            // Dead at once, and for good.
            assert_eq!(visit(&sessions, Some(presented), who).await.body, "nobody");
            assert_eq!(guarded(&sessions, &fixture, Some(presented), false).await.status, 401);
        }
    }
}

#[tokio::test]
async fn sec_d06_login_and_login_again_and_privilege_change_give_a_new_value_and_kill_the_old() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let mut cookie = logged_in(&sessions).await;
    let other_device = logged_in(&sessions).await;
    for act in ["login", "rekey", "credentials"] {
        let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
            session.insert("theme", "dark").await?;
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await?),
                "rekey" => session.rekey().await?,
                _ => session.change_credentials().await?,
            }
            Ok(session.id().await?.unwrap().as_str().to_owned())
        })
        .await;
        let next = cookie_of(&answer);
        assert_ne!(next, cookie);
        assert_eq!(act != "login", cookie.contains(&answer.body), "a rekey keeps the id");
        assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.status, 401, "{act}");
        assert_eq!(guarded(&sessions, &fixture, Some(&next), false).await.body, "ada true", "{act}");
        let theme = visit(&sessions, Some(&next), |session: Session| async move {
            Ok(session.get("theme").await?.unwrap_or_else(|| "none".to_owned()))
        })
        .await;
        assert_eq!(theme.body, if act == "login" { "none" } else { "dark" });
        let other = guarded(&sessions, &fixture, Some(&other_device), false).await.status;
        assert_eq!(other.is_success(), act != "credentials");
        cookie = next;
    }
}

#[tokio::test(start_paused = true)]
async fn r058_who_watches_a_session_hears_at_once_that_a_login_took_its_place() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let evidence = *sessions.tokens().verify(&cookie, None).await.unwrap().evidence();
    let watching = tokio::spawn(Verify::watch(&sessions, &evidence));
    tokio::task::yield_now().await;
    visit(&sessions, Some(&cookie), log_in).await;
    let ended = tokio::time::timeout(secs(1), watching).await.expect("at once");
    assert_eq!(ended.unwrap(), Ended::Revoked);
}

#[tokio::test]
async fn r058_data_goes_into_a_login_only_when_asked_and_never_from_somebody_else() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let keep = |session: Session| async move {
        session.insert("seen", true).await?;
        session.login_keeping_data(ada(), IssueOptions::default()).await?;
        let cart = session.get::<Vec<String>>("cart").await?.unwrap_or_default();
        Ok(format!("{} {:?}", cart.join(","), session.get::<bool>("seen").await?))
    };
    let cart = shopping(&sessions).await;
    let writes = fixture.store.writes();
    let answer = visit(&sessions, Some(&cart), keep).await;
    assert_eq!(answer.body, "book Some(true)");
    assert_eq!(fixture.store.writes() - writes, 1, "the data goes with the login");
    // The same subject again, and then another one over it.
    let again = visit(&sessions, Some(&cookie_of(&answer)), keep).await;
    assert_eq!(again.body, "book Some(true)");
    let other = visit(&sessions, Some(&cookie_of(&again)), |session: Session| async move {
        session.login_keeping_data(Subject::local("eve"), IssueOptions::default()).await?;
        Ok(format!("{:?}", session.get::<Vec<String>>("cart").await?))
    })
    .await;
    assert_eq!(other.body, "None");
}

#[tokio::test]
async fn r058_without_a_login_there_is_nothing_to_rekey() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cart = shopping(&sessions).await;
    for cookie in [None, Some(cart.as_str())] {
        let answer = visit(&sessions, cookie, |session: Session| async move {
            session.rekey().await.map(|()| String::new())
        })
        .await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "missing_credential"));
        assert_eq!(answer.challenges(), [r#"Cookie realm="session", cookie-name="__Host-session""#]);
        sets_no_cookie(&answer);
    }
}
