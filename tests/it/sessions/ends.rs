//! The idle end, the absolute one, and the cookie that follows them.

use std::{sync::Arc, time::Duration};

use portcullis::{
    session::{Session, SessionPolicy},
    store::LiveLimit,
};
use tokio::sync::Semaphore;

use super::{
    HOUR, MINUTE, cookie_of, guarded, id_of, logged_in, sessions, sessions_with, sets_no_cookie, shopping,
    visit, who, written,
};
use crate::support::{Mode, fixture, secs};

fn short() -> SessionPolicy {
    let policy = SessionPolicy::builder().idle(secs(60 * MINUTE)).absolute(secs(8 * HOUR));
    policy.touch_every(secs(5 * MINUTE)).build().unwrap()
}

#[tokio::test]
async fn r057_reading_keeps_a_session_alive_but_never_past_its_absolute_end() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions_with(&fixture, short());
        let cookie = logged_in(&sessions).await;
        let end = fixture.time.now().plus(secs(8 * HOUR));
        loop {
            fixture.time.advance(secs(50 * MINUTE));
            let answer = visit(&sessions, Some(&cookie), who).await;
            sessions.tokens().flush().await;
            let now = fixture.time.now();
            if now >= end {
                assert_eq!(answer.body, "nobody");
                break;
            }
            assert_eq!(answer.body, "ada", "{now:?}");
            // The cookie lives as long as the session: an hour, or what is left.
            let renewed = written(&answer.headers).expect("renewed");
            assert_eq!(renewed.value, cookie);
            assert_eq!(renewed.max_age, Some(HOUR.min(end.since(now).as_secs())));
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
}

#[tokio::test]
async fn sec_d04_an_idle_session_ends_no_later_than_its_limit_and_earlier_by_less_than_a_touch() {
    let (idle, touch) = (60 * MINUTE, 5 * MINUTE);
    for after_touch in (0..=touch + MINUTE).step_by(30) {
        let fixture = fixture();
        let sessions = sessions_with(&fixture, short());
        let cookie = logged_in(&sessions).await;
        fixture.time.advance(secs(10 * MINUTE));
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
        // The last use, which is noted or is not.
        fixture.time.advance(secs(after_touch));
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
        let ends = fixture.store.record(&id_of(&cookie)).await.access_expires();
        let left = ends.since(fixture.time.now()).as_secs();
        assert!(left <= idle && left > idle - touch, "{after_touch}: {left}");
        fixture.time.advance(secs(left) - Duration::from_millis(1));
        let guard = guarded(&sessions, &fixture, Some(&cookie), false).await;
        assert_eq!(guard.status, 200);
        assert!(left == idle || after_touch < touch, "a due touch was not written");
    }
    // Unused, it ends at its limit to the millisecond.
    let fixture = fixture();
    let sessions = sessions_with(&fixture, short());
    let cookie = logged_in(&sessions).await;
    fixture.time.advance(secs(idle));
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
    assert_eq!(fixture.events.count("session_use_after_expire"), 1);
}

#[tokio::test]
async fn r057_a_cookie_is_renewed_once_for_each_touch_and_not_after_a_logout() {
    let fixture = fixture();
    fixture.store.set(Mode::Later);
    let sessions = sessions_with(&fixture, short());
    let cookie = logged_in(&sessions).await;
    fixture.time.advance(secs(4 * MINUTE));
    sets_no_cookie(&visit(&sessions, Some(&cookie), who).await);
    fixture.time.advance(secs(MINUTE));
    assert_eq!(cookie_of(&visit(&sessions, Some(&cookie), who).await), cookie);
    sessions.tokens().flush().await;
    sets_no_cookie(&visit(&sessions, Some(&cookie), who).await);

    // The session ends while a request that has renewed it is under way.
    for end in ["logout", "rekey"] {
        let cookie = logged_in(&sessions).await;
        fixture.time.advance(secs(5 * MINUTE));
        let (gate, at_work) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = visit(&sessions, Some(&cookie), |session: Session| {
            let (gate, at_work) = (Arc::clone(&gate), Arc::clone(&at_work));
            async move {
                let name = who(session).await?;
                at_work.add_permits(1);
                let _open = gate.acquire().await.unwrap();
                Ok(name)
            }
        });
        let fast = async {
            let _at_work = at_work.acquire().await.unwrap();
            let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
                if end == "logout" {
                    session.logout().await?
                } else {
                    session.rekey().await?
                }
                Ok(String::new())
            })
            .await;
            gate.add_permits(1);
            answer
        };
        let (slow, fast) = tokio::join!(slow, fast);
        assert_eq!(slow.body, "ada");
        sets_no_cookie(&slow);
        assert!(written(&fast.headers).is_some(), "{end}");
    }
}

#[test]
fn r057_a_policy_names_all_its_faults_and_every_preset_is_valid() {
    let fields = |policy: portcullis::session::SessionPolicyBuilder| -> Vec<&'static str> {
        let error = policy.build().unwrap_err();
        error.faults().iter().map(|fault| fault.field()).collect()
    };
    let builder = SessionPolicy::builder;
    assert_eq!(fields(builder().idle(secs(10)).absolute(secs(9))), ["idle"]);
    assert_eq!(fields(builder().idle(secs(20)).touch_every(secs(11))), ["touch_every"]);
    assert_eq!(fields(builder().idle(Duration::from_millis(999))), ["idle"]);
    let day = 24 * HOUR;
    assert_eq!(fields(builder().idle(secs(401 * day)).absolute(secs(500 * day))), ["idle"]);
    assert!(builder().idle(secs(400 * day)).absolute(secs(500 * day)).build().is_ok());
    let many =
        builder().idle(secs(9)).absolute(secs(8)).cookie("__Host-x").brand("No").limit(LiveLimit::Refuse(0));
    assert_eq!(fields(many), ["idle", "cookie", "brand", "limit"]);
    for preset in [
        SessionPolicy::consumer(),
        SessionPolicy::saas(),
        SessionPolicy::owasp_high_value(),
        SessionPolicy::nist_aal1(),
        SessionPolicy::nist_aal2(),
        SessionPolicy::nist_aal3(),
    ] {
        assert!(preset.build().is_ok());
    }
}

#[tokio::test]
async fn r060_ended_sessions_are_purged_and_living_ones_stay() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (out, idle) = (logged_in(&sessions).await, shopping(&sessions).await);
    fixture.time.advance(secs(23 * HOUR));
    let live = logged_in(&sessions).await;
    visit(
        &sessions,
        Some(&out),
        |session: Session| async move { session.logout().await.map(|()| String::new()) },
    )
    .await;
    fixture.time.advance(secs(HOUR));
    assert_eq!(sessions.tokens().purge(10).await.unwrap(), 2);
    assert_eq!(visit(&sessions, Some(&live), who).await.body, "ada");
    assert_eq!(visit(&sessions, Some(&idle), who).await.body, "nobody");
}

/// Each purge takes care of the store of its own service, however many there are.
#[tokio::test]
async fn r060_every_store_is_cleaned_by_its_own_service() {
    let (one, two) = (fixture(), fixture());
    let (first, second) = (sessions(&one), sessions(&two));
    for sessions in [&first, &second] {
        shopping(sessions).await;
        logged_in(sessions).await;
    }
    for fixture in [&one, &two] {
        fixture.time.advance(secs(24 * HOUR));
    }
    assert_eq!(first.tokens().purge(10).await.unwrap(), 2);
    assert_eq!((one.store.memory.len(), two.store.memory.len()), (0, 2));
    assert_eq!(second.tokens().purge(10).await.unwrap(), 2);
    assert_eq!(two.store.memory.len(), 0);
    assert_eq!((one.events.count("session_expired"), two.events.count("session_expired")), (2, 2));
}

/// What a store removes by itself, to make room, is told like a purge.
#[tokio::test]
async fn r033_sessions_that_make_room_for_others_are_told_as_expired() {
    let fixture = fixture();
    let store = portcullis::MemoryStore::with_capacity(2);
    let sessions = portcullis::session::Sessions::new(store, SessionPolicy::default())
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter());
    shopping(&sessions).await;
    logged_in(&sessions).await;
    fixture.time.advance(secs(24 * HOUR));
    logged_in(&sessions).await;
    assert_eq!((fixture.events.count("session_expired"), fixture.events.count("authn_token_delete")), (2, 1));

    // A limit of live sessions makes room, too.
    let fixture = crate::support::fixture();
    let policy = SessionPolicy::builder().limit(LiveLimit::EndOldest(1)).build().unwrap();
    let sessions = sessions_with(&fixture, policy);
    logged_in(&sessions).await;
    fixture.time.advance(secs(24 * HOUR));
    logged_in(&sessions).await;
    assert_eq!((fixture.events.count("session_expired"), fixture.events.count("authn_token_delete")), (1, 1));
}
