//! Logging in.

use std::sync::Arc;

use http::Method;
use portcullis::{
    TokenPolicy,
    credential::Channel,
    flow::RefreshService,
    problem::{Reason, RejectionKind},
    store::LiveLimit,
};
use serde_json::{Value, json};

use super::{FORM, JSON, PASSWORD, SAME_ORIGIN, flow, flow_with, log_in, post, send};
use crate::support::{Answer, Mode};

#[tokio::test]
async fn r040_good_credentials_get_both_tokens_and_a_summary_and_leave_a_context() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let json_body =
        json!({ "username": "ada", "password": PASSWORD, "device": "phone", "csrf": 1, "more": [{}] })
            .to_string();
    let form_body = format!("username=ada&password={PASSWORD}&device=ph%6Fne&&more");
    for (content_type, body) in [(JSON, &json_body), (FORM, &form_body)] {
        let answer = post(&login, &[content_type, ("user-agent", "app/1")], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let body = answer.json();
        let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type", "user"]
        );
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(24 * 3600)));
        assert_eq!(body["refresh_expires_in"], 7 * 24 * 3600);
        assert_eq!(body["user"], json!({ "id": "ada", "email": "ada@example.com" }));
        assert!(answer.cookies().is_empty());

        let verified = flow.fixture.tokens.verify(&answer.text("access_token"), Some(Channel::Header)).await;
        let verified = verified.unwrap();
        let context = verified.record().unwrap().context().to_object();
        let expected = json!({ "device": "phone", "ip_address": "192.0.2.7", "user_agent": "app/1" });
        assert_eq!(Value::Object(context), expected);
        let next = flow.fixture.refresh(&answer.text("refresh_token")).await.unwrap();
        assert_eq!(next.record().context().get("device"), Some("phone".into()));
    }
    assert_eq!(flow.users.asked(), (2, 2));
}

#[tokio::test]
async fn r040_without_a_refresh_token_or_an_end_the_answer_has_neither() {
    let policy = TokenPolicy::builder().refresh_ttl(None).access_ttl(None).absolute(None).build().unwrap();
    let flow = flow_with(policy);
    let answer = log_in(&flow.login().build().unwrap(), &[], "ada", PASSWORD).await;
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "token_type", "user"]);
}

/// To the byte, and for the same work: the fake says yes to the right password, whoever it is asked about.
#[tokio::test]
async fn r040_unknown_wrong_and_inactive_answer_alike_for_one_check_each() {
    for cookies in [false, true] {
        let flow = flow();
        let login = if cookies { flow.cookie_login() } else { flow.login().build().unwrap() };
        let cases = [
            ("ada", "wrong", Reason::WrongPassword, Some("ada")),
            ("nobody", PASSWORD, Reason::UnknownUser, None),
            ("nobody", "wrong", Reason::UnknownUser, None),
            ("gone", PASSWORD, Reason::InactiveUser, Some("gone")),
            ("gone", "wrong", Reason::WrongPassword, Some("gone")),
        ];
        let mut answers: Vec<Answer> = Vec::new();
        for (done, (username, password, reason, checked)) in cases.into_iter().enumerate() {
            let answer = log_in(&login, &[SAME_ORIGIN], username, password).await;
            assert_eq!(answer.reason(), Some(reason));
            assert_eq!(flow.users.asked(), (done + 1, done + 1), "{username}");
            assert_eq!(flow.users.checked(), [checked.map(str::to_owned)]);
            answers.push(answer);
        }
        for answer in &answers {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_credentials"));
            assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
        }
        let challenge = if cookies {
            r#"Cookie realm="api", cookie-name="__Host-token""#
        } else {
            r#"Bearer realm="api""#
        };
        assert_eq!(answers[0].challenges(), [challenge]);
        assert_eq!(flow.store_calls(), (0, 0));

        // A good login costs the same look-up and check.
        let good = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
        assert_eq!((good.status.as_u16(), flow.users.asked()), (200, (6, 6)));
    }
}

#[tokio::test]
async fn r040_the_fields_and_the_realm_can_have_other_names() {
    let flow = flow();
    let builder = flow.login().username_field("email").password_field("secret").realm("shop");
    let login = builder.build().unwrap();
    let body = json!({ "email": "ada", "secret": PASSWORD }).to_string();
    assert_eq!(post(&login, &[JSON], &body).await.status, 200);
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 400);
    let body = json!({ "email": "ada", "secret": "wrong" }).to_string();
    assert_eq!(post(&login, &[JSON], &body).await.challenges(), [r#"Bearer realm="shop""#]);
}

#[tokio::test]
async fn r040_what_could_not_be_checked_is_503_and_no_login() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    for name in ["lost", "stuck"] {
        let answer = log_in(&login, &[], name, PASSWORD).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        assert_eq!(answer.headers["retry-after"], "5");
        assert!(!answer.body.contains("planted"));
    }
    assert_eq!(flow.users.asked(), (2, 1));
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        flow.fixture.store.set(mode);
        assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 503, "{mode:?}");
        assert_eq!(log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await.status, 503);
    }
    assert_eq!(flow.fixture.store.writes(), 0);
    assert_eq!(flow.fixture.events.count("authn_login_success"), 0);
    assert_eq!(flow.fixture.events.count("authn_unavailable"), 8);
}

#[tokio::test]
async fn a_login_above_the_limit_is_409_and_says_so() {
    let flow = flow_with(TokenPolicy::builder().limit(LiveLimit::Refuse(2)).build().unwrap());
    let login = flow.login().build().unwrap();
    for expected in [200, 200, 409] {
        assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, expected);
    }
    let refused = log_in(&login, &[], "ada", PASSWORD).await;
    assert_eq!((refused.code().as_str(), refused.reason()), ("login_limit", Some(Reason::LoginLimit)));
    assert_eq!(refused.rejection.unwrap().kind(), RejectionKind::LoginLimit);
    assert!(refused.headers.get("www-authenticate").is_none());
    // Whoever does not know the password learns nothing of it.
    assert_eq!(log_in(&login, &[], "ada", "wrong").await.status, 401);
    let failed = flow.fixture.events.all();
    let failed = failed.iter().filter(|event| event.reason() == Some(Reason::LoginLimit));
    assert!(failed.clone().all(|event| event.name() == "authn_login_fail"));
    assert_eq!(failed.count(), 2);
}

#[tokio::test]
async fn sec_i08_a_login_belongs_to_the_tenant_and_client_of_its_request() {
    let flow = flow();
    let header = |name: &'static str| {
        move |head: &http::request::Parts| Some(head.headers.get(name)?.to_str().ok()?.to_owned())
    };
    let login = flow.login().tenant(header("x-tenant")).client(header("x-client")).build().unwrap();
    let answer = log_in(&login, &[("x-tenant", "red"), ("x-client", "app")], "ada", PASSWORD).await;
    assert_eq!(flow.users.tenants(), [Some("red".to_owned())]);
    let body = json!({ "refresh_token": answer.text("refresh_token") }).to_string();
    let refresh = RefreshService::new(flow.fixture.tokens.clone())
        .tenant(header("x-tenant"))
        .client(header("x-client"))
        .build()
        .unwrap();
    let others: [(&[(&str, &str)], Reason); 4] = [
        (&[], Reason::WrongTenant),
        (&[("x-tenant", "blue"), ("x-client", "app")], Reason::WrongTenant),
        (&[("x-tenant", "red")], Reason::WrongClient),
        (&[("x-tenant", "red"), ("x-client", "other")], Reason::WrongClient),
    ];
    for (headers, reason) in others {
        let refused = post(&refresh, &[headers, &[JSON]].concat(), &body).await;
        assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(reason)));
    }
    let next = post(&refresh, &[JSON, ("x-tenant", "red"), ("x-client", "app")], &body).await;
    assert_eq!(next.status, 200);
}

/// The service may be shared by any number of tasks.
#[tokio::test]
async fn a_service_can_be_cloned_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    let flow = flow();
    let login = flow.login().build().unwrap();
    check(&login);
    let shared = Arc::new(login);
    assert_eq!(log_in(&*shared, &[], "ada", PASSWORD).await.status, 200);
    assert_eq!(send(&*shared, Method::GET, "/", &[], "").await.status, 405);
}
