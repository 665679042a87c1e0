//! The first use of a new pair ends the long window and opens the short one once more: tabs that wake together with a
//! token whose answer was lost present it within seconds, however long ago the rotation was.

use std::time::Duration;

use portcullis::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    problem::Reason,
    store::TokenStore,
    token::{Issued, RefreshRequest},
};

use super::MILLI;
use crate::support::{Fixture, Mode, fixture, fixture_with, invalid, refresh_text, secs};

const HOUR: Duration = Duration::from_secs(3600);

/// A login and a refresh of it whose answer nobody got, an hour ago.
async fn lost(fixture: &Fixture) -> (Issued, Issued) {
    let first = fixture.login("ada").await;
    fixture.time.advance(secs(60));
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    fixture.time.advance(HOUR);
    (first, second)
}

/// The new pair is used, now and for the first time.
async fn used(fixture: &Fixture, second: &Issued) {
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.tokens.flush().await;
}

async fn repeat(tokens: &TokenService, first: &Issued) -> Result<Issued, Reason> {
    let text = refresh_text(first);
    invalid(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await)
}

/// The outcome of presenting the predecessor, and whether the login lives on.
async fn judged(fixture: &Fixture, first: &Issued, second: &Issued) -> (Result<(), Reason>, bool) {
    let outcome = repeat(&fixture.tokens, first).await;
    if let Ok(pair) = &outcome {
        assert_eq!((pair.access(), pair.refresh()), (second.access(), second.refresh()));
    }
    (outcome.map(|_| ()), fixture.verify(second.access().expose()).await.is_ok())
}

#[tokio::test]
async fn r202_the_second_of_two_tabs_that_wake_after_a_lost_answer_gets_the_same_pair() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let (first, second) = lost(&fixture).await;
        assert_eq!(judged(&fixture, &first, &second).await, (Ok(()), true));
        used(&fixture, &second).await;
        fixture.time.advance(Duration::from_millis(300));
        assert_eq!(judged(&fixture, &first, &second).await, (Ok(()), true));
        assert_eq!(fixture.events.count("reuse_allowed"), 2);
        assert_eq!(fixture.events.count("authn_token_reuse"), 0);
    }
}

#[tokio::test]
async fn r035_the_edges_of_the_window_after_the_first_use() {
    for (after, expected) in [
        (Duration::ZERO, (Ok(()), true)),
        (secs(10) - MILLI, (Ok(()), true)),
        (secs(10), (Err(Reason::TooRecent), true)),
        (secs(15) - MILLI, (Err(Reason::TooRecent), true)),
        (secs(15), (Err(Reason::Reuse), false)),
        (secs(15) + MILLI, (Err(Reason::Reuse), false)),
    ] {
        let fixture = fixture();
        let (first, second) = lost(&fixture).await;
        used(&fixture, &second).await;
        fixture.time.advance(after);
        assert_eq!(judged(&fixture, &first, &second).await, expected, "{after:?} after the first use");
    }
}

/// Further uses, and confirmations that other nodes write late, leave the first moment alone.
#[tokio::test]
async fn r035_only_the_first_use_counts() {
    for ahead in [0, 4_000, -4_000_i64] {
        let fixture = fixture();
        let (first, second) = lost(&fixture).await;
        used(&fixture, &second).await;
        let there = ManualClock::new(fixture.time.now());
        let node = TokenService::new(fixture.store.clone(), TokenPolicy::default()).clock(there.clock());
        for _ in 0..15 {
            fixture.time.advance(secs(1));
            there.set(Timestamp::from_millis(fixture.time.now().as_millis() + ahead));
            used(&fixture, &second).await;
            node.verify(second.access().expose(), None).await.unwrap();
            node.flush().await;
            // A node that had read the record before the first use was written.
            let confirmed = fixture.store.confirm(&second.record().id(), 1, there.now()).wait().await;
            confirmed.unwrap();
        }
        assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::Reuse), false), "{ahead} ms");
    }
}

/// A request that had read the record before another one was the first use, and confirms it after that.
#[tokio::test]
async fn r035_of_two_first_uses_at_once_the_one_that_is_written_first_counts() {
    let fixture = fixture();
    let (first, second) = lost(&fixture).await;
    let there = ManualClock::new(fixture.time.now().plus(secs(4)));
    let slow = TokenService::new(fixture.store.clone(), TokenPolicy::default()).clock(there.clock());
    let quick = TokenService::new(fixture.store.memory.clone(), TokenPolicy::default());
    let quick = quick.clock(fixture.time.clock());
    fixture.store.gather(2);
    let (before, text) = (fixture.store.finds(), second.access().expose().to_owned());
    let racer = tokio::spawn(async move { slow.verify(&text, None).await.map(|_| ()) });
    while fixture.store.finds() == before {
        tokio::task::yield_now().await;
    }
    quick.verify(second.access().expose(), None).await.unwrap();
    let writes = fixture.store.writes();
    fixture.store.find(&second.record().id()).wait().await.unwrap();
    racer.await.unwrap().unwrap();
    assert_eq!(fixture.store.writes(), writes + 1, "the slow one has tried");
    fixture.time.advance(secs(15));
    assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::Reuse), false));
}

/// A confirmation that comes after the next rotation is not one of the next pair.
#[tokio::test]
async fn r035_a_late_confirmation_of_an_older_pair_ends_nothing_of_the_newer_one() {
    let fixture = fixture();
    let (_, second) = lost(&fixture).await;
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    for generation in [0, 1, 3] {
        let id = third.record().id();
        fixture.store.confirm(&id, generation, fixture.time.now()).wait().await.unwrap();
    }
    fixture.time.advance(8 * HOUR);
    assert_eq!(judged(&fixture, &second, &third).await, (Ok(()), true), "it is still awaited");
    fixture.time.advance(secs(15));
    assert_eq!(judged(&fixture, &second, &third).await, (Err(Reason::Reuse), false));
}

/// What counts anew is the time, and nothing else.
#[tokio::test]
async fn r036_repeats_before_and_after_the_first_use_share_the_cap() {
    let fixture = fixture();
    let (first, second) = lost(&fixture).await;
    for _ in 0..60 {
        repeat(&fixture.tokens, &first).await.unwrap();
    }
    used(&fixture, &second).await;
    for _ in 0..40 {
        repeat(&fixture.tokens, &first).await.unwrap();
    }
    assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::GraceCap), true));
}

/// Whoever asked for the time alone gets the time alone.
#[tokio::test]
async fn sec_e01_without_a_long_window_the_first_use_opens_nothing() {
    for (policy, grace) in [
        (TokenPolicy::builder().strict(), Duration::ZERO),
        (TokenPolicy::builder().unconfirmed(Duration::ZERO), secs(10)),
    ] {
        let policy = policy.build().unwrap();
        // Within what is left of the window: it is not prolonged.
        let fixture = fixture_with(policy.clone());
        let first = fixture.login("ada").await;
        let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
        fixture.time.advance(grace + secs(4));
        used(&fixture, &second).await;
        assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::TooRecent), true));
        fixture.time.advance(secs(1));
        assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::Reuse), false));
        // Long after it.
        let fixture = fixture_with(policy);
        let (first, second) = lost(&fixture).await;
        used(&fixture, &second).await;
        assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::Reuse), false));
    }
}

/// Without repeats by time, a second tab is refused for a moment rather than taken for a thief.
#[tokio::test]
async fn sec_e01_without_a_short_window_the_first_use_repeats_nothing() {
    let policy = TokenPolicy::builder().grace(Duration::ZERO).build().unwrap();
    for (after, expected) in [
        (Duration::ZERO, (Err(Reason::TooRecent), true)),
        (secs(5) - MILLI, (Err(Reason::TooRecent), true)),
        (secs(5), (Err(Reason::Reuse), false)),
    ] {
        let fixture = fixture_with(policy.clone());
        let (first, second) = lost(&fixture).await;
        assert_eq!(judged(&fixture, &first, &second).await.0, Ok(()), "it is awaited");
        // That look was the first use.
        fixture.time.advance(after);
        assert_eq!(judged(&fixture, &first, &second).await, expected, "{after:?}");
    }
}

/// A window that is shut stays shut.
#[tokio::test]
async fn r035_a_first_use_after_the_long_window_opens_nothing() {
    let within = TokenPolicy::builder().unconfirmed(HOUR + MILLI).build().unwrap();
    let after = TokenPolicy::builder().unconfirmed(HOUR).build().unwrap();
    // The long window is never longer than the refresh life.
    let short = TokenPolicy::builder().access_ttl(Some(secs(1800))).refresh_ttl(Some(HOUR)).absolute(None);
    let short = short.touch_every(None).build().unwrap();
    for (policy, expected) in [(within, (Ok(()), true)), (after, (Err(Reason::Reuse), false))] {
        let fixture = fixture_with(policy);
        let (first, second) = lost(&fixture).await;
        used(&fixture, &second).await;
        assert_eq!(judged(&fixture, &first, &second).await, expected);
    }
    // There is nothing to be judged then: the refresh token ends with the long window.
    let fixture = fixture_with(short);
    let (first, _) = lost(&fixture).await;
    assert_eq!(repeat(&fixture.tokens, &first).await.map(|_| ()), Err(Reason::Expired));
}

// ===== clocks =====

/// The first use is noted by one node and judged by another.
async fn noted_and_judged(noted: i64, judged_at: i64) -> (Result<(), Reason>, bool) {
    let fixture = fixture();
    let (first, second) = lost(&fixture).await;
    let node = |at: i64| {
        let there = ManualClock::new(Timestamp::from_millis(fixture.time.now().as_millis() + at));
        TokenService::new(fixture.store.clone(), TokenPolicy::default()).clock(there.clock())
    };
    node(noted).verify(second.access().expose(), None).await.unwrap();
    let outcome = repeat(&node(judged_at), &first).await;
    (outcome.map(|_| ()), fixture.verify(second.access().expose()).await.is_ok())
}

#[tokio::test]
async fn r202_honest_tabs_survive_nodes_whose_clocks_differ() {
    for skew in [-4_000, 4_000] {
        // The second tab comes 300 ms after the first use.
        assert_eq!(noted_and_judged(skew, 300).await, (Ok(()), true), "{skew} ms");
        assert_eq!(noted_and_judged(0, 300 + skew).await, (Ok(()), true), "{skew} ms");
        // And so late that the difference is over the edge of the window: refused, not punished.
        let late = noted_and_judged(-4_000, 9_999).await;
        assert_eq!(late, (Err(Reason::TooRecent), true));
    }
}

/// A moment that lies further ahead than clocks may differ would keep the window open until then.
#[tokio::test]
async fn r202_a_first_use_noted_by_a_clock_far_ahead_opens_nothing() {
    assert_eq!(noted_and_judged(5_000, 0).await, (Ok(()), true));
    assert_eq!(noted_and_judged(5_001, 0).await, (Err(Reason::TooRecent), true));
    assert_eq!(noted_and_judged(3_600_000, 0).await, (Err(Reason::TooRecent), true));

    // The window after the rotation itself is nobody's but the rotation's.
    let fixture = fixture();
    let first = fixture.login("ada").await;
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    let there = ManualClock::new(fixture.time.now().plus(HOUR));
    let node = TokenService::new(fixture.store.clone(), TokenPolicy::default()).clock(there.clock());
    node.verify(second.access().expose(), None).await.unwrap();
    fixture.time.advance(secs(10) - MILLI);
    assert_eq!(judged(&fixture, &first, &second).await, (Ok(()), true));
}

// ===== what an attacker gains =====

/// He has the token whose answer was lost. After the honest first use he gets the victim's own pair for ten seconds,
/// each time with an event; then his token proves him.
#[tokio::test]
async fn sec_e02_a_thief_after_the_first_use_is_metered_and_then_ends_the_login() {
    let fixture = fixture();
    let (first, second) = lost(&fixture).await;
    used(&fixture, &second).await;
    for told in 1..=9 {
        fixture.time.advance(secs(1));
        assert_eq!(judged(&fixture, &first, &second).await, (Ok(()), true));
        assert_eq!(fixture.events.count("reuse_allowed"), told);
    }
    fixture.time.advance(secs(6));
    assert_eq!(judged(&fixture, &first, &second).await, (Err(Reason::Reuse), false));
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
}

/// Nor does he get anything once the victim has refreshed again: his token is two behind.
#[tokio::test]
async fn sec_e03_a_grandparent_gains_nothing_by_a_first_use() {
    let fixture = fixture();
    let (first, second) = lost(&fixture).await;
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    used(&fixture, &third).await;
    assert_eq!(repeat(&fixture.tokens, &first).await.map(|_| ()), Err(Reason::Reuse));
    assert!(fixture.verify(third.access().expose()).await.is_err());
}
