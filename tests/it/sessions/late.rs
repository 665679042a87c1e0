//! Requests whose session changes while they are on their way.

use std::sync::{Arc, Mutex};

use portcullis::{
    session::{Session, SessionErrorKind},
    token::IssueOptions,
};
use tokio::sync::Semaphore;

use super::{
    HOUR, ada, cookie_of, guarded, id_of, logged_in, sessions, sets_no_cookie, shopping, visit, who, written,
};
use crate::support::{Mode, fixture, secs};

#[tokio::test]
async fn r060_a_slow_request_brings_nothing_back_after_a_logout_or_a_login() {
    for (mode, act) in
        [(Mode::Now, "logout"), (Mode::Later, "logout"), (Mode::Now, "login"), (Mode::Later, "login")]
    {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = if act == "logout" { logged_in(&sessions).await } else { shopping(&sessions).await };
        let (gate, at_work) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = visit(&sessions, Some(&cookie), |session: Session| {
            let (gate, at_work) = (Arc::clone(&gate), Arc::clone(&at_work));
            async move {
                session.insert("late", true).await?;
                at_work.add_permits(1);
                let _open = gate.acquire().await.unwrap();
                session.insert("later", true).await?;
                Ok("done".to_owned())
            }
        });
        let fast = async {
            let _at_work = at_work.acquire().await.unwrap();
            let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
                if act == "logout" {
                    session.logout().await?;
                } else {
                    session.login(ada(), IssueOptions::default()).await?;
                }
                Ok(String::new())
            })
            .await;
            let records = fixture.store.memory.len();
            gate.add_permits(1);
            (answer, records)
        };
        let (slow, (fast, records)) = tokio::join!(slow, fast);
        assert_eq!((slow.status.as_u16(), slow.body.as_str()), (200, "done"));
        sets_no_cookie(&slow);
        assert_eq!(fixture.store.memory.len(), records, "nothing was made");
        assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.status, 401);
        assert_eq!(written(&fast.headers).unwrap().value.is_empty(), act == "logout");
    }
}

/// The session ends by itself while the request is at work.
#[tokio::test]
async fn r060_a_request_that_outlasts_its_session_saves_nothing() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        for (hours, saved) in [(23, true), (24, false)] {
            let (before, time) = (fixture.store.record(&id_of(&cookie)).await, fixture.time.clone());
            let slow = visit(&sessions, Some(&cookie), |session: Session| {
                let time = time.clone();
                async move {
                    session.insert("hours", hours).await?;
                    time.advance(secs(hours * HOUR));
                    Ok("done".to_owned())
                }
            })
            .await;
            assert_eq!((slow.status.as_u16(), slow.body.as_str()), (200, "done"));
            let after = fixture.store.record(&id_of(&cookie)).await;
            assert_eq!(after.version() - before.version(), u64::from(saved), "after {hours} h");
        }
    }
}

/// A request that was sent before a login, a rekey or a logout, and arrives after it.
#[tokio::test]
async fn r060_a_late_request_does_not_overwrite_the_cookie_of_a_login() {
    for act in ["login", "rekey", "logout"] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = if act == "login" { shopping(&sessions).await } else { logged_in(&sessions).await };
        fixture.time.advance(secs(HOUR));
        visit(&sessions, Some(&cookie), |session: Session| async move {
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await?),
                "rekey" => session.rekey().await?,
                _ => session.logout().await?,
            }
            Ok(String::new())
        })
        .await;
        let write = |session: Session| async move {
            session.insert("late", true).await?;
            who(session).await
        };
        let records = fixture.store.memory.len();
        fixture.time.advance(secs(59));
        let late = visit(&sessions, Some(&cookie), write).await;
        assert_eq!(late.body, "nobody");
        sets_no_cookie(&late);
        assert_eq!(fixture.store.memory.len(), records, "{act}");
        // Nobody's request is that late: this browser keeps an old cookie, and gets a new session.
        fixture.time.advance(secs(1));
        let fresh = visit(&sessions, Some(&cookie), write).await;
        assert_ne!(cookie_of(&fresh), cookie);
        assert_eq!(fixture.store.memory.len(), records + 1, "{act}");
    }
}

#[tokio::test]
async fn r060_after_the_response_a_session_takes_nothing_more() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    visit(&sessions, None, |session: Session| {
        *kept.lock().unwrap() = Some(session);
        async { Ok(String::new()) }
    })
    .await;
    let session = kept.lock().unwrap().take().unwrap();
    let late = session.insert("a", 1).await.map_err(|error| error.kind());
    assert_eq!(late, Err(SessionErrorKind::Answered));
    assert_eq!(
        session.login(ada(), IssueOptions::default()).await.unwrap_err().kind(),
        SessionErrorKind::Answered
    );
    assert_eq!(fixture.store.writes(), 0);
}
