//! API keys and one-time values.

use std::sync::Arc;

use ::redis::AsyncCommands;
use portcullis::{
    clock::Timestamp,
    identity::Subject,
    store::{KeyRecord, KeyStore, KeyUpdate, OnceKey, OnceStore, OnceValue},
    text::TokenId,
};

use super::{DAY, client, digest, handles, id, now};
use crate::servers::SharedServer;

fn key(name: &str) -> KeyRecord {
    let mut key = KeyRecord::new(id(name), Subject::local("ada"), "sk_live", digest(1), now());
    key.expires = now().plus(DAY);
    key
}

fn ids(keys: &[Arc<KeyRecord>]) -> Vec<TokenId> {
    keys.iter().map(|key| key.id).collect()
}

#[tokio::test]
async fn r060_an_api_key_whose_end_has_moved_is_filed_by_the_new_one() {
    let server = SharedServer::get();
    let ([store, _], _) = handles(&server);
    for (name, end) in [("sooner", now()), ("later", now().plus(2 * DAY)), ("same", now().plus(DAY))] {
        let record = key(name);
        let mut update = KeyUpdate::of(&record);
        update.expires = end;
        store.insert_key(record.clone()).await.unwrap();
        assert!(store.update_key(&record.id, update).await.unwrap());
    }
    assert_eq!(ids(&store.purge_keys(now(), 9).await.unwrap()), [id("sooner")]);
    assert_eq!(ids(&store.purge_keys(now().plus(DAY), 9).await.unwrap()), [id("same")]);
    assert_eq!(ids(&store.purge_keys(now().plus(2 * DAY), 9).await.unwrap()), [id("later")]);
}

#[tokio::test]
async fn r060_no_api_key_is_purged_early_or_unread() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    let end = Timestamp::from_millis((1 << 53) + 1);
    let mut late = key("late");
    late.expires = end;
    store.insert_key(late).await.unwrap();
    store.insert_key(key("read")).await.unwrap();
    store.insert_key(key("unread")).await.unwrap();
    let mut client = client(server.url()).await;
    let name = format!("{{{prefix}}}:key:{}", id("unread"));
    let _done: () = client.hset(&name, "f", "2").await.unwrap();
    assert!(store.find_key(&id("unread")).wait().await.is_err());
    assert_eq!(ids(&store.purge_keys(Timestamp::from_millis(1 << 53), 9).await.unwrap()), [id("read")]);
    assert_eq!(ids(&store.purge_keys(end, 1).await.unwrap()), [id("late")], "the other is passed over");
    assert!(client.exists::<_, bool>(&name).await.unwrap());
    let left: i64 = client.pttl(&name).await.unwrap();
    assert_eq!(left, -1, "API keys go when they are purged");
}

#[tokio::test]
async fn r060_a_value_without_an_end_is_there_at_the_end_of_time() {
    let server = SharedServer::get();
    let ([store, _], prefix) = handles(&server);
    let (endless, minute) = (OnceKey::new("test", &[b"endless"]), OnceKey::new("test", &[b"minute"]));
    let last = Timestamp::from_millis(i64::MAX - 1);
    assert!(store.put(&endless, &OnceValue::mark(), Timestamp::NEVER, now()).await.unwrap());
    let soon = now().plus(std::time::Duration::from_secs(60));
    assert!(store.put(&minute, &OnceValue::mark(), soon, now()).await.unwrap());
    let mut client = client(server.url()).await;
    let mut lasts = Vec::new();
    for name in client.keys::<_, Vec<String>>(format!("{{{prefix}}}:once:*")).await.unwrap() {
        lasts.push(client.pttl::<_, i64>(name).await.unwrap());
    }
    lasts.sort_unstable();
    assert!(lasts[0] == -1 && (300_000..=360_000).contains(&lasts[1]), "{lasts:?}");
    assert!(!store.put(&endless, &OnceValue::mark(), Timestamp::NEVER, last).await.unwrap());
    assert_eq!(store.take(&endless, last).await.unwrap(), Some(OnceValue::mark()));
    assert_eq!(store.take(&endless, last).await.unwrap(), None);
}

/// A node whose clock is ahead must not take from the others what lives for them.
#[tokio::test]
async fn r060_a_value_that_ended_for_one_clock_stays_for_the_others() {
    let server = SharedServer::get();
    let ([one, two], _) = handles(&server);
    let key = OnceKey::new("test", &[b"code"]);
    let value = OnceValue::new(b"state".to_vec()).unwrap();
    let end = now().plus(std::time::Duration::from_secs(60));
    assert!(one.put(&key, &value, end, now()).await.unwrap());
    assert_eq!(two.take(&key, end).await.unwrap(), None);
    assert!(!two.put(&key, &OnceValue::mark(), end, now()).await.unwrap(), "it is there");
    assert_eq!(one.take(&key, end.minus(std::time::Duration::from_millis(1))).await.unwrap(), Some(value));
}
