//! Refresh tokens that come with a step's tokens: used where they can be, and never lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use portcullis::{
    pipeline::{
        AccessToken, ClientAuth, Fetch, PasswordGrant, RefreshTokenGrant, TokenFetcher, TokenPipelineBuilder,
    },
    provider::{OAuthErrorCode, TokenError, TokenErrorKind, TokenProvider},
    secret::Secret,
};

use crate::{
    idp::{Call, Idp, Leased, Reply, status, step},
    support::secs,
};

fn form(call: &Call) -> HashMap<String, String> {
    form_urlencoded::parse(call.body.as_bytes()).into_owned().collect()
}

/// `password`, or the refresh token that was sent.
fn grants(idp: &Idp) -> Vec<String> {
    let grant = |call: &Call| {
        let form = form(call);
        form.get("refresh_token").unwrap_or(&form["grant_type"]).clone()
    };
    idp.calls().iter().filter(|call| call.name() == "user").map(grant).collect()
}

fn answer(number: usize, refresh: Option<&str>) -> Reply {
    let refresh = refresh.map_or(String::new(), |text| format!(r#","refresh_token":"{text}""#));
    Reply::Json(format!(r#"{{"access_token":"t{number}","expires_in":3600{refresh}}}"#))
}

fn user() -> PasswordGrant {
    PasswordGrant::new("user", "https://idp.test/v1/user", ClientAuth::public("me"), "ada", "word")
}

fn only_user(idp: &Idp) -> TokenPipelineBuilder {
    idp.pipeline().step(user())
}

#[tokio::test(start_paused = true)]
async fn r112_a_refresh_token_is_used_where_there_is_one_and_kept_where_none_comes_back() {
    let idp = Idp::new(|_, number| match number {
        1 => answer(1, Some("r1")),
        2 => answer(2, Some("r2")),
        number => answer(number, None),
    });
    let provider = only_user(&idp).build().unwrap().provider();
    assert_eq!(provider.token().await.unwrap().value().expose(), "t1");
    assert_eq!(provider.refresh().await.unwrap().value().expose(), "t2");
    let third = provider.refresh().await.unwrap();
    assert_eq!(
        (third.value().expose(), third.refresh().unwrap().expose()),
        ("t3", "r2"),
        "the old one is kept"
    );
    provider.refresh().await.unwrap();
    assert_eq!(grants(&idp), ["password", "r1", "r2", "r2"]);
}

/// A fetcher that does not know of RFC 6749 §6, where the endpoint leaves the old one valid.
struct Keeping(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl TokenFetcher for Keeping {
    fn name(&self) -> &str {
        "keeping"
    }

    async fn fetch(&self, _: &Fetch) -> Result<AccessToken, TokenError> {
        Ok(AccessToken::new("t0")?.with_refresh(Secret::new("r0")))
    }

    async fn refresh(&self, _: &Fetch, refresh: &Secret) -> Result<Option<AccessToken>, TokenError> {
        self.0.lock().unwrap().push(refresh.expose().to_owned());
        AccessToken::new("next").map(Some)
    }
}

#[tokio::test]
async fn r112_a_refresh_token_is_kept_for_a_fetcher_that_brings_no_new_one() {
    let sent: Arc<Mutex<Vec<String>>> = Arc::default();
    let builder = Idp::counting().pipeline().step(Keeping(Arc::clone(&sent)));
    let provider = builder.build().unwrap().provider();
    provider.token().await.unwrap();
    for _ in 0..3 {
        assert_eq!(provider.refresh().await.unwrap().refresh().unwrap().expose(), "r0");
    }
    assert_eq!(*sent.lock().unwrap(), ["r0"; 3]);
}

/// Dropped twice while it is fetched: a third fetch could be cut off by the flight's deadline, after it was answered.
#[tokio::test(start_paused = true)]
async fn r112_a_refresh_token_is_not_sent_where_the_deadline_may_cut_the_answer_off() {
    let idp = Idp::new(|_, number| {
        let body = format!(r#"{{"access_token":"t{number}","expires_in":3600,"refresh_token":"r{number}"}}"#);
        Reply::After(secs(25), body)
    });
    let step = RefreshTokenGrant::new("user", "https://idp.test/v1/user", ClientAuth::public("me"), "r0");
    let pipeline = idp.pipeline().step(step).build().unwrap();
    let waiting = tokio::spawn({
        let pipeline = pipeline.clone();
        async move { pipeline.token().await.map(|token| token.value().expose().to_owned()) }
    });
    for _ in 0..2 {
        tokio::time::sleep(secs(20)).await;
        pipeline.invalidate("user").unwrap();
    }
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), TokenErrorKind::Timeout);
    assert_eq!(grants(&idp), ["r0", "r1"]);
    assert_eq!(pipeline.token().await.unwrap().value().expose(), "t3");
    assert_eq!(grants(&idp), ["r0", "r1", "r2"]);
}

/// The client's secret was changed, and the refresh token is as good as before.
#[tokio::test(start_paused = true)]
async fn r112_a_client_that_is_refused_spends_no_refresh_token() {
    for code in ["invalid_client", "unauthorized_client"] {
        let idp = Idp::new(move |_, number| match number {
            2 => status(401, &format!(r#"{{"error":"{code}"}}"#)),
            number => answer(number, Some(&format!("r{number}"))),
        });
        let provider = only_user(&idp).build().unwrap().provider();
        provider.token().await.unwrap();
        assert_eq!(provider.refresh().await.unwrap_err().code().unwrap().as_str(), code);
        tokio::time::advance(secs(10)).await;
        provider.refresh().await.unwrap();
        assert_eq!(grants(&idp), ["password", "r1", "r1"], "{code}");
    }
}

/// A step that begins with a refresh token has nothing else to fall back on.
#[tokio::test(start_paused = true)]
async fn r114_a_refused_refresh_token_is_sent_once_in_an_attempt() {
    let idp = Idp::new(|_, number| match number {
        1 => answer(1, Some("r1")),
        2 | 3 => status(400, r#"{"error":"invalid_grant"}"#),
        number => answer(number, None),
    });
    let client = ClientAuth::public("me");
    let step = RefreshTokenGrant::new("user", "https://idp.test/v1/user", client, "r0");
    let provider = idp.pipeline().step(step).build().unwrap().provider();
    provider.token().await.unwrap();
    for asked in [2, 3] {
        let error = provider.refresh().await.unwrap_err();
        assert_eq!(error.code(), Some(OAuthErrorCode::InvalidGrant));
        assert_eq!(idp.calls().len(), asked);
        tokio::time::advance(secs(10)).await;
    }
    assert_eq!(provider.refresh().await.unwrap().value().expose(), "t4");
    assert_eq!(grants(&idp), ["r0", "r1", "r1", "r1"]);
}

#[tokio::test(start_paused = true)]
async fn r112_every_renewal_uses_it_but_a_forced_one() {
    let idp = Idp::new(|_, number| answer(number, Some(&format!("r{number}"))));
    let pipeline = only_user(&idp).build().unwrap();
    let provider = pipeline.provider();
    let rejected = provider.leased().await.unwrap();
    provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    tokio::time::advance(secs(2640)).await;
    provider.leased().await.unwrap();
    crate::idp::settle().await;
    tokio::time::advance(secs(3600)).await;
    provider.leased().await.unwrap();
    assert_eq!(grants(&idp), ["password", "r1", "r2", "r3"], "after a 401, ahead, and when it has ended");
    provider.force_refresh().await.unwrap();
    assert_eq!(grants(&idp)[4..], ["password"]);
    // What was dropped is not used for anything.
    pipeline.invalidate("user").unwrap();
    provider.leased().await.unwrap();
    assert_eq!(grants(&idp)[5..], ["password"]);
}

#[tokio::test(start_paused = true)]
async fn r112_a_refused_refresh_token_is_not_sent_again_and_the_step_is_fetched() {
    let idp = Idp::new(|call, number| match form(call).get("refresh_token").map(String::as_str) {
        Some("r1") => status(400, r#"{"error":"invalid_grant"}"#),
        _ if number == 3 => Reply::Broken,
        _ => answer(number, Some(&format!("r{number}"))),
    });
    let provider = only_user(&idp).build().unwrap().provider();
    provider.token().await.unwrap();
    assert_eq!(provider.refresh().await.unwrap_err().kind(), TokenErrorKind::Transport);
    assert_eq!(provider.token().await.unwrap().value().expose(), "t1", "the token is still good");
    assert_eq!(provider.refresh().await.unwrap().value().expose(), "t4");
    assert_eq!(grants(&idp), ["password", "r1", "password", "password"]);
    provider.refresh().await.unwrap();
    assert_eq!(grants(&idp)[4..], ["r4"]);
}

#[tokio::test(start_paused = true)]
async fn r112_an_endpoint_that_is_down_says_nothing_of_the_refresh_token() {
    for reply in [
        || status(503, ""),
        || status(429, ""),
        || status(400, r#"{"error":"temporarily_unavailable"}"#),
        || Reply::Broken,
        || Reply::Never,
    ] {
        let idp = Idp::new(move |_, number| if number == 2 { reply() } else { answer(number, Some("r")) });
        let provider = only_user(&idp).build().unwrap().provider();
        provider.token().await.unwrap();
        assert!(provider.refresh().await.is_err());
        assert_eq!(grants(&idp), ["password", "r"], "no fetch: that one would fail as well");
        provider.refresh().await.unwrap();
        assert_eq!(grants(&idp)[2..], ["r"]);
    }
}

/// The new token of a step is made from the new ones before it, not from its own old one.
#[tokio::test(start_paused = true)]
async fn r110_what_builds_on_a_renewed_step_is_fetched_and_not_refreshed() {
    let idp = Idp::new(|call, number| match call.name() {
        "app" => Reply::Json(crate::idp::token(&format!("app-{number}"))),
        _ => answer(number, Some(&format!("r{number}"))),
    });
    let build = |from: &str| {
        let user = user().bearer_from("app");
        let builder = idp.pipeline().step(step("app")).step(user).refresh_from(from);
        builder.build().unwrap().provider()
    };
    let provider = build("app");
    let rejected = provider.leased().await.unwrap();
    provider.refresh().await.unwrap();
    assert_eq!(grants(&idp), ["password", "password"]);
    assert_eq!(idp.calls().last().unwrap().headers["authorization"], "Bearer app-2");
    let rejected = provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    assert_eq!(grants(&idp)[2..], ["password"]);
    assert_eq!(idp.calls().last().unwrap().headers["authorization"], "Bearer app-3");
    let provider = build("user");
    provider.leased().await.unwrap();
    let before = grants(&idp).len();
    provider.refresh().await.unwrap();
    assert_eq!(grants(&idp)[before..], ["r4"]);
}

#[tokio::test(start_paused = true)]
async fn r112_refresh_and_fetch_share_one_deadline() {
    let idp = Idp::new(|_, number| match number {
        1 => answer(1, Some("r1")),
        2 => Reply::After(secs(20), r#"{"error":"invalid_grant"}"#.to_owned()),
        number => Reply::After(secs(20), format!(r#"{{"access_token":"t{number}"}}"#)),
    });
    let provider = only_user(&idp).build().unwrap().provider();
    provider.token().await.unwrap();
    let clock = portcullis::clock::PausedClock::starting_at(crate::support::START);
    assert_eq!(provider.refresh().await.unwrap_err().kind(), TokenErrorKind::Timeout);
    assert_eq!(clock.now().since(crate::support::START), secs(30));
}

/// A step of the application's own that cannot use refresh tokens is fetched.
#[tokio::test(start_paused = true)]
async fn r112_a_step_that_cannot_use_refresh_tokens_is_fetched() {
    let idp = Idp::new(|_, number| answer(number, Some("r")));
    let provider =
        idp.pipeline().step(step("user").form([("grant_type", "own")])).build().unwrap().provider();
    provider.token().await.unwrap();
    assert_eq!(provider.refresh().await.unwrap().value().expose(), "t2");
    assert_eq!(grants(&idp), ["own", "own"]);
}
