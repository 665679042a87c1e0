//! PostgreSQL.

use super::{
    super::{
        Database, PASSWORD, PostgresServer, Proxy, SharedPostgres,
        child::{states_of, wait_until},
    },
    LONG, SOON,
};

#[test]
fn postgres_has_after_each_crash_what_it_has_confirmed() {
    let mut server = PostgresServer::start();
    let port = server.port();
    let database = server.database();
    database.sql("CREATE TABLE t (n integer)");
    for round in 1..=3 {
        database.sql(&format!("INSERT INTO t VALUES ({round})"));
        let mut ids = server.children();
        assert!(!ids.is_empty());
        ids.push(server.id());
        server.kill();
        assert!(states_of(&ids).is_empty());
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
    wait_until("end of the server", || states_of(&ids).is_empty());
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

/// The proxy goes on while this thread waits for `psql`.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_reached_through_a_proxy() {
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
