//! Limits of attempts to log in.

use http::Method;
use portcullis::{
    client_ip::ClientIpPolicy,
    flow::RefreshService,
    store::{Limit, MemoryCounters},
    throttle::{Throttle, ThrottlePolicy},
};
use serde_json::json;
use tower::Service;

use super::{CROSS_SITE, Flow, JSON, PASSWORD, SAME_ORIGIN, flow, log_in, post, send_from};
use crate::{
    log::Log,
    support::{Body, refresh_text, secs},
};

fn throttle(flow: &Flow) -> Throttle {
    Throttle::new(MemoryCounters::new(), ThrottlePolicy::default()).clock(flow.fixture.time.clock())
}

#[tokio::test]
async fn r139_the_sixth_login_with_one_name_and_the_31st_from_one_address_are_429() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    // A name that nobody has is counted like any other.
    for name in ["nobody", "ada"] {
        for _ in 0..5 {
            assert_eq!(log_in(&login, &[], name, "wrong").await.status, 401);
        }
        for password in ["wrong", PASSWORD] {
            let refused = log_in(&login, &[], name, password).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_requests"));
            assert_eq!(refused.headers["retry-after"], "12");
        }
    }
    assert_eq!(flow.users.asked(), (10, 10), "before any look-up");
    assert_eq!(flow.fixture.events.count("excess_rate_limit_exceeded"), 4);

    for number in 14..30 {
        assert_eq!(log_in(&login, &[], &format!("user{number}"), "wrong").await.status, 401);
    }
    assert_eq!(log_in(&login, &[], "one-more", "wrong").await.status, 429);
    assert_eq!(flow.users.asked(), (26, 26));
    // Nobody at another address is locked out.
    let body = json!({ "username": "ada", "password": PASSWORD }).to_string();
    let elsewhere = send_from(&login, "2001:db8::1", Method::POST, "/", &[JSON], Body::from(body)).await;
    assert_eq!(elsewhere.status, 200);

    flow.fixture.time.advance(secs(12));
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 200);
}

/// Requests that name nobody cost nothing, and use up nobody's attempts.
#[tokio::test]
async fn r139_what_is_no_attempt_is_not_counted() {
    let flow = flow();
    let login = flow.login().cookie("token").throttle(throttle(&flow)).build().unwrap();
    for _ in 0..40 {
        assert_eq!(post(&login, &[SAME_ORIGIN, JSON], "{").await.status, 400);
        assert_eq!(log_in(&login, &[CROSS_SITE], "ada", "wrong").await.status, 403);
    }
    assert_eq!(log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await.status, 200);
}

/// A header that the client writes is no address: the attempts of one peer stay those of one peer.
#[tokio::test]
async fn r139_the_address_is_not_the_clients_to_choose() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let behind = flow
        .login()
        .client_ip(ClientIpPolicy::peer().trust("192.0.2.0/24"))
        .throttle(throttle(&flow))
        .build()
        .unwrap();
    let mut refused = (0, 0);
    for number in 0..10 {
        let forwarded = format!("198.51.100.{number}");
        let header = ("x-forwarded-for", forwarded.as_str());
        refused.0 += usize::from(log_in(&login, &[header], "ada", "wrong").await.status == 429);
        refused.1 += usize::from(log_in(&behind, &[header], "ada", "wrong").await.status == 429);
    }
    assert_eq!(refused, (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k01_of_ten_thousand_parallel_guesses_the_limit_reaches_the_check() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let mut guesses = Vec::new();
    for number in 0..10_000 {
        let login = login.clone();
        guesses.push(tokio::spawn(async move {
            log_in(&login, &[], "ada", &format!("guess{number}")).await.status.as_u16()
        }));
    }
    let mut refused = 0;
    for guess in guesses {
        let status = guess.await.unwrap();
        assert!(matches!(status, 401 | 429), "{status}");
        refused += usize::from(status == 429);
    }
    assert_eq!((refused, flow.users.asked()), (9_995, (5, 5)));
}

#[tokio::test]
async fn sec_k02_logging_in_oneself_gives_no_attempts_back() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let mut guesses = 0;
    for _ in 0..15 {
        guesses += usize::from(log_in(&login, &[], "ada", "guess").await.status == 401);
        log_in(&login, &[], "bob", PASSWORD).await;
    }
    assert_eq!(guesses, 5);
    // The right password is refused as the wrong one was.
    let (right, wrong) =
        (log_in(&login, &[], "ada", PASSWORD).await, log_in(&login, &[], "ada", "guess").await);
    assert_eq!((right.status.as_u16(), &right.headers, &right.body), (429, &wrong.headers, &wrong.body));
}

#[tokio::test]
async fn r139_a_limit_that_cannot_be_counted_is_503() {
    let flow = flow();
    let throttle = Throttle::new(Broken, ThrottlePolicy::default());
    let login = flow.login().throttle(throttle).build().unwrap();
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 503);
    assert_eq!(flow.users.asked(), (0, 0));
}

struct Broken;

#[async_trait::async_trait]
impl portcullis::store::CounterStore for Broken {
    fn hit(
        &self,
        _key: &portcullis::store::CounterKey,
        _limit: Limit,
        _now: portcullis::clock::Timestamp,
    ) -> portcullis::maybe_ready::MaybeReady<Result<portcullis::store::Hit, portcullis::store::StoreError>>
    {
        portcullis::maybe_ready::MaybeReady::Now(Err(portcullis::store::StoreError::unavailable("planted")))
    }

    async fn forget(
        &self,
        _key: &portcullis::store::CounterKey,
    ) -> Result<(), portcullis::store::StoreError> {
        Ok(())
    }
}

/// Fifty tabs wake up in one browser, and each refreshes at once.
#[tokio::test]
async fn r139_the_limit_for_refreshes_lets_fifty_tabs_through_and_stops_a_flood() {
    let flow = flow();
    let clock = flow.fixture.time.clock();
    let policy = ThrottlePolicy::refreshes().build().unwrap();
    let described: Vec<_> = policy.describe().lines().map(|(_, limit)| limit.to_owned()).collect();
    assert_eq!(described, ["300 in 1m", "none"]);
    let throttle = Throttle::new(MemoryCounters::new(), policy).clock(clock);
    let refresh = RefreshService::new(flow.fixture.tokens.clone()).throttle(throttle).build().unwrap();
    let narrow =
        RefreshService::new(flow.fixture.tokens.clone()).throttle(self::throttle(&flow)).build().unwrap();
    let issued = flow.fixture.login("ada").await;
    let body = json!({ "refresh_token": refresh_text(&issued) }).to_string();
    let mut pairs = std::collections::HashSet::new();
    let tabs = futures_util::future::join_all((0..50).map(|_| post(&refresh, &[JSON], &body))).await;
    for tab in tabs {
        assert_eq!(tab.status, 200);
        pairs.insert(tab.text("refresh_token"));
    }
    assert_eq!(pairs.len(), 1);
    let mut passed = 50;
    while post(&refresh, &[JSON], r#"{"refresh_token":"junk"}"#).await.status == 401 {
        passed += 1;
    }
    assert_eq!(passed, 300);
    // What is right for logins is too little here.
    let mut let_in = 0;
    for _ in 0..50 {
        let_in += usize::from(post(&narrow, &[JSON], &body).await.status == 200);
    }
    assert_eq!(let_in, 30);
}

/// Without the peer's address a limit for each address limits nothing, and one for each name is everybody's: said once,
/// not for every request.
#[tokio::test]
async fn r139_a_throttle_that_is_not_told_the_address_is_logged_once_for_each_service() {
    let flow = flow();
    let by_name = ThrottlePolicy::builder().per_client_ip(None).build().unwrap();
    let by_name = Throttle::new(MemoryCounters::new(), by_name).clock(flow.fixture.time.clock());
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let refresh = RefreshService::new(flow.fixture.tokens.clone()).throttle(throttle(&flow)).build().unwrap();
    let by_name = flow.login().throttle(by_name).build().unwrap();
    let unlimited = ThrottlePolicy::builder().per_client_ip(None).per_identifier(None).build().unwrap();
    let unlimited = Throttle::new(MemoryCounters::new(), unlimited).clock(flow.fixture.time.clock());
    let unlimited = flow.login().throttle(unlimited).build().unwrap();
    let (log, _guard) = Log::capture();
    let warnings = |text: &str| text.matches("the client's address is not known").count();
    let ask = async |number: usize| {
        let body =
            json!({ "username": format!("user{number}"), "password": "x", "refresh_token": "x" }).to_string();
        let request = || {
            let request = http::Request::post("/").header(JSON.0, JSON.1);
            request.body(Body::from(body.clone())).unwrap()
        };
        let (mut login, mut refresh) = (login.clone(), refresh.clone());
        let (mut by_name, mut unlimited) = (by_name.clone(), unlimited.clone());
        let mut bare = flow.login().build().unwrap();
        assert_eq!(login.call(request()).await.unwrap().status(), 401);
        assert_eq!(refresh.call(request()).await.unwrap().status(), 401);
        assert_eq!(unlimited.call(request()).await.unwrap().status(), 401);
        assert_eq!(by_name.call(request()).await.unwrap().status(), 401);
        assert_eq!(bare.call(request()).await.unwrap().status(), 401);
    };
    // Where the address is known, nothing has to be said.
    assert_eq!(log_in(&login, &[], "ada", "x").await.status, 401);
    assert_eq!(warnings(&log.text()), 0);
    for number in 0..40 {
        ask(number).await;
    }
    assert_eq!(warnings(&log.text()), 3, "{}", log.text());
    for (service, times) in [("login", 2), ("refresh", 1)] {
        assert_eq!(log.text().matches(&format!("service=\"{service}\"")).count(), times);
    }
}
