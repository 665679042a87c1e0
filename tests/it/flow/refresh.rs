//! Refreshing over HTTP.

use std::{convert::Infallible, net::IpAddr};

use http::{Method, Request, Response};
use portcullis::{
    TokenPolicy,
    event::{EventKind, RepeatedBy},
    flow::{RefreshService, RefreshServiceBuilder},
    identity::Subject,
    problem::Reason,
    store::MemoryCounters,
    throttle::{Throttle, ThrottlePolicy},
    token::{IssueOptions, Issued},
};
use serde_json::{Value, json};
use tower::Service;

use super::{
    CROSS_SITE, FORM, Flow, JSON, PASSWORD, SAME_ORIGIN, flow, flow_with, log_in, post, send, send_from,
    with_check,
};
use crate::support::{Answer, Body, Mode, fixture, refresh_text, secs};

fn builder(flow: &Flow) -> RefreshServiceBuilder {
    RefreshService::new(flow.fixture.tokens.clone())
}

fn in_cookies(flow: &Flow) -> RefreshService {
    builder(flow).cookie("token").refresh_cookie("/auth").build().unwrap()
}

async fn refresh(service: &RefreshService, token: &str) -> Answer {
    post(service, &[JSON], &json!({ "refresh_token": token }).to_string()).await
}

#[tokio::test]
async fn r034_a_refresh_over_http_gives_the_next_pair_also_when_the_access_token_has_ended() {
    let flow = flow();
    let login = log_in(&flow.login().build().unwrap(), &[], "ada", PASSWORD).await;
    flow.fixture.time.advance(secs(2 * 24 * 3600));
    let service = builder(&flow).build().unwrap();
    let next = refresh(&service, &login.text("refresh_token")).await;
    assert_eq!(next.status, 200);
    let body = next.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type"]);
    // Five days are left of seven.
    assert_eq!(
        (&body["expires_in"], &body["refresh_expires_in"]),
        (&json!(24 * 3600), &json!(5 * 24 * 3600))
    );
    flow.fixture.verify(&next.text("access_token")).await.unwrap();
    let form = format!("refresh_token={}", next.text("refresh_token"));
    assert_eq!(post(&service, &[FORM], &form).await.status, 200);
}

#[tokio::test]
async fn r040_a_missing_token_is_400_and_each_that_is_not_valid_the_same_401() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    for body in ["{}", r#"{"refresh_token":null}"#, r#"{"refresh_token":""}"#, r#"{"token":"x"}"#] {
        let answer = post(&service, &[JSON], body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"));
    }
    assert_eq!(flow.store_calls(), (0, 0));

    let (login, revoked, cookie) = (
        flow.fixture.login("ada").await,
        flow.fixture.login("ada").await,
        flow.fixture.cookie_login("ada").await,
    );
    flow.fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
    let options = IssueOptions::default().tenant("red");
    let tenant = flow.fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let expired = flow.fixture.tokens.issue_for_header(
        Subject::local("ada"),
        IssueOptions::default().access_ttl(Some(secs(1))).refresh_ttl(Some(secs(2))),
    );
    let expired = expired.await.unwrap();
    flow.fixture.time.advance(secs(2));
    let foreign = fixture().login("ada").await;
    let cases = [
        ("junk".to_owned(), Reason::Malformed),
        ("x".repeat(9_000), Reason::Malformed),
        ("\0\r\n".to_owned(), Reason::Malformed),
        // A refresh text is no access text, and the reverse.
        (login.access().expose().to_owned(), Reason::Malformed),
        (refresh_text(&foreign), Reason::UnknownRecord),
        (refresh_text(&revoked), Reason::Revoked),
        (refresh_text(&cookie), Reason::WrongChannel),
        (refresh_text(&tenant), Reason::WrongTenant),
        (refresh_text(&expired), Reason::Expired),
    ];
    let mut answers: Vec<Answer> = Vec::new();
    for (text, reason) in &cases {
        let answer = refresh(&service, text).await;
        assert_eq!(answer.reason(), Some(*reason));
        answers.push(answer);
    }
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"));
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
        assert_eq!(answer.challenges(), [r#"Bearer realm="api", error="invalid_token""#]);
    }
    let told = flow.fixture.events.all();
    let told = told.iter().filter(|event| *event.kind() == EventKind::AuthFail);
    assert_eq!(told.clone().count(), cases.len());
    assert!(told.clone().all(|event| event.client_ip() == Some("192.0.2.7".parse().unwrap())));
    assert!(flow.fixture.verify(&refresh_text(&login)).await.is_err(), "no access text");
    flow.fixture.verify(login.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r040_a_store_that_is_down_is_503_and_the_token_stays_good() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let text = refresh_text(&flow.fixture.login("ada").await);
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly, Mode::AlwaysLate] {
        flow.fixture.store.set(mode);
        let answer = refresh(&service, &text).await;
        let expected = if mode == Mode::AlwaysLate { 401 } else { 503 };
        assert!(answer.status == 503 || answer.status == expected, "{mode:?} {answer:?}");
    }
    flow.fixture.store.set(Mode::Now);
    assert_eq!(refresh(&service, &text).await.status, 200);
}

/// A `POST` of this client.
async fn post_as<S>(service: &S, (agent, ip): (Option<&str>, &str), body: &Value) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let headers: Vec<_> = agent.map(|agent| ("user-agent", agent)).into_iter().chain([JSON]).collect();
    send_from(service, ip, Method::POST, "/", &headers, Body::from(body.to_string())).await
}

/// The last repeat: who was answered, and where.
fn repeated_by(flow: &Flow) -> (RepeatedBy, Option<IpAddr>) {
    let told = flow.fixture.events.all();
    let by = told.iter().rev().find_map(|event| match event.kind() {
        EventKind::ReuseAllowed { by, .. } => Some((*by, event.client_ip())),
        _ => None,
    });
    by.expect("a repeat")
}

#[tokio::test]
async fn sec_e02_a_repeat_is_told_with_whether_the_client_is_that_of_the_login() {
    use RepeatedBy::{OtherAgent, OtherNetwork, SameClient, Unknown};
    let long = format!("app/1 {}", "x".repeat(2_000));
    let flow = flow();
    let (login, service) = (flow.login().build().unwrap(), builder(&flow).build().unwrap());
    let log_in = async |client| {
        let body = json!({ "username": "ada", "password": PASSWORD });
        json!({ "refresh_token": post_as(&login, client, &body).await.text("refresh_token") })
    };
    for (then, now, expected) in [
        ((Some("app/1"), "192.0.2.7"), (Some("app/1"), "192.0.2.7"), SameClient),
        ((Some("app/1"), "192.0.2.7"), (Some("app/1"), "192.0.2.8"), OtherNetwork),
        ((Some("app/1"), "192.0.2.7"), (Some("app/2"), "192.0.2.7"), OtherAgent),
        ((Some("app/1"), "192.0.2.7"), (Some("app/2"), "192.0.2.8"), OtherAgent),
        ((Some("app/1"), "2001:db8:1:2::1"), (Some("app/1"), "2001:db8:1:2::9"), SameClient),
        ((Some("app/1"), "2001:db8:1:2::1"), (Some("app/1"), "2001:db8:1:3::1"), OtherNetwork),
        // What only one of them says is not compared.
        ((None, "192.0.2.7"), (Some("app/1"), "192.0.2.7"), SameClient),
        ((Some("app/1"), "192.0.2.7"), (None, "192.0.2.7"), SameClient),
        ((None, "192.0.2.7"), (None, "192.0.2.8"), OtherNetwork),
        // Both are cut before they are compared.
        ((Some(long.as_str()), "192.0.2.7"), (Some(long.as_str()), "192.0.2.7"), SameClient),
    ] {
        let token = log_in(then).await;
        for _ in 0..2 {
            assert_eq!(post_as(&service, now, &token).await.status, 200);
        }
        assert_eq!(repeated_by(&flow), (expected, now.1.parse().ok()), "{then:?} {now:?}");
    }

    // Nothing was noted of the login, or nothing is known of the request.
    let text = refresh_text(&flow.fixture.login("ada").await);
    for _ in 0..2 {
        assert_eq!(refresh(&service, &text).await.status, 200);
    }
    assert_eq!(repeated_by(&flow), (Unknown, "192.0.2.7".parse().ok()));
    let token = log_in((Some("app/1"), "192.0.2.7")).await;
    let text = token["refresh_token"].as_str().unwrap();
    for _ in 0..2 {
        flow.fixture.refresh(text).await.unwrap();
    }
    assert_eq!(repeated_by(&flow), (Unknown, None));

    // Whoever repeats too often, or proves a copy, is named by his address, too.
    for _ in 0..99 {
        assert_eq!(refresh(&service, text).await.status, 200);
    }
    assert_eq!(refresh(&service, text).await.status, 401);
    flow.fixture.time.advance(secs(24 * 3600));
    assert_eq!(refresh(&service, text).await.status, 401);
    for name in ["grace_cap", "authn_token_reuse"] {
        let told = flow.fixture.events.all();
        let event = told.iter().find(|event| event.name() == name).unwrap();
        assert_eq!(event.client_ip(), "192.0.2.7".parse().ok(), "{name}");
    }
}

// ===== cookies =====

#[tokio::test]
async fn r040_a_refresh_by_cookie_answers_in_cookies() {
    let flow = flow();
    let service = in_cookies(&flow);
    let mut cookies = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    // Without a body, with an empty one of some type, and with fields of no use.
    for (headers, body) in [(&[][..], ""), (&[JSON][..], ""), (&[FORM][..], "a=b"), (&[JSON][..], "{}")] {
        let cookie = cookies.cookie_header();
        let headers = [&[SAME_ORIGIN, ("cookie", cookie.as_str())], headers].concat();
        let next = post(&service, &headers, body).await;
        assert_eq!(next.status, 200, "{next:?}");
        let names: Vec<_> = next.cookies().iter().map(|(name, _, _)| name.clone()).collect();
        assert_eq!(names, ["__Host-token", "__Secure-token_refresh"]);
        let now: Vec<_> = next.cookies().iter().map(|(_, _, attributes)| attributes.clone()).collect();
        let then: Vec<_> = cookies.cookies().iter().map(|(_, _, attributes)| attributes.clone()).collect();
        assert_eq!(now, then);
        assert_eq!(next.json(), json!({ "expires_in": 24 * 3600, "refresh_expires_in": 7 * 24 * 3600 }));
        for ((_, old, _), (_, new, _)) in cookies.cookies().iter().zip(next.cookies()) {
            assert_ne!(*old, new);
        }
        cookies = next;
    }
    let access = &cookies.cookies()[0].1;
    flow.fixture.verify(access).await.unwrap();
}

#[tokio::test]
async fn r040_a_refresh_cookie_from_another_site_is_403_and_stays_good() {
    let flow = flow();
    let service = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    let calls = flow.store_calls();
    for headers in [&[][..], &[CROSS_SITE][..], &[("sec-fetch-site", "same-site")][..]] {
        let answer = post(&service, &[headers, &[("cookie", &cookie)]].concat(), "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "csrf"));
    }
    assert_eq!(flow.store_calls(), calls);
    assert_eq!(post(&service, &[SAME_ORIGIN, ("cookie", &cookie)], "").await.status, 200);
}

/// The token of a cookie is none for the body, and the reverse: a script that read the one gains nothing.
#[tokio::test]
async fn sec_d03_refresh_tokens_keep_to_their_channel() {
    let flow = flow();
    let service = in_cookies(&flow);
    let cookie = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let header = flow.fixture.login("ada").await;
    let answer = refresh(&service, &cookie.cookies()[1].1).await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::WrongChannel)));
    let planted = format!("__Secure-token_refresh={}", refresh_text(&header));
    let answer = post(&service, &[SAME_ORIGIN, ("cookie", &planted)], "").await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::WrongChannel)));
    let error: Vec<_> = answer.challenges();
    assert_eq!(
        error,
        [r#"Cookie realm="api", cookie-name="__Host-token", error="invalid_token""#, r#"Bearer realm="api""#]
    );
    // Both at once: the body decides, and answers in the body.
    let both = [SAME_ORIGIN, JSON, ("cookie", &cookie.cookie_header())];
    let body = json!({ "refresh_token": refresh_text(&header) }).to_string();
    let answer = post(&service, &both, &body).await;
    assert_eq!((answer.status.as_u16(), answer.cookies().len()), (200, 0));
    // The access token in the refresh cookie's place is none either.
    let swapped = format!("__Secure-token_refresh={}", cookie.cookies()[0].1);
    assert_eq!(post(&service, &[SAME_ORIGIN, ("cookie", &swapped)], "").await.status, 401);
    // Without cookies configured, none is read.
    let plain = builder(&flow).build().unwrap();
    assert_eq!(
        post(&plain, &[SAME_ORIGIN, JSON, ("cookie", &cookie.cookie_header())], "{}").await.status,
        400
    );
}

/// `send` asserts that no refusal sets a cookie; here is each refusal that a cookie can get.
#[tokio::test]
async fn sec_d14_no_refusal_of_a_refresh_removes_a_cookie() {
    let policy = TokenPolicy::builder().strict().build().unwrap();
    let flow = flow_with(policy);
    let service = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    let headers = [SAME_ORIGIN, ("cookie", cookie.as_str())];
    flow.fixture.store.set(Mode::Down);
    assert_eq!(post(&service, &headers, "").await.status, 503);
    flow.fixture.store.set(Mode::Now);
    // Of two at the same moment, one loses the race.
    flow.fixture.store.gather(2);
    let (one, two) = tokio::join!(post(&service, &headers, ""), post(&service, &headers, ""));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    let (winner, loser) = if one.status == 200 { (one, two) } else { (two, one) };
    assert_eq!(loser.reason(), Some(Reason::LostRace));
    let twice = format!("{cookie}; {cookie}");
    let twice = post(&service, &[SAME_ORIGIN, ("cookie", &twice)], "").await;
    assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateCookie)));
    // Even a token that ends its login.
    flow.fixture.time.advance(secs(60));
    let reused = post(&service, &headers, "").await;
    assert_eq!((reused.status.as_u16(), reused.reason()), (401, Some(Reason::Reuse)));
    let revoked = post(&service, &[SAME_ORIGIN, ("cookie", &winner.cookie_header())], "").await;
    assert_eq!((revoked.status.as_u16(), revoked.reason()), (401, Some(Reason::Revoked)));
}

// ===== the ratchet over HTTP =====

async fn lives(flow: &Flow, issued: &Issued) -> bool {
    flow.fixture.store.record(&issued.record().id()).await.revoked().is_none()
}

#[tokio::test]
async fn sec_e01_a_strict_refresh_token_works_once_over_http() {
    let flow = flow_with(TokenPolicy::builder().strict().build().unwrap());
    let service = builder(&flow).build().unwrap();
    let first = flow.fixture.login("ada").await;
    let second = refresh(&service, &refresh_text(&first)).await;
    assert_ne!(second.text("refresh_token"), refresh_text(&first));
    assert_eq!(refresh(&service, &refresh_text(&first)).await.status, 401);
}

#[tokio::test]
async fn sec_e02_a_used_token_outside_the_window_ends_its_login_over_http() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let (stolen, other) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
    let next = refresh(&service, &refresh_text(&stolen)).await;
    flow.fixture.verify(&next.text("access_token")).await.unwrap();
    flow.fixture.time.advance(secs(16));
    assert_eq!(refresh(&service, &refresh_text(&stolen)).await.reason(), Some(Reason::Reuse));
    assert_eq!(flow.fixture.verify(&next.text("access_token")).await, Err(Reason::Revoked));
    assert_eq!(refresh(&service, &next.text("refresh_token")).await.status, 401);
    assert!(lives(&flow, &other).await);
}

#[tokio::test]
async fn sec_e03_a_grandparent_inside_the_window_ends_its_login_over_http() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let a = flow.fixture.login("ada").await;
    let b = refresh(&service, &refresh_text(&a)).await;
    refresh(&service, &b.text("refresh_token")).await;
    flow.fixture.time.advance(secs(1));
    assert_eq!(refresh(&service, &refresh_text(&a)).await.reason(), Some(Reason::Reuse));
    assert!(!lives(&flow, &a).await);
}

#[tokio::test]
async fn sec_e04_fifty_tabs_that_refresh_at_once_get_the_same_pair_over_http() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let login = flow.fixture.login("ada").await;
    flow.fixture.store.gather(50);
    let text = refresh_text(&login);
    let tabs = (0..50).map(|_| refresh(&service, &text));
    let answers = futures_util::future::join_all(tabs).await;
    for answer in &answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text("refresh_token"), answers[0].text("refresh_token"));
        assert_eq!(answer.text("access_token"), answers[0].text("access_token"));
    }
    assert_eq!(flow.fixture.store.record(&login.record().id()).await.generation(), 1);
}

#[tokio::test]
async fn sec_e05_repeats_end_at_a_hundred_and_end_nothing_over_http() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let login = flow.fixture.login("ada").await;
    let text = refresh_text(&login);
    let first = refresh(&service, &text).await;
    for _ in 0..100 {
        let again = refresh(&service, &text).await;
        assert_eq!(again.text("refresh_token"), first.text("refresh_token"));
    }
    let capped = refresh(&service, &text).await;
    assert_eq!((capped.status.as_u16(), capped.reason()), (401, Some(Reason::GraceCap)));
    flow.fixture.verify(&first.text("access_token")).await.unwrap();
}

#[tokio::test]
async fn sec_e06_the_right_id_with_a_wrong_secret_ends_nothing_over_http() {
    let flow = flow();
    let service = builder(&flow).build().unwrap();
    let (login, other) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
    let (own, foreign) = (refresh_text(&login), refresh_text(&other));
    let writes = flow.fixture.store.writes();
    // The id of the one, the rest of the other: the check at its end is the only part that anybody can make anew.
    let grafted = format!("{}{}", &own[..21], &foreign[21..foreign.len() - 6]);
    let answer = refresh(&service, &with_check(&grafted)).await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::WrongTag)));
    assert_eq!(flow.fixture.store.writes(), writes);
    assert_eq!(refresh(&service, &own).await.status, 200);
}

#[tokio::test]
async fn r139_the_31st_refresh_from_one_address_is_429_and_its_token_stays_good() {
    let flow = flow();
    let throttle =
        Throttle::new(MemoryCounters::new(), ThrottlePolicy::default()).clock(flow.fixture.time.clock());
    let service = builder(&flow).throttle(throttle).build().unwrap();
    let text = refresh_text(&flow.fixture.login("ada").await);
    for _ in 0..30 {
        assert_eq!(refresh(&service, "junk").await.status, 401);
    }
    let calls = flow.store_calls();
    let refused = refresh(&service, &text).await;
    assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].to_str().unwrap()), (429, "2"));
    assert_eq!(flow.store_calls(), calls);
    flow.fixture.time.advance(secs(2));
    assert_eq!(refresh(&service, &text).await.status, 200);
    assert_eq!(send(&service, Method::GET, "/", &[], "").await.status, 405);
}
