//! Limits of attempts to log in.

use http::Method;
use portcullis::{
    client_ip::ClientIpPolicy,
    store::{Limit, MemoryCounters},
    throttle::{Throttle, ThrottlePolicy},
};
use serde_json::json;

use super::{CROSS_SITE, Flow, JSON, PASSWORD, SAME_ORIGIN, flow, log_in, post, send_from};
use crate::support::{Body, secs};

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
