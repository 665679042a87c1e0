//! Logging in with cookies.

use portcullis::{
    TokenPolicy,
    cookie::CookieSettings,
    credential::Channel,
    csrf::CsrfPolicy,
    flow::RefreshService,
    identity::{Ended, Subject},
    problem::Reason,
    store::LiveLimit,
    token::LoginQuery,
    verify::Verify,
};
use serde_json::{Value, json};

use super::{CROSS_SITE, FORM, JSON, PASSWORD, SAME_ORIGIN, flow, flow_with, log_in, post};
use crate::support::{ask, request, secs};

#[tokio::test]
async fn r017_a_cookie_login_has_its_tokens_in_cookies_and_nowhere_else() {
    let flow = flow();
    let answer = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["expires_in", "refresh_expires_in", "user"]);

    let cookies = answer.cookies();
    assert_eq!(cookies.len(), 2);
    let (name, token, attributes) = &cookies[0];
    assert_eq!(name, "__Host-token");
    assert_eq!(attributes, "Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax");
    let (name, refresh, attributes) = &cookies[1];
    assert_eq!(name, "__Secure-token_refresh");
    assert_eq!(attributes, "Max-Age=604800; Path=/auth; Secure; HttpOnly; SameSite=Strict");
    for text in [token, refresh] {
        assert!(!answer.body.contains(text.as_str()) && text.starts_with("pc_"));
    }

    let cookie = answer.cookie_header();
    let seen = ask(flow.fixture.layer().cookie("token"), request(&[("cookie", &cookie)])).await;
    assert_eq!(seen.body, "ada cookie Cookie");
    // The same text in the header is refused: the channel is part of the login.
    assert!(flow.fixture.tokens.verify(token, Some(Channel::Header)).await.is_err());
}

#[tokio::test]
async fn r017_without_a_refresh_cookie_there_is_no_refresh_token() {
    let flow = flow();
    let login = flow.login().cookie(CookieSettings::new("sid").danger_plain()).build().unwrap();
    let answer = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    assert_eq!(answer.cookies().len(), 1);
    assert_eq!(answer.cookies()[0].0, "sid");
    assert_eq!(answer.json().get("refresh_expires_in"), None);
    let logins = flow.fixture.tokens.logins(LoginQuery::of(Subject::local("ada"))).await.unwrap().logins;
    assert_eq!(logins[0].refresh_expires(), None);
}

#[tokio::test]
async fn a_login_that_is_not_to_be_remembered_ends_with_the_browser() {
    for (field, remembered) in [
        (json!(true), true),
        (json!("on"), true),
        (Value::Null, true),
        (json!(false), false),
        (json!("false"), false),
        (json!("0"), false),
    ] {
        let flow = flow();
        let body = json!({ "username": "ada", "password": PASSWORD, "remember": field }).to_string();
        let answer = post(&flow.cookie_login(), &[SAME_ORIGIN, JSON], &body).await;
        for (_, _, attributes) in answer.cookies() {
            assert_eq!(attributes.contains("Max-Age"), remembered, "{field} {attributes}");
        }
        // A refresh keeps it so.
        let refresh =
            RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
        let cookie = answer.cookie_header();
        let next = post(&refresh.build().unwrap(), &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
        assert_eq!(next.cookies().len(), 2);
        for (_, _, attributes) in next.cookies() {
            assert_eq!(attributes.contains("Max-Age"), remembered, "{field} {attributes}");
        }
    }
}

/// There is no session that a forged login could abuse, but the browser would be somebody else's from then on.
#[tokio::test]
async fn sec_j02_a_login_that_sets_cookies_must_come_from_a_page_of_ours() {
    let flow = flow();
    let login = flow.cookie_login();
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[CROSS_SITE],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("host", "app.example")],
        &[("origin", "null"), ("host", "app.example")],
        &[CROSS_SITE, ("origin", "https://evil.example"), ("cookie", "__Host-token=junk")],
    ];
    for headers in foreign {
        let answer = log_in(&login, headers, "ada", PASSWORD).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "csrf"), "{headers:?}");
        let form = format!("username=ada&password={PASSWORD}");
        assert_eq!(post(&login, &[headers, &[FORM]].concat(), &form).await.status, 403);
    }
    // Nobody was looked up, nothing was written, and it was told.
    assert_eq!((flow.users.asked(), flow.store_calls()), ((0, 0), (0, 0)));
    assert_eq!(flow.fixture.events.count("csrf_refused"), 12);

    let own: [&[(&str, &str)]; 3] = [
        &[SAME_ORIGIN],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://app.example"), ("host", "app.example")],
    ];
    for headers in own {
        assert_eq!(log_in(&login, headers, "ada", PASSWORD).await.status, 200, "{headers:?}");
    }
    let listed = flow.login().cookie("token").csrf(CsrfPolicy::new().allow_origin("https://evil.example"));
    assert_eq!(log_in(&listed.build().unwrap(), foreign[5], "ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn sec_j02_a_login_that_answers_in_its_body_leaves_nothing_in_a_browser() {
    let flow = flow();
    let form = format!("username=ada&password={PASSWORD}");
    let answer = post(&flow.login().build().unwrap(), &[CROSS_SITE, FORM], &form).await;
    assert_eq!((answer.status.as_u16(), answer.cookies().len()), (200, 0));
}

#[tokio::test]
async fn sec_d06_the_login_that_a_browser_came_with_ends_with_the_new_one() {
    let flow = flow_with(TokenPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap());
    let login = flow.cookie_login();
    let first = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    // Under a limit of one: the browser's own login does not count against it.
    let second = log_in(&login, &[SAME_ORIGIN, ("cookie", &first.cookie_header())], "ada", PASSWORD).await;
    assert_eq!(second.status, 200);
    let (old, new) = (&first.cookies()[0].1, &second.cookies()[0].1);
    assert_ne!(old[4..21], new[4..21], "another id");
    let events = flow.fixture.events.all();
    let ended: Vec<_> = events.iter().filter(|event| event.name() == "authn_token_revoked").collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].record().unwrap().as_str(), &old[4..21]);
    assert!(flow.fixture.tokens.verify(old, None).await.is_err());
    assert!(flow.fixture.tokens.verify(new, None).await.is_ok());

    // Somebody else at the same browser, which sends only the refresh cookie any more.
    let refresh_only = format!("__Secure-token_refresh={}", second.cookies()[1].1);
    let bob = log_in(&login, &[SAME_ORIGIN, ("cookie", &refresh_only)], "bob", PASSWORD).await;
    assert_eq!(bob.status, 200);
    assert!(flow.fixture.tokens.verify(new, None).await.is_err());

    // A wrong password ends nothing, and neither does a forged cookie; nothing presented is adopted.
    let bob_cookie = bob.cookie_header();
    assert_eq!(log_in(&login, &[SAME_ORIGIN, ("cookie", &bob_cookie)], "ada", "wrong").await.status, 401);
    let forged = format!("__Host-token={}", bob.cookies()[0].1.replace("pc_a", "pc_b"));
    for cookie in [forged.as_str(), "__Host-token=chosen-by-somebody", "__Host-token=\"\""] {
        let ada = log_in(&login, &[SAME_ORIGIN, ("cookie", cookie)], "ada", PASSWORD).await;
        assert_eq!(ada.status, 200, "{ada:?}");
        flow.fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    }
    assert!(flow.fixture.tokens.verify(&bob.cookies()[0].1, None).await.is_ok());

    // The same cookie twice is nobody's to choose from: refused before anybody is looked up.
    let asked = flow.users.asked();
    let twice =
        log_in(&login, &[SAME_ORIGIN, ("cookie", "__Host-token=a; __Host-token=b")], "ada", PASSWORD).await;
    assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateCookie)));
    assert_eq!(flow.users.asked(), asked);
}

/// Streams of the old login end with it, and not only with their next look.
#[tokio::test]
async fn sec_d06_whoever_watches_the_replaced_login_is_told() {
    let flow = flow();
    let login = flow.cookie_login();
    let first = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    let verified = flow.fixture.tokens.verify(&first.cookies()[0].1, None).await.unwrap();
    let watch = tokio::spawn(Verify::watch(&flow.fixture.tokens, verified.evidence()));
    tokio::task::yield_now().await;
    assert!(!watch.is_finished());
    log_in(&login, &[SAME_ORIGIN, ("cookie", &first.cookie_header())], "ada", PASSWORD).await;
    let ended = tokio::time::timeout(secs(10), watch).await.expect("told in time").unwrap();
    assert_eq!(ended, Ended::Revoked);
}
