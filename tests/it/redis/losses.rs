//! A server that has lost what it had: whatever is gone, nobody comes in by it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use portcullis::{
    RedisStore, TokenPolicy, TokenService,
    credential::Channel,
    event::{Event, EventKind, Meter, Reporter, RevokeReason},
    identity::Subject,
    store::{
        Data, Epoch, Insertion, Keep, ListQuery, LiveLimit, Purge, Revocation, SubjectRevocation, TokenStore,
    },
    token::{IssueOptions, Issued, RefreshRequest},
    verify::Refusal,
};

use super::{BOTH, find, insert, login, names, now, store_on};
use crate::servers::{Keeps, Program, Proxy, RedisServer};

fn service(server: &RedisServer) -> TokenService {
    TokenService::new(store_on(server), TokenPolicy::default())
}

async fn issue(tokens: &TokenService, user: &str) -> Issued {
    tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
}

async fn lives(tokens: &TokenService, issued: &Issued) -> bool {
    match tokens.verify(issued.access().expose(), None).await {
        Ok(_) => true,
        Err(Refusal::Invalid(_)) => false,
        Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
    }
}

#[tokio::test]
async fn r060_a_server_without_its_data_knows_no_token_and_makes_nothing_for_one() {
    for program in BOTH {
        let mut server = RedisServer::start_as(program, Keeps::Nothing);
        let lost = Arc::new(AtomicUsize::new(0));
        let reporter = Reporter::default().meter(Lost(Arc::clone(&lost)));
        let told = RedisStore::builder(server.url()).reporter(reporter).build().unwrap();
        let tokens = TokenService::new(told, TokenPolicy::default());
        let store = store_on(&server);
        let issued = issue(&tokens, "ada").await;
        assert!(lives(&tokens, &issued).await);
        server.kill();
        server.start_empty();
        for _ in 0..3 {
            assert!(!lives(&tokens, &issued).await, "not even an error");
            assert_eq!(lost.load(Ordering::Relaxed), 1, "told once");
        }
        let refresh = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
        assert!(tokens.refresh(refresh).await.is_err());
        let id = issued.record().id();
        let revocation = Revocation::new(now(), RevokeReason::Logout);
        store.confirm(&id, 0, now()).wait().await.unwrap();
        assert!(!store.save_data(&id, 0, Data::new(&1).unwrap()).await.unwrap());
        assert!(!store.set_label(&id, Some("late".into())).await.unwrap());
        assert!(!store.grace_hit(&id, 0, 9).await.unwrap());
        assert!(!store.revoke(&id, revocation).await.unwrap());
        let all = SubjectRevocation::new(revocation, Keep::Nothing);
        assert_eq!(store.revoke_subject(&Subject::local("ada"), all).await.unwrap(), Some(Vec::new()));
        assert!(store.purge(&Purge::new(None, now(), 9)).await.unwrap().is_empty());
        assert_eq!(names(&server.url()).await, [""; 0], "no epoch, no era, no login");
        assert!(lives(&tokens, &issue(&tokens, "ada").await).await, "who logs in again is in");
        assert!(!lives(&tokens, &issued).await);
        assert_eq!(lost.load(Ordering::Relaxed), 1, "new data are no loss");
    }
}

/// Counts what is told of lost data.
struct Lost(Arc<AtomicUsize>);

impl Meter for Lost {
    fn count(&self, event: &Event) {
        self.0.fetch_add(usize::from(*event.kind() == EventKind::StoreLost), Ordering::Relaxed);
    }
}

/// What `maxmemory-policy allkeys-lru` may take.
#[tokio::test]
async fn r060_a_login_without_its_epoch_or_without_the_era_is_invalid_and_stays_so() {
    let server = RedisServer::start();
    let (tokens, store) = (service(&server), store_on(&server));
    for lost in ["subject:", "era"] {
        let issued = issue(&tokens, "ada").await;
        let id = issued.record().id();
        let key = names(&server.url()).await.into_iter().find(|key| key.contains(lost)).unwrap();
        assert!(server.command(&format!("DEL {key}")).starts_with(":1"));
        assert_eq!(find(&store, &id).await.unwrap().epoch, None);
        assert!(!lives(&tokens, &issued).await);
        let refresh = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
        assert!(tokens.refresh(refresh).await.is_err());
        assert!(tokens.rekey(&id).await.is_err());
        assert!(store.set_label(&id, None).await.unwrap(), "it is there, to be looked at");
        assert!(!names(&server.url()).await.contains(&key), "and nothing made the key again");
        let next = issue(&tokens, "ada").await;
        assert!(lives(&tokens, &next).await);
        assert!(!lives(&tokens, &issued).await, "the new epoch is not the old one");
        assert!(tokens.rekey(&id).await.is_err());
    }
}

/// Everybody's logins have ended, and the era that says so is lost before they were marked.
#[tokio::test]
async fn r060_no_loss_of_the_era_brings_back_what_it_ended() {
    let server = RedisServer::start();
    let store = store_on(&server);
    let id = insert(&store, login("a", Subject::local("ada"))).await;
    assert!(server.command("SET {portcullis}:era another").starts_with("+OK"));
    assert_eq!(find(&store, &id).await.unwrap().epoch, Some(Epoch::from_number(8)));
    assert!(server.command("DEL {portcullis}:era").starts_with(":1"));
    assert_eq!(find(&store, &id).await.unwrap().epoch, None);
    insert(&store, login("b", Subject::local("bob"))).await;
    assert_eq!(find(&store, &id).await.unwrap().epoch, Some(Epoch::from_number(8)));
    let mut limited = Insertion::new(Epoch::from_number(1), now());
    limited.limit = LiveLimit::Refuse(1);
    let inserted = store.insert(login("c", Subject::local("ada")).into(), limited).await.unwrap();
    assert!(inserted.ended.is_empty(), "who has ended takes no place");
    let epochs =
        [find(&store, &id).await.unwrap().epoch, find(&store, &inserted.record.id()).await.unwrap().epoch];
    assert_eq!(epochs, [Some(Epoch::from_number(8)); 2]);
    assert_eq!(store.revoke_everyone(Revocation::new(now(), RevokeReason::Everyone)).await.unwrap(), 3);
}

/// Scripts are no data: a server may lose them at any moment.
#[tokio::test]
async fn r060_a_server_that_has_forgotten_its_scripts_costs_no_error() {
    for program in BOTH {
        let mut server = RedisServer::start_as(program, Keeps::Everything);
        let (tokens, store) = (service(&server), store_on(&server));
        let issued = issue(&tokens, "ada").await;
        let id = issued.record().id();
        for restart in [false, true] {
            let mut forget = || {
                if restart {
                    server.kill();
                    server.start_again();
                } else {
                    assert!(server.command("SCRIPT FLUSH").starts_with("+OK"));
                }
            };
            forget();
            assert!(lives(&tokens, &issued).await);
            forget();
            store.confirm(&id, 0, now()).wait().await.unwrap();
            forget();
            assert_eq!(store.list(&ListQuery::new(None, 1)).await.unwrap().len(), 1);
            // What twice would not be once is not taken again where the connection broke.
            if !restart {
                forget();
                assert!(store.set_label(&id, None).await.unwrap());
                forget();
                assert!(store.grace_hit(&id, 0, 9).await.unwrap());
                forget();
                assert!(lives(&tokens, &issue(&tokens, "bob").await).await);
            }
        }
    }
}

/// While others write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r060_scripts_that_go_again_and_again_cost_no_error() {
    let server = RedisServer::start_as(Program::Redis, Keeps::Nothing);
    let store = store_on(&server);
    let id = insert(&store, login("a", Subject::local("ada"))).await;
    let mut client = super::client(&server.url()).await;
    let flushing = tokio::spawn(async move {
        loop {
            let _done: () = ::redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut client).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    for _ in 0..100 {
        assert!(store.set_label(&id, Some("x".into())).await.unwrap());
        assert!(find(&store, &id).await.is_some());
    }
    flushing.abort();
}

/// Its address may lead to the new primary by now.
#[tokio::test]
async fn r060_a_primary_that_has_become_a_replica_is_left() {
    let server = RedisServer::start();
    let proxy = Proxy::to(format!("127.0.0.1:{}", server.port())).await;
    let store = super::store_at(&RedisServer::url_at(proxy.port()));
    let id = insert(&store, login("a", Subject::local("ada"))).await;
    assert!(server.command("REPLICAOF 127.0.0.1 1").starts_with("+OK"));
    let error = store.set_label(&id, None).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "the server refused (READONLY)");
    tokio::time::timeout(std::time::Duration::from_secs(5), proxy.has_open(0)).await.expect("it is left");
    assert!(server.command("REPLICAOF NO ONE").starts_with("+OK"));
    assert!(store.set_label(&id, None).await.unwrap());
}
