//! That the servers are what the other tests take them for.

use std::{path::Path, time::Duration};

use super::{
    Database, Keeps, PASSWORD, PostgresServer, Program, Proxy, RedisServer, SharedPostgres, SharedServer,
    child::{state_of, wait_until},
};

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);

fn check_gone(id: u32, folder: &Path) {
    assert_eq!(state_of(id), None);
    assert!(!folder.exists());
}

// ===== Redis and Valkey =====

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

// ===== PostgreSQL =====

#[test]
fn postgres_has_after_each_crash_what_it_has_confirmed() {
    let mut server = PostgresServer::start();
    let port = server.port();
    let database = server.database();
    database.sql("CREATE TABLE t (n integer)");
    for round in 1..=3 {
        database.sql(&format!("INSERT INTO t VALUES ({round})"));
        let (id, children) = (server.id(), server.children());
        assert!(!children.is_empty());
        server.kill();
        assert!(children.iter().chain([&id]).all(|id| state_of(*id).is_none()));
        assert!(!server.answers_within(SOON));
        server.start_again();
        assert_eq!(database.sql("SELECT count(*) FROM t"), round.to_string());
    }
    assert_eq!(server.port(), port);
    for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")] {
        assert_eq!(database.sql(&format!("SHOW {setting}")), value, "{setting}");
    }
}

#[test]
fn postgres_that_stands_still_answers_again_when_it_goes_on() {
    let server = PostgresServer::start();
    let database = server.database();
    assert!(server.answers_within(LONG));
    server.stall();
    assert!(!server.answers_within(SOON));
    assert!(database.sql_error("SELECT 1").contains("timeout expired"));
    server.go_on();
    assert!(server.answers_within(LONG));
    assert_eq!(database.sql("SELECT 1"), "1");
}

/// Its processes, its folder, and the memory that it shares.
#[track_caller]
fn check_postgres_leaves_nothing(before: impl FnOnce(&mut PostgresServer)) {
    let mut server = PostgresServer::start();
    let (mut ids, folder) = (server.children(), server.folder().to_owned());
    ids.push(server.id());
    let segment = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
    let segment = segment.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    before(&mut server);
    drop(server);
    assert!(!folder.exists());
    wait_until("end of the server", || ids.iter().all(|id| state_of(*id).is_none()));
    let segments = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let mut left = segments.lines().filter_map(|line| line.split_whitespace().nth(1));
    assert!(!left.any(|id| id == segment), "segment {segment} is left");
}

#[test]
fn postgres_leaves_nothing_when_it_is_dropped() {
    check_postgres_leaves_nothing(|_| {});
}

#[test]
fn postgres_leaves_nothing_when_it_is_dropped_while_it_stands_still() {
    check_postgres_leaves_nothing(|server| server.stall());
}

#[test]
fn postgres_leaves_nothing_when_it_is_dropped_after_a_crash() {
    check_postgres_leaves_nothing(PostgresServer::kill);
}

#[test]
fn each_database_of_a_shared_postgres_is_another_and_empty() {
    let server = SharedPostgres::get();
    let (one, two) = (server.database(), server.database());
    one.sql("CREATE TABLE t (word text); INSERT INTO t VALUES ('seen')");
    assert!(two.sql_error("SELECT * FROM t").contains("does not exist"));
    assert!(one.dump().contains("seen"));
    assert!(!two.dump().contains("CREATE TABLE"));
    assert_ne!(one.url(), two.url());
}

#[test]
fn postgres_asks_for_the_password() {
    let server = PostgresServer::start();
    let url = server.database().url().replace(PASSWORD, "wrong");
    assert!(Database::at(url).sql_error("SELECT 1").contains("password authentication failed"));
}

// ===== behind a proxy =====

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_server_is_reached_through_a_proxy() {
    let server = RedisServer::start();
    let proxy = Proxy::to(format!("127.0.0.1:{}", server.port())).await;
    let client = redis::Client::open(server.url_at(proxy.port())).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    assert_eq!(redis::cmd("PING").query_async::<String>(&mut connection).await.unwrap(), "PONG");
    proxy.has_open(1).await;

    let server = PostgresServer::start();
    let database = server.database();
    assert_eq!(database.address(), format!("127.0.0.1:{}", server.port()));
    let proxy = Proxy::to(database.address()).await;
    let through = Database::at(database.url_at(proxy.port()));
    assert_eq!(through.sql("SELECT current_database()"), database.sql("SELECT current_database()"));
    proxy.refuse();
    through.sql_error("SELECT 1");
    assert_eq!(database.sql("SELECT 1"), "1");
}
