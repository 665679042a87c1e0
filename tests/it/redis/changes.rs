//! What one node has changed, and another is told.

use std::time::Duration;

use futures_util::FutureExt;
use portcullis::{
    RedisStore, TokenPolicy, TokenService,
    clock::ManualClock,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    store::{
        CachedStore, Change, ChangeFeed, Data, Epoch, Insertion, Keep, LiveLimit, Purge, Revocation,
        SubjectRevocation, TokenStore,
    },
    text::TokenId,
    token::{IssueOptions, RefreshRequest},
};
use tokio::time::timeout;

use super::{BOTH, DAY, handles, insert, login, now, store_on};
use crate::servers::{Keeps, Proxy, RedisServer, SharedServer};

const SOON: Duration = Duration::from_secs(5);

async fn next(feed: &mut impl ChangeFeed) -> Change {
    timeout(SOON, feed.next()).await.expect("a change within five seconds")
}

/// These logins, in any order, and nothing else.
async fn hears(feed: &mut impl ChangeFeed, what: &str, ids: &[TokenId]) {
    let mut heard = Vec::new();
    for _ in ids {
        match next(feed).await {
            Change::Login(id) => heard.push(id),
            other => panic!("{what}: {other:?}"),
        }
    }
    let mut ids = ids.to_vec();
    (ids.sort(), heard.sort());
    assert_eq!(heard, ids, "{what}");
}

#[tokio::test]
async fn r203_every_change_is_told_to_every_node_that_listens() {
    for program in BOTH {
        let server = SharedServer::of(program);
        let ([store, other], _) = handles(&server);
        let tokens = TokenService::new(store.clone(), TokenPolicy::default());
        let mut feed = other.changes();
        assert_eq!(next(&mut feed).await, Change::Anything, "it does not know what was before");
        let issue = async |user: &str| {
            tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
        };
        let (ada, more) = (issue("ada").await, issue("ada").await);
        let (id, more) = (ada.record().id(), more.record().id());
        // A login that nobody has seen yet is no change, nor is the note of a use.
        store.confirm(&id, 0, now()).wait().await.unwrap();
        assert!(store.grace_hit(&id, 0, 9).await.unwrap());
        tokens.refresh(RefreshRequest::new(ada.refresh().unwrap().expose(), Channel::Header)).await.unwrap();
        hears(&mut feed, "rotation", &[id]).await;
        tokens.rekey(&id).await.unwrap();
        hears(&mut feed, "rekey", &[id]).await;
        assert!(store.save_data(&id, 0, Data::new(&1).unwrap()).await.unwrap());
        assert!(!store.save_data(&id, 0, Data::new(&1).unwrap()).await.unwrap());
        hears(&mut feed, "data", &[id]).await;
        assert!(store.set_label(&id, Some("x".into())).await.unwrap());
        hears(&mut feed, "label", &[id]).await;
        let mut limited = Insertion::new(Epoch::from_number(1), now());
        limited.limit = LiveLimit::EndOldest(1);
        let bob = issue("bob").await.record().id();
        limited.replaces = Some(bob);
        let new =
            store.insert(login("new", Subject::local("ada")).into(), limited).await.unwrap().record.id();
        hears(&mut feed, "single login", &[id, more, bob]).await;
        let revocation = Revocation::new(now(), RevokeReason::Logout);
        assert!(store.revoke(&new, revocation).await.unwrap());
        assert!(!store.revoke(&new, revocation).await.unwrap());
        hears(&mut feed, "revocation", &[new]).await;
        let eves = [issue("eve").await.record().id(), issue("eve").await.record().id()];
        let all = SubjectRevocation::new(revocation, Keep::Nothing);
        store.revoke_subject(&Subject::local("eve"), all).await.unwrap();
        hears(&mut feed, "revocation of a subject", &eves).await;
        let purged = store.purge(&Purge::new(Some(Subject::local("eve")), now().plus(DAY), 1)).await.unwrap();
        hears(&mut feed, "purge of a subject", &[purged[0].id()]).await;
        let purged = store.purge(&Purge::new(None, now().plus(DAY), 1)).await.unwrap();
        hears(&mut feed, "purge", &[purged[0].id()]).await;
        store.revoke_everyone(revocation).await.unwrap();
        assert_eq!(next(&mut feed).await, Change::Anything, "everyone");
        assert!(feed.next().now_or_never().is_none(), "nothing else");
    }
}

/// Not by age: the clock of the node that remembers stands still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r203_a_login_that_ends_on_one_node_ends_on_another_while_its_clock_stands_still() {
    for program in BOTH {
        let server = SharedServer::of(program);
        let ([store, other], _) = handles(&server);
        let here = TokenService::new(store, TokenPolicy::default());
        let time = ManualClock::new(now());
        let cached = CachedStore::new(other.clone());
        cached.follow(other.changes());
        let there = TokenService::new(cached.clone(), TokenPolicy::default()).clock(time.clock());
        let issued = here.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        let text = issued.access().expose();
        // Until it listens, it remembers nothing for long.
        let listening = async {
            let other = here.issue_for_header(Subject::local("bob"), IssueOptions::default()).await.unwrap();
            there.verify(other.access().expose(), None).await.unwrap();
            here.revoke(&other.record().id()).await.unwrap();
            while cached.copies() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, listening).await.expect("it listens");
        there.verify(text, None).await.unwrap();
        assert_eq!(cached.copies(), 1);
        here.revoke(&issued.record().id()).await.unwrap();
        let ended = async {
            while there.verify(text, None).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(2), ended).await.expect("within two seconds");
    }
}

#[tokio::test]
async fn r203_a_feed_says_that_it_may_have_missed_something_whenever_it_listens_anew() {
    for program in BOTH {
        let mut server = RedisServer::start_as(program, Keeps::Nothing);
        let (store, id) = (store_on(&server), super::id("a"));
        server.kill();
        let mut feed = store.changes();
        assert!(timeout(Duration::from_millis(300), feed.next()).await.is_err(), "it waits");
        for _ in 0..2 {
            server.start_again();
            assert_eq!(next(&mut feed).await, Change::Anything);
            assert_eq!(insert(&store, login("a", Subject::local("ada"))).await, id);
            assert!(store.revoke(&id, Revocation::new(now(), RevokeReason::Logout)).await.unwrap());
            assert_eq!(next(&mut feed).await, Change::Login(id));
            assert!(feed.next().now_or_never().is_none());
            server.kill();
            assert!(timeout(Duration::from_millis(300), feed.next()).await.is_err(), "it waits");
            assert!(store.find(&id).wait().await.is_err(), "as does the store's own connection");
        }
    }
}

/// Nothing comes on it any more, and nothing says so.
#[tokio::test]
async fn r203_a_connection_that_has_died_silently_is_noticed_and_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::to(format!("127.0.0.1:{}", server.port())).await;
    let second = Duration::from_secs(1);
    let store = RedisStore::builder(RedisServer::url_at(proxy.port())).response_timeout(second);
    let mut feed = store.build().unwrap().changes();
    assert_eq!(next(&mut feed).await, Change::Anything);
    // It asks, is answered, and stays with its connection.
    assert!(timeout(Duration::from_secs(5), feed.next()).await.is_err());
    proxy.stall();
    assert!(timeout(Duration::from_secs(8), feed.next()).await.is_err());
    proxy.go_on();
    assert_eq!(next(&mut feed).await, Change::Anything);
    proxy.close_all();
    assert_eq!(next(&mut feed).await, Change::Anything);
    drop(feed);
    timeout(SOON, proxy.has_open(0)).await.expect("nothing outlives the feed");
}

#[tokio::test]
async fn r203_a_wait_that_is_given_up_loses_no_change() {
    let server = RedisServer::start();
    let store = store_on(&server);
    let mut feed = store.changes();
    // While it connects, too.
    for _ in 0..3 {
        assert!(feed.next().now_or_never().is_none());
    }
    assert_eq!(next(&mut feed).await, Change::Anything);
    let mut ids = Vec::new();
    for number in 0..50 {
        let id = insert(&store, login(&format!("n{number:02}"), Subject::local("ada"))).await;
        assert!(store.revoke(&id, Revocation::new(now(), RevokeReason::Logout)).await.unwrap());
        ids.push(Change::Login(id));
    }
    let mut told = Vec::new();
    let heard = async {
        while told.len() < ids.len() {
            told.extend(feed.next().now_or_never());
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, heard).await.expect("all of them");
    assert_eq!(told, ids);
}
