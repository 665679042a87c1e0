//! No password and no token is logged.

use portcullis::flow::RefreshService;
use serde_json::json;

use super::{CROSS_SITE, JSON, PASSWORD, SAME_ORIGIN, flow, log_in, logout::in_cookies, post};
use crate::{
    log::Log,
    support::{Mode, secs},
};

/// From a failed login to a logout, with every kind of refusal on the way.
#[tokio::test]
async fn sec_d16_no_password_and_no_token_of_a_flow_is_logged_or_shown() {
    let log = Log::default();
    let flow = flow();
    let mut secrets = vec![PASSWORD.to_owned(), "planted-wrong-password".to_owned()];
    let mut shown = String::new();
    {
        let _guard = log.listen();
        let (login, cookie_login) = (flow.login().build().unwrap(), flow.cookie_login());
        let refresh =
            RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
        let refresh = refresh.build().unwrap();
        let logout = in_cookies(&flow);
        let mut refusals = vec![
            log_in(&login, &[], "ada", "planted-wrong-password").await,
            log_in(&login, &[], "stuck", PASSWORD).await,
            log_in(&cookie_login, &[CROSS_SITE], "ada", PASSWORD).await,
            post(&login, &[JSON], &format!(r#"{{"password":"{PASSWORD}","password":1}}"#)).await,
            post(&login, &[JSON], &format!(r#"{{"password":"{PASSWORD}""#)).await,
        ];
        let in_body = log_in(&login, &[("user-agent", "app")], "ada", PASSWORD).await;
        let in_cookie = log_in(&cookie_login, &[SAME_ORIGIN], "ada", PASSWORD).await;
        let body = json!({ "refresh_token": in_body.text("refresh_token") }).to_string();
        let next = post(&refresh, &[JSON], &body).await;
        flow.fixture.verify(&next.text("access_token")).await.unwrap();
        flow.fixture.time.advance(secs(60));
        refusals.push(post(&refresh, &[JSON], &body).await);
        flow.fixture.store.set(Mode::Down);
        refusals.push(post(&logout, &[SAME_ORIGIN, ("cookie", &in_cookie.cookie_header())], "").await);
        flow.fixture.store.set(Mode::Now);
        assert_eq!(
            post(&logout, &[SAME_ORIGIN, ("cookie", &in_cookie.cookie_header())], "").await.status,
            204
        );
        for refusal in refusals {
            assert!(!refusal.status.is_success());
            shown.push_str(&format!("{refusal:?}"));
        }
        for answer in [in_body, next] {
            secrets.extend([answer.text("access_token"), answer.text("refresh_token")]);
        }
        secrets.extend(in_cookie.cookies().into_iter().map(|(_, value, _)| value));
    }
    let log = log.text();
    for expected in
        ["authn_login_fail", "authn_login_success", "authn_token_reuse", "new_device", "csrf_refused"]
    {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    shown.push_str(&format!("{log}{:?}", flow.fixture.events.all()));
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret}");
        if secret.starts_with("pc_") {
            let parts = secret.as_bytes()[secret.len() - 40..].chunks(8);
            for part in parts {
                assert!(!shown.contains(std::str::from_utf8(part).unwrap()));
            }
        }
    }
}
