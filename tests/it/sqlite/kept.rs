//! What is kept: any text, every number, and no secret.

use std::time::Duration;

use portcullis::{
    SqliteStore, TokenPolicy, TokenService,
    clock::{Clock, Timestamp},
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    store::{
        CounterKey, CounterStore, Epoch, Insertion, Keep, KeyQuery, KeyRecord, KeyStore, KeyUpdate, Limit,
        LiveLimit, LoginColumns, LoginRecord, OnceKey, OnceStore, OnceValue, Purge, Revocation,
        SubjectRevocation, TokenStore,
    },
    text::TokenId,
    token::{IssueOptions, RefreshRequest},
};

use super::{Folder, check_unavailable, login, service, stranger};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

/// All that a record consists of, but for its secrets, which are compared by use.
fn plain(record: &LoginRecord) -> String {
    let columns = LoginColumns::from(record);
    format!("{columns:?} {:?} {:?} {:?}", columns.subject, columns.label, columns.tenant)
}

#[tokio::test]
async fn r060_texts_of_any_length_and_content_come_back() {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    let tokens = service(&one);
    let long = format!("\0{}\0", "\u{1f511} '\"\n;--\0".repeat(8_000));
    for text in ["", "\0", "a\0b", "a\0", "a", &long] {
        for subject in [Subject::local(text), Subject::of(text, text), Subject::anonymous(text)] {
            let options = IssueOptions::default().tenant(text).client(text);
            let issued = tokens.issue_for_header(subject.clone(), options).await.unwrap();
            let id = issued.record().id();
            let found = two.find(&id).wait().await.unwrap().unwrap();
            assert_eq!(plain(&found.record), plain(issued.record()));
            assert!(one.set_label(&id, Some(text.into())).await.unwrap());
            let found = two.find(&id).wait().await.unwrap().unwrap();
            assert_eq!(found.record.label(), Some(text));
            // Nobody else's: `a`, `a` and a NUL, and the same id of another issuer are three subjects.
            let others = service(&two).revoke_subject(&subject).await.unwrap();
            assert_eq!(others, 1);
        }
    }
}

#[tokio::test]
async fn r060_ids_differ_by_case() {
    let folder = Folder::new();
    let store = folder.open().await;
    let template = LoginColumns::from(login(&service(&store), "ada").await.record());
    let id = |text| TokenId::parse(text).unwrap();
    let ids =
        [id("AAAAAAAAAAAAAAAAA"), id("AAAAAAAAAAAAAAAAa"), id("aAAAAAAAAAAAAAAAA"), id("aaaaaaaaaaaaaaaaa")];
    for (id, generation) in ids.iter().zip(10..) {
        let mut columns = template.clone();
        (columns.id, columns.generation) = (*id, generation);
        store.insert(columns.into(), Insertion::new(Epoch::from_number(1), NOW)).await.unwrap();
    }
    for (id, generation) in ids.iter().zip(10..) {
        assert_eq!(store.find(id).wait().await.unwrap().unwrap().record.generation(), generation);
    }
    let unknown = id("AAAAAAAAaAAAAAAAA");
    assert!(store.find(&unknown).wait().await.unwrap().is_none());
    assert!(!store.revoke(&unknown, Revocation::new(NOW, RevokeReason::Logout)).await.unwrap());
}

/// Where a sum of the engine's would be no integer any more.
#[tokio::test]
async fn r060_epochs_and_versions_have_all_of_64_bits() {
    let folder = Folder::new();
    let store = folder.open().await;
    let template = LoginColumns::from(login(&service(&store), "ada").await.record());
    let revocation = Revocation::new(NOW, RevokeReason::Logout);
    for (number, first) in [0, 1, i64::MAX as u64, 1 << 63, u64::MAX].into_iter().enumerate() {
        if number == 3 {
            assert!(store.revoke_everyone(revocation).await.unwrap() > 0);
        }
        let mut columns = template.clone();
        columns.id = TokenId::parse(&format!("epoch{number:012}")).unwrap();
        let subject = Subject::local(format!("epoch {number}"));
        columns.subject = subject.clone().into();
        columns.version = first;
        let insertion = Insertion::new(Epoch::from_number(first), NOW);
        let inserted = store.insert(columns.clone().into(), insertion).await.unwrap();
        let found = store.find(&columns.id).wait().await.unwrap().unwrap();
        assert_eq!(found.epoch, Some(Epoch::from_number(first)));
        assert_eq!(LoginColumns::from(&*found.record).epoch, Epoch::from_number(first));
        assert_eq!(LoginColumns::from(&*inserted.record).epoch, Epoch::from_number(first));
        assert!(store.save_data(&columns.id, first, Default::default()).await.unwrap());
        let found = store.find(&columns.id).wait().await.unwrap().unwrap();
        assert_eq!(found.record.version(), first.wrapping_add(1));
        let all = SubjectRevocation::new(revocation, Keep::Nothing);
        store.revoke_subject(&subject, all).await.unwrap();
        let found = store.find(&columns.id).wait().await.unwrap().unwrap();
        assert_eq!(found.epoch, Some(Epoch::from_number(first).next()));
    }
}

#[tokio::test]
async fn r022_what_ends_never_outlives_every_touch_and_counts_as_live() {
    let folder = Folder::new();
    let store = folder.open().await;
    let sliding = TokenPolicy::builder().sliding_with_refresh().touch_every(Some(Duration::ZERO));
    let tokens = TokenService::new(store.clone(), sliding.build().unwrap());
    let options = IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let issued = tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let id = issued.record().id();
    tokens.verify(issued.access().expose(), None).await.unwrap();
    let text = issued.refresh().map(|text| text.expose().to_owned());
    if let Some(text) = &text {
        tokens.refresh(RefreshRequest::new(text, Channel::Header)).await.unwrap();
    }
    let found = store.find(&id).wait().await.unwrap().unwrap().record;
    assert_eq!(found.access_expires(), Timestamp::NEVER);
    assert_eq!(found.absolute_expires(), Timestamp::NEVER);
    let before = Timestamp::from_millis(i64::MAX - 1);
    assert!(store.purge(&Purge::new(None, before, 10)).await.unwrap().is_empty());
    let one = TokenPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap();
    let one = TokenService::new(store, one);
    assert!(one.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.is_err());
}

#[tokio::test]
async fn r060_a_subject_goes_with_its_last_login() {
    let folder = Folder::new();
    let store = folder.open().await;
    let tokens = service(&store);
    let (first, second) = (login(&tokens, "ada").await, login(&tokens, "ada").await);
    login(&tokens, "bob").await;
    let subjects = || -> i64 {
        let sql = "select count(*) from portcullis_subjects";
        stranger(&folder.file()).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let now = Clock::system().now();
    for (login, left) in [(first, 2), (second, 1)] {
        tokens.revoke(&login.record().id()).await.unwrap();
        let before = now.plus(Duration::from_secs(60));
        assert_eq!(store.purge(&Purge::new(None, before, 10)).await.unwrap().len(), 1);
        assert_eq!(subjects(), left);
    }
}

/// Each page and each batch, and what is between them.
#[tokio::test]
async fn r060_thousands_of_logins_end_wipe_and_go() {
    let folder = Folder::new();
    let store = folder.open().await;
    let template = LoginColumns::from(login(&service(&store), "ada").await.record());
    let nonce = Some(template.lineage.clone());
    let count = 2_500_u64;
    let inserts = (0..count).map(|number| {
        let mut columns = template.clone();
        columns.id = TokenId::parse(&format!("many{number:013}")).unwrap();
        columns.subject = Subject::local(format!("user {}", number % 700)).into();
        columns.nonce = nonce.clone();
        let insertion = Insertion::new(Epoch::from_number(number), NOW);
        let store = store.clone();
        async move { store.insert(columns.into(), insertion).await.unwrap() }
    });
    futures_util::future::join_all(inserts).await;
    let settled = LoginColumns::from(&template.clone().into()).rotated_at;
    assert_eq!(store.wipe_nonces(settled).await.unwrap(), 0, "not at that very moment");
    let after = settled.plus(Duration::from_millis(1));
    assert_eq!(store.wipe_nonces(after).await.unwrap(), count);
    let everyone = Revocation::new(NOW, RevokeReason::Everyone);
    assert_eq!(store.revoke_everyone(everyone).await.unwrap(), count + 1);
    assert_eq!(store.revoke_everyone(everyone).await.unwrap(), 0);
    let purged = store.purge(&Purge::new(None, NOW, 2_000)).await.unwrap();
    assert_eq!(purged.len(), 2_000);
    assert_eq!(store.purge(&Purge::new(None, NOW, 2_000)).await.unwrap().len(), 501);
    let left = "select (select count(*) from portcullis_subjects) + (select count(*) from portcullis_logins)";
    assert_eq!(stranger(&folder.file()).query_row(left, [], |row| row.get(0)), Ok(0));
}

#[tokio::test]
async fn r060_a_row_that_cannot_be_read_is_no_missing_row() {
    let folder = Folder::new();
    let store = folder.open().await;
    let id = login(&service(&store), "ada").await.record().id();
    for (column, value, other) in [
        ("format", "99", "1"),
        ("channel", "'carrier pigeon'", "'header'"),
        ("context", "'[]'", "'{}'"),
        ("access", "x'00'", "access"),
        ("generation", "-1", "0"),
    ] {
        let kept = format!("select {column} from portcullis_logins");
        let before: rusqlite::types::Value =
            stranger(&folder.file()).query_row(&kept, [], |row| row.get(0)).unwrap();
        let set = |value: &str| {
            let sql = format!("update portcullis_logins set {column} = {value}");
            assert_eq!(stranger(&folder.file()).execute(&sql, []), Ok(1));
        };
        set(value);
        let error = store.find(&id).wait().await.unwrap_err();
        check_unavailable(&error, &format!("`{column}`"));
        if other == column {
            let sql = format!("update portcullis_logins set {column} = ?1");
            stranger(&folder.file()).execute(&sql, [before]).unwrap();
        } else {
            set(other);
        }
        assert!(store.find(&id).wait().await.unwrap().is_some());
    }
}

/// Such as one of a later version, which runs beside this one.
#[tokio::test]
async fn r060_a_row_that_cannot_be_read_is_in_nobodys_way() {
    let folder = Folder::new();
    let store = folder.open().await;
    let policy = TokenPolicy::builder().limit(LiveLimit::EndOldest(9)).build().unwrap();
    let tokens = TokenService::new(store.clone(), policy);
    let template = LoginColumns::from(login(&service(&store), "bob").await.record());
    let change = |sql: &str, id: &TokenId| {
        assert_eq!(stranger(&folder.file()).execute(sql, [id.as_str()]), Ok(1));
    };
    let ended = Revocation::new(NOW, RevokeReason::Logout);
    let long_ago = "update portcullis_logins set revoked_at = 1, format = 99 where id = ?1";
    let unread = login(&tokens, "ada").await.record().id();
    change(long_ago, &unread);
    let read = login(&tokens, "ada").await.record().id();
    assert!(store.revoke(&read, ended).await.unwrap());
    // A login of the same subject removes what can be read.
    let mut columns = template.clone();
    columns.id = TokenId::parse("0000000000000next").unwrap();
    columns.subject = Subject::local("ada").into();
    let mut insertion = Insertion::new(Epoch::from_number(1), NOW);
    (insertion.limit, insertion.purge_before) = (LiveLimit::EndOldest(9), NOW);
    let inserted = store.insert(columns.into(), insertion).await.unwrap();
    assert_eq!(inserted.purged.iter().map(|record| record.id()).collect::<Vec<_>>(), [read]);
    // Neither of the purges stops there, though the other ended later.
    for subject in [None, Some(Subject::local("ada"))] {
        let read = login(&tokens, "ada").await.record().id();
        assert!(store.revoke(&read, ended).await.unwrap());
        let purged = store.purge(&Purge::new(subject, NOW, 1)).await.unwrap();
        assert_eq!(purged.iter().map(|record| record.id()).collect::<Vec<_>>(), [read]);
    }
    // So it is with keys.
    for number in 0..2 {
        one_key_that_ended(&store, number).await;
    }
    change("update portcullis_keys set revoked_at = 1, format = 99 where id = ?1", &an_id(0));
    let purged = store.purge_keys(later(9), 1).await.unwrap();
    assert_eq!(purged.iter().map(|key| key.id).collect::<Vec<_>>(), [an_id(1)]);
    // They are still there.
    check_unavailable(&store.find(&unread).wait().await.unwrap_err(), "`format`");
    check_unavailable(&store.find_key(&an_id(0)).wait().await.unwrap_err(), "`format`");
}

async fn one_key_that_ended(store: &SqliteStore, number: usize) {
    let mut key = a_key(store, number, "ada").await;
    key.expires = later(1);
    store.insert_key(key).await.unwrap();
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|part| part == needle)
}

#[tokio::test]
async fn r060_no_token_is_in_the_files_and_no_wiped_nonce_stays() {
    let folder = Folder::new();
    let store = folder.open().await;
    let tokens = service(&store);
    let issued = login(&tokens, "ada").await;
    let refresh = issued.refresh().unwrap().expose().to_owned();
    let next = tokens.refresh(RefreshRequest::new(&refresh, Channel::Header)).await.unwrap();
    let texts = [
        issued.access().expose().to_owned(),
        refresh,
        next.access().expose().to_owned(),
        next.refresh().unwrap().expose().to_owned(),
    ];
    let all = folder.bytes();
    let id = issued.record().id();
    assert!(contains(&all, id.as_str().as_bytes()), "the record is there");
    for text in &texts {
        // The whole text, and the secret within it.
        let secret = &text[text.len() - 49..text.len() - 6];
        assert!(!contains(&all, text.as_bytes()) && !contains(&all, secret.as_bytes()));
    }

    let found = store.find(&id).wait().await.unwrap().unwrap().record;
    let nonce = LoginColumns::from(&*found).nonce.unwrap();
    assert!(contains(&folder.bytes(), nonce.expose()));
    assert!(tokens.verify(next.access().expose(), None).await.is_ok());
    let far = Clock::system().now().plus(Duration::from_secs(3600));
    assert!(store.confirm(&id, 1, Clock::system().now()).wait().await.is_ok());
    assert_eq!(store.wipe_nonces(far).await.unwrap(), 1);
    let checkpoint = "pragma wal_checkpoint(truncate)";
    stranger(&folder.file()).query_row(checkpoint, [], |_row| Ok(())).unwrap();
    assert!(!contains(&folder.bytes(), nonce.expose()));
}

// ===== keys and one-time values =====

fn an_id(number: usize) -> TokenId {
    TokenId::parse(&format!("key{number:014}")).unwrap()
}

async fn a_key(store: &SqliteStore, number: usize, owner: &str) -> KeyRecord {
    let digest = LoginColumns::from(login(&service(store), "owner").await.record()).access;
    let mut key =
        KeyRecord::new(an_id(number), Subject::local(owner), "sk_live\0", digest, later(number as u64));
    key.tenant = Some("red\0".into());
    key.label = Some("CI \u{1f916}".into());
    key.version = u64::MAX;
    key
}

#[tokio::test]
async fn r060_keys_are_kept_changed_listed_and_removed() {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    for number in 0..5 {
        let key = a_key(&one, number, if number == 3 { "bob" } else { "ada" }).await;
        one.insert_key(key.clone()).await.unwrap();
        let again = two.insert_key(key.clone()).await.unwrap_err();
        assert_eq!(again.kind(), portcullis::store::StoreErrorKind::Conflict);
        let found = two.find_key(&key.id).wait().await.unwrap().unwrap();
        assert_eq!((found.owner.id(), &*found.kind), (key.owner.id(), "sk_live\0"));
        assert_eq!((&found.tenant, &found.label, found.version), (&key.tenant, &key.label, u64::MAX));
        assert_eq!(found.digest.to_bytes(), key.digest.to_bytes());
        assert_eq!((found.created, found.expires), (key.created, Timestamp::NEVER));
    }
    let id = an_id(0);
    assert!(two.find_key(&an_id(9)).wait().await.unwrap().is_none());
    // The use of a key.
    let note = async |before, now| one.note_key_use(&id, before, now).wait().await.unwrap();
    assert!(note(later(0), later(60)).await);
    assert!(!note(later(59), later(90)).await, "noted later than that");
    assert_eq!(two.find_key(&id).wait().await.unwrap().unwrap().last_used, later(60));
    // A change names the version.
    let mut update = KeyUpdate::of(&one.find_key(&id).wait().await.unwrap().unwrap());
    update.expires = later(100);
    update.label = None;
    assert!(one.update_key(&id, update.clone()).await.unwrap());
    assert!(!two.update_key(&id, update).await.unwrap());
    let found = two.find_key(&id).wait().await.unwrap().unwrap();
    assert_eq!((found.version, found.expires, found.label.as_deref()), (0, later(100), None));
    // It ends once.
    let ended = Revocation::new(later(70), RevokeReason::Logout);
    assert!(one.revoke_key(&an_id(1), ended).await.unwrap());
    assert!(!two.revoke_key(&an_id(1), Revocation::new(later(80), RevokeReason::Other)).await.unwrap());
    let found = two.find_key(&an_id(1)).wait().await.unwrap().unwrap();
    assert_eq!(found.revoked, Some(ended));
    assert!(!one.note_key_use(&an_id(1), later(70), later(70)).wait().await.unwrap());
    assert!(!one.update_key(&an_id(1), KeyUpdate::of(&found)).await.unwrap());
    // Lists, by owner, by age, page by page.
    let list = async |mut query: KeyQuery, after, created_before| {
        (query.after, query.created_before) = (after, created_before);
        let keys = two.list_keys(&query).await.unwrap();
        keys.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    let never = Timestamp::NEVER;
    let ada = Some(Subject::local("ada"));
    assert_eq!(list(KeyQuery::new(None, 3), None, never).await, [an_id(0), an_id(1), an_id(2)]);
    assert_eq!(list(KeyQuery::new(None, 3), Some(an_id(2)), never).await, [an_id(3), an_id(4)]);
    assert_eq!(list(KeyQuery::new(ada.clone(), 9), Some(an_id(1)), never).await, [an_id(2), an_id(4)]);
    assert_eq!(list(KeyQuery::new(ada, 9), None, later(2)).await, [an_id(0), an_id(1)]);
    // What can no longer be used goes, what ended first at first.
    let purge = async |before, limit| {
        let purged = one.purge_keys(before, limit).await.unwrap();
        purged.iter().map(|key| key.id).collect::<Vec<_>>()
    };
    assert!(purge(later(69), 9).await.is_empty());
    assert_eq!(purge(later(100), 1).await, [an_id(1)]);
    assert_eq!(purge(later(99), 9).await, []);
    assert_eq!(purge(Timestamp::from_millis(i64::MAX - 1), 9).await, [an_id(0)]);
    assert_eq!(purge(never, 9).await, [], "never does not come");
    assert_eq!(list(KeyQuery::new(None, 9), None, never).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_a_value_is_put_and_taken_once() {
    let folder = Folder::new();
    let (one, two) = (folder.open().await, folder.open().await);
    let key = |number: u8| OnceKey::new("test", &[&[number]]);
    let value = |text: &str| OnceValue::new(text.as_bytes().to_vec()).unwrap();
    let (first, second) = (value("first\0"), value("second"));
    assert!(one.put(&key(1), &first, later(10), NOW).await.unwrap());
    assert!(!two.put(&key(1), &second, later(20), later(9)).await.unwrap());
    assert_eq!(two.take(&key(1), later(9)).await.unwrap(), Some(first.clone()));
    assert_eq!(one.take(&key(1), later(9)).await.unwrap(), None);
    // What has ended was never there.
    assert!(one.put(&key(1), &first, later(10), NOW).await.unwrap());
    assert!(two.put(&key(1), &second, later(20), later(10)).await.unwrap());
    assert_eq!(two.take(&key(1), later(20)).await.unwrap(), None);
    assert_eq!(one.take(&key(1), later(19)).await.unwrap(), Some(second), "by this clock it has not ended");
    // One that has ended already is not kept.
    assert!(one.put(&key(1), &first, NOW, NOW).await.unwrap());
    assert_eq!(one.take(&key(1), NOW).await.unwrap(), None);
    assert!(one.put(&key(1), &OnceValue::mark(), Timestamp::NEVER, NOW).await.unwrap());
    assert!(!one.put(&key(1), &first, NOW, NOW).await.unwrap(), "there is another");
    // Never is no end.
    let end = Timestamp::from_millis(i64::MAX - 1);
    assert!(!two.put(&key(1), &first, Timestamp::NEVER, end).await.unwrap());
    assert!(one.put(&key(2), &first, later(5), NOW).await.unwrap());
    assert!(one.put(&key(3), &first, later(6), NOW).await.unwrap());
    assert_eq!(two.purge_once(later(4), 9).await.unwrap(), 0);
    assert_eq!(two.purge_once(later(6), 1).await.unwrap(), 1);
    assert_eq!(two.purge_once(Timestamp::NEVER, 9).await.unwrap(), 1);
    assert_eq!(one.take(&key(1), end).await.unwrap(), Some(OnceValue::mark()));
    // Of many, one.
    let puts = (0..50).map(|number: usize| {
        let (store, value) =
            (if number.is_multiple_of(2) { one.clone() } else { two.clone() }, first.clone());
        tokio::spawn(async move { store.put(&key(4), &value, later(10), NOW).await.unwrap() })
    });
    let puts = futures_util::future::join_all(puts).await;
    assert_eq!(puts.into_iter().filter(|put| *put.as_ref().unwrap()).count(), 1);
    let takes = (0..50).map(|number: usize| {
        let store = if number.is_multiple_of(2) { one.clone() } else { two.clone() };
        tokio::spawn(async move { store.take(&key(4), NOW).await.unwrap() })
    });
    let takes = futures_util::future::join_all(takes).await;
    assert_eq!(takes.into_iter().filter(|take| take.as_ref().unwrap().is_some()).count(), 1);
}

#[tokio::test]
async fn r060_counters_that_say_nothing_go() {
    let folder = Folder::new();
    let store = folder.open().await;
    let hit = async |number: usize, now| {
        let key = CounterKey::new("test", &[&number.to_be_bytes()]);
        assert!(store.hit(&key, Limit::per_minute(1), now).wait().await.unwrap().is_allowed());
    };
    for number in 0..20 {
        hit(number, NOW).await;
    }
    let count = || -> i64 {
        let sql = "select count(*) from portcullis_counters";
        stranger(&folder.file()).query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(count(), 20);
    for number in 20..30 {
        hit(number, later(60)).await;
    }
    assert_eq!(count(), 10, "each new one has taken two with it");
}
