//! What is kept in a session, and when it is saved.

use http::StatusCode;
use portcullis::session::{Session, SessionError, SessionErrorKind, Sessions};

use super::{logged_in, sessions, sets_no_cookie, shopping, visit, who};
use crate::support::{Fixture, Mode, fixture};

#[tokio::test]
async fn r060_values_are_typed_kept_by_key_and_bounded() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let change = visit(&sessions, Some(&cookie), |session: Session| async move {
        session.insert("list", vec![1, 2]).await?;
        session.insert("gone", "x").await?;
        assert!(session.remove("gone").await? && !session.remove("gone").await?);
        assert_eq!(session.get::<Vec<u8>>("list").await?, Some(vec![1, 2]));
        let kind = |error: SessionError| error.kind();
        let wrong = session.get::<String>("list").await.map_err(kind).unwrap_err();
        assert!(matches!(wrong, SessionErrorKind::Value(_)));
        let wrong = session.update("list", |_: Option<String>| String::new()).await.map_err(kind);
        assert!(matches!(wrong, Err(SessionErrorKind::Value(_))));
        let long = session.insert("long", "x".repeat(64 * 1024)).await.map_err(kind).unwrap_err();
        assert!(matches!(long, SessionErrorKind::Value(_)));
        assert_eq!(session.update("count", |n: Option<u8>| n.unwrap_or(4) + 1).await?, 5);
        Ok(String::new())
    })
    .await;
    assert_eq!(change.status, 200);
    sets_no_cookie(&change);
    let read = visit(&sessions, Some(&cookie), |session: Session| async move {
        let list = session.get::<Vec<u8>>("list").await?;
        Ok(format!(
            "{list:?} {:?} {:?}",
            session.get::<u8>("count").await?,
            session.get::<String>("long").await?
        ))
    })
    .await;
    assert_eq!(read.body, "Some([1, 2]) Some(5) None");
    visit(&sessions, Some(&cookie), |session: Session| async move {
        session.clear().await?;
        session.insert("after", 1).await?;
        Ok(String::new())
    })
    .await;
    let read = visit(&sessions, Some(&cookie), |session: Session| async move {
        Ok(format!("{:?} {:?}", session.get::<Vec<u8>>("list").await?, session.get::<u8>("after").await?))
    })
    .await;
    assert_eq!(read.body, "None Some(1)");
}

#[tokio::test]
async fn r060_a_response_saves_once_and_only_what_changed_whatever_its_status_is() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        let many = |session: Session| async move {
            for round in 0..5 {
                session.insert("a", round).await?;
                session.insert("b", round).await?;
                session.update("c", |n: Option<u8>| n.unwrap_or(0) + 1).await?;
            }
            // The handler fails: its 500 saves like any other answer.
            Err::<String, _>(session.get::<String>("a").await.unwrap_err())
        };
        let (writes, finds) = (fixture.store.writes(), fixture.store.finds());
        let failed = visit(&sessions, Some(&cookie), many).await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((fixture.store.writes() - writes, fixture.store.finds() - finds), (1, 1));
        let read = |session: Session| async move {
            // Written, but not changed.
            session.insert("a", 4).await?;
            Ok(format!("{:?} {:?}", session.get::<u8>("a").await?, session.get::<u8>("c").await?))
        };
        let writes = fixture.store.writes();
        assert_eq!(visit(&sessions, Some(&cookie), read).await.body, "Some(4) Some(5)");
        assert_eq!(fixture.store.writes(), writes);
    }
}

/// All have read before the first of them writes.
async fn fifty(sessions: &Sessions, fixture: &Fixture, cookie: &str) {
    fixture.store.gather(50);
    let requests = (0..50).map(|number| {
        let (sessions, cookie) = (sessions.clone(), cookie.to_owned());
        tokio::spawn(async move {
            visit(&sessions, Some(&cookie), |session: Session| async move {
                session.insert(format!("key{number}"), number).await?;
                session.update("count", |n: Option<u32>| n.unwrap_or(0) + 1).await?;
                Ok(String::new())
            })
            .await
            .status
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn r060_fifty_parallel_requests_lose_nothing() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = shopping(&sessions).await;
        fifty(&sessions, &fixture, &cookie).await;
        let read = visit(&sessions, Some(&cookie), |session: Session| async move {
            for number in 0..50_u32 {
                assert_eq!(session.get(&format!("key{number}")).await?, Some(number));
            }
            assert_eq!(session.get::<Vec<String>>("cart").await?.unwrap(), ["book"]);
            Ok(session.get::<u32>("count").await?.unwrap().to_string())
        })
        .await;
        assert_eq!(read.body, "50");
    }
}

#[tokio::test]
async fn r060_a_visitor_for_whom_nothing_is_stored_costs_nothing() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let before = (fixture.store.finds(), fixture.store.writes());
    let untouched = |_: Session| async { Ok(String::new()) };
    for cookie in [None, Some(cookie.as_str()), Some("nonsense")] {
        let answer = visit(&sessions, cookie, untouched).await;
        assert!(answer.headers.is_empty(), "{:?}", answer.headers);
    }
    let looked = |session: Session| async move {
        session.remove("nothing").await?;
        session.insert("back", 1).await?;
        session.remove("back").await?;
        session.clear().await?;
        who(session).await
    };
    let answer = visit(&sessions, None, looked).await;
    sets_no_cookie(&answer);
    assert_eq!((fixture.store.finds(), fixture.store.writes()), before);
    // Its answer depends on the cookie that is not there.
    assert_eq!(
        (&answer.headers["cache-control"], &answer.headers["vary"]),
        (&"private".parse().unwrap(), &"cookie".parse().unwrap())
    );
}
