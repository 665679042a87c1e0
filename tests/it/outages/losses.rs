//! A server that is started anew without its data.

use portcullis::{RedisStore, TokenPolicy, TokenService};

use super::places::{App, check_down, check_is};
use crate::servers::{Keeps, Program, RedisServer};

fn app(server: &RedisServer) -> App {
    App::new(TokenService::new(RedisStore::builder(server.url()).build().unwrap(), TokenPolicy::default()))
}

/// It is no outage: whoever was in is out, for a service that ran meanwhile and for one that starts.
async fn all_are_out(program: Program) {
    let mut server = RedisServer::start_as(program, Keeps::Nothing);
    let service = app(&server);
    let logins = [service.login("ada").await, service.login("ada").await, service.login("bob").await];
    for login in &logins {
        assert_eq!(service.me(login).await.status, 200);
    }
    let ended = service.login("carol").await;
    assert_eq!(service.log_out(&ended).await.status, 204);
    server.kill();
    for login in logins.iter().chain([&ended]) {
        check_down(&service.me(login).await);
    }
    server.start_empty();
    for service in [&service, &app(&server)] {
        for login in logins.iter().chain([&ended]) {
            for path in ["/me", "/open"] {
                let answer = service.ask(path, Some(login)).await;
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"));
            }
            let answer = service.refresh(login).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"));
            // There is nothing to end.
            assert_eq!(service.log_out(login).await.status, 204);
        }
        assert_eq!(server.command("KEYS *:subject:*"), "*0\r\n", "no epoch is made for who is unknown");
        service.check_without_store().await;
    }
    // A new login of the same user brings no old one back.
    let new = service.login("ada").await;
    check_is(&service.me(&new).await, "ada");
    assert!(server.command("KEYS *:subject:*").starts_with("*1\r\n"), "its own epoch");
    for login in &logins {
        assert_eq!(service.me(login).await.status, 401);
        assert_eq!(service.refresh(login).await.status, 401);
    }
    check_is(&service.me(&new).await, "ada");
    service.check_refreshed(&service.refresh(&new).await, &new, "ada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i07_a_redis_without_its_data_refuses_every_token_of_before() {
    all_are_out(Program::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i07_a_valkey_without_its_data_refuses_every_token_of_before() {
    all_are_out(Program::Valkey).await;
}
