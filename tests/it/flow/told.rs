//! What is told of logins.

use portcullis::{
    credential::Channel,
    event::{Event, EventKind},
    identity::Subject,
    problem::Reason,
    store::LoginRecord,
};
use serde_json::json;

use super::{JSON, PASSWORD, SAME_ORIGIN, flow, log_in, post};

fn of_kind(events: &[Event], kind: EventKind) -> Vec<Event> {
    events.iter().filter(|event| *event.kind() == kind).cloned().collect()
}

#[tokio::test]
async fn sec_k03_logins_and_failures_are_told_with_whom_why_and_from_where() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    log_in(&login, &[], "nobody", "x").await;
    log_in(&login, &[], "ada", "x").await;
    let good = log_in(&login, &[], "ada", PASSWORD).await;
    post(&login, &[JSON], "{}").await;
    let events = flow.fixture.events.all();
    let failed = of_kind(&events, EventKind::LoginFail);
    let told: Vec<_> =
        failed.iter().map(|event| (event.reason(), event.subject().map(Subject::id))).collect();
    assert_eq!(told, [(Some(Reason::UnknownUser), None), (Some(Reason::WrongPassword), Some("ada"))]);
    let success = of_kind(&events, EventKind::LoginSuccess);
    let [success] = &success[..] else { panic!("{events:?}") };
    assert_eq!(success.subject(), Some(&Subject::local("ada")));
    assert_eq!(success.channel(), Some(Channel::Header));
    assert_eq!(success.record().unwrap().as_str(), &good.text("access_token")[4..21]);
    let record: &LoginRecord = success.details().unwrap();
    assert_eq!(record.context().get("ip_address"), Some("192.0.2.7".into()));
    for event in failed.iter().chain([success]) {
        assert_eq!(event.client_ip(), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(event.at(), flow.fixture.time.now());
    }
}

#[tokio::test]
async fn r209_a_device_is_new_until_a_live_login_of_the_user_has_the_same() {
    let flow = flow();
    let (login, cookie_login) = (flow.login().build().unwrap(), flow.cookie_login());
    let new = || flow.fixture.events.count("new_device");
    let phone = json!({ "username": "ada", "password": PASSWORD, "device": "phone" }).to_string();
    let agent = ("user-agent", "app/1");
    post(&login, &[JSON, agent], &phone).await;
    assert_eq!(new(), 1);
    post(&login, &[JSON, agent], &phone).await;
    assert_eq!(new(), 1, "the same device");
    post(&login, &[JSON, ("user-agent", "app/2")], &phone).await;
    assert_eq!(new(), 2, "another user agent");
    log_in(&login, &[agent], "ada", PASSWORD).await;
    assert_eq!(new(), 3, "another device");
    log_in(&login, &[agent], "bob", PASSWORD).await;
    assert_eq!(new(), 4, "another user");
    log_in(&login, &[agent], "ada", "wrong").await;
    assert_eq!(new(), 4, "nobody came in");

    // A login that was ended vouches for nothing: a thief's device is new again.
    flow.fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    let again = post(&cookie_login, &[JSON, agent, SAME_ORIGIN], &phone).await;
    assert_eq!(new(), 5);
    // But the browser's own login does, although the new one ends it.
    let cookie = again.cookie_header();
    post(&cookie_login, &[JSON, agent, SAME_ORIGIN, ("cookie", &cookie)], &phone).await;
    assert_eq!(new(), 5);

    let events = flow.fixture.events.all();
    let told = of_kind(&events, EventKind::NewDevice);
    assert!(told.iter().all(|event| event.details::<LoginRecord>().is_some() && event.client_ip().is_some()));
}

#[tokio::test]
async fn sec_d16_what_a_device_calls_itself_is_cut_and_cleaned() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let device = format!("a\r\nInjected: 1\0{}", "x".repeat(10_000));
    let body = json!({ "username": "ada", "password": PASSWORD, "device": device }).to_string();
    let agent = "y".repeat(4_000);
    let answer = post(&login, &[JSON, ("user-agent", &agent)], &body).await;
    assert_eq!(answer.status, 200);
    let verified = flow.fixture.tokens.verify(&answer.text("access_token"), None).await.unwrap();
    let context = verified.record().unwrap().context().to_object();
    let text = |key: &str| context[key].as_str().unwrap().to_owned();
    assert!(text("device").starts_with("aInjected: 1x") && text("device").len() == 256);
    assert_eq!(text("user_agent").len(), 512);
}
