//! What may happen to a file.

use std::{fs, time::Duration};

use futures_util::future::{join, join_all};
use portcullis::{
    SqliteStore,
    clock::{Clock, ManualClock, Timestamp},
    credential::Channel,
    identity::Subject,
    store::{
        CounterKey, CounterStore, Expect, KeyRecord, KeyStore, LeaseKey, LeaseNamespace, LeaseRecord,
        LeaseStore, LeaseVersion, LeaseWrite, Limit, ListQuery, LoginColumns, OnceKey, OnceStore, OnceValue,
        Purge, StoreErrorKind, TokenStore,
    },
    text::TokenId,
    token::{IssueErrorKind, IssueOptions, RefreshRequest},
};
use serde_json::json;

use super::{Folder, check_unavailable, login, service, stranger};

fn is_sound(folder: &Folder) -> bool {
    let answer = stranger(&folder.file())
        .query_row("pragma integrity_check", [], |row| row.get::<_, String>(0))
        .unwrap();
    answer == "ok"
}

async fn count(store: &SqliteStore) -> usize {
    store.list(&ListQuery::new(None, usize::MAX)).await.unwrap().len()
}

#[tokio::test]
async fn r060_a_writer_elsewhere_is_waited_for_and_not_for_ever() {
    let folder = Folder::new();
    folder.open().await;
    let store = SqliteStore::builder(folder.file()).busy_timeout(Duration::from_millis(200));
    let store = store.step_timeout(Duration::from_secs(60)).build().unwrap();
    let id = login(&service(&store), "ada").await.record().id();
    let other = stranger(&folder.file());
    other.execute_batch("begin immediate").unwrap();
    let error = store.set_label(&id, Some("late".into())).await.unwrap_err();
    check_unavailable(&error, "another process holds the write lock");
    assert!(store.find(&id).wait().await.unwrap().is_some(), "nobody waits to read");
    other.execute_batch("rollback").unwrap();
    assert!(store.set_label(&id, Some("in time".into())).await.unwrap());

    // A patient one gets its turn.
    other.execute_batch("begin immediate").unwrap();
    let patient = folder.store();
    let release = tokio::task::spawn_blocking(move || other.execute_batch("rollback").unwrap());
    let (written, _released) = join(patient.set_label(&id, None), release).await;
    assert!(written.unwrap());
}

#[tokio::test]
async fn r060_a_step_that_takes_too_long_is_given_up() {
    let folder = Folder::new();
    folder.open().await;
    let store = SqliteStore::builder(folder.file()).step_timeout(Duration::from_millis(300));
    let store = store.busy_timeout(Duration::from_millis(299)).build().unwrap();
    let id = login(&service(&folder.store()), "ada").await.record().id();
    let other = stranger(&folder.file());
    other.execute_batch("begin immediate").unwrap();
    // One waits for the lock, the others for the one.
    let labels = join_all((0..20).map(|_| store.set_label(&id, Some("late".into())))).await;
    assert!(labels.iter().all(|label| label.as_ref().is_err()));
    other.execute_batch("rollback").unwrap();
    // Whether the one was done at last is unknown; the others were not, and the next one is.
    assert!(folder.store().set_label(&id, Some("next".into())).await.unwrap());
}

#[tokio::test]
async fn r060_a_full_file_refuses_and_keeps_what_it_has() {
    let folder = Folder::new();
    folder.open().await;
    let store = SqliteStore::builder(folder.file()).max_size(1024 * 1024);
    let store = store.step_timeout(Duration::from_secs(60)).build().unwrap();
    let tokens = service(&store);
    let options = || IssueOptions::default().context_of(&json!({"agent": "x".repeat(8_000)}));
    let mut logins = Vec::new();
    let error = loop {
        match tokens.issue_for_header(Subject::local("ada"), options()).await {
            Ok(issued) => logins.push(issued),
            Err(error) => break error,
        }
        assert!(logins.len() < 1_000);
    };
    assert_eq!(error.kind(), IssueErrorKind::Store);
    assert!(format!("{:?}", std::error::Error::source(&error)).contains("Full"), "{error:?}");
    assert!(logins.len() > 20, "{}", logins.len());
    assert_eq!(count(&store).await, logins.len());
    assert!(is_sound(&folder));
    for login in &logins {
        assert!(tokens.verify(login.access().expose(), None).await.is_ok());
    }
    // Nothing new of any kind, and yet whoever is there may refresh and leave.
    let now = Clock::system().now();
    let template = LoginColumns::from(logins[0].record());
    let key = KeyRecord::new(template.id, Subject::local("ada"), "sk", template.access.clone(), now);
    let once = OnceKey::new("test", &[]);
    let counter = CounterKey::new("test", &[]);
    let lease = LeaseKey::new(&LeaseNamespace::new("shop").unwrap(), "crm", "user");
    let token = LeaseRecord::new(LeaseVersion::new(1), Timestamp::NEVER, vec![1]);
    let refused = [
        store.insert_key(key).await.unwrap_err(),
        OnceStore::put(&store, &once, &OnceValue::mark(), Timestamp::NEVER, now).await.unwrap_err(),
        store.hit(&counter, Limit::per_minute(1), now).wait().await.unwrap_err(),
        LeaseStore::put(&store, &lease, &token, Duration::from_secs(60), Expect::Absent).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind(), StoreErrorKind::Full);
    }
    for login in &logins[10..] {
        let refresh = login.refresh().unwrap().expose();
        tokens.refresh(RefreshRequest::new(refresh, Channel::Header)).await.unwrap();
    }
    for login in &logins[..10] {
        tokens.revoke(&login.record().id()).await.unwrap();
    }
    // With room it works again. What has ended makes room by itself.
    let before = now.plus(Duration::from_secs(60));
    assert_eq!(store.purge(&Purge::new(None, before, 5)).await.unwrap().len(), 5);
    tokens.issue_for_header(Subject::local("ada"), options()).await.unwrap();
    let mut room = 1;
    while count(&store).await > logins.len() - 10 + room {
        tokens.issue_for_header(Subject::local("ada"), options()).await.unwrap();
        room += 1;
        assert!(room < 100, "the five that have ended are gone");
    }
    for login in &logins[10..] {
        assert!(store.find(&login.record().id()).wait().await.unwrap().is_some(), "the living stay");
    }
    assert!(is_sound(&folder));
}

/// As many logins as there is room for.
async fn fill(store: &SqliteStore) {
    let tokens = service(store);
    for _ in 0..1_000 {
        let options = IssueOptions::default().context_of(&json!({"agent": "x".repeat(3_000)}));
        if tokens.issue_for_header(Subject::local("bob"), options).await.is_err() {
            return;
        }
    }
    panic!("the file was never full");
}

/// Of each kind, so much that a bounded file has no room for another until one of them has gone.
#[tokio::test]
async fn r060_what_has_ended_makes_room_for_its_kind() {
    let now = Clock::system().now();
    let later = |seconds| now.plus(Duration::from_secs(seconds));
    let key_of = |number: usize| TokenId::parse(&format!("key{number:014}")).unwrap();
    let once = |number: usize| OnceKey::new("test", &[&number.to_be_bytes()]);
    let counter = |number: usize| CounterKey::new("test", &[&number.to_be_bytes()]);
    let namespace = LeaseNamespace::new("shop").unwrap();
    let lease = |number: usize| LeaseKey::new(&namespace, "crm", &number.to_string());
    let token = |byte| LeaseRecord::new(LeaseVersion::new(1), Timestamp::NEVER, vec![byte; 500]);
    for kind in ["keys", "once", "counters", "leases"] {
        let (folder, time) = (Folder::new(), ManualClock::new(now));
        folder.open().await;
        let store = SqliteStore::builder(folder.file()).max_size(1024 * 1024).clock(time.clock());
        let store = store.step_timeout(Duration::from_secs(60)).build().unwrap();
        let template = LoginColumns::from(login(&service(&store), "ada").await.record());
        let add = async |number: usize, at: Timestamp| match kind {
            "keys" => {
                let (owner, digest) = (Subject::local("ada"), template.access.clone());
                let mut key = KeyRecord::new(key_of(number), owner, "sk", digest, at);
                (key.expires, key.label) = (at.plus(Duration::from_secs(9)), Some("x".repeat(500).into()));
                store.insert_key(key).await
            }
            "once" => {
                let (value, end) = (OnceValue::new(vec![1; 500]).unwrap(), at.plus(Duration::from_secs(9)));
                OnceStore::put(&store, &once(number), &value, end, at).await.map(|put| assert!(put))
            }
            "counters" => {
                let hit = store.hit(&counter(number), Limit::per_minute(1), at).wait().await;
                hit.map(|hit| assert!(hit.is_allowed()))
            }
            _ => {
                time.set(at);
                let life = Duration::from_secs(9);
                let put = LeaseStore::put(&store, &lease(number), &token(1), life, Expect::Absent).await;
                put.map(|put| assert_eq!(put, LeaseWrite::Done))
            }
        };
        let count = 700;
        join_all((0..count).map(|number| add(number, now)))
            .await
            .into_iter()
            .for_each(|added| added.unwrap());
        fill(&store).await;
        assert_eq!(
            add(count, now).await.unwrap_err().kind(),
            StoreErrorKind::Full,
            "{kind}: the living stay"
        );
        match kind {
            "once" => {
                let again = OnceStore::put(&store, &once(0), &OnceValue::mark(), Timestamp::NEVER, now).await;
                assert!(!again.unwrap(), "what is there needs no room");
            }
            "leases" => {
                let life = Duration::from_secs(9);
                let put = LeaseStore::put(&store, &lease(0), &token(2), life, Expect::Anything).await;
                assert_eq!(put.unwrap(), LeaseWrite::Done, "nor does its successor");
            }
            _ => {}
        }
        add(count, later(600)).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(is_sound(&folder));
    }
}

/// They are committed together, and yet each for itself.
#[tokio::test]
async fn r060_a_step_without_room_takes_no_other_with_it() {
    let folder = Folder::new();
    folder.open().await;
    let store = SqliteStore::builder(folder.file()).max_size(1024 * 1024);
    let store = store.step_timeout(Duration::from_secs(60)).busy_timeout(Duration::from_secs(30));
    let store = store.build().unwrap();
    let ids: Vec<_> =
        join_all((0..8).map(|_| async { login(&service(&store), "ada").await.record().id() })).await;
    // While somebody else writes, all of them come together.
    let other = stranger(&folder.file());
    other.execute_batch("begin immediate").unwrap();
    let huge = "x".repeat(2 * 1024 * 1024);
    let steps = ids.iter().enumerate().map(|(number, id)| {
        let label = if number == 3 { huge.clone() } else { format!("label {number}") };
        store.set_label(id, Some(label.into()))
    });
    // Polled behind the steps: then all of them wait.
    let release = async move { other.execute_batch("rollback").unwrap() };
    let (steps, ()) = join(join_all(steps), release).await;
    for (number, (step, id)) in steps.into_iter().zip(&ids).enumerate() {
        let label = store.find(id).wait().await.unwrap().unwrap().record.label().map(str::to_owned);
        if number == 3 {
            assert_eq!(step.unwrap_err().kind(), StoreErrorKind::Full);
            assert_eq!(label, None);
        } else {
            assert!(step.unwrap());
            assert_eq!(label, Some(format!("label {number}")));
        }
    }
    assert!(is_sound(&folder));
}

/// What was never a database, and what is none any more.
#[tokio::test]
async fn r060_a_damaged_file_could_not_be_checked() {
    let folder = Folder::new();
    let store = folder.open().await;
    let tokens = service(&store);
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(login(&tokens, "ada").await.record().id());
    }
    drop((tokens, store));
    super::threads::until_closed(&folder).await;
    let sound = fs::read(folder.file()).unwrap();
    let mut pages = sound.clone();
    pages[4096..].fill(0xA5);
    for damaged in [pages, vec![0xA5; 100_000]] {
        fs::write(folder.file(), damaged).unwrap();
        let store = folder.store();
        for id in &ids[..10] {
            check_unavailable(&store.find(id).wait().await.unwrap_err(), "damaged");
            check_unavailable(&store.set_label(id, None).await.unwrap_err(), "damaged");
        }
        // Put back, it works without another handle.
        fs::write(folder.file(), &sound).unwrap();
        assert!(store.find(&ids[0]).wait().await.unwrap().is_some());
        assert!(store.set_label(&ids[0], None).await.unwrap());
        drop(store);
        super::threads::until_closed(&folder).await;
    }
}

/// Whatever was written to it would be lost.
#[cfg(unix)]
#[tokio::test]
async fn r060_a_file_that_is_gone_or_another_takes_no_more_writes() {
    let folder = Folder::new();
    let store = folder.open().await;
    let id = login(&service(&store), "ada").await.record().id();
    assert!(store.find(&id).wait().await.unwrap().is_some());
    for file in folder.files() {
        fs::remove_file(file).unwrap();
    }
    // Another reader than before may be the one to answer: it finds no file at all.
    check_unavailable(&store.find(&id).wait().await.unwrap_err(), "the file ");
    check_unavailable(&store.set_label(&id, None).await.unwrap_err(), "removed or replaced");
    check_unavailable(&store.set_label(&id, None).await.unwrap_err(), "`migrate` makes them");
    store.migrate().await.unwrap();
    assert!(store.find(&id).wait().await.unwrap().is_none());
    login(&service(&store), "ada").await;
}

#[tokio::test]
async fn r060_a_file_that_cannot_be_made_is_an_error() {
    let folder = Folder::new();
    let store = SqliteStore::builder(folder.file().join("below.db")).build().unwrap();
    check_unavailable(&store.migrate().await.unwrap_err(), "the engine failed");
    fs::create_dir(folder.file()).unwrap();
    check_unavailable(&folder.store().migrate().await.unwrap_err(), "the engine failed");
}
