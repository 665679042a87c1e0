//! A server that is down, comes back, stands still, or makes others wait.

use std::time::Duration;

use futures_util::{FutureExt, future::join_all};
use portcullis::{
    PostgresStore, TokenPolicy, TokenService,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    store::{Keep, Purge, Revocation, StoreErrorKind, SubjectRevocation, TokenStore},
    token::{IssueOptions, RefreshRequest},
};
use tokio::net::TcpListener;

use super::{NOW, Place, columns, eventually, id, insert, insertion, login, shown, timed};
use crate::servers::{PASSWORD, PostgresServer, Proxy};

const LIMIT: Duration = Duration::from_millis(800);

fn hasty(url: &str) -> PostgresStore {
    PostgresStore::builder(url).connect_timeout(LIMIT).step_timeout(LIMIT).build().unwrap()
}

/// The backends of the store's connections, and those that wait or work.
fn backends(database: &crate::servers::Database, state: &str) -> usize {
    let query = format!(
        "select count(*) from pg_stat_activity where application_name = 'portcullis' and datname = current_database() {state}"
    );
    database.sql(&query).parse().unwrap()
}

#[tokio::test]
async fn r060_a_server_that_is_down_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let store = hasty(&format!("postgres://user:planted@127.0.0.1:{port}/planted"));
    for _ in 0..3 {
        let error = store.find(&id("a")).wait().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(shown(&error).contains("no connection to the server"), "{}", shown(&error));
        assert!(!shown(&error).contains("planted"));
    }
    assert!(store.migrate().await.is_err());
}

#[tokio::test]
async fn r060_what_the_server_refuses_is_named_by_its_code_alone() {
    let mut server = PostgresServer::start();
    let database = server.database();
    let wrong = database.url().replace(PASSWORD, "planted-wrong");
    let error = hasty(&wrong).find(&id("a")).wait().await.unwrap_err();
    assert!(shown(&error).contains("the server refused (28P01)"), "{}", shown(&error));
    assert!(!shown(&error).contains("planted"), "{}", shown(&error));
    server.kill();
}

#[tokio::test]
async fn r060_after_a_restart_of_the_server_the_next_step_is_taken() {
    let mut server = PostgresServer::start();
    let database = server.database();
    let store = super::patient(database.url());
    store.migrate().await.unwrap();
    insert(&store, "a", "ada").await;
    for round in 0..2 {
        assert!(store.find(&id("a")).wait().await.unwrap().is_some());
        server.kill();
        if round == 1 {
            let error = store.find(&id("a")).wait().await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        }
        server.start_again();
        let (found, took) = timed(async {
            eventually("an answer", async || store.find(&id("a")).wait().await.is_ok()).await;
            store.find(&id("a")).wait().await.unwrap()
        })
        .await;
        assert!(found.is_some() && took < Duration::from_secs(5), "{took:?}");
        // Writes find their own connections closed before they are sent.
        insert(&store, &format!("b{round}"), "ada").await;
        assert!(store.set_label(&id("a"), Some("x".into())).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_server_that_stands_still_is_an_error_in_time_and_nothing_piles_up() {
    let server = PostgresServer::start();
    let database = server.database();
    let store = hasty(database.url());
    super::patient(database.url()).migrate().await.unwrap();
    eventually("a connection", async || store.insert(login("a", "ada"), insertion()).await.is_ok()).await;
    server.stall();
    for _ in 0..3 {
        let steps = (0..100).map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                match number % 3 {
                    0 => store.find(&id("a")).wait().await.map(drop),
                    1 => store.revoke(&id("b"), Revocation::new(NOW, RevokeReason::Logout)).await.map(drop),
                    _ => store.insert(login("c", "ada"), insertion()).await.map(drop),
                }
            })
        });
        let (ends, took) = timed(join_all(steps.collect::<Vec<_>>())).await;
        for end in ends {
            assert_eq!(end.unwrap().unwrap_err().kind(), StoreErrorKind::Unavailable);
        }
        // To wait for its turn, to connect, to wait for the answer.
        assert!(took < 3 * LIMIT + Duration::from_secs(2), "{took:?}");
    }
    server.go_on();
    eventually("an answer", async || store.find(&id("a")).wait().await.is_ok()).await;
    eventually("nothing at work", async || backends(&database, "and state <> 'idle'") == 0).await;
    assert!(backends(&database, "") <= 14, "as many connections as there may be");
}

/// Others hold the subject's lock for longer than the limit.
#[tokio::test]
async fn r060_who_waits_for_a_lock_in_vain_keeps_nobody_else_waiting() {
    let place = Place::new().await;
    let store = hasty(place.database.url());
    eventually("a connection", async || store.insert(login("a", "ada"), insertion()).await.is_ok()).await;
    let (url, tables) = (place.database.url().to_owned(), "portcullis_subjects");
    let holding = std::thread::spawn(move || {
        let database = crate::servers::Database::at(url);
        database.sql(&format!("begin; select 1 from {tables} for update; select pg_sleep(4); commit"))
    });
    let held = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    eventually("the lock", async || place.database.sql(held) == "1").await;
    let steps = join_all((0..20).map(|n| store.insert(login(&format!("b{n}"), "ada"), insertion())));
    let reads = async {
        for _ in 0..20 {
            assert!(store.find(&id("a")).wait().await.unwrap().is_some());
            assert!(store.set_label(&id("a"), Some("x".into())).await.unwrap());
        }
    };
    let ((ends, took), ()) = tokio::join!(timed(steps), reads);
    for end in ends {
        assert!(shown(&end.unwrap_err()).contains("in time"));
    }
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(backends(&place.database, "and wait_event_type = 'Lock'"), 0, "the server has given up, too");
    holding.join().unwrap();
    store.insert(login("c", "ada"), insertion()).await.unwrap();
}

/// A refresh looks at its subject, too: while that is locked, it waits on a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_refreshes_that_wait_for_a_subject_keep_no_other_write_waiting() {
    let place = Place::new().await;
    let store = place.store();
    let tokens = TokenService::new(store.clone(), TokenPolicy::default());
    let other = insert(&store, "a", "bob").await;
    let mut refresh = Vec::new();
    for _ in 0..8 {
        let issued = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        refresh.push(issued.refresh().unwrap().expose().to_owned());
    }
    let url = place.database.url().to_owned();
    let holding = std::thread::spawn(move || {
        let database = crate::servers::Database::at(url);
        database.sql("begin; select 1 from portcullis_subjects for update; select pg_sleep(3); commit")
    });
    let held = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    eventually("the lock", async || place.database.sql(held) == "1").await;
    let waiting =
        join_all(refresh.iter().map(|text| tokens.refresh(RefreshRequest::new(text, Channel::Header))));
    let writing = async {
        eventually("those who wait", async || {
            place.database.sql("select count(*) from pg_stat_activity where wait_event_type = 'Lock'") != "0"
        })
        .await;
        for _ in 0..8 {
            assert!(store.set_label(&other, Some("x".into())).await.unwrap());
        }
        // Still.
        place.database.sql(held) == "1"
    };
    let (refreshed, before) = tokio::join!(waiting, writing);
    assert!(before, "the writes did not wait for the lock");
    assert!(refreshed.iter().all(Result::is_ok));
    holding.join().unwrap();
}

/// The other side has forgotten the connection, and nothing says so.
#[tokio::test]
async fn r060_a_connection_on_which_nothing_is_answered_is_replaced() {
    let place = Place::new().await;
    let proxy = Proxy::to(place.database.address()).await;
    let store = hasty(&place.database.url_at(proxy.port()));
    eventually("a connection", async || store.insert(login("a", "ada"), insertion()).await.is_ok()).await;
    eventually("another", async || store.find(&id("a")).wait().await.is_ok()).await;
    proxy.has_open(2).await;
    proxy.stall();
    let (end, took) = timed(store.find(&id("a")).wait()).await;
    assert!(
        shown(&end.unwrap_err()).contains("in time") && took < 3 * LIMIT + Duration::from_secs(1),
        "{took:?}"
    );
    // The next step does not ask on the one that has said nothing.
    store.find(&id("a")).wait().await.unwrap_err();
    tokio::time::timeout(Duration::from_secs(20), proxy.has_open(3)).await.unwrap();
    proxy.close_all();
    proxy.go_on();
    eventually("an answer", async || store.find(&id("a")).wait().await.is_ok()).await;
}

/// A write whose answer is lost is an error, and was made. It is not made twice.
#[tokio::test]
async fn r060_an_answer_that_is_cut_off_is_an_error_and_a_look_up_is_asked_again() {
    let place = Place::new().await;
    let proxy = Proxy::to(place.database.address()).await;
    let (store, direct) = (super::patient(&place.database.url_at(proxy.port())), place.store());
    insert(&store, "a", "ada").await;
    let ended = Revocation::new(NOW, RevokeReason::Logout);
    assert!(!store.revoke(&id("b"), ended).await.unwrap());
    proxy.cut_next_reply_after(0);
    let error = store.revoke(&id("a"), ended).await.unwrap_err();
    assert!(shown(&error).contains("no connection"), "{}", shown(&error));
    assert!(direct.find(&id("a")).wait().await.unwrap().unwrap().record.revoked().is_some());
    assert!(!store.revoke(&id("a"), ended).await.unwrap(), "what a second one is told");
    assert!(store.find(&id("a")).wait().await.unwrap().is_some());
    proxy.cut_next_reply_after(0);
    assert!(store.find(&id("a")).wait().await.unwrap().is_some(), "on a new connection");
    assert!(!proxy.waits_to_cut());
}

/// Two steps that lock in opposite orders would wait for each other until the server ends one of them, which it is told to
/// do very late here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_the_ends_of_subjects_and_purges_do_not_wait_for_each_other() {
    let place = Place::new().await;
    let name = place.database.sql("select current_database()");
    place.database.sql(&format!("alter database {} set deadlock_timeout = '60s'", name.trim()));
    let (one, two) = (place.store(), place.store());
    for round in 0..8 {
        for number in 0..40 {
            let mut login =
                columns(id(&format!("{round}x{number}")), Subject::local(format!("u{}", number % 8)));
            // Not revoked, and due.
            login.access_expires = NOW;
            one.insert(login.into(), insertion()).await.unwrap();
        }
        let purging = async { one.purge(&Purge::new(None, NOW, 100)).await.unwrap().len() };
        let ending = join_all((0..8).map(|number| {
            let subject = Subject::local(format!("u{number}"));
            let two = &two;
            async move {
                let all = SubjectRevocation::new(Revocation::new(NOW, RevokeReason::Logout), Keep::Nothing);
                two.revoke_subject(&subject, all).await.unwrap()
            }
        }));
        let (purged, _ended) = tokio::join!(purging, ending);
        let rest = one.purge(&Purge::new(None, NOW, 100)).await.unwrap().len();
        assert_eq!(purged + rest, 40);
    }
    assert_eq!((place.count("logins"), place.count("subjects")), (0, 0));
}

#[tokio::test]
async fn r060_connections_end_with_the_last_handle() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "a", "ada").await;
    let clone = store.clone();
    drop(store);
    assert!(clone.find(&id("a")).wait().await.unwrap().is_some());
    assert!(backends(&place.database, "") >= 2);
    drop(clone);
    eventually("no connection", async || backends(&place.database, "") == 0).await;
}

#[test]
fn r060_one_store_serves_one_runtime_after_the_other() {
    let place = Place::without_tables();
    let store = place.store();
    for number in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            store.migrate().await.unwrap();
            insert(&store, &format!("a{number}"), "ada").await;
            assert!(store.find(&id("a0")).wait().await.unwrap().is_some());
        });
    }
    assert!(store.find(&id("a0")).wait().now_or_never().unwrap().is_err(), "no runtime, no panic");
    assert!(store.migrate().now_or_never().unwrap().is_err());
}

/// A step that is given up half-way leaves its connection to the next one in order.
#[tokio::test]
async fn r060_a_step_that_is_dropped_is_done_or_not_and_disturbs_no_other() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "x", "ada").await;
    for number in 0..200_u64 {
        let end = format!("a{number}");
        let inserting = store.insert(login(&end, "ada"), insertion());
        let _dropped = tokio::time::timeout(Duration::from_micros(number * 20), inserting).await;
    }
    insert(&store, "z", "ada").await;
    let listed = store.list(&portcullis::store::ListQuery::new(None, 999)).await.unwrap();
    assert!(listed.iter().all(|found| found.epoch.is_some()));
    assert_eq!(place.count("subjects"), 1);
}
