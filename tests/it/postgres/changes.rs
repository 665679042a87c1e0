//! What one process changes the others are told.

use std::time::Duration;

use portcullis::{
    PostgresChanges, PostgresNotify, PostgresStore, TokenPolicy, TokenService,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    store::{Change, ChangeFeed, Data, Keep, LiveLimit, Purge, Revocation, SubjectRevocation, TokenStore},
    token::{IssueOptions, RefreshRequest},
};
use tokio::time::timeout;

use super::{NOW, Place, eventually, id, insert, insertion, login, timed};
use crate::servers::{PostgresServer, Proxy};

/// Of which fewer than these go by before the next: a feed that says nothing has failed.
const SOON: Duration = Duration::from_secs(20);

async fn next(feed: &mut PostgresChanges) -> Change {
    timeout(SOON, feed.next()).await.expect("nothing was told")
}

/// All that is told until this mark.
async fn until(feed: &mut PostgresChanges, store: &PostgresStore) -> Vec<Change> {
    let mark = Change::Login(id("mark"));
    store.set_label(&id("mark"), None).await.unwrap();
    let mut told = Vec::new();
    loop {
        match next(feed).await {
            change if change == mark => return told,
            change => told.push(change),
        }
    }
}

fn ended() -> Revocation {
    Revocation::new(NOW, RevokeReason::Logout)
}

#[tokio::test]
async fn r203_every_change_of_a_login_is_told_by_its_id() {
    let place = Place::new().await;
    let (store, listener) = (place.store(), place.store());
    insert(&store, "mark", "mark").await;
    let mut feed = listener.changes();
    assert_eq!(next(&mut feed).await, Change::Anything, "it begins to listen");
    let told = async |feed: &mut PostgresChanges| until(feed, &store).await;
    let one = |end: &str| vec![Change::Login(id(end))];

    let a = insert(&store, "a", "ada").await;
    assert_eq!(told(&mut feed).await, [], "nobody can have kept what is new");
    assert!(store.save_data(&a, 0, Data::new(&1).unwrap()).await.unwrap());
    assert_eq!(told(&mut feed).await, one("a"));
    assert!(store.set_label(&a, Some("x".into())).await.unwrap());
    assert_eq!(told(&mut feed).await, one("a"));
    assert!(!store.save_data(&a, 0, Data::new(&1).unwrap()).await.unwrap());
    assert!(!store.set_label(&id("none"), None).await.unwrap());
    assert_eq!(told(&mut feed).await, [], "nothing has changed");

    let mut replacing = insertion();
    (replacing.replaces, replacing.limit) = (Some(a), LiveLimit::EndOldest(1));
    store.insert(login("b", "ada"), replacing).await.unwrap();
    assert_eq!(told(&mut feed).await, one("a"));
    let mut limited = insertion();
    limited.limit = LiveLimit::EndOldest(1);
    store.insert(login("c", "ada"), limited).await.unwrap();
    assert_eq!(told(&mut feed).await, one("b"));
    assert!(store.revoke(&id("c"), ended()).await.unwrap());
    assert_eq!(told(&mut feed).await, one("c"));

    for end in ["d", "e"] {
        insert(&store, end, "bob").await;
    }
    let all = SubjectRevocation::new(ended(), Keep::Nothing);
    store.revoke_subject(&Subject::local("bob"), all).await.unwrap();
    let mut both = told(&mut feed).await;
    both.sort_by_key(|change| format!("{change:?}"));
    assert_eq!(both, [Change::Login(id("d")), Change::Login(id("e"))]);
    assert_eq!(store.purge(&Purge::new(Some(Subject::local("bob")), NOW, 9)).await.unwrap().len(), 2);
    assert_eq!(told(&mut feed).await.len(), 2);

    for number in 0..65 {
        insert(&store, &format!("m{number}"), "many").await;
    }
    let all = SubjectRevocation::new(ended(), Keep::Nothing);
    store.revoke_subject(&Subject::local("many"), all).await.unwrap();
    assert_eq!(told(&mut feed).await, [Change::Anything], "too many to be named");
    store.revoke_everyone(ended()).await.unwrap();
    insert(&store, "end", "end").await;
    assert!(store.revoke(&id("end"), ended()).await.unwrap());
    assert_eq!(next(&mut feed).await, Change::Anything);
    assert_eq!(next(&mut feed).await, Change::Login(id("end")));
}

#[tokio::test]
async fn r203_new_secrets_are_told() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "mark", "mark").await;
    let mut feed = store.changes();
    assert_eq!(next(&mut feed).await, Change::Anything);
    let tokens: TokenService = TokenService::new(store.clone(), TokenPolicy::default());
    let issued = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    let changed = [Change::Login(issued.record().id())];
    assert_eq!(until(&mut feed, &store).await, []);
    let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
    let refreshed = tokens.refresh(request).await.unwrap();
    assert_eq!(until(&mut feed, &store).await, changed);
    tokens.verify(refreshed.access().expose(), None).await.unwrap();
    assert_eq!(until(&mut feed, &store).await, [], "that it is used is no news");
    tokens.rekey(&issued.record().id()).await.unwrap();
    assert_eq!(until(&mut feed, &store).await, changed);
}

#[tokio::test]
async fn r203_who_listens_hears_of_no_other_prefix_and_of_nothing_that_is_not_told() {
    let place = Place::new().await;
    let quiet = PostgresStore::builder(place.database.url()).notify(PostgresNotify::Nothing).build().unwrap();
    let other = PostgresStore::builder(place.database.url()).prefix("other").build().unwrap();
    other.migrate().await.unwrap();
    let store = place.store();
    for store in [&store, &other] {
        insert(store, "mark", "mark").await;
    }
    let mut feed = quiet.changes();
    assert_eq!(next(&mut feed).await, Change::Anything);
    insert(&other, "a", "ada").await;
    assert!(other.revoke(&id("a"), ended()).await.unwrap());
    for end in ["b", "c"] {
        insert(&quiet, end, "ada").await;
    }
    assert!(quiet.revoke(&id("b"), ended()).await.unwrap());
    let all = SubjectRevocation::new(ended(), Keep::Nothing);
    quiet.revoke_subject(&Subject::local("ada"), all).await.unwrap().unwrap();
    assert_eq!(quiet.purge(&Purge::new(None, NOW, 9)).await.unwrap().len(), 2);
    assert_eq!(quiet.revoke_everyone(ended()).await.unwrap(), 1);
    insert(&store, "d", "ada").await;
    assert!(store.revoke(&id("d"), ended()).await.unwrap());
    assert_eq!(next(&mut feed).await, Change::Login(id("d")));
}

/// A call that is given up loses nothing, wherever it was.
#[tokio::test]
async fn r203_a_call_that_is_dropped_loses_no_change() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "mark", "mark").await;
    let mut feed = store.changes();
    let mut first = None;
    while first.is_none() {
        first = timeout(Duration::from_micros(50), feed.next()).await.ok();
    }
    assert_eq!(first, Some(Change::Anything));
    for number in 0..50 {
        let end = format!("a{number}");
        let id = insert(&store, &end, "ada").await;
        let soon = Duration::from_micros(number * 50);
        let (revoked, early) = tokio::join!(store.revoke(&id, ended()), timeout(soon, feed.next()));
        assert!(revoked.unwrap());
        let told = match early {
            Ok(told) => told,
            Err(_elapsed) => next(&mut feed).await,
        };
        assert_eq!(told, Change::Login(id));
    }
}

#[tokio::test]
async fn r203_after_a_restart_of_the_server_anything_may_have_changed() {
    let mut server = PostgresServer::start();
    let database = server.database();
    let store = super::patient(database.url());
    let mut feed = store.changes();
    server.kill();
    assert!(timeout(Duration::from_millis(500), feed.next()).await.is_err(), "there is nobody to listen to");
    server.start_again();
    let (told, took) = timed(next(&mut feed)).await;
    assert_eq!(told, Change::Anything);
    assert!(took < Duration::from_secs(5), "{took:?}");
    store.migrate().await.unwrap();
    insert(&store, "a", "ada").await;
    server.kill();
    let listening = tokio::spawn(async move { (next(&mut feed).await, feed) });
    server.start_again();
    let ((told, mut feed), took) = timed(async { listening.await.unwrap() }).await;
    assert_eq!(told, Change::Anything);
    assert!(took < Duration::from_secs(5), "{took:?}");
    eventually("an answer", async || store.set_label(&id("a"), None).await.is_ok_and(|done| done)).await;
    assert_eq!(next(&mut feed).await, Change::Login(id("a")));
}

/// Nothing is said on it, and nothing would ever be.
#[tokio::test]
async fn r203_a_connection_that_was_lost_without_a_word_is_noticed() {
    let place = Place::new().await;
    let proxy = Proxy::to(place.database.address()).await;
    let limit = Duration::from_millis(500);
    let store =
        PostgresStore::builder(place.database.url_at(proxy.port())).step_timeout(limit).build().unwrap();
    let mut feed = store.changes();
    assert_eq!(next(&mut feed).await, Change::Anything);
    proxy.stall();
    // It makes another, on which nobody answers either.
    let second = tokio::select! {
        change = feed.next() => panic!("nothing to tell: {change:?}"),
        second = timeout(SOON, proxy.has_open(2)) => second,
    };
    second.expect("it was not noticed");
    proxy.close_all();
    proxy.go_on();
    assert_eq!(next(&mut feed).await, Change::Anything);
}

#[tokio::test]
async fn r203_a_feed_ends_its_connection_when_it_is_dropped() {
    let place = Place::new().await;
    let mut feed = place.store().changes();
    assert_eq!(next(&mut feed).await, Change::Anything);
    let listeners =
        "select count(*) from pg_stat_activity where query like 'listen %' and datname = current_database()";
    assert_eq!(place.database.sql(listeners), "1");
    drop(feed);
    eventually("no connection", async || place.database.sql(listeners) == "0").await;
}
