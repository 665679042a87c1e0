//! Logging out, here and everywhere.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Method;
use portcullis::{
    AuthLayer, TokenPolicy, TokenService,
    credential::Channel,
    csrf::CsrfPolicy,
    flow::{LogoutAllService, LogoutService, RefreshService},
    identity::Subject,
    problem::Reason,
    token::RefreshRequest,
};
use serde_json::json;
use tower::Layer;
use tracing_subscriber::fmt::MakeWriter;

use crate::{
    flow::{CROSS_SITE, Flow, JSON, PASSWORD, SAME_ORIGIN, flow, log_in, post, send, with_check},
    support::{Mode, ask_layer, bearer, refresh_text, request, secs},
};

const CLEARED: [(&str, &str, &str); 2] = [
    ("__Host-token", "", "Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"),
    ("__Secure-token_refresh", "", "Max-Age=0; Path=/auth; Secure; HttpOnly; SameSite=Strict"),
];

fn cleared() -> Vec<(String, String, String)> {
    CLEARED.map(|(name, value, rest)| (name.to_owned(), value.to_owned(), rest.to_owned())).to_vec()
}

fn in_cookies(flow: &Flow) -> LogoutService {
    LogoutService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth").build().unwrap()
}

#[tokio::test]
async fn r051_a_logout_ends_this_login_and_no_other_and_may_be_repeated() {
    let flow = flow();
    let logout = LogoutService::new(flow.fixture.tokens.clone()).build().unwrap();
    let (this, other) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
    for scheme in ["Bearer", "token", "Bearer"] {
        let header = format!("{scheme} {}", this.access().expose());
        let answer = post(&logout, &[("authorization", &header)], "").await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        assert!(answer.cookies().is_empty() && !answer.headers.contains_key("content-type"));
    }
    assert_eq!(flow.fixture.verify(this.access().expose()).await, Err(Reason::Revoked));
    assert!(flow.fixture.refresh(this.refresh().unwrap().expose()).await.is_err());
    flow.fixture.verify(other.access().expose()).await.unwrap();
    assert_eq!(flow.fixture.events.count("authn_token_revoked"), 1);

    // A token that has expired can still do this; and a refresh token is proof enough, too.
    flow.fixture.time.advance(secs(25 * 3600));
    let (_, value) = bearer(other.access().expose());
    assert_eq!(post(&logout, &[("authorization", &value)], "").await.status, 204);
    assert!(flow.fixture.refresh(other.refresh().unwrap().expose()).await.is_err());
    let third = flow.fixture.login("ada").await;
    let (_, value) = bearer(third.refresh().unwrap().expose());
    assert_eq!(post(&logout, &[("authorization", &value)], "ignored").await.status, 204);
    assert_eq!(flow.fixture.verify(third.access().expose()).await, Err(Reason::Revoked));
}

#[tokio::test]
async fn r051_without_a_credential_of_ours_there_is_nothing_to_end() {
    let flow = flow();
    let login = flow.fixture.login("ada").await;
    let text = login.access().expose();
    let (foreign, edited) = (format!("Basic {text}"), format!("Bearer {text}x"));
    let other_channel =
        log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await.cookies()[0].1.clone();
    let other_channel = format!("Bearer {other_channel}");
    for logout in [LogoutService::new(flow.fixture.tokens.clone()).build().unwrap(), in_cookies(&flow)] {
        for headers in [
            &[][..],
            &[("authorization", foreign.as_str())][..],
            &[("authorization", edited.as_str())][..],
            &[("authorization", "Bearer junk")][..],
            &[("authorization", other_channel.as_str())][..],
        ] {
            assert_eq!(post(&logout, headers, "").await.status, 204, "{headers:?}");
        }
        for garbled in ["Bearer", "Bearer ", "Bearer a b", "Bearer %"] {
            let answer = post(&logout, &[("authorization", garbled)], "").await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"));
            assert_eq!(answer.challenges(), [r#"Bearer realm="api", error="invalid_request""#]);
        }
        let (_, value) = bearer(text);
        let twice = post(&logout, &[("authorization", &value), ("authorization", &value)], "").await;
        assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateHeader)));
        assert_eq!(send(&logout, Method::GET, "/", &[("authorization", &value)], "").await.status, 405);
    }
    flow.fixture.verify(text).await.unwrap();
    assert_eq!(flow.fixture.events.count("authn_token_revoked"), 0);
}

#[tokio::test]
async fn r059_a_logout_by_cookie_ends_the_record_and_the_old_cookie_is_worth_nothing() {
    let flow = flow();
    let logout = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    for _ in 0..2 {
        let answer = post(&logout, &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
        assert_eq!((answer.status.as_u16(), answer.cookies()), (204, cleared()));
    }
    // Replayed, by whoever kept it: on every layer, and as a refresh.
    for _ in 0..2 {
        let layer = AuthLayer::new(flow.fixture.tokens.clone())
            .cookie("token")
            .clock(flow.fixture.time.clock())
            .build()
            .unwrap();
        assert_eq!(ask_layer(&layer, request(&[("cookie", &cookie)])).await.status, 401);
    }
    let cookies = login.cookies();
    let refreshed = RefreshRequest::new(&cookies[1].1, Channel::Cookie);
    assert!(flow.fixture.tokens.refresh(refreshed).await.is_err());
    // Without any session it is a logout all the same.
    assert_eq!(post(&logout, &[SAME_ORIGIN], "").await.cookies(), cleared());
}

/// Two nodes, each with a service and a layer of its own, over one store.
#[tokio::test]
async fn sec_d07_a_logout_on_one_node_ends_the_cookie_on_every_other() {
    let flow = flow();
    let elsewhere = TokenService::new(flow.fixture.store.clone(), TokenPolicy::default());
    let elsewhere = elsewhere.clock(flow.fixture.time.clock());
    let layer = |tokens: &TokenService| {
        AuthLayer::new(tokens.clone()).cookie("token").clock(flow.fixture.time.clock()).build().unwrap()
    };
    let (here, there) = (layer(&flow.fixture.tokens), layer(&elsewhere));
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    for layer in [&here, &there] {
        assert_eq!(ask_layer(layer, request(&[("cookie", &cookie)])).await.body, "ada cookie Cookie");
    }
    assert_eq!(post(&in_cookies(&flow), &[SAME_ORIGIN, ("cookie", &cookie)], "").await.status, 204);
    for layer in [&here, &there] {
        assert_eq!(ask_layer(layer, request(&[("cookie", &cookie)])).await.status, 401);
    }
}

/// Browsers drop the access cookie when the access token ends; the refresh cookie is still there, and good.
#[tokio::test]
async fn r059_the_refresh_cookie_alone_ends_the_login_too() {
    let flow = flow();
    let logout = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    flow.fixture.time.advance(secs(25 * 3600));
    let refresh = &login.cookies()[1].1;
    let cookie = format!("__Secure-token_refresh={refresh}");
    assert_eq!(post(&logout, &[SAME_ORIGIN, ("cookie", &cookie)], "").await.cookies(), cleared());
    let service = RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let service = service.build().unwrap();
    assert_eq!(post(&service, &[SAME_ORIGIN, ("cookie", &cookie)], "").await.status, 401);

    // A stale access cookie does not hide it.
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let next = post(&service, &[SAME_ORIGIN, ("cookie", &login.cookie_header())], "").await;
    let mixed =
        format!("__Host-token={}; __Secure-token_refresh={}", login.cookies()[0].1, next.cookies()[1].1);
    assert_eq!(post(&logout, &[SAME_ORIGIN, ("cookie", &mixed)], "").await.status, 204);
    assert!(flow.fixture.verify(&next.cookies()[0].1).await.is_err());
}

/// The right id, a check that fits, and any other part changed: it ends nothing.
#[tokio::test]
async fn sec_e06_a_forged_token_logs_nobody_out() {
    let flow = flow();
    let logout = LogoutService::new(flow.fixture.tokens.clone()).build().unwrap();
    let (login, other) = (flow.fixture.login("ada").await, flow.fixture.login("bob").await);
    let mut texts = vec![(login.access().expose().to_owned(), other.access().expose().to_owned())];
    let mut refresh = refresh_text(&login);
    texts.push((refresh.clone(), refresh_text(&other)));
    let mut access = String::new();
    for _ in 0..3 {
        let next = flow.fixture.refresh(&refresh).await.unwrap();
        (access, refresh) = (next.access().expose().to_owned(), refresh_text(&next));
    }
    texts.push((access.clone(), other.access().expose().to_owned()));
    texts.push((refresh, refresh_text(&other)));
    for (own, foreign) in texts {
        let body = own.len() - 6;
        let mut forged = vec![format!("{}{}", &own[..21], &foreign[21..body])];
        for at in 21..body {
            let mut bytes = own.as_bytes()[..body].to_vec();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            forged.push(String::from_utf8(bytes).unwrap());
        }
        for text in forged {
            let header = format!("Bearer {}", with_check(&text));
            assert_eq!(post(&logout, &[("authorization", &header)], "").await.status, 204);
            flow.fixture.verify(&access).await.unwrap();
        }
    }
    // Not for the forger's lack of a check: the true text does it.
    assert_eq!(with_check(&access[..access.len() - 6]), access);
    assert_eq!(post(&logout, &[("authorization", &format!("Bearer {access}"))], "").await.status, 204);
    assert_eq!(flow.fixture.verify(&access).await, Err(Reason::Revoked));
}

#[tokio::test]
async fn r051_another_site_cannot_log_the_browser_out() {
    let flow = flow();
    let logout = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    for headers in [&[][..], &[CROSS_SITE][..], &[("origin", "https://evil.example"), ("host", "app")][..]] {
        let answer = post(&logout, &[headers, &[("cookie", &cookie)]].concat(), "").await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "csrf"));
        // Nor without the cookies, which a browser does not send along from there: nothing is removed.
        let answer = post(&logout, headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.cookies().len()), (204, 0));
    }
    flow.fixture.verify(&login.cookies()[0].1).await.unwrap();
    assert_eq!(flow.fixture.events.count("csrf_refused"), 3);
    let listed = LogoutService::new(flow.fixture.tokens.clone())
        .cookie("token")
        .csrf(CsrfPolicy::new().allow_origin("https://evil.example"));
    let headers = [CROSS_SITE, ("origin", "https://evil.example"), ("cookie", &cookie)];
    assert_eq!(post(&listed.build().unwrap(), &headers, "").await.status, 204);
}

#[tokio::test]
async fn sec_d14_a_logout_that_did_not_happen_leaves_the_cookies() {
    let flow = flow();
    let logout = in_cookies(&flow);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = login.cookie_header();
    let (_, value) = bearer(flow.fixture.login("ada").await.access().expose());
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        flow.fixture.store.set(mode);
        // `send` asserts that nothing but a success touches a cookie.
        assert_eq!(post(&logout, &[SAME_ORIGIN, ("cookie", &cookie)], "").await.status, 503, "{mode:?}");
        assert_eq!(post(&logout, &[("authorization", &value)], "").await.status, 503);
    }
    flow.fixture.store.set(Mode::Now);
    let twice = format!("{cookie}; {cookie}");
    assert_eq!(post(&logout, &[SAME_ORIGIN, ("cookie", &twice)], "").await.status, 400);
    flow.fixture.verify(&login.cookies()[0].1).await.unwrap();
}

#[tokio::test]
async fn sec_d15_a_logout_may_have_the_browser_forget_the_rest() {
    let flow = flow();
    let builder = LogoutService::new(flow.fixture.tokens.clone()).cookie("token").clear_site_data();
    let logout = builder.build().unwrap();
    let expected = r#""cache", "storage""#;
    let (_, value) = bearer(flow.fixture.login("ada").await.access().expose());
    for headers in [[SAME_ORIGIN], [("authorization", value.as_str())]] {
        assert_eq!(post(&logout, &headers, "").await.headers["clear-site-data"], expected);
    }
    let foreign = post(&logout, &[CROSS_SITE], "").await;
    assert!(!foreign.headers.contains_key("clear-site-data"));
    let silent = post(&in_cookies(&flow), &[SAME_ORIGIN], "").await;
    assert!(!silent.headers.contains_key("clear-site-data"));
}

/// `send` asserts it of every answer in these tests; here are those that set or take away a credential.
#[tokio::test]
async fn sec_d15_answers_with_credentials_are_not_stored() {
    let flow = flow();
    let refresh = RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let in_body = log_in(&flow.login().build().unwrap(), &[], "ada", PASSWORD).await;
    let in_cookie = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = in_cookie.cookie_header();
    let next = post(&refresh.build().unwrap(), &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
    let out = post(&in_cookies(&flow), &[SAME_ORIGIN, ("cookie", &next.cookie_header())], "").await;
    for answer in [in_body, in_cookie, next, out] {
        assert_eq!(answer.headers.get_all("cache-control").iter().collect::<Vec<_>>(), ["no-store"]);
    }
}

// ===== everywhere =====

#[tokio::test]
async fn r051_a_logout_everywhere_ends_all_logins_of_the_caller_and_nobody_elses() {
    let flow = flow();
    let layer = flow.fixture.layer().cookie("token").build().unwrap();
    let all = LogoutAllService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let all = layer.layer(all.build().unwrap());
    let (phone, bob) = (flow.fixture.login("ada").await, flow.fixture.login("bob").await);
    let browser = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = browser.cookie_header();
    assert_eq!(post(&all, &[CROSS_SITE, ("cookie", &cookie)], "").await.status, 403);
    let answer = post(&all, &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ended": 2 })));
    assert_eq!(answer.cookies(), cleared());
    for text in [phone.access().expose(), &browser.cookies()[0].1] {
        assert!(flow.fixture.verify(text).await.is_err());
    }
    flow.fixture.verify(bob.access().expose()).await.unwrap();
    // Whoever came by header has no cookie to lose.
    let (_, value) = bearer(bob.access().expose());
    let answer = post(&all, &[("authorization", &value)], "").await;
    assert_eq!((answer.json(), answer.cookies().len()), (json!({ "ended": 1 }), 0));
    assert_eq!(post(&all, &[("authorization", &value)], "").await.status, 401, "there is no caller any more");
}

#[tokio::test]
async fn r209_the_other_devices_can_be_logged_out_and_this_one_kept() {
    let flow = flow();
    let layer = flow.fixture.layer().cookie("token").build().unwrap();
    let others = LogoutAllService::new(flow.fixture.tokens.clone()).cookie("token").others_only();
    let others = layer.layer(others.build().unwrap());
    let (one, two) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
    let browser = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = browser.cookie_header();
    let answer = post(&others, &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
    assert_eq!((answer.json(), answer.cookies().len()), (json!({ "ended": 2 }), 0));
    for issued in [one, two] {
        assert!(flow.fixture.verify(issued.access().expose()).await.is_err());
    }
    let again = post(&others, &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
    assert_eq!(again.json(), json!({ "ended": 0 }));
}

#[tokio::test]
async fn r051_a_logout_everywhere_needs_a_caller_and_a_store() {
    let flow = flow();
    let service = LogoutAllService::new(flow.fixture.tokens.clone()).cookie("token").build().unwrap();
    let bare = post(&service, &[], "").await;
    assert_eq!((bare.status.as_u16(), bare.code().as_str()), (500, "auth_layer_missing"));
    let optional = flow.fixture.layer().optional().build().unwrap().layer(service.clone());
    let anonymous = post(&optional, &[], "").await;
    assert_eq!((anonymous.status.as_u16(), anonymous.code().as_str()), (401, "missing_credential"));
    assert_eq!(anonymous.challenges(), [r#"Bearer realm="api""#, r#"Token realm="api""#]);
    let guarded = flow.fixture.layer().cookie("token").build().unwrap().layer(service);
    let login = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let headers = [SAME_ORIGIN, ("cookie", &login.cookie_header())];
    flow.fixture.store.set(Mode::ReadOnly);
    assert_eq!(post(&guarded, &headers, "").await.status, 503);
    flow.fixture.store.set(Mode::Now);
    assert_eq!(send(&guarded, Method::GET, "/", &headers, "").await.status, 405);
    assert_eq!(flow.fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap(), 1);
}

// ===== the log =====

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// From a failed login to a logout, with every kind of refusal on the way.
#[tokio::test]
async fn sec_d16_no_password_and_no_token_of_a_flow_is_logged_or_shown() {
    let log = Log::default();
    // With one subscriber alone, `tracing` asks the thread that meets a line first whether anybody reads it; another
    // test's thread would say no for all.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let flow = flow();
    let mut secrets = vec![PASSWORD.to_owned(), "planted-wrong-password".to_owned()];
    let mut shown = String::new();
    {
        let _guard = tracing::subscriber::set_default(subscriber);
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
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
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
