//! API keys, and values that are used once.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use portcullis::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    scope::Scope,
    store::{
        Context, KeyQuery, KeyRecord, KeyStore, KeyUpdate, OnceKey, OnceStore, OnceValue, Revocation,
        StoreErrorKind,
    },
};
use serde_json::json;

use super::{NOW, Place, digest, id};

fn key(end: &str, owner: &str) -> KeyRecord {
    KeyRecord::new(id(end), Subject::local(owner), "sk_live", digest(1), NOW)
}

fn all(key: &KeyRecord) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?}",
        key.id,
        key.owner,
        key.kind,
        key.tenant,
        key.scope,
        key.label,
        key.context.as_json(),
        key.version,
        key.digest.to_bytes(),
        key.created,
        key.expires,
        key.last_used,
        key.revoked,
    )
}

#[tokio::test]
async fn r060_a_key_is_read_as_it_was_written_and_changed_where_it_was_read() {
    let place = Place::new().await;
    let (store, other) = (place.store(), place.store());
    let found = async |end: &str| other.find_key(&id(end)).wait().await.unwrap().unwrap();
    let mut full = key("a", "\0\u{1f980}");
    full.kind = "pk\0".into();
    (full.tenant, full.label) = (Some("red\0".into()), Some("x".repeat(100_000).into()));
    full.scope = Some(Arc::new(Scope::parse("a b").unwrap()));
    full.context = Context::new(&json!({"tier": 1})).unwrap();
    (full.version, full.expires) = (u64::MAX, NOW);
    full.revoked = Some(Revocation::new(NOW, RevokeReason::Other));
    for record in [full, key("b", "")] {
        store.insert_key(record.clone()).await.unwrap();
        assert_eq!(all(&*found(record.id.as_str().trim_start_matches('0')).await), all(&record));
        assert_eq!(store.insert_key(record).await.unwrap_err().kind(), StoreErrorKind::Conflict);
    }
    assert!(other.find_key(&id("c")).wait().await.unwrap().is_none());

    let minute = Duration::from_secs(60);
    let used = async |seen: Timestamp, now| store.note_key_use(&id("b"), seen, now).wait().await.unwrap();
    assert!(!used(NOW.minus(minute), NOW.plus(minute)).await, "used since");
    assert!(used(NOW, NOW.plus(minute)).await && !used(NOW, NOW.plus(minute)).await);
    assert_eq!(found("b").await.last_used, NOW.plus(minute));

    let mut update = KeyUpdate::of(&*found("b").await);
    (update.label, update.expires) = (Some("new\0".into()), NOW.plus(minute));
    assert!(store.update_key(&id("b"), update.clone()).await.unwrap());
    assert!(!store.update_key(&id("b"), update.clone()).await.unwrap(), "somebody was faster");
    let after = found("b").await;
    assert_eq!((after.version, after.label.as_deref(), after.expires), (1, Some("new\0"), NOW.plus(minute)));

    let ended = Revocation::new(NOW.plus(minute), RevokeReason::Logout);
    assert!(store.revoke_key(&id("b"), ended).await.unwrap());
    update.version = 1;
    assert!(!store.revoke_key(&id("b"), Revocation::new(NOW, RevokeReason::Other)).await.unwrap());
    assert!(!store.update_key(&id("b"), update).await.unwrap() && !used(Timestamp::NEVER, NOW).await);
    assert_eq!(found("b").await.revoked, Some(ended));
}

#[tokio::test]
async fn r060_keys_are_listed_page_by_page_and_purged_at_their_end() {
    let place = Place::new().await;
    let store = place.store();
    for number in 0..12_usize {
        let mut record = key(&format!("{number:02}"), ["ada", "bob"][number % 2]);
        if number < 4 {
            record.created = NOW.minus(Duration::from_secs(1));
            record.expires = NOW;
        }
        store.insert_key(record).await.unwrap();
    }
    let list = async |query: KeyQuery| -> Vec<_> {
        store.list_keys(&query).await.unwrap().iter().map(|key| key.id).collect()
    };
    let ids = |numbers: &[usize]| -> Vec<_> { numbers.iter().map(|n| id(&format!("{n:02}"))).collect() };
    assert_eq!(list(KeyQuery::new(None, 3)).await, ids(&[0, 1, 2]));
    let mut adas = KeyQuery::new(Some(Subject::local("ada")), 3);
    adas.after = Some(id("04"));
    assert_eq!(list(adas).await, ids(&[6, 8, 10]));
    let mut old = KeyQuery::new(Some(Subject::local("bob")), 9);
    old.created_before = NOW;
    assert_eq!(list(old).await, ids(&[1, 3]));
    assert!(list(KeyQuery::new(Some(Subject::local("eve")), 9)).await.is_empty());
    assert!(store.purge_keys(NOW.minus(Duration::from_millis(1)), 9).await.unwrap().is_empty());
    assert_eq!(store.purge_keys(NOW, 3).await.unwrap().len(), 3);
    assert_eq!(store.purge_keys(NOW, 3).await.unwrap().len(), 1);
    assert!(store.revoke_key(&id("11"), Revocation::new(NOW, RevokeReason::Logout)).await.unwrap());
    assert_eq!(store.purge_keys(NOW, 3).await.unwrap()[0].id, id("11"));
    assert_eq!(list(KeyQuery::new(None, 99)).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_value_is_put_once_and_taken_once() {
    let place = Place::new().await;
    let stores = [place.store(), place.store()];
    let second = Duration::from_secs(1);
    for round in 0..10_u8 {
        let key = OnceKey::new("code", &[&[round]]);
        let value = |number: u8| OnceValue::new(vec![number; usize::from(number) * 60]).unwrap();
        let puts = (0..40_u8).map(|number| {
            let store = stores[usize::from(number % 2)].clone();
            tokio::spawn(async move {
                OnceStore::put(&store, &key, &value(number), NOW.plus(second), NOW).await.unwrap()
            })
        });
        let puts: Vec<bool> =
            join_all(puts.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(puts.iter().filter(|done| **done).count(), 1);
        let winner = puts.iter().position(|done| *done).unwrap();
        let takes = (0..40).map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move { store.take(&key, NOW).await.unwrap() })
        });
        let taken: Vec<_> =
            join_all(takes.collect::<Vec<_>>()).await.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(taken, [value(u8::try_from(winner).unwrap())]);
    }
}

#[tokio::test]
async fn r060_what_has_ended_was_never_there() {
    let place = Place::new().await;
    let store = place.store();
    let key = |name: &str| OnceKey::new("mark", &[name.as_bytes()]);
    let put = async |name: &str, expires, now| {
        OnceStore::put(&store, &key(name), &OnceValue::mark(), expires, now).await.unwrap()
    };
    let later = |seconds| NOW.plus(Duration::from_secs(seconds));
    assert!(put("a", later(10), NOW).await && !put("a", later(20), later(9)).await);
    assert!(!put("a", NOW, later(9)).await, "there is one, and it lives");
    assert!(put("a", NOW, later(10)).await, "there is none");
    assert_eq!(store.take(&key("a"), later(10)).await.unwrap(), None, "and none was kept");
    assert!(put("a", later(20), later(10)).await);
    assert_eq!(store.take(&key("a"), later(19)).await.unwrap(), Some(OnceValue::mark()));
    assert!(
        put("b", Timestamp::NEVER, NOW).await
            && put("c", later(10), NOW).await
            && put("d", later(11), NOW).await
    );
    assert_eq!(store.purge_once(later(9), 9).await.unwrap(), 0);
    assert_eq!(store.purge_once(later(10), 9).await.unwrap(), 1);
    assert!(!put("b", later(1), Timestamp::from_millis(i64::MAX - 1)).await);
    assert_eq!(store.purge_once(Timestamp::from_millis(i64::MAX - 1), 9).await.unwrap(), 1);
}
