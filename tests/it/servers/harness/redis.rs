//! Redis and Valkey.

use std::path::Path;

use super::{
    super::{Keeps, Program, Proxy, RedisServer, SharedServer, child::state_of},
    LONG, SOON,
};

fn check_gone(id: u32, folder: &Path) {
    assert_eq!(state_of(id), None);
    assert!(!folder.exists());
}

fn check_memory_is_lost(program: Program) {
    let mut server = RedisServer::start_as(program, Keeps::Nothing);
    assert_eq!(server.command("SET k 1"), "+OK\r\n");
    assert!(!server.dump().is_empty());
    server.kill();
    assert!(!server.answers_within(SOON));
    server.start_again();
    assert_eq!(server.command("DBSIZE"), ":0\r\n");
}

fn check_disk_is_kept(program: Program) {
    let mut server = RedisServer::start_as(program, Keeps::Everything);
    let port = server.port();
    for round in 0..3 {
        assert_eq!(server.command(&format!("SET k{round} 1")), "+OK\r\n");
        server.kill();
        server.start_again();
        assert_eq!(server.command("DBSIZE"), format!(":{}\r\n", round + 1));
    }
    server.kill();
    server.start_empty();
    assert_eq!(server.command("DBSIZE"), ":0\r\n");
    assert_eq!(server.port(), port);
    let (id, folder) = (server.id(), server.folder().to_owned());
    assert!(state_of(id).is_some() && folder.exists());
    drop(server);
    check_gone(id, &folder);
}

#[test]
fn redis_without_a_disk_starts_again_with_nothing() {
    check_memory_is_lost(Program::Redis);
}

#[test]
fn valkey_without_a_disk_starts_again_with_nothing() {
    check_memory_is_lost(Program::Valkey);
}

#[test]
fn a_durable_redis_has_after_a_crash_what_it_has_confirmed() {
    check_disk_is_kept(Program::Redis);
}

#[test]
fn a_durable_valkey_has_after_a_crash_what_it_has_confirmed() {
    check_disk_is_kept(Program::Valkey);
}

#[test]
fn a_redis_that_stands_still_answers_again_when_it_goes_on_and_is_ended_even_so() {
    let server = RedisServer::start();
    assert!(server.answers_within(LONG));
    server.stall();
    assert!(!server.answers_within(SOON));
    server.go_on();
    assert!(server.answers_within(LONG));
    server.stall();
    let (id, folder) = (server.id(), server.folder().to_owned());
    drop(server);
    check_gone(id, &folder);
}

#[tokio::test]
async fn shared_servers_are_of_the_kind_that_was_asked_for() {
    for program in [Program::Redis, Program::Valkey] {
        let server = SharedServer::of(program);
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
        assert!(info.contains("redis_version"), "{info}");
        assert_eq!(info.contains("server_name:valkey"), program == Program::Valkey, "{info}");
    }
}

#[tokio::test]
async fn redis_is_reached_through_a_proxy() {
    let server = RedisServer::start();
    let proxy = Proxy::to(format!("127.0.0.1:{}", server.port())).await;
    let client = redis::Client::open(RedisServer::url_at(proxy.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap(), "PONG");
    proxy.has_open(1).await;
}
