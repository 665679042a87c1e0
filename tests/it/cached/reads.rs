//! Reads that are under way: who shares which, and what is kept of them.

use std::{sync::Arc, time::Duration};

use portcullis::{
    event::RevokeReason,
    identity::Subject,
    problem::Reason,
    store::{Change, Purge, Revocation, TokenStore},
    token::Issued,
    verify::Refusal,
};
use tokio::task::JoinSet;

use super::{Nodes, nodes, turns};
use crate::support::Mode;

fn ended(nodes: &Nodes) -> Revocation {
    Revocation::new(nodes.time.now(), RevokeReason::Logout)
}

/// Verifies so many times at once; says how many were let in.
async fn crowd(nodes: &Nodes, login: &Issued, size: usize) -> JoinSet<bool> {
    let mut crowd = JoinSet::new();
    for _ in 0..size {
        let (tokens, text) = (nodes.b.tokens.clone(), login.access().expose().to_owned());
        crowd.spawn(async move { tokens.verify(&text, None).await.is_ok() });
    }
    turns().await;
    crowd
}

#[tokio::test]
async fn r203_a_crowd_shares_one_read() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let (gate, finds) = (nodes.store.hold_answers(), nodes.store.finds());
    let crowd = crowd(&nodes, &login, 1_000).await;
    assert_eq!(nodes.store.finds() - finds, 1);
    gate.add_permits(1);
    assert!(crowd.join_all().await.iter().all(|let_in| *let_in));
    assert_eq!(nodes.store.finds() - finds, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r203_a_crowd_on_many_threads_is_let_in() {
    let nodes = Arc::new(nodes());
    let logins = Arc::new([nodes.a.login("ada").await, nodes.a.login("bob").await]);
    let say = nodes.b.listen().await;
    let mut crowd = JoinSet::new();
    for number in 0..5_000 {
        let (nodes, logins, say) = (Arc::clone(&nodes), Arc::clone(&logins), say.clone());
        crowd.spawn(async move {
            let login = &logins[number % 2];
            if number % 50 == 0 {
                say.send(Change::Login(login.record().id())).unwrap();
            }
            nodes.b.verifies(login).await
        });
    }
    assert!(crowd.join_all().await.iter().all(|let_in| *let_in));
    for login in &*logins {
        nodes.store.memory.revoke(&login.record().id(), ended(&nodes)).await.unwrap();
        nodes.b.cached.revoke(&login.record().id(), ended(&nodes)).await.unwrap();
        assert!(!nodes.b.verifies(login).await);
    }
}

/// The store has answered already when the login ends, and the node is told before it has the answer.
#[tokio::test]
async fn r203_a_read_that_a_change_has_overtaken_is_not_kept() {
    for (what, crowded) in (0..5).flat_map(|what| [(what, false), (what, true)]) {
        let nodes = nodes();
        let say = nodes.b.listen().await;
        let login = nodes.a.login("ada").await;
        let id = login.record().id();
        let gate = nodes.store.hold_answers();
        let reading = crowd(&nodes, &login, 1).await;
        nodes.store.memory.revoke(&id, ended(&nodes)).await.unwrap();
        match what {
            0 => say.send(Change::Login(id)).unwrap(),
            1 => say.send(Change::Anything).unwrap(),
            2 => drop(nodes.b.cached.revoke(&id, ended(&nodes)).await.unwrap()),
            3 => {
                let all = portcullis::store::SubjectRevocation::new(
                    ended(&nodes),
                    portcullis::store::Keep::Nothing,
                );
                // It says of a login that was marked before that it has not marked it.
                nodes.store.set(Mode::ReadOnly);
                nodes.b.cached.revoke_subject(&Subject::local("ada"), all).await.unwrap_err();
                nodes.store.set(Mode::Later);
            }
            _ => drop(nodes.b.cached.revoke_everyone(ended(&nodes)).await.unwrap()),
        }
        turns().await;
        // Who comes now gets nothing of that read.
        let late = crowd(&nodes, &login, if crowded { 3 } else { 0 }).await;
        gate.add_permits(1);
        assert!(reading.join_all().await[0], "it began before the end: {what}");
        assert!(late.join_all().await.iter().all(|let_in| !*let_in), "{what}");
        assert_eq!(nodes.b.cached.copies(), 0, "{what}");
        assert!(!nodes.b.verifies(&login).await, "{what}");
    }
}

/// A read that was asked for again begins after whoever asked came.
#[tokio::test]
async fn r203_the_store_is_asked_again_after_a_change_that_the_read_under_way_has_missed() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let gate = nodes.store.hold_answers();
    let reading = crowd(&nodes, &login, 1).await;
    // Rotated elsewhere; nobody tells. The new token meets a read of what was before.
    nodes.store.set(Mode::Now);
    let rotated = nodes.a.refresh(&login).await.unwrap();
    nodes.store.set(Mode::Later);
    let new = crowd(&nodes, &rotated, 100).await;
    gate.add_permits(1);
    assert!(new.join_all().await.iter().all(|let_in| *let_in));
    assert!(reading.join_all().await[0]);
}

/// Somebody has asked for an id before it was a login's. Who has the login is not told that there is none.
#[tokio::test]
async fn r203_that_there_is_no_login_is_known_by_ones_own_read_only() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let record = nodes.store.record(&login.record().id()).await;
    nodes.store.memory.revoke(&record.id(), ended(&nodes)).await.unwrap();
    nodes.store.memory.purge(&Purge::new(None, nodes.time.now(), 10)).await.unwrap();
    let gate = nodes.store.hold_answers();
    let before = crowd(&nodes, &login, 1).await;
    let epoch = portcullis::store::Epoch::from_number(1);
    let insertion = portcullis::store::Insertion::new(epoch, nodes.time.now());
    nodes.store.memory.insert((*record).clone(), insertion).await.unwrap();
    let after = crowd(&nodes, &login, 10).await;
    gate.add_permits(1);
    assert!(!before.join_all().await[0]);
    assert!(after.join_all().await.iter().all(|let_in| *let_in));
}

#[tokio::test]
async fn r203_what_has_ended_and_what_is_unknown_is_not_kept() {
    for what in 0..3 {
        let nodes = nodes();
        let login = nodes.a.login("ada").await;
        match what {
            0 => drop(nodes.a.tokens.revoke(&login.record().id()).await.unwrap()),
            1 => nodes.store.set(Mode::NextEpoch),
            _ => nodes.store.set(Mode::NoEpoch),
        }
        let finds = nodes.store.finds();
        for round in 1..=3 {
            assert!(!nodes.b.verifies(&login).await);
            assert_eq!(nodes.store.finds() - finds, round, "as many reads as without copies");
        }
        assert_eq!(nodes.b.cached.copies(), 0);
    }
}

/// Also where a copy was kept before.
#[tokio::test]
async fn r203_a_read_that_finds_the_login_ended_or_gone_ends_its_copy() {
    for purged in [false, true] {
        let nodes = nodes();
        let login = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&login).await);
        nodes.store.memory.revoke(&login.record().id(), ended(&nodes)).await.unwrap();
        if purged {
            nodes.store.memory.purge(&Purge::new(None, nodes.time.now(), 10)).await.unwrap();
        }
        assert!(nodes.b.verifies_at_once(&login));
        // Whatever asks the store: here, whether a renewal still holds.
        nodes.b.cached.find(&login.record().id()).wait().await.unwrap();
        assert_eq!(nodes.b.cached.copies(), 0);
        assert!(!nodes.b.verifies(&login).await);
    }
}

#[tokio::test]
async fn r203_who_gives_up_leaves_the_read_to_the_others() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let (gate, finds) = (nodes.store.hold_answers(), nodes.store.finds());
    let mut first = crowd(&nodes, &login, 1).await;
    let others = crowd(&nodes, &login, 10).await;
    first.shutdown().await;
    gate.add_permits(1);
    assert!(others.join_all().await.iter().all(|let_in| *let_in));
    assert_eq!(nodes.store.finds() - finds, 1);
}

#[tokio::test]
async fn r203_a_read_that_everybody_gives_up_is_forgotten() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let (_gate, finds) = (nodes.store.hold_answers(), nodes.store.finds());
    crowd(&nodes, &login, 10).await.shutdown().await;
    assert!(idle(&nodes));
    nodes.store.hold_answers().add_permits(1);
    assert!(nodes.b.verifies(&login).await);
    assert_eq!(nodes.store.finds() - finds, 2);
    assert!(nodes.b.verifies_at_once(&login));
    assert!(idle(&nodes));
}

/// Two kinds of waiters at one login: the ones for the read under way, the others for the next.
#[tokio::test]
async fn r203_who_waits_for_the_next_read_gets_it_though_the_first_is_given_up() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let gate = nodes.store.hold_answers();
    let finds = nodes.store.finds();
    let mut first = crowd(&nodes, &login, 1).await;
    let cached = nodes.b.cached.clone();
    let id = login.record().id();
    let mut next = JoinSet::new();
    for _ in 0..10 {
        let cached = cached.clone();
        next.spawn(async move { cached.find(&id).wait().await.unwrap().unwrap().is_copy() });
    }
    turns().await;
    assert_eq!(nodes.store.finds() - finds, 1);
    first.shutdown().await;
    turns().await;
    gate.add_permits(1);
    assert!(next.join_all().await.iter().all(|copy| !*copy));
    assert_eq!(nodes.store.finds() - finds, 2);
    assert!(nodes.b.verifies_at_once(&login));
    assert_eq!(nodes.b.verify("nonsense").await, Err(Reason::Malformed));
    assert!(idle(&nodes));
}

/// Each read that has begun is too old for who comes later, the second of them like the first.
#[tokio::test]
async fn r203_a_read_that_has_waited_for_its_turn_has_begun_too() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let id = login.record().id();
    let find = || {
        let cached = nodes.b.cached.clone();
        async move { cached.find(&id).wait().await.unwrap().unwrap().record.label().map(str::to_owned) }
    };
    let (first_gate, finds) = (nodes.store.hold_answers(), nodes.store.finds());
    let first = tokio::spawn(find());
    turns().await;
    let second = tokio::spawn(find());
    turns().await;
    let second_gate = nodes.store.hold_answers();
    first_gate.add_permits(1);
    turns().await;
    assert_eq!(nodes.store.finds() - finds, 2, "the second has begun");
    nodes.store.memory.set_label(&id, Some("phone".into())).await.unwrap();
    let third = tokio::spawn(find());
    turns().await;
    second_gate.add_permits(1);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (None, None));
    assert_eq!(third.await.unwrap().as_deref(), Some("phone"));
    assert_eq!(nodes.store.finds() - finds, 3);
    // What was kept is what was read last.
    let copy = nodes.b.cached.recall(&id).wait().await.unwrap().unwrap();
    assert!(copy.is_copy() && copy.record.label() == Some("phone") && idle(&nodes));
}

/// Nothing is left of a read that has ended, whoever asked and whatever was found.
#[tokio::test]
async fn r203_no_read_leaves_anything_behind() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let stranger = super::nodes().a.login("eve").await;
    for mode in [Mode::Now, Mode::Later, Mode::Down, Mode::DownLater, Mode::NoEpoch] {
        nodes.store.set(mode);
        crowd(&nodes, &login, 10).await.join_all().await;
        crowd(&nodes, &stranger, 10).await.join_all().await;
        for _ in 0..2 {
            crowd(&nodes, &stranger, 10).await.shutdown().await;
        }
        assert!(idle(&nodes), "{mode:?}");
        nodes.time.advance(super::AGE);
    }
}

fn idle(nodes: &Nodes) -> bool {
    format!("{:?}", nodes.b.cached).contains("reading: 0")
}

/// Who waits for another's read is not left waiting when that panics.
#[tokio::test]
async fn r203_sec_i07_a_store_that_panics_could_not_check() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    nodes.store.set(Mode::Broken);
    let mut waiting = JoinSet::new();
    for number in 0..10 {
        let (tokens, cached) = (nodes.b.tokens.clone(), nodes.b.cached.clone());
        let (text, id) = (login.access().expose().to_owned(), login.record().id());
        waiting.spawn(async move {
            match number % 2 {
                0 => matches!(tokens.verify(&text, None).await, Err(Refusal::Unavailable(_))),
                _ => cached.find(&id).wait().await.is_err(),
            }
        });
    }
    let waited = tokio::time::timeout(Duration::from_secs(20), waiting.join_all()).await;
    assert!(waited.expect("nobody hangs").iter().all(|could_not| *could_not));
    nodes.store.set(Mode::Later);
    assert!(nodes.b.verifies(&login).await && idle(&nodes));
}
