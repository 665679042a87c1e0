//! What rests in a store outside the process is sealed, and bound to its place.

use std::sync::Arc;

use portcullis::{
    FileLeases,
    clock::Timestamp,
    keyring::{Key, KeyRing},
    pipeline::{AccessToken, SharedLeases, Want},
    provider::TokenErrorKind,
    secret::Secret,
    store::{Expect, LeaseKey, LeaseRecord, LeaseStore, LeaseVersion, LeaseWrite, MemoryLeases},
};

use super::{endpoint::Endpoint, files::Folder};
use crate::support::secs;

fn key() -> Key {
    Key::generate().unwrap()
}

fn shared(store: &MemoryLeases, ring: KeyRing) -> SharedLeases {
    SharedLeases::sealed("shop", store.clone(), ring).build().unwrap()
}

fn token(name: &str) -> AccessToken {
    let token = AccessToken::new(format!("planted-access-{name}")).unwrap().with_lifetime(secs(3600));
    token.with_refresh(Secret::new(format!("planted-refresh-{name}"))).with_scope("planted-scope")
}

async fn raw(store: &MemoryLeases, key: &LeaseKey) -> LeaseRecord {
    store.get(key).await.unwrap().unwrap().record().clone()
}

async fn plant(store: &MemoryLeases, key: &LeaseKey, record: &LeaseRecord) {
    let put = store.put(key, record, secs(3600), Expect::Anything).await.unwrap();
    assert_eq!(put, LeaseWrite::Done);
}

#[tokio::test]
async fn r207_a_record_from_another_place_of_another_version_or_bent_is_refused_and_replaced() {
    let store = MemoryLeases::new();
    let shared = shared(&store, KeyRing::new(key()));
    let (user, app) = (shared.key("crm", "user"), shared.key("crm", "app"));
    shared.publish(&user, token("user")).await.unwrap();
    shared.publish(&app, token("app")).await.unwrap();
    let (mine, other) = (raw(&store, &user).await, raw(&store, &app).await);
    let version = LeaseVersion::new(mine.version().get() + 1);
    let end = Timestamp::from_millis(mine.expires_at().as_millis() + 1);
    let mut bent = mine.value().to_vec();
    bent[40] ^= 1;
    let cut = mine.value()[..mine.value().len() - 1].to_vec();
    let planted = [
        ("swapped", other.clone()),
        ("another version", LeaseRecord::new(version, mine.expires_at(), mine.value().to_vec())),
        ("a later end", LeaseRecord::new(mine.version(), end, mine.value().to_vec())),
        ("bent", LeaseRecord::new(mine.version(), mine.expires_at(), bent)),
        ("cut", LeaseRecord::new(mine.version(), mine.expires_at(), cut)),
        ("empty", LeaseRecord::new(mine.version(), mine.expires_at(), Vec::new())),
    ];
    for (what, record) in planted {
        plant(&store, &user, &record).await;
        assert!(shared.load(&user).await.unwrap().is_none(), "{what}");
        let endpoint = Endpoint::new(true);
        endpoint.takes(std::time::Duration::ZERO);
        let renewed = shared.renew(&user, Want::any(), secs(5), endpoint.exchange()).await.unwrap();
        assert_eq!(endpoint.asked(), ["fetch"], "{what}: nothing of it was used");
        let loaded = shared.load(&user).await.unwrap().unwrap();
        assert_eq!(loaded.version(), renewed.version(), "{what}: it was replaced");
    }
    plant(&store, &user, &mine).await;
    assert!(shared.load(&user).await.unwrap().is_some(), "the record itself is good");
}

#[tokio::test]
async fn r207_keys_are_exchanged_in_use_and_an_unknown_one_is_left_alone() {
    let (old, new) = (key(), key());
    let store = MemoryLeases::new();
    let before = shared(&store, KeyRing::new(old.clone()));
    let after = shared(&store, KeyRing::new(new.clone()).verify_only(old.clone()));
    let user = before.key("crm", "user");
    before.publish(&user, token("old")).await.unwrap();
    assert!(after.load(&user).await.unwrap().is_some());
    after.publish(&user, token("new")).await.unwrap();
    let sealed = raw(&store, &user).await;

    // Who has not been given the key yet: fetches its own, and replaces nothing.
    assert_eq!(before.load(&user).await.unwrap_err().kind(), TokenErrorKind::Store);
    let endpoint = Endpoint::new(true);
    endpoint.takes(std::time::Duration::ZERO);
    let own = before.renew(&user, Want::any(), secs(5), endpoint.exchange()).await.unwrap();
    assert_eq!((own.version(), endpoint.asked().len()), (None, 1));
    assert_eq!(raw(&store, &user).await.value(), sealed.value());

    let retired = shared(&store, KeyRing::new(key()).verify_only(new.clone()).retire(new.id()));
    assert!(retired.load(&user).await.unwrap().is_none());
    let renewed = retired.renew(&user, Want::any(), secs(5), endpoint.exchange()).await.unwrap();
    assert_eq!(raw(&store, &user).await.version(), renewed.version().unwrap(), "replaced");
}

#[tokio::test]
async fn r207_a_copy_of_the_files_shows_no_token() {
    let folder = Folder::new();
    let shared =
        SharedLeases::sealed("shop", FileLeases::new(folder.path()), KeyRing::new(key())).build().unwrap();
    let user = shared.key("crm", "user");
    shared.publish(&user, token("user")).await.unwrap();
    let again =
        SharedLeases::sealed("shop", FileLeases::new(folder.path()), KeyRing::new(key())).build().unwrap();
    assert!(again.load(&user).await.is_err(), "another key");
    assert_eq!(shared.load(&user).await.unwrap().unwrap().token().scope(), Some("planted-scope"));
    let everything = folder.contents();
    assert!(everything.windows(4).any(|part| part == b"user"), "the search finds what is there");
    assert!(!everything.windows(7).any(|part| part == b"planted"));
}

#[tokio::test]
async fn nothing_that_is_shared_shows_its_secrets() {
    let store = MemoryLeases::new();
    let leases: Arc<dyn LeaseStore> = Arc::new(store.clone());
    let shared = SharedLeases::in_memory("shop", &store).build().unwrap();
    let user = shared.key("crm", "user");
    let published = shared.publish(&user, token("user")).await.unwrap();
    let found = leases.get(&user).await.unwrap().unwrap();
    let want = format!("{:?}", Want::later_than(&published));
    let shown = format!("{shared:?} {published:?} {found:?} {store:?} {want}");
    assert!(!shown.contains("planted"), "{shown}");
    assert!(
        raw(&store, &user).await.value().windows(7).any(|part| part == b"planted"),
        "in memory it is plain"
    );
}
