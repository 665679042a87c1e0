//! Sessions that live longer because they are used.

use std::{pin::Pin, sync::Arc, time::Duration};

use portcullis::{
    TokenPolicy, TokenService,
    clock::Timestamp,
    identity::Subject,
    problem::Reason,
    token::{IssueOptions, Issued, TokenPolicyBuilder},
    verify::Verified,
};

use super::{DAY, MILLI};
use crate::support::{Fixture, Mode, START, fixture_with, invalid, refresh_text};

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// An hour after the last use, ten hours in all; uses are noted every five minutes.
pub(super) fn policy() -> TokenPolicyBuilder {
    TokenPolicy::builder()
        .access_ttl(Some(HOUR))
        .refresh_ttl(None)
        .absolute(Some(10 * HOUR))
        .touch_every(Some(5 * MINUTE))
        .sliding()
}

pub(super) fn sliding() -> Fixture {
    fixture_with(policy().build().unwrap())
}

pub(super) async fn open(fixture: &Fixture, login: &Issued) -> Result<Verified<Subject>, Reason> {
    invalid(fixture.tokens.verify(login.access().expose(), None).await)
}

/// The end that rests in the store once everything is written.
pub(super) async fn end(fixture: &Fixture, login: &Issued) -> Timestamp {
    fixture.tokens.flush().await;
    fixture.store.record(&login.record().id()).await.access_expires()
}

#[tokio::test]
async fn r041_a_use_after_the_interval_extends_the_token_and_keeps_its_text() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = sliding();
        fixture.store.set(mode);
        let login = fixture.cookie_login("ada").await;
        for uses in 1..=8 {
            fixture.time.advance(50 * MINUTE);
            let verified = open(&fixture, &login).await.unwrap();
            let expires = fixture.time.now().plus(HOUR);
            let renewal = verified.renewal().expect("extended");
            assert_eq!((renewal.text(), renewal.expires()), (login.access(), expires), "{mode:?}");
            assert_eq!(renewal.max_age(), Some(HOUR));
            assert!(verified.evidence().renewed() && verified.evidence().expires() == expires);
            assert_eq!(verified.record().unwrap().access_expires(), expires);
            assert_eq!(end(&fixture, &login).await, expires);
            assert_eq!(fixture.events.count("session_renewed"), uses);
        }
        fixture.time.advance(HOUR);
        assert_eq!(open(&fixture, &login).await.map(|_| ()), Err(Reason::Expired));
    }
}

/// Not by the channel alone, and not by the want of a refresh token alone.
#[tokio::test]
async fn r041_a_login_that_is_no_session_lasts_longer_and_no_session_is_told() {
    let with_refresh = policy().refresh_ttl(Some(3 * HOUR)).sliding_with_refresh().build().unwrap();
    for mode in [Mode::Now, Mode::Later] {
        let (key, pairs) = (sliding(), fixture_with(with_refresh.clone()));
        let of_header = (key.login("ada").await, &key);
        let pair = (pairs.login("ada").await, &pairs);
        let pair_in_cookies = (pairs.cookie_login("ada").await, &pairs);
        for (login, fixture) in [of_header, pair, pair_in_cookies] {
            fixture.store.set(mode);
            fixture.time.advance(50 * MINUTE);
            assert!(open(fixture, &login).await.unwrap().renewal().is_some());
            assert_eq!(end(fixture, &login).await, fixture.time.now().plus(HOUR));
            assert_eq!(fixture.events.count("session_renewed"), 0, "{mode:?}");
            fixture.time.set(START);
        }
    }
}

#[tokio::test]
async fn r041_off_by_default_a_use_is_noted_and_extends_nothing() {
    let fixture = fixture_with(TokenPolicy::default());
    let login = fixture.login("ada").await;
    fixture.time.advance(2 * HOUR);
    let verified = open(&fixture, &login).await.unwrap();
    assert!(verified.renewal().is_none() && !verified.evidence().renewed());
    assert_eq!(end(&fixture, &login).await, START.plus(DAY));
    assert_eq!(fixture.store.record(&login.record().id()).await.last_seen(), fixture.time.now());
    assert_eq!(fixture.events.count("session_renewed"), 0);
}

#[tokio::test]
async fn r041_with_refresh_tokens_both_ends_move_up_to_the_absolute_one() {
    let policy = TokenPolicy::builder()
        .access_ttl(Some(HOUR))
        .refresh_ttl(Some(3 * HOUR))
        .absolute(Some(10 * HOUR))
        .sliding_with_refresh();
    let fixture = fixture_with(policy.build().unwrap());
    let login = fixture.login("ada").await;
    let ends = async || {
        fixture.tokens.flush().await;
        let record = fixture.store.record(&login.record().id()).await;
        let since = |end: Timestamp| end.since(START).as_secs() / 60;
        (since(record.access_expires()), since(record.refresh_expires().unwrap()))
    };
    assert_eq!(ends().await, (60, 180));
    for (minutes, expected) in [(50, (110, 230)), (100, (160, 280)), (400, (0, 0))] {
        fixture.time.set(START.plus(minutes * MINUTE));
        let found = open(&fixture, &login).await;
        if expected.0 == 0 {
            assert_eq!(found.map(|_| ()), Err(Reason::Expired));
        } else {
            assert!(found.unwrap().renewal().is_some());
            assert_eq!(ends().await, expected, "at minute {minutes}");
        }
    }
    // Kept in use, the refresh end reaches the absolute one and stays there.
    let fixture = fixture_with(
        TokenPolicy::builder()
            .access_ttl(Some(HOUR))
            .refresh_ttl(Some(3 * HOUR))
            .absolute(Some(10 * HOUR))
            .sliding_with_refresh()
            .build()
            .unwrap(),
    );
    let login = fixture.login("ada").await;
    while fixture.time.now() < START.plus(9 * HOUR + 30 * MINUTE) {
        fixture.time.advance(30 * MINUTE);
        open(&fixture, &login).await.unwrap();
        let record = fixture.store.record(&login.record().id()).await;
        let now = fixture.time.now();
        assert_eq!(record.access_expires(), now.plus(HOUR).min(START.plus(10 * HOUR)));
        assert_eq!(record.refresh_expires(), Some(now.plus(3 * HOUR).min(START.plus(10 * HOUR))));
    }
}

/// A refresh token from before the policy was changed: a captured access token must not outlive it.
#[tokio::test]
async fn r041_plain_sliding_moves_no_refresh_end_and_stops_there() {
    let before = TokenPolicy::builder().access_ttl(Some(HOUR)).refresh_ttl(Some(3 * HOUR));
    let fixture = fixture_with(before.absolute(Some(10 * HOUR)).build().unwrap());
    let login = fixture.login("ada").await;
    let sliding =
        TokenService::new(fixture.store.clone(), policy().build().unwrap()).clock(fixture.time.clock());
    for _ in 0..5 {
        fixture.time.advance(30 * MINUTE);
        sliding.verify(login.access().expose(), None).await.unwrap();
        let record = fixture.store.record(&login.record().id()).await;
        assert_eq!(record.refresh_expires(), Some(START.plus(3 * HOUR)));
        assert_eq!(record.access_expires(), fixture.time.now().plus(HOUR).min(START.plus(3 * HOUR)));
    }
    fixture.time.advance(30 * MINUTE);
    assert!(sliding.verify(login.access().expose(), None).await.is_err());
}

/// The answer to a slow request, settled after the login has moved on: its cookie would bring the old text back.
#[tokio::test]
async fn r041_a_renewal_that_was_overtaken_is_no_longer_current() {
    type Overtake = for<'a> fn(&'a Fixture, &'a Issued) -> Pin<Box<dyn Future<Output = ()> + 'a>>;
    let overtakes: [(Overtake, bool); 6] = [
        (|_, _| Box::pin(async {}), true),
        (
            |fixture, login| Box::pin(async { drop(fixture.refresh(&refresh_text(login)).await.unwrap()) }),
            false,
        ),
        (
            |fixture, login| {
                Box::pin(async { drop(fixture.tokens.rekey(&login.record().id()).await.unwrap()) })
            },
            false,
        ),
        (
            |fixture, login| Box::pin(async { fixture.tokens.revoke(&login.record().id()).await.unwrap() }),
            false,
        ),
        (|fixture, _| Box::pin(async { fixture.store.set(Mode::NextEpoch) }), false),
        (|fixture, _| Box::pin(async { fixture.store.set(Mode::DownLater) }), false),
    ];
    for (overtake, current) in overtakes {
        let fixture = fixture_with(
            TokenPolicy::builder().sliding_with_refresh().absolute(Some(9 * DAY)).build().unwrap(),
        );
        let login = fixture.login("ada").await;
        fixture.time.advance(2 * HOUR);
        let verified = open(&fixture, &login).await.unwrap();
        let renewal = verified.renewal().expect("extended");
        overtake(&fixture, &login).await;
        assert_eq!(renewal.is_current().wait().await, current);
    }
}

#[tokio::test]
async fn r042_within_the_interval_nothing_is_written_nor_claimed() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = sliding();
        fixture.store.set(mode);
        let login = fixture.login("ada").await;
        let before = fixture.store.record(&login.record().id()).await;
        fixture.time.advance(5 * MINUTE - MILLI);
        for _ in 0..100 {
            let verified = open(&fixture, &login).await.unwrap();
            assert!(verified.renewal().is_none());
            // The record in the request does not pretend to an end that was never written.
            assert_eq!(verified.record().unwrap().access_expires(), before.access_expires());
        }
        fixture.tokens.flush().await;
        assert!(Arc::ptr_eq(&before, &fixture.store.record(&login.record().id()).await));
        fixture.time.advance(MILLI);
        assert!(open(&fixture, &login).await.unwrap().renewal().is_some());
        assert_eq!(end(&fixture, &login).await, fixture.time.now().plus(HOUR));
        assert!(open(&fixture, &login).await.unwrap().renewal().is_none(), "noted a moment ago");
    }
}

#[tokio::test]
async fn r042_an_interval_of_zero_notes_every_use() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture_with(policy().touch_every(Some(Duration::ZERO)).build().unwrap());
        fixture.store.set(mode);
        let login = fixture.login("ada").await;
        for uses in 1..=20 {
            fixture.time.advance(MILLI);
            assert!(open(&fixture, &login).await.unwrap().renewal().is_some());
            assert_eq!(end(&fixture, &login).await, fixture.time.now().plus(HOUR));
            assert_eq!(fixture.store.touches(), uses);
        }
    }
}

#[tokio::test]
async fn r042_without_an_interval_no_use_is_noted() {
    let fixture = fixture_with(TokenPolicy::builder().touch_every(None).build().unwrap());
    let login = fixture.login("ada").await;
    let before = fixture.store.record(&login.record().id()).await;
    fixture.time.advance(23 * HOUR);
    open(&fixture, &login).await.unwrap();
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&login.record().id()).await));
}

#[tokio::test]
async fn r043_the_absolute_end_cuts_the_extension_which_is_then_written_once() {
    let fixture = sliding();
    let login = fixture.cookie_login("ada").await;
    let ceiling = START.plus(10 * HOUR);
    while fixture.time.now() < START.plus(9 * HOUR) {
        fixture.time.advance(30 * MINUTE);
        open(&fixture, &login).await.unwrap();
    }
    fixture.time.advance(20 * MINUTE);
    let renewals = fixture.events.count("session_renewed");
    // The end is the absolute one since nine o'clock: there is nothing left to renew.
    for _ in 0..7 {
        let verified = open(&fixture, &login).await.unwrap();
        assert!(verified.renewal().is_none());
        assert_eq!(verified.evidence().expires(), ceiling);
        fixture.time.advance(5 * MINUTE);
    }
    assert_eq!(fixture.events.count("session_renewed"), renewals);
    fixture.time.set(Timestamp::from_millis(ceiling.as_millis() - 1));
    open(&fixture, &login).await.unwrap();
    assert_eq!(end(&fixture, &login).await, ceiling);
    fixture.time.set(ceiling);
    assert_eq!(open(&fixture, &login).await.map(|_| ()), Err(Reason::Expired));
}

#[tokio::test]
async fn r043_a_partly_cut_extension_is_the_last() {
    let fixture = sliding();
    let login = fixture.cookie_login("ada").await;
    for _ in 0..11 {
        fixture.time.advance(50 * MINUTE);
        open(&fixture, &login).await.unwrap();
    }
    // Minute 550: the end was cut to minute 600.
    assert_eq!(end(&fixture, &login).await, START.plus(10 * HOUR));
    assert_eq!(fixture.events.count("session_renewed"), 11);
    fixture.time.advance(40 * MINUTE);
    assert!(open(&fixture, &login).await.unwrap().renewal().is_none());
}

#[tokio::test]
async fn r044_a_ten_day_token_is_not_cut_to_the_policys_hour() {
    let fixture = sliding();
    let options = IssueOptions::default().access_ttl(Some(10 * DAY)).absolute(Some(30 * DAY));
    let login = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    for day in 1..=8 {
        fixture.time.advance(DAY);
        open(&fixture, &login).await.unwrap();
        assert_eq!(end(&fixture, &login).await, START.plus((day + 10) * DAY));
    }
}

#[tokio::test]
async fn r044_a_token_that_never_ends_stays_so() {
    let fixture = sliding();
    let options = IssueOptions::default().access_ttl(None).absolute(None);
    let login = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    for _ in 0..5 {
        fixture.time.advance(100 * DAY);
        let verified = open(&fixture, &login).await.unwrap();
        assert!(verified.renewal().is_none());
        assert_eq!(end(&fixture, &login).await, Timestamp::NEVER);
        assert_eq!(fixture.store.record(&login.record().id()).await.last_seen(), fixture.time.now());
    }
    // Endless sliding is a fault of the options, as it is of a policy.
    let endless = IssueOptions::default().absolute(None);
    assert!(fixture.tokens.issue_for_header(Subject::local("ada"), endless).await.is_err());
}

/// A clock that steps back and forth moves no end back.
#[tokio::test]
async fn r044_a_clock_that_steps_back_shortens_nothing() {
    let fixture = fixture_with(policy().touch_every(Some(Duration::ZERO)).build().unwrap());
    let login = fixture.login("ada").await;
    let mut latest = end(&fixture, &login).await;
    for minutes in [30, 10, 40, 0, 35, 90, 50, 91] {
        fixture.time.set(START.plus(minutes * MINUTE));
        open(&fixture, &login).await.unwrap();
        let now = end(&fixture, &login).await;
        assert!(now >= latest, "minute {minutes}");
        latest = now;
    }
    assert_eq!(latest, START.plus(91 * MINUTE + HOUR));
}

// ===== idle =====

#[tokio::test]
async fn sec_d04_an_idle_session_ends_on_time_and_a_used_one_at_most_an_interval_early() {
    // Never late; early by the interval at most, because a use within it is not noted.
    for used in [1, 4, 5, 6, 9, 30, 59] {
        let fixture = sliding();
        let login = fixture.login("ada").await;
        fixture.time.set(START.plus(used * MINUTE));
        open(&fixture, &login).await.unwrap();
        let end = end(&fixture, &login).await;
        let ideal = START.plus(used * MINUTE + HOUR);
        assert!(end <= ideal && ideal.since(end) <= 5 * MINUTE, "used at minute {used}");
        fixture.time.set(Timestamp::from_millis(end.as_millis() - 1));
        // The use in the last moment is one, too; look without it.
        assert!(!fixture.store.record(&login.record().id()).await.is_expired(fixture.time.now()));
        fixture.time.set(end);
        assert_eq!(open(&fixture, &login).await.map(|_| ()), Err(Reason::Expired));
    }
}
