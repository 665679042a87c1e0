//! What is written is what is read, whatever it is.

use std::sync::Arc;

use portcullis::{
    TokenPolicy, TokenService,
    clock::Timestamp,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    scope::Scope,
    secret::SecretBytes,
    store::{
        Context, CounterKey, CounterStore, Data, Digest, Epoch, Insertion, Keep, Life, Limit, LiveLimit,
        LoginColumns, OnceKey, OnceStore, OnceValue, Purge, Revocation, StoreErrorKind, SubjectRevocation,
        TokenStore,
    },
    token::{IssueOptions, RefreshRequest},
};
use serde_json::json;

use super::{NOW, Place, columns, conformance::everything, eventually, id, insert, insertion, login, shown};

/// Every column, secrets included.
fn all(columns: &LoginColumns) -> String {
    let digest = |digest: &Digest| digest.to_bytes();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        columns.id,
        columns.subject,
        columns.channel,
        columns.browser_session,
        (&columns.tenant, &columns.client, &columns.key_thumbprint, &columns.scope, &columns.label),
        (columns.context.as_json(), columns.data.as_json(), columns.version),
        (
            digest(&columns.access),
            columns.refresh.as_ref().map(digest),
            columns.previous.as_ref().map(digest)
        ),
        (columns.nonce.as_ref().map(SecretBytes::expose), columns.lineage.expose()),
        (columns.generation, columns.rotated_at, columns.confirmed_at, columns.grace_hits),
        (columns.created, columns.last_seen, columns.access_ttl, columns.refresh_ttl),
        (columns.access_expires, columns.refresh_expires, columns.absolute_expires),
        columns.epoch,
        columns.revoked,
        columns.subject.is_anonymous(),
    )
}

#[tokio::test]
async fn r060_every_column_is_read_as_it_was_written() {
    let place = Place::new().await;
    let store = place.store();
    let any: Arc<str> = "\0\u{1f980} '\"\\x00 \u{e9}\r\n".into();
    let mut full = columns(id("a"), Subject::of(&*any, format!("{any}{}", "\0x".repeat(50_000))));
    full.channel = Channel::Cookie;
    full.browser_session = true;
    (full.tenant, full.client, full.label) =
        (Some(Arc::clone(&any)), Some(Arc::clone(&any)), Some(Arc::clone(&any)));
    full.key_thumbprint = Some("x".repeat(100_000).into());
    full.scope = Some(Arc::new(Scope::parse("b a:\u{21}").unwrap()));
    full.context = Context::new(&json!({"a": "\0\u{1f980}"})).unwrap();
    full.data = Data::new(&json!(["\0", null, 1.5])).unwrap();
    full.version = u64::MAX;
    full.access = Digest::from_bytes(&[&[3, 1, 9, 9, 9, 9][..], &[5; 64]].concat()).unwrap();
    full.refresh = Some(Digest::from_bytes(&[&[2, 0][..], &[6; 48]].concat()).unwrap());
    full.previous = Some(super::digest(7));
    full.nonce = Some(SecretBytes::new([8; 32]));
    (full.generation, full.grace_hits) = (u32::MAX, u32::MAX - 1);
    (full.rotated_at, full.confirmed_at) = (Timestamp::from_millis(-1), Timestamp::NEVER);
    (full.created, full.last_seen) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MIN));
    (full.access_ttl, full.refresh_ttl) = (Life::from_millis(1), Life::FOREVER);
    full.access_expires = NOW;
    full.revoked = Some(Revocation::new(NOW, RevokeReason::Reuse));
    let mut odd = columns(id("b"), Subject::anonymous(""));
    (odd.tenant, odd.scope, odd.label) = (Some("".into()), Some(Arc::new(Scope::default())), Some("".into()));
    for mut columns in [full, odd, columns(id("c"), Subject::local("0"))] {
        columns.epoch = Epoch::from_number(1 << 63);
        let first = Insertion::new(columns.epoch, NOW);
        let inserted = store.insert(columns.clone().into(), first).await.unwrap();
        assert_eq!(all(&LoginColumns::from(&*inserted.record)), all(&columns));
        let found = place.store().find(&columns.id).wait().await.unwrap().unwrap();
        assert_eq!(all(&LoginColumns::from(&*found.record)), all(&columns));
        assert_eq!(found.epoch, Some(columns.epoch));
    }
}

#[tokio::test]
async fn r060_ids_differ_where_a_letters_case_does() {
    let place = Place::new().await;
    let store = place.store();
    for end in ["aB", "Ab", "AB"] {
        insert(&store, end, end).await;
    }
    assert!(store.find(&id("ab")).wait().await.unwrap().is_none());
    assert_eq!(store.find(&id("Ab")).wait().await.unwrap().unwrap().record.subject().id(), "Ab");
    let listed = store.list(&portcullis::store::ListQuery::new(None, 9)).await.unwrap();
    let ids: Vec<_> = listed.iter().map(|found| found.record.id()).collect();
    assert_eq!(ids, [id("AB"), id("Ab"), id("aB")], "in the order of bytes");
}

/// The number after the highest is the lowest, with a sign or without one.
#[tokio::test]
async fn r060_an_epoch_has_a_next_one_at_either_end() {
    let place = Place::new().await;
    let store = place.store();
    let ended = Revocation::new(NOW, RevokeReason::Everyone);
    let places = [("a", u64::MAX), ("b", i64::MAX as u64), ("c", 5), ("d", i64::MAX as u64)];
    for (end, number) in places {
        let first = Insertion::new(Epoch::from_number(number), NOW);
        store.insert(login(end, end), first).await.unwrap();
        for raised in 1..3_u64 {
            // Either of them first.
            if raised.is_multiple_of(2) == (end < "d") {
                store.revoke_everyone(ended).await.unwrap();
            } else {
                let all = SubjectRevocation::new(ended, Keep::Nothing);
                store.revoke_subject(&Subject::local(end), all).await.unwrap().unwrap();
            }
            let epoch = store.find(&id(end)).wait().await.unwrap().unwrap().epoch;
            assert_eq!(epoch, Some(Epoch::from_number(number.wrapping_add(raised))));
        }
    }
}

/// The end of everyone's logins is one moment; to mark them takes longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_who_comes_back_while_everyone_is_marked_stays() {
    let place = Place::new().await;
    let store = place.store();
    insert(&store, "a", "ada").await;
    let holding =
        hold(&place, "begin; select 1 from portcullis_logins for update; select pg_sleep(3); commit").await;
    let (ending, ended) = (place.store(), Revocation::new(NOW, RevokeReason::Everyone));
    let marking = tokio::spawn(async move { ending.revoke_everyone(ended).await.unwrap() });
    let epoch = async || store.find(&id("a")).wait().await.unwrap().unwrap().epoch;
    eventually("the end", async || epoch().await == Some(Epoch::from_number(8))).await;
    insert(&store, "z", "ada").await;
    assert_eq!(marking.await.unwrap(), 1);
    let revoked = async |end: &str| store.find(&id(end)).wait().await.unwrap().unwrap().record.revoked();
    assert_eq!((revoked("a").await, revoked("z").await), (Some(ended), None));
    holding.join().unwrap();
}

#[tokio::test]
async fn r060_a_login_whose_subject_is_gone_has_no_epoch() {
    let place = Place::new().await;
    let store = place.store();
    let id = insert(&store, "a", "ada").await;
    place.database.sql("delete from portcullis_subjects");
    assert_eq!(store.find(&id).wait().await.unwrap().unwrap().epoch, None);
    let all = SubjectRevocation::new(Revocation::new(NOW, RevokeReason::Other), Keep::Nothing);
    assert_eq!(store.revoke_subject(&Subject::local("ada"), all).await.unwrap(), Some(Vec::new()));
    assert_eq!(place.count("subjects"), 0, "it is not made again for a login that is there");
}

#[tokio::test]
async fn r060_what_a_newer_version_has_written_cannot_be_checked() {
    let place = Place::new().await;
    let store = place.store();
    let id = insert(&store, "a", "ada").await;
    for (change, column) in [
        ("format = 2", "`format`"),
        ("format = 1, channel = 'planted'", "`channel`"),
        ("channel = 'header', access = '\\x09'", "`access`"),
        ("access = '\\x0100', lineage = '\\x00'", "`access`"),
    ] {
        place.database.sql(&format!("update portcullis_logins set {change}"));
        let error = store.find(&id).wait().await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(shown(&error).contains(column) && !shown(&error).contains("planted"), "{}", shown(&error));
    }
}

#[tokio::test]
async fn r060_a_subject_is_forgotten_with_its_last_login() {
    let place = Place::new().await;
    let store = place.store();
    let mut short = columns(id("a"), Subject::local("ada"));
    short.access_expires = NOW;
    store.insert(short.clone().into(), insertion()).await.unwrap();
    insert(&store, "b", "ada").await;
    (short.id, short.subject) = (id("c"), Arc::new(Subject::local("bob")));
    store.insert(short.into(), insertion()).await.unwrap();
    let purge = |subject: Option<Subject>| {
        let store = store.clone();
        async move { store.purge(&Purge::new(subject, NOW, 10)).await.unwrap().len() }
    };
    assert_eq!(purge(Some(Subject::local("eve"))).await, 0);
    assert_eq!((purge(None).await, place.count("subjects")), (2, 1));
    store.revoke(&id("b"), Revocation::new(NOW, RevokeReason::Logout)).await.unwrap();
    assert_eq!((purge(Some(Subject::local("ada"))).await, place.count("subjects")), (1, 0));
}

/// More than one statement removes.
#[tokio::test]
async fn r060_a_purge_of_many_takes_as_many_as_were_asked_for() {
    let place = Place::new().await;
    let store = place.store();
    let mut over = columns(id("a"), Subject::local("ada"));
    over.access_expires = NOW;
    store.insert(over.into(), insertion()).await.unwrap();
    let all = "id, format, subject_key, issuer, subject, channel, browser_session, context, version, access, lineage, \
               generation, rotated_at, confirmed_at, grace_hits, created, last_seen, access_ttl, refresh_ttl, \
               access_expires, refresh_expires, absolute_expires, epoch";
    let (_, others) = all.split_once(", ").unwrap();
    place.database.sql(&format!(
        "insert into portcullis_logins ({all}) \
         select lpad(number::text, 17, '0'), {others} from portcullis_logins, generate_series(1, 2499) number"
    ));
    let purge = async |limit| store.purge(&Purge::new(None, NOW, limit)).await.unwrap().len();
    assert_eq!((purge(2200).await, purge(2200).await, purge(2200).await), (2200, 300, 0));
    assert_eq!(place.count("subjects"), 0);
}

/// Between the look for other logins and the removal, a login would lose its epoch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_no_subject_is_forgotten_under_a_login_that_begins() {
    let place = Place::new().await;
    let (one, two) = (place.store(), place.store());
    for round in 0..60 {
        let mut over = columns(id(&format!("a{round}")), Subject::local("ada"));
        over.access_expires = NOW;
        one.insert(over.into(), insertion()).await.unwrap();
        let record = login(&format!("b{round}"), "ada");
        let new = record.id();
        let inserting = {
            let one = one.clone();
            tokio::spawn(async move { one.insert(record, insertion()).await.unwrap() })
        };
        two.purge(&Purge::new(None, NOW, 10)).await.unwrap();
        inserting.await.unwrap();
        let found = one.find(&new).wait().await.unwrap().unwrap();
        assert_eq!(found.epoch, Some(LoginColumns::from(&*found.record).epoch), "round {round}");
        one.revoke(&new, Revocation::new(NOW, RevokeReason::Logout)).await.unwrap();
        one.purge(&Purge::new(None, NOW, 10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r022_of_a_hundred_logins_at_once_a_single_one_lives() {
    let place = Place::new().await;
    let stores = [place.store(), place.store()];
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let store = stores[number % 2].clone();
            let mut insertion = insertion();
            insertion.limit = LiveLimit::EndOldest(1);
            let record = login(&format!("a{number}"), "ada");
            tokio::spawn(async move { store.insert(record, insertion).await.unwrap().ended.len() })
        })
        .collect();
    let mut ended = 0;
    for task in tasks {
        ended += task.await.unwrap();
    }
    let living = "select count(*) from portcullis_logins where revoked_at is null";
    assert_eq!((ended, place.database.sql(living)), (99, "1".to_owned()));
}

/// A raise that is not committed yet: what compared with the epoch of before would answer with secrets that are dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r036_new_secrets_wait_for_a_raise_of_the_epoch() {
    let place = Place::new().await;
    let tokens: TokenService = TokenService::new(place.store(), TokenPolicy::default());
    for kind in 0..3 {
        let issued = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        let raise = "begin; update portcullis_subjects set epoch = epoch + 1; select pg_sleep(2); commit";
        let raising = hold(&place, raise).await;
        let renewed = match kind {
            0 => {
                let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
                tokens.refresh(request).await.is_ok()
            }
            1 => tokens.rekey(&issued.record().id()).await.is_ok(),
            _ => tokens.change_credentials(&issued.record().id()).await.is_ok(),
        };
        assert!(!renewed, "kind {kind}");
        raising.join().unwrap();
    }
}

/// Others lock in another order: the server undoes one of the two, and it is asked for again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_deadlock_costs_time_and_no_error() {
    let place = Place::new().await;
    let store = place.store();
    let (x, _) = (insert(&store, "x", "bob").await, insert(&store, "a", "ada").await);
    let other = "set deadlock_timeout = '60s'; begin; select 1 from portcullis_logins where id like '%x' for update; \
                 select pg_sleep(1); select 1 from portcullis_subjects for update; commit";
    let holding = hold(&place, other).await;
    let mut insertion = insertion();
    insertion.replaces = Some(x);
    assert!(store.insert(login("b", "ada"), insertion).await.unwrap().replaced);
    holding.join().unwrap();
}

/// Something else that the database does meanwhile; it has begun, and sleeps.
async fn hold(place: &Place, statements: &'static str) -> std::thread::JoinHandle<String> {
    let database = place.database.clone();
    let holding = std::thread::spawn(move || database.sql(statements));
    let sleeps =
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
    eventually("the lock", async || place.database.sql(sleeps) == "1").await;
    holding
}

/// Ends of which the absolute one comes first, and an epoch that was raised: neither lives.
#[tokio::test]
async fn r022_what_is_dead_without_a_mark_takes_no_place() {
    let place = Place::new().await;
    let store = place.store();
    let mut over = columns(id("a"), Subject::local("ada"));
    over.absolute_expires = NOW;
    store.insert(over.into(), insertion()).await.unwrap();
    insert(&store, "b", "ada").await;
    place.database.sql("update portcullis_subjects set epoch = epoch + 1");
    let mut limited = insertion();
    limited.limit = LiveLimit::Refuse(1);
    store.insert(login("c", "ada"), limited.clone()).await.unwrap();
    let refused = store.insert(login("d", "ada"), limited).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
    let purged = store.purge(&Purge::new(None, NOW, 9)).await.unwrap();
    assert_eq!(purged.iter().map(|record| record.id()).collect::<Vec<_>>(), [id("a")]);
}

#[tokio::test]
async fn sec_d02_a_backup_shows_no_token() {
    let place = Place::new().await;
    let store = place.store();
    let tokens: TokenService = TokenService::new(store.clone(), TokenPolicy::default());
    let options = IssueOptions::default().label("planted-label");
    let issued = tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let mut texts = vec![issued.access().expose().to_owned(), issued.refresh().unwrap().expose().to_owned()];
    let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
    let refreshed = tokens.refresh(request).await.unwrap();
    texts.extend([refreshed.access().expose().to_owned(), refreshed.refresh().unwrap().expose().to_owned()]);
    let code = OnceKey::new("code", &[b"planted-code"]);
    OnceStore::put(&store, &code, &OnceValue::mark(), Timestamp::NEVER, NOW).await.unwrap();
    let counter = CounterKey::new("login", &[b"planted-address"]);
    assert!(store.hit(&counter, Limit::per_minute(5), NOW).wait().await.unwrap().is_allowed());
    let dump = everything(&place.database);
    let holds = |part: &[u8]| dump.windows(part.len()).any(|window| window == part);
    assert!(holds(b"planted-label") && holds(issued.record().id().as_str().as_bytes()), "the search finds");
    assert!(!holds(b"planted-code") && !holds(b"planted-address"));
    for text in texts {
        let from = text.find("_").unwrap() + 19;
        for start in (from..text.len() - 12).step_by(4) {
            let part = &text.as_bytes()[start..start + 12];
            assert!(!holds(part), "a part of a token at {start}");
        }
    }
}

/// At the end of time no state can be told, and a clock that was set back by more than a minute locks nobody out.
#[tokio::test]
async fn r060_a_counter_bears_any_clock() {
    let place = Place::new().await;
    let store = place.store();
    let key = CounterKey::new("test", &[b"a"]);
    let limit = Limit::per_minute(2);
    let hit = async |now| store.hit(&key, limit, now).wait().await.unwrap();
    for now in [Timestamp::from_millis(i64::MAX - 1), Timestamp::NEVER] {
        assert!(!hit(now).await.is_allowed());
    }
    assert_eq!(place.count("counters"), 0);
    for expected in [true, true, false] {
        assert_eq!(hit(NOW).await.is_allowed(), expected);
    }
    let back = NOW.minus(std::time::Duration::from_secs(3600));
    assert_eq!((hit(back).await.is_allowed(), hit(back).await.is_allowed()), (true, false));
    assert!(!hit(Timestamp::from_millis(i64::MAX / 1000 - 1)).await.is_allowed());
    store.forget(&key).await.unwrap();
    assert!(hit(Timestamp::from_millis(i64::MIN)).await.is_allowed());
    // The second of two would be the state that cannot be told.
    store.forget(&key).await.unwrap();
    let late = Timestamp::from_millis(i64::MAX / 1000 - 40_000);
    assert_eq!((hit(late).await.is_allowed(), hit(late).await.is_allowed()), (true, false));
}

#[tokio::test]
async fn r060_a_purge_takes_counters_that_say_nothing() {
    let place = Place::new().await;
    let store = place.store();
    let now = portcullis::clock::Clock::system().now();
    for (name, moment) in [(b"a", NOW), (b"b", now)] {
        let moment = if moment == NOW { Timestamp::from_millis(1) } else { moment };
        assert!(
            store
                .hit(&CounterKey::new("t", &[name]), Limit::per_minute(5), moment)
                .wait()
                .await
                .unwrap()
                .is_allowed()
        );
    }
    store.purge(&Purge::new(None, Timestamp::NEVER, 1)).await.unwrap();
    assert_eq!(place.count("counters"), 1, "one that counts stays, whatever the caller's clock says");
}
