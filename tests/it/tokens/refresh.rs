//! Rotation, lost answers, and clocks and stores that fail.

use std::sync::Arc;

use portcullis::{
    TokenPolicy,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    error::BoxError,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    token::{IssueErrorKind, IssueOptions, Issued, RefreshRequest},
    verify::{Refusal, UserLookup},
};

use super::{MILLI, rotated, texts};
use crate::support::{Mode, START, fixture, fixture_with, invalid, refresh_text, secs};

#[tokio::test]
async fn r034_a_refresh_gives_the_next_pair_even_when_the_access_token_has_ended() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let first = fixture.login("ada").await;
        fixture.time.advance(secs(2 * 24 * 3600));
        assert_eq!(fixture.verify(first.access().expose()).await, Err(Reason::Expired));
        let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
        assert_eq!(second.record().subject(), &Subject::local("ada"));
        assert_eq!(second.record().generation(), 1);
        assert_eq!(second.expires_in(), Some(secs(24 * 3600)));
        fixture.verify(second.access().expose()).await.unwrap();
    }
}

#[tokio::test]
async fn r035_the_old_access_token_dies_with_the_rotation() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    assert_eq!(fixture.verify(first.access().expose()).await, Err(Reason::WrongSecret));
    fixture.verify(second.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r039_the_absolute_end_is_counted_from_the_login() {
    let fixture = fixture();
    let mut current = fixture.login("ada").await;
    let end = current.record().absolute_expires();
    for _ in 0..6 {
        fixture.time.advance(secs(24 * 3600));
        current = fixture.refresh(&refresh_text(&current)).await.unwrap();
        assert_eq!(current.record().absolute_expires(), end);
    }
    fixture.time.advance(secs(24 * 3600) - MILLI);
    let last = fixture.refresh(&refresh_text(&current)).await.unwrap();
    assert_eq!(last.expires_in(), Some(MILLI));
    fixture.time.advance(MILLI);
    assert_eq!(fixture.verify(last.access().expose()).await, Err(Reason::Expired));
    assert_eq!(fixture.refresh(&refresh_text(&last)).await.map(|_| ()), Err(Reason::Expired));
}

// ===== lost answers =====

#[tokio::test]
async fn r035_a_lost_answer_is_repeated_until_the_new_pair_is_used() {
    for mode in [Mode::Now, Mode::Later] {
        lost_answer(mode).await;
    }
}

async fn lost_answer(mode: Mode) {
    let fixture = fixture();
    fixture.store.set(mode);
    let (first, second) = rotated(&fixture).await;
    let old = refresh_text(&first);
    for wait in [5, 55, 8 * 3600 - 60] {
        fixture.time.advance(secs(wait));
        let repeat = fixture.refresh(&old).await.unwrap();
        assert_eq!(texts(&repeat), texts(&second));
    }
    // Eight hours later the new access token is used once, and from then on the short window counts.
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.tokens.flush().await;
    fixture.time.advance(secs(15));
    assert_eq!(fixture.refresh(&old).await.map(|_| ()), Err(Reason::Reuse));
    assert!(fixture.verify(second.access().expose()).await.is_err());
}

#[tokio::test]
async fn r035_using_the_new_refresh_token_ends_the_repeats() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.time.advance(secs(8 * 3600));
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    assert!(fixture.verify(third.access().expose()).await.is_err(), "the newest pair is dead too");
}

#[tokio::test]
async fn r035_an_unused_pair_is_repeated_for_a_day_at_most() {
    let fixture = fixture();
    let (first, _) = rotated(&fixture).await;
    fixture.time.advance(secs(24 * 3600) - MILLI);
    fixture.refresh(&refresh_text(&first)).await.unwrap();
    fixture.time.advance(MILLI);
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
}

#[tokio::test]
async fn r035_the_edges_of_the_window() {
    for (after, expected) in [
        (secs(10) - MILLI, Ok(())),
        (secs(10), Err(Reason::TooRecent)),
        (secs(15) - MILLI, Err(Reason::TooRecent)),
        (secs(15), Err(Reason::Reuse)),
    ] {
        let fixture = fixture();
        let (first, second) = rotated(&fixture).await;
        fixture.verify(second.access().expose()).await.unwrap();
        fixture.time.advance(after);
        let repeat = fixture.refresh(&refresh_text(&first)).await;
        if let Ok(repeat) = &repeat {
            assert_eq!(texts(repeat), texts(&second));
        }
        assert_eq!(repeat.map(|_| ()), expected, "{after:?} after the rotation");
        let alive = fixture.verify(second.access().expose()).await.is_ok();
        assert_eq!(alive, expected != Err(Reason::Reuse), "{after:?} after the rotation");
    }
}

#[tokio::test]
async fn r036_repeats_move_no_end_and_are_counted() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    let before = fixture.store.record(&first.record().id()).await;
    fixture.time.advance(secs(5));
    for hit in 1..=100 {
        let repeat = fixture.refresh(&refresh_text(&first)).await.unwrap();
        assert_eq!(repeat.expires_in(), Some(secs(24 * 3600 - 5)), "hit {hit}");
        assert_eq!(repeat.refresh_expires_in(), second.refresh_expires_in().map(|life| life - secs(5)));
    }
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::GraceCap));
    assert_eq!(fixture.events.count("grace_cap"), 1);
    let after = fixture.store.record(&first.record().id()).await;
    assert_eq!(after.refreshed(), before.refreshed());
    assert_eq!(after.access_expires(), before.access_expires());
    assert_eq!(after.refresh_expires(), before.refresh_expires());
    fixture.verify(second.access().expose()).await.unwrap();

    // The next rotation starts the count anew.
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    let repeat = fixture.refresh(&refresh_text(&second)).await.unwrap();
    assert_eq!(texts(&repeat), texts(&third));
}

// ===== clocks and faults =====

#[tokio::test]
async fn r202_honest_retries_survive_clocks_that_differ() {
    for skew in [-4_000_i64, 4_000] {
        let fixture = fixture();
        let (first, second) = rotated(&fixture).await;
        fixture.verify(second.access().expose()).await.unwrap();
        // Another node judges the retry, one second after the rotation, by its own clock.
        let there = ManualClock::new(Timestamp::from_millis(fixture.time.now().as_millis() + 1_000 + skew));
        let node = fixture.tokens.clone().clock(there.clock());
        let text = refresh_text(&first);
        let repeat = node.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
        assert_eq!(texts(&repeat), texts(&second), "skew {skew} ms");

        // Just before the window ends here, a clock that is ahead refuses and does not revoke.
        there.set(Timestamp::from_millis(fixture.time.now().as_millis() + 9_999 + 4_000));
        let late = node.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        assert_eq!(invalid(late).map(|_| ()), Err(Reason::TooRecent));
        fixture.verify(second.access().expose()).await.unwrap();
    }
}

#[tokio::test]
async fn r202_a_clock_that_steps_back_extends_nothing() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.time.set(Timestamp::from_millis(START.as_millis() - 3_600_000));
    let repeat = fixture.refresh(&refresh_text(&first)).await.unwrap();
    assert_eq!(texts(&repeat), texts(&second));
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    assert_eq!(third.record().absolute_expires(), first.record().absolute_expires());
    assert!(third.record().refresh_expires() <= Some(first.record().absolute_expires()));
}

#[tokio::test]
async fn sec_i07_a_refresh_during_an_outage_leaves_the_old_pair_valid() {
    let fixture = fixture();
    let first = fixture.login("ada").await;
    for mode in [Mode::Down, Mode::DownLater] {
        fixture.store.set(mode);
        let text = refresh_text(&first);
        let down = fixture.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        assert!(matches!(down, Err(Refusal::Unavailable(_))), "{down:?}");
        fixture.store.set(Mode::Now);
        fixture.verify(first.access().expose()).await.unwrap();
    }
    fixture.refresh(&refresh_text(&first)).await.unwrap();
}

/// Reads work, writes do not: nothing is handed out that was not written, and nobody is told "invalid".
#[tokio::test]
async fn sec_i07_writes_that_fail_are_503_and_change_nothing() {
    let fixture = fixture();
    let unavailable = async |issued: &Issued| {
        fixture.store.set(Mode::ReadOnly);
        let text = refresh_text(issued);
        let refused = fixture.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        fixture.store.set(Mode::Now);
        matches!(refused, Err(Refusal::Unavailable(_)))
    };
    // A rotation, a repeat, a revocation for reuse.
    let first = fixture.login("ada").await;
    assert!(unavailable(&first).await);
    fixture.verify(first.access().expose()).await.unwrap();
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    assert!(unavailable(&first).await);
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    assert!(unavailable(&first).await);
    fixture.verify(second.access().expose()).await.unwrap();
    assert_eq!(fixture.events.count("authn_token_reuse"), 0);

    // A confirmation: the request goes on, and operators are told.
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    fixture.store.set(Mode::ReadOnly);
    fixture.verify(third.access().expose()).await.unwrap();
    fixture.tokens.flush().await;
    assert_eq!(fixture.events.count("confirmation_lost"), 1);
    assert!(fixture.tokens.revoke(&third.record().id()).await.is_err());
    let refused = fixture.tokens.issue_for_header(Subject::local("bob"), IssueOptions::default()).await;
    assert_eq!(refused.unwrap_err().kind(), IssueErrorKind::Store);
}

/// A look-up that takes long must not eat the window of the rotation that follows it.
#[tokio::test]
async fn r202_the_window_begins_when_the_rotation_is_written() {
    struct SlowUsers(ManualClock);

    impl UserLookup for SlowUsers {
        type User = Subject;

        fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
            self.0.advance(secs(16));
            MaybeReady::Now(Ok(Some(Arc::clone(subject))))
        }
    }

    let fixture = fixture();
    let first = fixture.login("ada").await;
    let slow = fixture.tokens.clone().users(SlowUsers(fixture.time.clone()));
    let text = refresh_text(&first);
    let second = slow.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
    assert_eq!(second.record().refreshed(), fixture.time.now());
    assert_eq!(second.expires_in(), Some(secs(24 * 3600)));
    fixture.verify(second.access().expose()).await.unwrap();
    assert_eq!(texts(&fixture.refresh(&text).await.unwrap()), texts(&second));

    // A repeat came when it came, however long its own look-up takes.
    let repeat = slow.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
    assert_eq!(texts(&repeat), texts(&second));
    fixture.verify(second.access().expose()).await.unwrap();
}

#[tokio::test]
async fn sec_e01_strict_tokens_work_once() {
    let fixture = fixture_with(TokenPolicy::builder().strict().build().unwrap());
    let (first, second) = rotated(&fixture).await;
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::TooRecent));
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(5));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    assert!(fixture.verify(second.access().expose()).await.is_err());
}
