//! New secrets for a login while it is refreshed and ended, on every engine.

use portcullis::{
    TokenPolicy, TokenService, clock::ManualClock, event::RevokeReason, store::LoginColumns, text::TokenId,
    token::Issued, verify::Refusal,
};

use super::{
    on_each_engine,
    races::{Racer, refreshing, together},
    sites::{Site, lives, login, now, refresh},
};
use crate::support::refresh_text;

const ROUNDS: usize = 30;

fn rekeying(node: &TokenService, id: TokenId) -> Racer<Issued> {
    let node = node.clone();
    Box::pin(async move { node.rekey(&id).await })
}

fn nodes(site: &Site) -> [TokenService; 2] {
    site.nodes(TokenPolicy::builder(), &ManualClock::new(now()).clock())
}

/// What an old token might change.
async fn shown(site: &Site, id: &TokenId) -> String {
    let record = site.record(id).await;
    let columns = LoginColumns::from(&*record);
    format!("{record:?} {} {}", columns.grace_hits, columns.version)
}

/// These are dead on both nodes, and cannot even end the login that they were of.
async fn powerless(site: &Site, nodes: &[TokenService; 2], pairs: &[Issued]) {
    for pair in pairs {
        let id = pair.record().id();
        let before = shown(site, &id).await;
        assert!(!lives(&nodes[0], pair).await && !lives(&nodes[1], pair).await);
        assert!(refresh(&nodes[1], &refresh_text(pair)).await.is_err());
        assert_eq!(shown(site, &id).await, before, "an old token has changed something");
    }
}

/// Six refreshes and two rekeys at once: what the last rekey gave is all that lives.
async fn sec_d06_of_a_login_that_is_rekeyed_while_it_is_refreshed_one_pair_lives(site: &Site) {
    let nodes = nodes(site);
    for _ in 0..ROUNDS {
        let first = login(&nodes[0], "ada").await;
        let (id, text) = (first.record().id(), refresh_text(&first));
        let results = together(8, |number| match number % 4 {
            3 => rekeying(&nodes[number / 4], id),
            _ => refreshing(&nodes[number % 2], &text),
        });
        let mut pairs: Vec<Issued> = results.await.into_iter().flatten().chain([first]).collect();
        // Once more for a rekey that was overtaken twice: its successor counts.
        loop {
            match nodes[0].rekey(&id).await {
                Ok(last) => break pairs.push(last),
                Err(Refusal::Unavailable(_)) => {}
                Err(Refusal::Invalid(reason)) => panic!("an honest login was ended: {reason:?}"),
            }
        }
        let record = site.record(&id).await;
        assert_eq!(record.revoked(), None);
        let last = pairs.pop().expect("the last");
        assert_eq!(last.record().generation(), record.generation());
        powerless(site, &nodes, &pairs).await;
        let next = refresh(&nodes[1], &refresh_text(&last)).await.unwrap();
        assert!(lives(&nodes[0], &next).await && !lives(&nodes[0], &last).await);
    }
}

/// Every writer at once, and no call after them that could put anything right.
async fn sec_d06_of_many_rekeys_at_once_one_pair_lives(site: &Site) {
    let nodes = nodes(site);
    for _ in 0..ROUNDS {
        let first = login(&nodes[0], "ada").await;
        let id = first.record().id();
        let results = together(8, |number| rekeying(&nodes[number % 2], id)).await;
        let mut pairs: Vec<Issued> = results.into_iter().flatten().collect();
        pairs.sort_by_key(|pair| pair.record().generation());
        let generations: Vec<u32> = pairs.iter().map(|pair| pair.record().generation()).collect();
        assert!(generations.iter().copied().eq(1..=pairs.len() as u32), "{generations:?}");
        let last = pairs.pop().expect("one of them has won");
        assert!(lives(&nodes[0], &last).await && lives(&nodes[1], &last).await);
        pairs.push(first);
        powerless(site, &nodes, &pairs).await;
    }
}

async fn sec_d06_a_revocation_that_meets_rekeys_and_refreshes_ends_the_login(site: &Site) {
    let nodes = nodes(site);
    for round in 0..ROUNDS {
        let first = login(&nodes[0], "ada").await;
        let (id, text) = (first.record().id(), refresh_text(&first));
        let others = together(8, |number| match number % 2 {
            0 => rekeying(&nodes[number / 2 % 2], id),
            _ => refreshing(&nodes[number / 2 % 2], &text),
        });
        let ending = async {
            for _ in 0..round % 6 {
                tokio::task::yield_now().await;
            }
            nodes[round % 2].revoke(&id).await.unwrap();
        };
        let (results, ()) = tokio::join!(others, ending);
        let pairs: Vec<Issued> = results.into_iter().flatten().chain([first]).collect();
        powerless(site, &nodes, &pairs).await;
        let revoked = site.record(&id).await.revoked().expect("it was ended");
        assert_eq!(revoked.reason(), RevokeReason::Logout);
    }
}

on_each_engine! {
    sec_d06_of_a_login_that_is_rekeyed_while_it_is_refreshed_one_pair_lives
    sec_d06_of_many_rekeys_at_once_one_pair_lives
    sec_d06_a_revocation_that_meets_rekeys_and_refreshes_ends_the_login
}
