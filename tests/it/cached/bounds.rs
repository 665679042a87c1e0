//! How old a copy may be, and how many there are.

use portcullis::{
    event::RevokeReason,
    store::{CachedStore, Change, MemoryStore, Revocation, TokenStore},
    token::Issued,
};
use tokio::runtime::Handle;

use super::{AGE, MILLI, Nodes, nodes, nodes_with, policy, turns};
use crate::support::{Mode, secs};

#[tokio::test]
async fn r203_who_was_verified_is_verified_again_without_io() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    assert!(!nodes.b.verifies_at_once(&login) && nodes.b.verifies(&login).await);
    let finds = nodes.store.finds();
    for _ in 0..1_000 {
        assert!(nodes.b.verifies_at_once(&login));
    }
    assert_eq!(nodes.store.finds(), finds);
}

/// Ends it as a third node does, of which these know nothing.
async fn end(nodes: &Nodes, login: &Issued) {
    let ended = Revocation::new(nodes.time.now(), RevokeReason::Logout);
    assert!(nodes.store.memory.revoke(&login.record().id(), ended).await.unwrap());
}

#[tokio::test]
async fn r203_sec_i09_a_change_that_nobody_tells_of_is_seen_within_the_age() {
    for age in [AGE, secs(1)] {
        let nodes = nodes_with(policy(), |builder| builder.age(age));
        let login = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&login).await);
        end(&nodes, &login).await;
        nodes.time.advance(age - MILLI);
        assert!(nodes.b.verifies(&login).await);
        nodes.time.advance(MILLI);
        assert!(!nodes.b.verifies(&login).await);
    }
}

/// The wall clock may go where it likes.
#[tokio::test]
async fn r203_copies_grow_old_by_the_monotonic_clock() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&login).await);
    end(&nodes, &login).await;
    nodes.time.advance(AGE);
    nodes.time.set(crate::support::START);
    assert!(!nodes.b.verifies(&login).await);
}

#[tokio::test]
async fn r203_the_age_is_counted_from_when_the_read_began() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let gate = nodes.store.hold_answers();
    let verify = nodes.b.verify(login.access().expose());
    let slow = async {
        turns().await;
        nodes.time.advance(AGE / 2);
        gate.add_permits(1);
    };
    let (verified, ()) = tokio::join!(verify, slow);
    verified.unwrap();
    end(&nodes, &login).await;
    nodes.time.advance(AGE / 2 - MILLI);
    assert!(nodes.b.verifies_at_once(&login));
    nodes.time.advance(MILLI);
    assert!(!nodes.b.verifies(&login).await);
}

/// Nor is it let in by a read that takes longer than that.
#[tokio::test]
async fn r203_a_read_that_is_too_old_is_shared_with_nobody() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    let gate = nodes.store.hold_answers();
    let finds = nodes.store.finds();
    let verify = || nodes.b.verify(login.access().expose());
    let later = async {
        turns().await;
        nodes.time.advance(AGE);
        end(&nodes, &login).await;
        tokio::join!(verify(), async {
            turns().await;
            gate.add_permits(1);
        })
        .0
    };
    let (first, second) = tokio::join!(verify(), later);
    assert!(first.is_ok() && second.is_err());
    assert_eq!(nodes.store.finds() - finds, 2);
}

#[tokio::test]
async fn r203_with_an_age_or_a_capacity_of_zero_nothing_is_kept() {
    for zero in [0, 1] {
        let nodes = nodes_with(policy(), |builder| match zero {
            0 => builder.age(secs(0)),
            _ => builder.capacity(0),
        });
        let login = nodes.a.login("ada").await;
        let finds = nodes.store.finds();
        for _ in 0..3 {
            assert!(nodes.b.verifies(&login).await);
        }
        assert_eq!((nodes.store.finds() - finds, nodes.b.cached.copies()), (3, 0));
        end(&nodes, &login).await;
        assert!(!nodes.b.verifies(&login).await);
        // Nor is a read shared: each is its own.
        let gate = nodes.store.hold_answers();
        let all = futures_util::future::join_all((0..10).map(|_| nodes.b.verifies(&login)));
        let (all, ()) = tokio::join!(all, async {
            turns().await;
            assert_eq!(nodes.store.finds() - finds, 14);
            gate.add_permits(1);
        });
        assert!(!all.contains(&true));
    }
}

#[tokio::test]
async fn r203_beyond_the_capacity_the_copy_that_was_kept_first_gives_way() {
    let nodes = nodes_with(policy(), |builder| builder.capacity(3));
    let mut logins = Vec::new();
    for user in ["ada", "bob", "cyd", "dan"] {
        logins.push(nodes.a.login(user).await);
    }
    let at_once = || logins.iter().map(|login| nodes.b.verifies_at_once(login)).collect::<Vec<_>>();
    for login in &logins {
        assert!(nodes.b.verifies(login).await);
    }
    assert_eq!((at_once(), nodes.b.cached.copies()), (vec![false, true, true, true], 3));
    assert!(nodes.b.verifies(&logins[0]).await);
    assert_eq!((at_once(), nodes.b.cached.copies()), (vec![true, false, true, true], 3));

    // What goes makes room, and what is read anew stays in its place.
    let say = nodes.b.listen().await;
    say.send(Change::Login(logins[2].record().id())).unwrap();
    turns().await;
    assert_eq!((at_once(), nodes.b.cached.copies()), (vec![true, false, false, true], 2));
    assert!(nodes.b.verifies(&logins[1]).await);
    assert_eq!((at_once(), nodes.b.cached.copies()), (vec![true, true, false, true], 3));
    nodes.time.advance(AGE);
    for _ in 0..2 {
        for place in [0, 1, 3] {
            assert!(nodes.b.verifies(&logins[place]).await);
        }
    }
    assert_eq!((at_once(), nodes.b.cached.copies()), (vec![true, true, false, true], 3));
}

/// However often one login is read, forgotten and read again: it has one place, and takes nobody else's.
#[tokio::test]
async fn r203_no_login_takes_the_place_of_another_while_there_is_room() {
    let nodes = nodes_with(policy(), |builder| builder.capacity(2));
    let logins = [nodes.a.login("ada").await, nodes.a.login("bob").await, nodes.a.login("cyd").await];
    let [ada, bob, cyd] = &logins;
    assert!(nodes.b.verifies(ada).await && nodes.b.verifies(bob).await);
    for _ in 0..3 {
        nodes.b.cached.find(&ada.record().id()).wait().await.unwrap();
        assert!(nodes.b.verifies_at_once(ada) && nodes.b.verifies_at_once(bob));
    }
    let say = nodes.b.listen().await;
    for login in [ada, cyd, ada, cyd] {
        say.send(Change::Login(login.record().id())).unwrap();
        turns().await;
        assert!(nodes.b.verifies(login).await && nodes.b.verifies_at_once(bob));
        say.send(Change::Login(login.record().id())).unwrap();
        turns().await;
    }
    // All places are free again after this.
    say.send(Change::Anything).unwrap();
    turns().await;
    for login in [bob, ada] {
        assert!(nodes.b.verifies(login).await);
    }
    assert!(nodes.b.verifies_at_once(ada) && nodes.b.verifies_at_once(bob));
    assert_eq!(nodes.b.cached.copies(), 2);
}

#[tokio::test]
async fn r203_over_many_more_logins_than_there_is_room_the_bound_holds() {
    let nodes = nodes_with(policy(), |builder| builder.capacity(10));
    nodes.store.set(Mode::Now);
    let say = nodes.b.listen().await;
    for round in 0..500 {
        let login = nodes.a.login("ada").await;
        assert!(nodes.b.verifies(&login).await);
        match round % 7 {
            0 => say.send(Change::Login(login.record().id())).unwrap(),
            6 if round > 400 => say.send(Change::Anything).unwrap(),
            _ => {}
        }
        turns().await;
        assert!(nodes.b.cached.copies() <= 10);
    }
}

/// Whoever asks for what there is not has no room, and takes nobody's.
#[tokio::test]
async fn r203_ids_that_nobody_has_issued_take_no_room() {
    let nodes = nodes_with(policy(), |builder| builder.capacity(2));
    let login = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&login).await);
    let elsewhere = nodes_with(policy(), |builder| builder);
    for _ in 0..100 {
        let stranger = elsewhere.a.login("eve").await;
        assert!(!nodes.b.verifies(&stranger).await);
    }
    assert_eq!(nodes.b.cached.copies(), 1);
    assert!(nodes.b.verifies_at_once(&login));
}

#[tokio::test]
async fn r203_the_settings_are_checked_and_shown() {
    let cached = CachedStore::new(MemoryStore::new());
    assert_eq!(cached.describe().to_string(), "age = 1m\ncapacity = 100000\n");
    let wrong = CachedStore::builder(MemoryStore::new()).age(secs(3_601)).capacity(usize::MAX);
    let faults: Vec<_> =
        wrong.build().unwrap_err().faults().iter().map(|fault| fault.field().to_owned()).collect();
    assert_eq!(faults, ["age", "capacity"]);
    CachedStore::builder(MemoryStore::new()).age(secs(3_600)).build().unwrap();
    let shown = format!("{cached:?} {:?}", CachedStore::builder(MemoryStore::new()));
    assert_eq!(
        shown,
        "CachedStore { age: 60s, capacity: 100000, copies: 0, reading: 0, .. } \
         CachedStoreBuilder { age: 60s, capacity: 100000, .. }"
    );
}

/// Whoever listens ends with the last handle, whether or not something changes any more.
#[tokio::test]
async fn r203_the_feed_is_left_with_the_last_handle() {
    let nodes = nodes();
    let alive = || Handle::current().metrics().num_alive_tasks();
    let say = nodes.a.listen().await;
    let clone = nodes.a.cached.clone();
    drop(nodes);
    turns().await;
    assert_eq!(alive(), 1);
    drop(clone);
    turns().await;
    assert_eq!(alive(), 0);
    assert!(say.is_closed());
}
