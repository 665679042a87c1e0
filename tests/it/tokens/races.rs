//! Refreshes of one token at the same moment.

use std::sync::Arc;

use portcullis::{
    TokenPolicy, TokenService,
    credential::Channel,
    problem::Reason,
    store::TokenStore,
    token::{Issued, RefreshRequest},
    verify::Refusal,
};

use super::{rotated, texts};
use crate::support::{Fixture, Mode, fixture, fixture_with, invalid, refresh_text, secs};

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
    for _ in 0..1_000 {
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
