//! On a server, which fails in every way that servers do.

use std::{sync::Arc, time::Duration};

use portcullis::{
    RedisStore,
    clock::Clock,
    conformance::{LeaseFixture, lease_store_tests},
    keyring::{Key, KeyRing},
    pipeline::{AccessToken, SharedLeases},
    secret::Secret,
    store::{
        Expect, LeaseKey, LeaseNamespace, LeaseStore, LeaseWrite, LockOwner, LockState, StoreError,
        StoreErrorKind,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{Watch, record};
use crate::{
    servers::{PASSWORD, RedisServer, SharedServer},
    support::secs,
};

async fn empty() -> LeaseFixture {
    let server = SharedServer::get();
    LeaseFixture::new(Arc::new(server.leases()), Arc::new(server.leases())).keep(server)
}

lease_store_tests!(empty);

fn key() -> LeaseKey {
    LeaseKey::new(&LeaseNamespace::new("shop").unwrap(), "crm", "user")
}

async fn put(store: &RedisStore, number: u64) -> Result<(), StoreError> {
    let put = store.put(&key(), &record(number), secs(600), Expect::Anything).await?;
    assert_eq!(put, LeaseWrite::Done);
    Ok(())
}

/// The error and its causes, as a log shows them.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause} {cause:?}"));
        next = cause.source();
    }
    text
}

/// Names the kind of failure, and nothing of where, with what, or what was said.
#[track_caller]
fn check_error(error: &StoreError, cause: &str, server: &RedisServer) {
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let shown = shown(error);
    assert!(shown.contains(cause), "{shown}");
    for secret in [PASSWORD, "value 1", "127.0.0.1", "redis://", &server.port().to_string()] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

/// Polls until it works again.
async fn recovers(store: &RedisStore) {
    let clock = Clock::system();
    let started = Watch::on(&clock);
    while let Err(error) = store.get(&key()).await {
        assert!(started.elapsed() < secs(20), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn r102_a_server_that_is_down_is_an_error_soon_and_is_found_when_it_is_back() {
    let mut server = RedisServer::start();
    server.kill();
    let store = server.leases();
    let clock = Clock::system();
    let started = Watch::on(&clock);
    check_error(&store.get(&key()).await.unwrap_err(), "no connection", &server);
    check_error(&put(&store, 1).await.unwrap_err(), "no connection", &server);
    assert!(started.elapsed() < secs(2), "{:?}", started.elapsed());
    server.start_again();
    recovers(&store).await;
    put(&store, 1).await.unwrap();

    server.kill();
    check_error(&put(&store, 2).await.unwrap_err(), "connection", &server);
    server.start_again();
    recovers(&store).await;
    assert!(store.get(&key()).await.unwrap().is_none(), "its memory is gone");
    put(&store, 3).await.unwrap();
}

/// A connection that broke while nobody used it costs no error where a step can be repeated.
#[tokio::test]
async fn r102_a_server_that_was_started_anew_between_two_steps_is_not_noticed() {
    let mut server = RedisServer::start();
    let store = server.leases();
    put(&store, 1).await.unwrap();
    for _ in 0..3 {
        server.kill();
        server.start_again();
        assert!(store.get(&key()).await.unwrap().is_none());
        let owner = LockOwner::generate().unwrap();
        server.kill();
        server.start_again();
        assert!(store.lock(&key(), &owner, secs(5)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn r102_a_server_that_stands_still_is_an_error_within_the_timeouts() {
    let server = RedisServer::start();
    let store = server.leases();
    put(&store, 1).await.unwrap();
    server.stall();
    let clock = Clock::system();
    let started = Watch::on(&clock);
    check_error(&store.get(&key()).await.unwrap_err(), "in time", &server);
    let first = started.elapsed();
    assert!(first >= Duration::from_millis(450) && first < secs(3), "{first:?}");
    // A new connection is made, and not greeted.
    check_error(&store.get(&key()).await.unwrap_err(), "in time", &server);
    assert!(started.elapsed() < secs(6), "{:?}", started.elapsed());
    server.go_on();
    recovers(&store).await;
    assert_eq!(store.get(&key()).await.unwrap().unwrap().record().version().get(), 1);
}

/// A server in front of the server that can take back what it has promised.
struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// The request goes through, the connection ends instead of the answer.
    CutAnswers,
    /// Requests go nowhere, and no connection ends.
    Swallow,
}

impl Proxy {
    async fn start(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mode, watched) = watch::channel(Mode::Pass);
        let (port, behind) = (listener.local_addr().unwrap().port(), server.port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, behind, watched.clone()));
            }
        });
        Self { port, mode }
    }

    fn leases(&self) -> RedisStore {
        RedisStore::builder(format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)).build().unwrap()
    }
}

async fn forward(mut client: TcpStream, behind: u16, mode: watch::Receiver<Mode>) {
    let mut server = TcpStream::connect(("127.0.0.1", behind)).await.unwrap();
    let (mut asked, mut answered) = ([0; 65536], [0; 65536]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(len @ 1..) = read else { return };
                if *mode.borrow() != Mode::Swallow && server.write_all(&asked[..len]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(len @ 1..) = read else { return };
                if *mode.borrow() == Mode::CutAnswers || client.write_all(&answered[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A write whose answer is lost is an error, and was made. It is not made twice.
#[tokio::test]
async fn r102_an_answer_that_is_cut_off_is_an_error_and_the_write_may_have_been_made() {
    let server = RedisServer::start();
    let (proxy, direct) = (Proxy::start(&server).await, server.leases());
    let store = proxy.leases();
    put(&store, 1).await.unwrap();
    proxy.mode.send(Mode::CutAnswers).unwrap();
    check_error(&put(&store, 2).await.unwrap_err(), "connection", &server);
    assert_eq!(direct.get(&key()).await.unwrap().unwrap().record().version().get(), 2);
    proxy.mode.send(Mode::Pass).unwrap();
    let again = store.put(&key(), &record(2), secs(600), Expect::Version(record(1).version())).await;
    assert_eq!(again.unwrap(), LeaseWrite::Changed, "what a repeated write is told");

    // The lock's owner asks again, and has it.
    let owner = LockOwner::generate().unwrap();
    proxy.mode.send(Mode::CutAnswers).unwrap();
    store.lock(&key(), &owner, secs(60)).await.unwrap_err();
    proxy.mode.send(Mode::Pass).unwrap();
    let held = store.lock(&key(), &owner, secs(60)).await.unwrap().expect("its own");
    assert_eq!(direct.unlock(&key(), &held).await.unwrap(), LockState::Held);
}

/// The other side has forgotten the connection, and nothing says so.
#[tokio::test]
async fn r102_a_connection_on_which_nothing_is_answered_is_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::start(&server).await;
    let store = proxy.leases();
    put(&store, 1).await.unwrap();
    proxy.mode.send(Mode::Swallow).unwrap();
    check_error(&store.get(&key()).await.unwrap_err(), "in time", &server);
    proxy.mode.send(Mode::Pass).unwrap();
    // What was swallowed on the old connection never comes.
    assert!(store.get(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn r102_what_the_server_refuses_is_named_by_its_code_alone() {
    let server = RedisServer::start();
    let wrong =
        RedisStore::builder(format!("redis://:planted-wrong@127.0.0.1:{}", server.port())).build().unwrap();
    let error = wrong.get(&key()).await.unwrap_err();
    check_error(&error, "", &server);
    assert!(!shown(&error).contains("planted"), "{}", shown(&error));
    let store = server.leases();
    assert!(server.command("SET shop:crm:user planted-value").starts_with("+OK"));
    let error = put(&store, 1).await.unwrap_err();
    check_error(&error, "the server refused", &server);
    assert!(!shown(&error).contains("planted"), "{}", shown(&error));
    assert!(server.command("DEL shop:crm:user").starts_with(":1"));
    assert!(server.command("CONFIG SET maxmemory 1").starts_with("+OK"));
    assert_eq!(put(&store, 1).await.unwrap_err().kind(), StoreErrorKind::Full);
}

#[tokio::test]
async fn r102_what_has_no_end_on_the_server_is_no_token() {
    let server = RedisServer::start();
    let store = server.leases();
    put(&store, 1).await.unwrap();
    assert!(server.command("PERSIST shop:crm:user").starts_with(":1"));
    assert!(store.get(&key()).await.unwrap().is_none());
    put(&store, 2).await.unwrap();
    assert!(server.command("HDEL shop:crm:user value").starts_with(":1"));
    assert!(store.get(&key()).await.unwrap().is_none());
}

#[test]
fn r102_an_address_that_is_none_is_a_fault_and_is_not_shown() {
    for url in
        ["", "planted", "http://planted@localhost", "redis://:planted@host:port", "rediss://:planted@host"]
    {
        let builder = RedisStore::builder(url).response_timeout(Duration::ZERO);
        assert!(!format!("{builder:?}").contains("planted"));
        let error = builder.build().unwrap_err();
        let faults: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
        assert_eq!(faults, ["response_timeout", "url"], "{url}");
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
    let store = RedisStore::builder("redis://user:planted@localhost:1/2").build().unwrap();
    assert!(!format!("{store:?}").contains("planted"), "and nothing was sent");
}

#[test]
fn r102_one_store_serves_one_runtime_after_the_other() {
    let server = RedisServer::start();
    let store = server.leases();
    for number in 1..4 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let found = runtime.block_on(store.get(&key())).unwrap();
        assert_eq!(found.map_or(1, |found| found.record().version().get() + 1), number);
        runtime.block_on(put(&store, number)).unwrap();
    }
    assert!(
        futures_util::FutureExt::now_or_never(store.get(&key())).unwrap().is_err(),
        "no runtime, no panic"
    );
}

#[tokio::test]
async fn r207_a_copy_of_the_server_shows_no_token() {
    let server = RedisServer::start();
    let ring = KeyRing::new(Key::generate().unwrap());
    let shared = SharedLeases::sealed("shop", server.leases(), ring).build().unwrap();
    let user = shared.key("crm", "user");
    let token = AccessToken::new("planted-access").unwrap().with_refresh(Secret::new("planted-refresh"));
    shared.publish(&user, token.with_scope("planted-scope")).await.unwrap();
    server.leases().lock(&user, &LockOwner::generate().unwrap(), secs(60)).await.unwrap().unwrap();
    let dump = server.dump();
    assert!(dump.windows(13).any(|part| part == b"shop:crm:user"), "the search finds what is there");
    assert!(!dump.windows(7).any(|part| part == b"planted"));
    assert_eq!(shared.load(&user).await.unwrap().unwrap().token().value().expose(), "planted-access");
}
