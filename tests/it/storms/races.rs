//! Requests that meet at two nodes, on every engine.

use std::sync::Arc;

use futures_util::future::join_all;
use portcullis::{
    TokenPolicy, TokenService,
    clock::ManualClock,
    credential::Channel,
    identity::Subject,
    token::{Issued, RefreshRequest},
    verify::Refusal,
};
use tokio::sync::Barrier;

use super::{
    on_each_engine,
    sites::{Engine, Site, lives, login, now, refresh},
};
use crate::support::refresh_text;

/// As many rounds of fifty as take some seconds.
fn rounds(site: &Site) -> u32 {
    match site.engine {
        Engine::Memory => 500,
        Engine::Redis | Engine::Valkey => 150,
        Engine::Sqlite => 80,
        Engine::Postgres => 40,
    }
}

/// Starts all of them at once.
pub(super) async fn together<T: Send + 'static>(
    count: usize,
    what: impl Fn(usize) -> Racer<T>,
) -> Vec<Result<T, Refusal>> {
    let start = Arc::new(Barrier::new(count));
    let racers = (0..count).map(|number| {
        let (racer, start) = (what(number), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            // Some a little later.
            for _ in 0..number % 4 {
                tokio::task::yield_now().await;
            }
            racer.await
        })
    });
    let racers: Vec<_> = racers.collect();
    join_all(racers).await.into_iter().map(Result::unwrap).collect()
}

pub(super) type Racer<T> = futures_util::future::BoxFuture<'static, Result<T, Refusal>>;

pub(super) fn refreshing(node: &TokenService, text: &str) -> Racer<Issued> {
    let (node, text) = (node.clone(), text.to_owned());
    Box::pin(async move { node.refresh(RefreshRequest::new(&text, Channel::Header)).await })
}

/// Those that passed. No one that has not is told that anything is wrong with the store.
fn passed(results: Vec<Result<Issued, Refusal>>) -> Vec<Issued> {
    let could_check = |result: &Result<Issued, Refusal>| match result {
        Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        Err(Refusal::Invalid(_)) | Ok(_) => true,
    };
    results.into_iter().filter(could_check).flatten().collect()
}

async fn r036_round_after_round_fifty_refreshes_at_once_give_one_pair(site: &Site) {
    let time = ManualClock::new(now());
    let nodes = site.nodes(TokenPolicy::builder(), &time.clock());
    let mut last = login(&nodes[0], "ada").await;
    for round in 1..=rounds(site) {
        let text = refresh_text(&last);
        let pairs = passed(together(50, |number| refreshing(&nodes[number % 2], &text)).await);
        assert_eq!(pairs.len(), 50, "nobody is refused");
        assert!(
            pairs
                .iter()
                .all(|pair| (pair.access(), pair.refresh()) == (pairs[0].access(), pairs[0].refresh()))
        );
        assert!(lives(&nodes[1], &pairs[0]).await && !lives(&nodes[0], &last).await);
        let record = site.record(&last.record().id()).await;
        assert_eq!((record.generation(), record.revoked()), (round, None), "one rotation");
        last = pairs[0].clone();
    }
}

async fn r036_round_after_round_of_fifty_strict_refreshes_one_passes(site: &Site) {
    let time = ManualClock::new(now());
    let nodes = site.nodes(TokenPolicy::builder().strict(), &time.clock());
    let mut last = login(&nodes[0], "ada").await;
    for round in 1..=rounds(site) {
        let text = refresh_text(&last);
        let mut pairs = passed(together(50, |number| refreshing(&nodes[number % 2], &text)).await);
        assert_eq!(pairs.len(), 1);
        last = pairs.remove(0);
        assert!(lives(&nodes[1], &last).await, "nobody is punished");
        let record = site.record(&last.record().id()).await;
        assert_eq!((record.generation(), record.revoked()), (round, None));
    }
}

/// Whoever read the login before its subject's logins ended gets nothing that outlives that.
async fn r048_refreshes_that_meet_the_end_of_a_subject_leave_nothing(site: &Site) {
    let nodes = site.nodes(TokenPolicy::builder(), &ManualClock::new(now()).clock());
    let ada = Subject::local("ada");
    for round in 0..30 {
        let logins = [login(&nodes[0], "ada").await, login(&nodes[1], "ada").await];
        let texts = [0, 1].map(|which: usize| refresh_text(&logins[which]));
        let refreshes = together(8, |number| refreshing(&nodes[number / 2 % 2], &texts[number % 2]));
        let ending = async {
            for _ in 0..round % 6 {
                tokio::task::yield_now().await;
            }
            nodes[round % 2].revoke_subject(&ada).await.unwrap();
        };
        let (results, ()) = tokio::join!(refreshes, ending);
        // Who was overtaken twice, by another refresh and by the end, is asked to come again.
        for pair in results.into_iter().flatten().chain(logins) {
            assert!(!lives(&nodes[0], &pair).await && !lives(&nodes[1], &pair).await, "round {round}");
            assert!(refresh(&nodes[1], &refresh_text(&pair)).await.is_err());
        }
    }
    assert!(lives(&nodes[1], &login(&nodes[0], "ada").await).await, "who logs in again is in");
}

/// Of all that the user has, on this device and on others, the new pair alone is left.
async fn r048_refreshes_that_meet_new_credentials_leave_the_current_login_alone(site: &Site) {
    let nodes = site.nodes(TokenPolicy::builder(), &ManualClock::new(now()).clock());
    for round in 0..30 {
        let [kept, other] = [login(&nodes[0], "ada").await, login(&nodes[1], "ada").await];
        let texts = [refresh_text(&kept), refresh_text(&other)];
        let refreshes = together(8, |number| refreshing(&nodes[number / 2 % 2], &texts[number % 2]));
        let change = async {
            for _ in 0..round % 6 {
                tokio::task::yield_now().await;
            }
            loop {
                match nodes[round % 2].change_credentials(&kept.record().id()).await {
                    Ok(issued) => return issued,
                    // Overtaken twice.
                    Err(Refusal::Unavailable(_)) => {}
                    Err(Refusal::Invalid(reason)) => panic!("{reason:?}"),
                }
            }
        };
        let (results, changed) = tokio::join!(refreshes, change);
        for pair in results.into_iter().flatten().chain([kept, other]) {
            assert!(!lives(&nodes[0], &pair).await && !lives(&nodes[1], &pair).await, "round {round}");
            assert!(refresh(&nodes[0], &refresh_text(&pair)).await.is_err());
        }
        assert!(lives(&nodes[0], &changed).await && lives(&nodes[1], &changed).await, "round {round}");
        assert!(lives(&nodes[0], &refresh(&nodes[1], &refresh_text(&changed)).await.unwrap()).await);
    }
}

on_each_engine! {
    r036_round_after_round_fifty_refreshes_at_once_give_one_pair
    r036_round_after_round_of_fifty_strict_refreshes_one_passes
    r048_refreshes_that_meet_the_end_of_a_subject_leave_nothing
    r048_refreshes_that_meet_new_credentials_leave_the_current_login_alone
}
