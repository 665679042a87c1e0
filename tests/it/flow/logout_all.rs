//! Logging out everywhere.

use http::Method;
use portcullis::{
    credential::Channel,
    flow::{LogoutAllService, LogoutService},
    identity::Subject,
    problem::Reason,
};
use serde_json::json;
use tower::Layer;

use super::{
    CROSS_SITE, PASSWORD, SAME_ORIGIN, flow, log_in,
    logout::{cleared, in_cookies},
    post, send,
};
use crate::support::{Mode, bearer, refresh_text, secs};

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

/// What an old refresh token is worth, for a refresh as for this: its own login.
#[tokio::test]
async fn r051_an_old_refresh_token_has_no_say_over_other_logins() {
    let flow = flow();
    let everywhere = LogoutService::new(flow.fixture.tokens.clone()).everywhere().build().unwrap();
    // The age of the token in rotations, and whether it may end everything.
    for (age, all) in [(0, true), (1, true), (2, false), (3, false)] {
        let (phone, laptop) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
        let captured = refresh_text(&laptop);
        let (mut access, mut refresh) = (laptop.access().expose().to_owned(), captured.clone());
        for _ in 0..age {
            let next = flow.fixture.refresh(&refresh).await.unwrap();
            (access, refresh) = (next.access().expose().to_owned(), refresh_text(&next));
        }
        flow.fixture.verify(&access).await.unwrap();
        let (_, value) = bearer(&captured);
        for _ in 0..2 {
            assert_eq!(post(&everywhere, &[("authorization", &value)], "").await.status, 204);
            assert_eq!(flow.fixture.verify(&access).await, Err(Reason::Revoked), "its own, at any age");
            assert_eq!(flow.fixture.verify(phone.access().expose()).await.is_err(), all, "{age}");
        }
    }
    // Nor has the token of before new credentials, which proves nothing any more: it may be what they were changed for.
    let (phone, laptop) = (flow.fixture.login("bob").await, flow.fixture.login("bob").await);
    let (tokens, captured) = (&flow.fixture.tokens, refresh_text(&laptop));
    tokens.rekey(&laptop.record().id()).await.unwrap();
    let ended = tokens.logout_everywhere(&captured, Channel::Header).await.unwrap();
    assert_eq!((ended, flow.fixture.verify(phone.access().expose()).await), (0, Ok(())));
}

/// A service of its own needs no layer, so a repeat meets nobody who would refuse it.
#[tokio::test]
async fn r051_a_logout_everywhere_may_be_repeated_and_tells_a_thief_nothing() {
    let flow = flow();
    let everywhere = LogoutService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let everywhere = everywhere.everywhere().build().unwrap();
    let (phone, bob) = (flow.fixture.login("ada").await, flow.fixture.login("bob").await);
    let stolen = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await.cookie_header();
    let dead = flow.fixture.cookie_login("ada").await;
    flow.fixture.tokens.revoke(&dead.record().id()).await.unwrap();
    let dead = format!("__Host-token={}", dead.access().expose());
    let unknown = crate::support::fixture().cookie_login("ada").await;
    let unknown = format!("__Host-token={}", unknown.access().expose());

    // The token of a login that has ended has no say, and neither has another site.
    let mut answers = Vec::new();
    for cookie in [&dead, &unknown, "__Host-token=junk"] {
        answers.push(post(&everywhere, &[SAME_ORIGIN, ("cookie", cookie)], "").await);
    }
    assert_eq!(post(&everywhere, &[CROSS_SITE, ("cookie", &stolen)], "").await.status, 403);
    flow.fixture.verify(phone.access().expose()).await.unwrap();
    for _ in 0..2 {
        answers.push(post(&everywhere, &[SAME_ORIGIN, ("cookie", &stolen)], "").await);
        assert!(flow.fixture.verify(phone.access().expose()).await.is_err());
    }
    for answer in answers {
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""));
        assert_eq!(answer.cookies(), cleared());
    }
    flow.fixture.verify(bob.access().expose()).await.unwrap();
    let (_, value) = bearer(bob.access().expose());
    for _ in 0..2 {
        assert_eq!(post(&everywhere, &[("authorization", &value)], "").await.status, 204);
    }
    assert!(flow.fixture.verify(bob.access().expose()).await.is_err());

    let stays = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    for mode in [Mode::Down, Mode::ReadOnly] {
        flow.fixture.store.set(mode);
        let headers = [SAME_ORIGIN, ("cookie", &stays.cookie_header())];
        assert_eq!(post(&everywhere, &headers, "").await.status, 503, "{mode:?}");
    }
    flow.fixture.store.set(Mode::Now);
    // The refresh token proves the login as well, also when the access token has ended.
    flow.fixture.time.advance(secs(25 * 3600));
    let (_, refresh, _) = &stays.cookies()[1];
    let cookie = format!("__Secure-token_refresh={refresh}");
    assert_eq!(post(&everywhere, &[SAME_ORIGIN, ("cookie", &cookie)], "").await.status, 204);
    assert!(flow.fixture.refresh(refresh).await.is_err());
}

/// Behind a layer a repeat is refused; the cookies go with a logout, which takes any token.
#[tokio::test]
async fn r051_a_browser_whose_answer_was_lost_is_rid_of_its_cookies_by_a_logout() {
    let flow = flow();
    let layer = flow.fixture.layer().cookie("token").build().unwrap();
    let all = LogoutAllService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let all = layer.layer(all.build().unwrap());
    let browser = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let headers = [SAME_ORIGIN, ("cookie", &browser.cookie_header())];
    assert_eq!(post(&all, &headers, "").await.status, 200);
    let again = post(&all, &headers, "").await;
    assert_eq!((again.status.as_u16(), again.cookies().len()), (401, 0));
    let out = post(&in_cookies(&flow), &headers, "").await;
    assert_eq!((out.status.as_u16(), out.cookies()), (204, cleared()));
}
