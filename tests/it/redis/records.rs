//! What is kept, byte by byte, and for how long.

use std::{sync::Arc, time::Duration};

use ::redis::AsyncCommands;
use portcullis::{
    RedisStore, TokenPolicy, TokenService,
    clock::Timestamp,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    scope::Scope,
    secret::SecretBytes,
    store::{
        Context, Data, Digest, Epoch, Insertion, Life, ListQuery, LoginColumns, Purge, Revocation,
        StoreErrorKind, TokenStore,
    },
    token::{IssueOptions, RefreshRequest},
};

use super::{BOTH, DAY, client, digest, find, handles, id, insert, keys, login, now, store_on};
use crate::servers::{Keeps, Program, RedisServer, SharedServer};

/// Every column at its extremes.
fn extreme(name: &str) -> LoginColumns {
    let mut text = "\0%\u{1f980}'\"\r\n{}:*".to_owned();
    text.push_str(&"x".repeat(100_000));
    let subject = Subject::of("https://idp.test/\0\u{e9}", text);
    let mut login = login(name, subject);
    login.channel = Channel::Cookie;
    login.browser_session = true;
    login.tenant = Some("".into());
    login.client = Some("\0".into());
    login.key_thumbprint = Some("thumb".into());
    login.scope = Some(Arc::new(Scope::default()));
    login.label = Some("\u{1f4f1}\0".into());
    login.context = Context::from_json("{\"n\":1.50}").unwrap();
    login.data = Data::from_json("null").unwrap();
    login.version = u64::MAX;
    login.access = Digest::from_bytes(&[[3, 1, 0, 1, 2, 255].as_slice(), &[9; 64]].concat()).unwrap();
    login.refresh = Some(digest(0));
    login.previous = Some(digest(255));
    login.nonce = Some(SecretBytes::new([0; 32]));
    login.generation = u32::MAX;
    login.grace_hits = u32::MAX;
    login.rotated_at = Timestamp::from_millis(i64::MIN);
    login.confirmed_at = Timestamp::from_millis(-1);
    login.created = Timestamp::from_millis(0);
    login.last_seen = Timestamp::from_millis((1 << 53) + 1);
    login.access_ttl = Life::from_millis(i64::MAX - 1);
    login.refresh_ttl = Life::FOREVER;
    login.access_expires = Timestamp::from_millis(i64::MAX - 1);
    login.refresh_expires = Timestamp::NEVER;
    login.absolute_expires = Timestamp::NEVER;
    login.revoked = Some(Revocation::new(Timestamp::from_millis((1 << 53) + 3), RevokeReason::Reuse));
    login
}

macro_rules! assert_same {
    ($one:expr, $other:expr; $($field:ident)*; $($digest:ident)*) => {
        $(assert_eq!($one.$field, $other.$field, stringify!($field));)*
        $(assert_eq!($one.$digest.as_ref().map(Digest::to_bytes), $other.$digest.as_ref().map(Digest::to_bytes));)*
        assert_eq!($one.access.to_bytes(), $other.access.to_bytes());
        assert_eq!($one.nonce.as_ref().map(SecretBytes::expose), $other.nonce.as_ref().map(SecretBytes::expose));
        assert_eq!($one.lineage.expose(), $other.lineage.expose());
    };
}

#[tokio::test]
async fn r023_every_column_comes_back_as_it_was_written() {
    for program in BOTH {
        let server = SharedServer::of(program);
        let ([store, other], _) = handles(&server);
        for written in [extreme("extreme"), login("plain", Subject::local(""))] {
            insert(&store, written.clone()).await;
            let found = find(&other, &written.id).await.unwrap();
            assert_eq!(found.epoch, Some(Epoch::from_number(7)));
            let read = LoginColumns::from(&*found.record);
            assert_same!(
                read, written;
                id subject channel browser_session tenant client key_thumbprint scope label context data version
                generation rotated_at confirmed_at grace_hits created last_seen access_ttl refresh_ttl
                access_expires refresh_expires absolute_expires revoked;
                refresh previous
            );
            let listed = other.list(&ListQuery::new(Some((*written.subject).clone()), 9)).await.unwrap();
            assert_eq!(listed.len(), 1);
        }
    }
}

#[tokio::test]
async fn r023_ids_that_differ_in_their_case_are_two() {
    let server = SharedServer::get();
    let ([store, _], _) = handles(&server);
    let (upper, lower) = (insert(&store, login("A", Subject::local("ada"))).await, id("a"));
    assert!(find(&store, &lower).await.is_none());
    insert(&store, login("a", Subject::local("Ada"))).await;
    assert!(store.revoke(&upper, Revocation::new(now(), RevokeReason::Logout)).await.unwrap());
    assert_eq!(find(&store, &lower).await.unwrap().record.revoked(), None);
    let listed = store.list(&ListQuery::new(None, 9)).await.unwrap();
    assert_eq!(
        listed.iter().map(|found| found.record.id()).collect::<Vec<_>>(),
        [upper, lower],
        "byte by byte"
    );
}

#[tokio::test]
async fn r060_stores_with_other_prefixes_know_nothing_of_each_other() {
    let server = SharedServer::get();
    let (([one, _], _), ([other, _], _)) = (handles(&server), handles(&server));
    let only = insert(&one, login("only", Subject::local("ada"))).await;
    assert!(find(&other, &only).await.is_none());
    assert_eq!(other.revoke_everyone(Revocation::new(now(), RevokeReason::Everyone)).await.unwrap(), 0);
    let found = find(&one, &only).await.unwrap();
    assert_eq!(found.epoch, Some(Epoch::from_number(7)));
    for prefix in ["", "a b", "a{b", "a}", "a:b", "a*", &"x".repeat(65)] {
        let error = RedisStore::builder(server.url()).prefix(prefix).build().unwrap_err();
        assert_eq!(error.faults().iter().map(|fault| fault.field()).collect::<Vec<_>>(), ["prefix"]);
    }
}

/// What nobody purges goes a month after its end; what never ends stays; an epoch has no end.
#[tokio::test]
async fn r060_the_server_forgets_a_login_long_after_its_end_and_never_an_epoch() {
    let server = RedisServer::start();
    let store = store_on(&server);
    let mut client = client(&server.url()).await;
    let day = insert(&store, login("day", Subject::local("ada"))).await;
    let mut endless = login("endless", Subject::local("ada"));
    (endless.access_expires, endless.absolute_expires) = (Timestamp::NEVER, Timestamp::NEVER);
    insert(&store, endless).await;
    let mut over = login("over", Subject::local("ada"));
    over.access_expires = now().minus(DAY);
    let over = insert(&store, over).await;
    let mut lasts =
        async |name: &str| -> i64 { client.pttl(format!("{{portcullis}}:login:{name:0<17}")).await.unwrap() };
    let days = |days: i64| (days * 86_400_000 - 60_000)..=(days * 86_400_000 + 60_000);
    assert!(days(31).contains(&lasts("day").await));
    assert_eq!(lasts("endless").await, -1);
    assert!(days(30).contains(&lasts("over").await), "as if it had ended now");
    let revocation = Revocation::new(now(), RevokeReason::Logout);
    assert!(store.revoke(&day, revocation).await.unwrap());
    assert!(days(31).contains(&lasts("day").await), "for whoever asks why");
    for key in keys(&server.url()).await {
        let left = server.command(&format!("PTTL {key}"));
        assert_eq!(
            left.starts_with(":-1"),
            !key.contains(":login:") || key.contains("endless"),
            "{key} {left}"
        );
    }
    // What it forgot by itself is no login, and leaves the indexes with the next purge.
    for gone in [&day, &over] {
        assert!(server.command(&format!("DEL {{portcullis}}:login:{gone}")).starts_with(":1"));
        assert!(find(&store, gone).await.is_none());
    }
    assert_eq!(store.list(&ListQuery::new(None, 9)).await.unwrap().len(), 1);
    let purged = store.purge(&Purge::new(None, now().plus(2 * DAY), 9)).await.unwrap();
    assert!(purged.is_empty(), "nothing is left of them");
    assert_eq!(server.command("ZCARD {portcullis}:logins"), ":1\r\n");
    assert_eq!(server.command("ZCARD {portcullis}:ends"), ":1\r\n");
    assert!(
        store.purge(&Purge::new(None, Timestamp::from_millis(i64::MAX - 1), 9)).await.unwrap().is_empty()
    );
    assert_eq!(store.purge(&Purge::new(None, Timestamp::NEVER, 9)).await.unwrap().len(), 1);
    assert_eq!(keys(&server.url()).await, ["{portcullis}:era"], "and with its last login the subject");
}

/// A later version has written it, or nobody knows who.
#[tokio::test]
async fn r060_what_cannot_be_read_is_neither_a_login_nor_none_and_is_not_purged() {
    let server = RedisServer::start();
    let store = store_on(&server);
    let id = insert(&store, login("a", Subject::local("ada"))).await;
    let other = insert(&store, login("b", Subject::local("ada"))).await;
    for (field, value) in [("f", "2"), ("f", "1"), ("a", "planted"), ("g", "-1")] {
        server.command(&format!("HSET {{portcullis}}:login:{id} {field} {value}"));
        let found = store.find(&id).wait().await;
        if value == "1" {
            assert!(found.is_ok());
            continue;
        }
        let error = found.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(!format!("{error} {error:?} {:?}", std::error::Error::source(&error)).contains("planted"));
        if field == "f" {
            for subject in [None, Some(Subject::local("ada"))] {
                assert!(store.purge(&Purge::new(subject, now(), 9)).await.unwrap().is_empty());
            }
            let purged = store.purge(&Purge::new(None, now().plus(2 * DAY), 1)).await.unwrap();
            assert_eq!(
                purged.iter().map(|record| record.id()).collect::<Vec<_>>(),
                [other],
                "it is passed over"
            );
            assert!(server.command(&format!("EXISTS {{portcullis}}:login:{id}")).starts_with(":1"));
        }
    }
}

/// Logins end on a server that takes no new one, and what was refused has left nothing.
#[tokio::test]
async fn r060_a_full_server_refuses_logins_and_ends_them_all_the_same() {
    for program in BOTH {
        let server = RedisServer::start_as(program, Keeps::Nothing);
        let store = store_on(&server);
        let mut ids = Vec::new();
        for (name, user) in [("a", "ada"), ("b", "bob"), ("c", "eve"), ("d", "dan")] {
            ids.push(insert(&store, login(name, Subject::local(user))).await);
        }
        let before = keys(&server.url()).await;
        assert!(server.command("CONFIG SET maxmemory 1").starts_with("+OK"));
        let refused = store
            .insert(login("x", Subject::local("new")).into(), Insertion::new(Epoch::from_number(1), now()));
        assert_eq!(refused.await.unwrap_err().kind(), StoreErrorKind::Full);
        assert_eq!(keys(&server.url()).await, before);
        assert_eq!(
            store.set_label(&ids[0], Some("x".into())).await.unwrap_err().kind(),
            StoreErrorKind::Full
        );
        assert!(find(&store, &ids[0]).await.is_some());
        let revocation = Revocation::new(now(), RevokeReason::Logout);
        assert!(store.revoke(&ids[0], revocation).await.unwrap());
        let all = portcullis::store::SubjectRevocation::new(revocation, portcullis::store::Keep::Nothing);
        assert_eq!(store.revoke_subject(&Subject::local("bob"), all).await.unwrap(), Some(vec![ids[1]]));
        assert_eq!(store.revoke_everyone(revocation).await.unwrap(), 2);
        assert_eq!(store.purge(&Purge::new(None, now(), 9)).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn r060_a_copy_of_the_server_shows_no_token() {
    let server = RedisServer::start();
    let policy = TokenPolicy::builder().touch_every(Some(Duration::ZERO)).build().unwrap();
    let tokens = TokenService::new(store_on(&server), policy);
    let issued = tokens
        .issue_for_header(Subject::local("ada"), IssueOptions::default().label("laptop"))
        .await
        .unwrap();
    let mut texts = vec![issued.access().expose().to_owned(), issued.refresh().unwrap().expose().to_owned()];
    let mut refresh = texts[1].clone();
    for _ in 0..2 {
        let issued = tokens.refresh(RefreshRequest::new(&refresh, Channel::Header)).await.unwrap();
        tokens.verify(issued.access().expose(), None).await.unwrap();
        refresh = issued.refresh().unwrap().expose().to_owned();
        texts.extend([issued.access().expose().to_owned(), refresh.clone()]);
    }
    let dump = server.dump();
    let holds = |text: &[u8]| dump.windows(text.len()).any(|part| part == text);
    assert!(holds(b"laptop"), "the search finds what is there");
    for text in texts {
        // Behind brand, kind and id: wherever the secret begins, these are of it.
        for part in text.as_bytes()[30..].chunks_exact(12) {
            assert!(!holds(part), "{}", String::from_utf8_lossy(part));
        }
    }
}
#[tokio::test]
async fn r022_one_login_is_left_of_a_subject_that_the_server_has_half_forgotten() {
    let server = RedisServer::start_as(Program::Valkey, Keeps::Nothing);
    let store = store_on(&server);
    let gone = insert(&store, login("gone", Subject::local("ada"))).await;
    let lives = insert(&store, login("lives", Subject::local("ada"))).await;
    assert!(server.command(&format!("DEL {{portcullis}}:login:{gone}")).starts_with(":1"));
    let mut insertion = Insertion::new(Epoch::from_number(1), now());
    insertion.limit = portcullis::store::LiveLimit::EndOldest(1);
    let inserted = store.insert(login("new", Subject::local("ada")).into(), insertion).await.unwrap();
    assert_eq!(inserted.ended, [lives], "what is gone takes no place");
}
