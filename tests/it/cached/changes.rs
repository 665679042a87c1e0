//! What one node does and another sees.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use futures_util::FutureExt;
use portcullis::{
    error::BoxError,
    event::RevokeReason,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{
        Change, Epoch, Insertion, Keep, LiveLimit, Purge, Revocation, StoreError, SubjectRevocation,
        TokenStore,
    },
    token::IssueOptions,
    verify::UserLookup,
};

use super::{AGE, nodes, nodes_with, policy, turns};
use crate::support::{Mode, invalid};

/// The clock stands still all the time, so nothing is seen by age.
#[tokio::test]
async fn r203_a_revocation_on_one_node_is_seen_by_another_when_it_is_told() {
    let nodes = nodes();
    let say = nodes.b.listen().await;
    let (ada, bob) = (nodes.a.login("ada").await, nodes.a.login("bob").await);
    for login in [&ada, &bob] {
        assert!(nodes.b.verifies(login).await && nodes.b.verifies_at_once(login));
    }
    nodes.a.tokens.revoke(&ada.record().id()).await.unwrap();
    assert!(nodes.b.verifies(&ada).await, "nobody has told yet");
    say.send(Change::Login(ada.record().id())).unwrap();
    turns().await;
    assert_eq!(nodes.b.verify(ada.access().expose()).await, Err(Reason::Revoked));
    assert!(nodes.b.verifies_at_once(&bob), "others stay");
}

/// Whoever marked them: this node has been asked to end them, and has said that they have ended.
#[tokio::test]
async fn r203_the_end_of_a_subject_counts_at_once_where_another_node_was_faster() {
    let nodes = nodes();
    let ada = nodes.a.login("ada").await;
    assert!(nodes.b.verifies(&ada).await && nodes.b.verifies_at_once(&ada));
    nodes.a.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    nodes.b.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    assert_eq!(nodes.b.verify(ada.access().expose()).await, Err(Reason::Revoked));
}

#[tokio::test]
async fn r203_a_feed_that_may_have_missed_something_ends_all_copies() {
    let nodes = nodes();
    let say = nodes.b.listen().await;
    let logins = [nodes.a.login("ada").await, nodes.a.login("bob").await];
    for login in &logins {
        assert!(nodes.b.verifies(login).await);
    }
    nodes.a.tokens.revoke(&logins[0].record().id()).await.unwrap();
    say.send(Change::Anything).unwrap();
    turns().await;
    assert_eq!(nodes.b.cached.copies(), 0);
    assert!(!nodes.b.verifies(&logins[0]).await && nodes.b.verifies(&logins[1]).await);
}

#[tokio::test]
async fn r203_what_a_node_has_done_itself_it_sees_at_once() {
    for what in 0..9 {
        let nodes = nodes();
        let tokens = &nodes.a.tokens;
        let ada = || Subject::local("ada");
        let (login, other) = (nodes.a.login("ada").await, nodes.a.login("ada").await);
        let id = login.record().id();
        assert!(nodes.a.verifies(&login).await && nodes.a.verifies(&other).await);
        let before = nodes.a.cached.copies();
        assert_eq!(before, 2);
        match what {
            0 => tokens.revoke(&id).await.unwrap(),
            1 => assert_eq!(tokens.revoke_subject(&ada()).await.unwrap(), 2),
            2 => assert_eq!(tokens.revoke_others(&ada(), &other.record().id()).await.unwrap(), 1),
            3 => assert_eq!(tokens.revoke_everyone().await.unwrap(), 2),
            4 => drop(nodes.a.refresh(&login).await.unwrap()),
            5 => drop(invalid(tokens.rekey(&id).await).unwrap()),
            6 => drop(invalid(tokens.change_credentials(&id).await).unwrap()),
            7 => assert!(tokens.save_data(&id, 0, &"cart").await.unwrap()),
            _ => assert!(tokens.set_label(&ada(), &id, Some("phone")).await.unwrap()),
        }
        let verified = tokens.verify(login.access().expose(), None).await;
        match what {
            7 => assert_eq!(verified.unwrap().record().unwrap().version(), 1),
            8 => assert_eq!(verified.unwrap().record().unwrap().label(), Some("phone")),
            _ => assert!(invalid(verified).is_err(), "{what}"),
        }
        assert_eq!(nodes.a.verifies(&other).await, ![1, 3, 6].contains(&what), "{what}");
    }
}

/// A limit ends others, and a login the anonymous session of the same browser.
#[tokio::test]
async fn r203_what_ends_for_a_new_login_is_seen_at_once() {
    let nodes = nodes_with(policy().limit(LiveLimit::EndOldest(1)), |builder| builder);
    let first = nodes.a.login("ada").await;
    assert!(nodes.a.verifies(&first).await);
    nodes.time.advance(AGE / 2);
    let second = nodes.a.login("ada").await;
    assert!(!nodes.a.verifies(&first).await && nodes.a.verifies(&second).await);

    let replacing = IssueOptions::default().replaces(second.record().id());
    nodes.a.tokens.issue_for_header(Subject::local("bob"), replacing).await.unwrap();
    assert!(!nodes.a.verifies(&second).await);
}

#[tokio::test]
async fn r203_what_is_purged_is_forgotten() {
    let nodes = nodes();
    let login = nodes.a.login("ada").await;
    assert!(nodes.a.verifies(&login).await);
    nodes.store.memory.revoke(&login.record().id(), revocation(&nodes)).await.unwrap();
    let purge = Purge::new(None, nodes.time.now(), 10);
    assert_eq!(nodes.a.cached.purge(&purge).await.unwrap().len(), 1);
    assert_eq!(nodes.a.cached.copies(), 0);
    assert!(!nodes.a.verifies(&login).await);
}

fn revocation(nodes: &super::Nodes) -> Revocation {
    Revocation::new(nodes.time.now(), RevokeReason::Logout)
}

/// A write whose outcome nobody knows may have happened: others than the caller must not see what was before for longer
/// than if it had been acknowledged.
#[tokio::test]
async fn r203_a_write_that_fails_may_have_happened() {
    let nodes = nodes();
    let ended = revocation(&nodes);
    let failed = |done: Result<(), StoreError>| assert!(done.is_err());
    for what in 0..5 {
        let (login, other) = (nodes.a.login("ada").await, nodes.a.login("bob").await);
        assert!(nodes.a.verifies(&login).await && nodes.a.verifies(&other).await);
        let id = login.record().id();
        nodes.store.set(Mode::ReadOnly);
        let cached = &nodes.a.cached;
        let everything = match what {
            0 => {
                failed(cached.revoke(&id, ended).await.map(drop));
                false
            }
            1 => {
                let what = SubjectRevocation::new(ended, Keep::Nothing);
                failed(cached.revoke_subject(&Subject::local("ada"), what).await.map(drop));
                false
            }
            2 => {
                failed(cached.revoke_everyone(ended).await.map(drop));
                true
            }
            3 => {
                let mut insertion = Insertion::new(Epoch::from_number(1), nodes.time.now());
                insertion.limit = LiveLimit::EndOldest(1);
                failed(cached.insert(login.record().clone(), insertion).await.map(drop));
                false
            }
            _ => {
                // Given up on the way.
                let mut revoking = Box::pin(cached.revoke(&id, ended));
                assert!((&mut revoking).now_or_never().is_none());
                assert!(nodes.a.verifies_at_once(&login), "nothing is acknowledged yet");
                drop(revoking);
                false
            }
        };
        nodes.store.set(Mode::Later);
        assert!(!nodes.a.verifies_at_once(&login), "{what}");
        assert_eq!(nodes.a.verifies_at_once(&other), !everything, "{what}");
    }
}

/// A login that is refused changes nothing.
#[tokio::test]
async fn r203_a_login_that_is_refused_ends_no_copies() {
    let nodes = nodes();
    nodes.store.set(Mode::Now);
    let login = nodes.a.login("ada").await;
    assert!(nodes.a.verifies(&login).await);
    let mut insertion = Insertion::new(Epoch::from_number(1), nodes.time.now());
    insertion.limit = LiveLimit::EndOldest(1);
    nodes.a.cached.insert(login.record().clone(), insertion).await.unwrap_err();
    nodes.store.set(Mode::Later);
    assert!(nodes.a.verifies_at_once(&login));
}

struct Roles(Arc<AtomicU32>);

impl UserLookup for Roles {
    type User = u32;

    fn find(&self, _: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<u32>>, BoxError>> {
        MaybeReady::Now(Ok(Some(Arc::new(self.0.load(Ordering::SeqCst)))))
    }
}

/// A role is the user's, and no copy of a login has one.
#[tokio::test]
async fn r203_sec_i09_a_users_rights_are_looked_up_for_each_request() {
    let nodes = nodes();
    let roles = Arc::new(AtomicU32::new(1));
    let login = nodes.a.login("ada").await;
    let tokens = nodes.a.tokens.users(Roles(Arc::clone(&roles)));
    for role in [1, 2] {
        roles.store(role, Ordering::SeqCst);
        let verified = invalid(tokens.verify(login.access().expose(), None).await).unwrap();
        assert_eq!(**verified.identity(), role);
    }
}
