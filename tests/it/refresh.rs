//! Rotation, repeats and reuse.

use std::{sync::Arc, time::Duration};

use portcullis::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    error::BoxError,
    event::{EventKind, ReuseKind},
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::TokenStore,
    token::{IssueErrorKind, IssueOptions, Issued, RefreshRequest},
    verify::{Refusal, UserLookup},
};

use crate::support::{Fixture, Mode, START, fixture, fixture_with, invalid, refresh_text, secs};

const MILLI: Duration = Duration::from_millis(1);

fn texts(issued: &Issued) -> (String, String) {
    (issued.access().expose().to_owned(), refresh_text(issued))
}

/// A login, its refresh at +60 s, and the pair that came of it.
async fn rotated(fixture: &Fixture) -> (Issued, Issued) {
    let first = fixture.login("ada").await;
    fixture.time.advance(secs(60));
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    (first, second)
}

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

// ===== parallel requests =====

/// Fifty refreshes of one token on two nodes, all of which have read the record before the first one writes.
async fn crowd(policy: TokenPolicy) -> (Vec<Result<Issued, Reason>>, Issued, Fixture) {
    let fixture = fixture_with(policy.clone());
    let login = fixture.login("ada").await;
    fixture.store.gather(50);
    let node = || {
        let tokens = TokenService::new(fixture.store.clone(), policy.clone());
        tokens.clock(fixture.time.clock()).reporter(fixture.events.reporter())
    };
    let nodes = [node(), node()];
    let tasks: Vec<_> = (0..50)
        .map(|number: usize| {
            let (tokens, text) = (nodes[number % 2].clone(), refresh_text(&login));
            tokio::spawn(
                async move { invalid(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await) },
            )
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    (results, login, fixture)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r036_fifty_parallel_refreshes_have_one_winner() {
    for _ in 0..1_000 {
        let (results, login, fixture) = crowd(TokenPolicy::default()).await;
        let pairs: std::collections::HashSet<_> =
            results.iter().map(|result| texts(result.as_ref().unwrap())).collect();
        assert_eq!(pairs.len(), 1, "one distinct pair");
        let (access, _) = pairs.into_iter().next().unwrap();
        let verified = fixture.tokens.verify(&access, None).await.unwrap();
        assert_eq!(verified.record().unwrap().generation(), 1, "one rotation");
        assert_eq!(verified.record().unwrap().id(), login.record().id());
        assert_eq!(fixture.events.count("reuse_allowed"), 49);
        assert_eq!(fixture.events.count("authn_token_reuse"), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r036_strict_has_one_winner_and_punishes_nobody() {
    let strict = TokenPolicy::builder().strict().build().unwrap();
    for _ in 0..200 {
        let (results, _, fixture) = crowd(strict.clone()).await;
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 49));
        assert!(lost.iter().all(|result| matches!(result, Err(Reason::LostRace))));
        fixture.verify(won[0].as_ref().unwrap().access().expose()).await.unwrap();
        assert_eq!(fixture.events.count("authn_token_reuse"), 0);
    }
}

/// The store loses every conditional write: the loop ends, nobody is told "invalid".
#[tokio::test]
async fn r036_who_loses_twice_is_asked_to_come_again() {
    let fixture = fixture();
    let login = fixture.login("ada").await;
    fixture.store.set(Mode::AlwaysLate);
    let text = refresh_text(&login);
    let lost = fixture.tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
    assert!(matches!(lost, Err(Refusal::Unavailable(_))), "{lost:?}");
    fixture.verify(login.access().expose()).await.unwrap();
}

/// A request that has read the record, while others go on: it finds what `meanwhile` has made of it.
async fn slow_racer<F: Future>(
    policy: TokenPolicy,
    meanwhile: impl FnOnce(Arc<Fixture>, Issued) -> F,
) -> (Result<Issued, Reason>, F::Output, Arc<Fixture>) {
    let fixture = Arc::new(fixture_with(policy));
    let login = fixture.login("ada").await;
    let (id, text) = (login.record().id(), refresh_text(&login));
    fixture.store.gather(2);
    let racer = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.refresh(&text).await }
    });
    // The racer has read, and waits for the second reader.
    while fixture.store.finds() == 0 {
        tokio::task::yield_now().await;
    }
    let outcome = meanwhile(Arc::clone(&fixture), login).await;
    fixture.store.find(&id).wait().await.unwrap();
    (racer.await.unwrap(), outcome, fixture)
}

/// Past every window, and with the new pair in use: who lost the race gets the pair all the same.
#[tokio::test]
async fn r036_a_slow_loser_gets_the_winners_pair() {
    let (racer, winner, fixture) = slow_racer(TokenPolicy::default(), async |fixture, login| {
        let elsewhere = TokenService::new(fixture.store.memory.clone(), TokenPolicy::default())
            .clock(fixture.time.clock());
        let text = refresh_text(&login);
        let winner = elsewhere.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
        elsewhere.verify(winner.access().expose(), None).await.unwrap();
        fixture.time.advance(secs(60));
        winner
    })
    .await;
    assert_eq!(texts(&racer.unwrap()), texts(&winner));
    assert_eq!(fixture.events.count("authn_token_reuse"), 0);
}

#[tokio::test]
async fn r036_a_loser_two_generations_behind_is_refused_and_not_punished() {
    for policy in [TokenPolicy::default(), TokenPolicy::builder().strict().build().unwrap()] {
        let (racer, newest, fixture) = slow_racer(policy.clone(), async |fixture, login| {
            let elsewhere =
                TokenService::new(fixture.store.memory.clone(), policy).clock(fixture.time.clock());
            let mut current = login;
            for _ in 0..2 {
                fixture.time.advance(secs(60));
                let text = refresh_text(&current);
                current = elsewhere.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
            }
            current
        })
        .await;
        assert_eq!(racer.map(|_| ()), Err(Reason::LostRace));
        fixture.verify(newest.access().expose()).await.unwrap();
        assert!(fixture.events.incidents().is_empty());
    }
}

/// The cap is the store's: a crowd that has read a low count cannot pass it.
#[tokio::test]
async fn r036_a_crowd_of_repeats_cannot_pass_the_cap() {
    let fixture = Arc::new(fixture());
    let (first, second) = rotated(&fixture).await;
    fixture.store.gather(150);
    let tasks: Vec<_> = (0..150)
        .map(|_| {
            let (fixture, text) = (Arc::clone(&fixture), refresh_text(&first));
            tokio::spawn(async move { fixture.refresh(&text).await.map(|_| ()) })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => answered += 1,
            Err(reason) => assert_eq!(reason, Reason::GraceCap),
        }
    }
    assert_eq!(answered, 100);
    fixture.verify(second.access().expose()).await.unwrap();
}

/// A repeat that loses to a rotation is judged anew, as if it had come later.
#[tokio::test]
async fn r037_a_predecessor_that_meets_a_rotation_is_an_ancestor() {
    let fixture = Arc::new(fixture());
    let (first, second) = rotated(&fixture).await;
    let (id, text) = (first.record().id(), refresh_text(&first));
    fixture.store.gather(2);
    let before = fixture.store.finds();
    let repeat = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.refresh(&text).await.map(|_| ()) }
    });
    while fixture.store.finds() == before {
        tokio::task::yield_now().await;
    }
    let elsewhere =
        TokenService::new(fixture.store.memory.clone(), TokenPolicy::default()).clock(fixture.time.clock());
    let text = refresh_text(&second);
    elsewhere.refresh(RefreshRequest::new(&text, Channel::Header)).await.unwrap();
    fixture.store.find(&id).wait().await.unwrap();
    assert_eq!(repeat.await.unwrap(), Err(Reason::Reuse));
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
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

// ===== reuse =====

#[tokio::test]
async fn r037_an_ancestor_inside_the_window_ends_its_login_and_no_other() {
    let fixture = fixture();
    let bystander = fixture.login("ada").await;
    let (first, second) = rotated(&fixture).await;
    let third = fixture.refresh(&refresh_text(&second)).await.unwrap();
    fixture.time.advance(secs(1));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    assert_eq!(fixture.verify(third.access().expose()).await, Err(Reason::Revoked));
    assert_eq!(fixture.refresh(&refresh_text(&third)).await.map(|_| ()), Err(Reason::Revoked));
    fixture.verify(bystander.access().expose()).await.unwrap();
    let events = fixture.events.incidents();
    let [event] = &events[..] else { panic!("{events:?}") };
    let EventKind::TokenReuse { kind, since_rotation, .. } = event.kind() else { panic!("{event:?}") };
    assert_eq!((*kind, *since_rotation), (ReuseKind::StaleAncestor, secs(1)));
    assert_eq!(event.record(), Some(first.record().id()));
    assert_eq!(event.subject(), Some(&Subject::local("ada")));
    assert_eq!(event.at(), fixture.time.now());
}

#[tokio::test]
async fn r037_reuse_is_written_and_reported_once() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
    let (record, writes) = (fixture.store.record(&first.record().id()).await, fixture.store.writes());
    for _ in 0..1_000 {
        assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
    }
    assert_eq!(fixture.store.writes(), writes);
    assert!(Arc::ptr_eq(&record, &fixture.store.record(&first.record().id()).await));
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
    let EventKind::TokenReuse { kind, since_rotation, .. } = *fixture.events.incidents()[0].kind() else {
        panic!("another event")
    };
    assert_eq!((kind, since_rotation), (ReuseKind::RecentPredecessor, secs(60)));
}

/// All of them have read the living record before the first one revokes it.
#[tokio::test]
async fn r037_parallel_reuse_is_reported_once() {
    let fixture = Arc::new(fixture());
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    fixture.store.gather(50);
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (fixture, text) = (Arc::clone(&fixture), refresh_text(&first));
            tokio::spawn(async move { fixture.refresh(&text).await.map(|_| ()) })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Err(Reason::Reuse));
    }
    assert_eq!(fixture.events.count("authn_token_reuse"), 1);
}

#[tokio::test]
async fn r037_a_logged_out_login_reports_no_reuse() {
    let fixture = fixture();
    let (first, second) = rotated(&fixture).await;
    fixture.verify(second.access().expose()).await.unwrap();
    fixture.tokens.revoke(&first.record().id()).await.unwrap();
    fixture.time.advance(secs(60));
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
    assert!(fixture.events.incidents().is_empty());
}

#[tokio::test]
async fn sec_e05_a_repeat_from_elsewhere_is_refused_and_revokes_nothing() {
    let fixture = fixture();
    let options = IssueOptions::default().tenant("red").client("app").key_thumbprint("k1");
    let first = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let text = refresh_text(&first);
    let own = RefreshRequest::new(&text, Channel::Header)
        .with_tenant("red")
        .with_client("app")
        .with_key_thumbprint("k1");
    let second = fixture.tokens.refresh(own).await.unwrap();
    let before = fixture.store.record(&first.record().id()).await;
    let cookie = RefreshRequest::new(&text, Channel::Cookie)
        .with_tenant("red")
        .with_client("app")
        .with_key_thumbprint("k1");
    for (other, reason) in [
        (own.with_tenant("blue"), Reason::WrongTenant),
        (cookie, Reason::WrongChannel),
        (own.with_client("other"), Reason::WrongClient),
        (own.with_key_thumbprint("k2"), Reason::WrongKey),
        (RefreshRequest::new(&text, Channel::Header), Reason::WrongTenant),
    ] {
        assert_eq!(invalid(fixture.tokens.refresh(other).await).map(|_| ()), Err(reason));
    }
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&first.record().id()).await), "something was written");
    let repeat = fixture.tokens.refresh(own).await.unwrap();
    assert_eq!(texts(&repeat), texts(&second));
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
