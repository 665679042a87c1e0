//! The tables, and how they come to be.

use futures_util::future::join_all;
use portcullis::{
    PostgresStore,
    store::{StoreErrorKind, TokenStore},
};

use super::{Place, id, insert, insertion, login, shown};

const TABLES: &str =
    "select count(*) from pg_class where relname like '%portcullis%' or relname like 'other%'";

#[tokio::test]
async fn r060_without_tables_a_step_says_so_and_makes_none() {
    let place = Place::without_tables();
    let store = place.store();
    for _ in 0..2 {
        let error = store.find(&id("a")).wait().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(shown(&error).contains("call `PostgresStore::migrate`"), "{}", shown(&error));
    }
    assert!(store.insert(login("a", "ada"), insertion()).await.is_err());
    assert_eq!(place.database.sql(TABLES), "0");
    store.migrate().await.unwrap();
    insert(&store, "a", "ada").await;
    place.database.sql("drop table portcullis_counters");
    let key = portcullis::store::CounterKey::new("t", &[]);
    let limit = portcullis::store::Limit::per_minute(1);
    let error =
        portcullis::store::CounterStore::hit(&store, &key, limit, super::NOW).wait().await.unwrap_err();
    assert!(shown(&error).contains("migrate"), "{}", shown(&error));
}

#[tokio::test]
async fn r060_migrating_again_changes_nothing() {
    let place = Place::new().await;
    let (store, before) = (place.store(), place.database.dump());
    insert(&store, "a", "ada").await;
    store.migrate().await.unwrap();
    place.store().migrate().await.unwrap();
    assert!(store.find(&id("a")).wait().await.unwrap().is_some());
    place.database.sql("delete from portcullis_logins; delete from portcullis_subjects");
    let lines = |dump: &str| dump.lines().filter(|line| !line.contains("restrict")).count();
    assert_eq!(lines(&place.database.dump()), lines(&before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_of_many_that_migrate_at_once_one_does() {
    let place = Place::without_tables();
    let tasks = (0..12).map(|_| {
        let store = place.store();
        tokio::spawn(async move { store.migrate().await })
    });
    for done in join_all(tasks.collect::<Vec<_>>()).await {
        done.unwrap().unwrap();
    }
    assert_eq!(place.database.sql("select string_agg(version::text, ',') from portcullis_schema"), "1,2");
    insert(&place.store(), "a", "ada").await;
}

/// Half of it would have to be mended by hand.
#[tokio::test]
async fn r060_a_migration_that_fails_leaves_nothing() {
    let place = Place::without_tables();
    place.database.sql("create table portcullis_locks (other int)");
    let error = place.store().migrate().await.unwrap_err();
    assert!(shown(&error).contains("42P07"), "{}", shown(&error));
    assert_eq!(place.database.sql(TABLES), "1");
}

#[tokio::test]
async fn r060_tables_of_a_newer_version_are_left_alone() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "a", "ada").await;
    place.database.sql("insert into portcullis_schema values (3, 2)");
    let error = store.migrate().await.unwrap_err();
    assert!(shown(&error).contains("newer version"), "{}", shown(&error));
    assert!(
        place.store().find(&id("a")).wait().await.unwrap().is_some(),
        "it says that it can be worked with"
    );
    place.database.sql("insert into portcullis_schema values (4, 3)");
    let error = place.store().find(&id("a")).wait().await.unwrap_err();
    assert!(shown(&error).contains("newer version"), "{}", shown(&error));
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn r060_two_prefixes_are_two_stores() {
    let place = Place::new().await;
    let store = place.store();
    let other = PostgresStore::builder(place.database.url()).prefix("other").build().unwrap();
    assert!(other.find(&id("a")).wait().await.is_err());
    other.migrate().await.unwrap();
    insert(&store, "a", "ada").await;
    assert!(other.find(&id("a")).wait().await.unwrap().is_none());
    insert(&other, "a", "bob").await;
    assert_eq!(store.find(&id("a")).wait().await.unwrap().unwrap().record.subject().id(), "ada");
    assert_eq!(place.count("logins"), 1);
}

#[test]
fn r060_every_fault_of_the_settings_is_named_and_no_address_is_shown() {
    for url in
        ["planted", "http://planted@localhost", "postgres://user:planted@host:port/x", "host=a planted", ""]
    {
        let builder = PostgresStore::builder(url)
            .prefix("a\"; drop table planted_not")
            .connections(0)
            .step_timeout(std::time::Duration::ZERO);
        let error = builder.build().unwrap_err();
        let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
        assert_eq!(fields, ["step_timeout", "connections", "prefix", "url"], "{url}");
        let shown = format!("{error} {error:?}").replace("planted_not", "");
        assert!(!shown.contains("planted"), "{error}");
    }
    let builder = PostgresStore::builder("postgres://user:planted@localhost/x");
    assert!(!format!("{builder:?}").contains("planted"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("planted"), "and nothing was sent");
    let encrypted = PostgresStore::builder("postgres://user:planted@localhost/x?sslmode=require");
    assert_eq!(encrypted.build().unwrap_err().faults()[0].field(), "url", "no connector, no encryption");
}
