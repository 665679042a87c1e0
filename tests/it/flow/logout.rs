//! Logging out here.

use http::Method;
use portcullis::{
    AuthLayer, TokenPolicy, TokenService,
    credential::Channel,
    csrf::CsrfPolicy,
    flow::{LogoutService, RefreshService},
    problem::Reason,
    token::RefreshRequest,
};

use super::{CROSS_SITE, Flow, PASSWORD, SAME_ORIGIN, flow, log_in, post, send, with_check};
use crate::support::{Mode, ask_layer, bearer, refresh_text, request, secs};

const CLEARED: [(&str, &str, &str); 2] = [
    ("__Host-token", "", "Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"),
    ("__Secure-token_refresh", "", "Max-Age=0; Path=/auth; Secure; HttpOnly; SameSite=Strict"),
];

pub(super) fn cleared() -> Vec<(String, String, String)> {
    CLEARED.map(|(name, value, rest)| (name.to_owned(), value.to_owned(), rest.to_owned())).to_vec()
}

pub(super) fn in_cookies(flow: &Flow) -> LogoutService {
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
