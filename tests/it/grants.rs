//! The grants of OAuth 2.0, against a server on a real socket that checks what it is sent.

use std::collections::BTreeMap;

use http::{Response, StatusCode};
use portcullis::{
    BodyTokenFetcher, TokenPipeline,
    clock::ManualClock,
    pipeline::{
        ClientAuth, ClientCredentials, Fetch, PasswordGrant, RefreshTokenGrant, TokenFetcher,
        TokenPipelineBuilder,
    },
    provider::{OAuthErrorCode, TokenErrorKind, TokenProvider},
    secret::Secret,
};

use crate::{
    hostile_endpoint::whole_text,
    idp::{Call, Idp, Leased, Reply, socket_client, status, step},
    log::Log,
    support::{START, secs},
};

fn fetch() -> Fetch {
    let clock = ManualClock::new(START).clock();
    Fetch::alone(socket_client()).with_clock(clock).danger_allow_http_on_loopback()
}

fn pipeline() -> TokenPipelineBuilder {
    TokenPipeline::builder("grants").http(socket_client()).danger_allow_http_on_loopback()
}

/// The parameters; panics if one comes twice (RFC 6749 §3.2).
fn form(call: &Call) -> BTreeMap<String, String> {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(call.body.as_bytes()).into_owned().collect();
    let form: BTreeMap<_, _> = pairs.iter().cloned().collect();
    assert_eq!(form.len(), pairs.len(), "{}", call.body);
    form
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The client that a call shows, decoded as RFC 6749 §2.3.1 has it, and how it shows it.
fn client(call: &Call) -> (String, String, &'static str) {
    let decode =
        |text: &str| form_urlencoded::parse(format!("x={text}").as_bytes()).next().unwrap().1.into_owned();
    if let Some(value) = call.headers.get("authorization") {
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        let pair = data_encoding::BASE64.decode(encoded.as_bytes()).unwrap();
        let (id, secret) = std::str::from_utf8(&pair).unwrap().split_once(':').unwrap();
        return (decode(id), decode(secret), "basic");
    }
    let form = form(call);
    let field = |name| form.get(name).cloned().unwrap_or_default();
    (field("client_id"), field("client_secret"), "body")
}

fn granting(answer: &'static str) -> Idp {
    Idp::new(move |_, number| Reply::Json(answer.replace('#', &number.to_string())))
}

const ANSWER: &str = r#"{"access_token":"planted-a#","token_type":"bearer","expires_in":3600}"#;

#[tokio::test]
async fn r114_client_credentials_with_the_secret_in_header_or_body() {
    let idp = granting(ANSWER);
    let url = format!("{}/token", idp.serve().await);
    let (id, secret) = ("my:app", "planted+t/ =&%\u{e9}");
    for client in [ClientAuth::basic(id, secret), ClientAuth::body(id, secret)] {
        let token = ClientCredentials::new("app", &url, client).fetch(&fetch()).await.unwrap();
        assert_eq!((token.token_type(), token.lifetime()), (Some("bearer"), Some(secs(3600))));
        assert!(token.refresh().is_none());
    }
    let calls = idp.calls();
    let [basic, body] = &calls[..] else { panic!("two calls") };
    assert_eq!(client(basic), (id.to_owned(), secret.to_owned(), "basic"));
    assert_eq!(form(basic), pairs(&[("grant_type", "client_credentials")]), "no scope, no id");
    assert_eq!(client(body), (id.to_owned(), secret.to_owned(), "body"));
    assert_eq!(form(body).len(), 3);
    for call in &calls {
        assert_eq!(call.headers["content-type"], "application/x-www-form-urlencoded");
    }
}

#[tokio::test]
async fn r114_scope_and_further_parameters_are_sent_if_they_are_set() {
    let idp = granting(ANSWER);
    let url = idp.serve().await;
    let app = ClientCredentials::new("app", &url, ClientAuth::basic("id", "planted-secret"))
        .scope("orders:read orders:write")
        .field("audience", "https://api.example.com")
        .field("resource", "urn:a")
        .header("x-tenant", "t1")
        .body_with("nonce", |fetch| Ok(fetch.now().as_millis()));
    app.fetch(&fetch()).await.unwrap();
    let call = &idp.calls()[0];
    assert_eq!(call.headers["x-tenant"], "t1");
    assert_eq!(
        form(call),
        pairs(&[
            ("grant_type", "client_credentials"),
            ("scope", "orders:read orders:write"),
            ("audience", "https://api.example.com"),
            ("resource", "urn:a"),
            ("nonce", "1700000000000"),
        ])
    );
}

#[tokio::test]
async fn r114_the_password_grant_sends_user_and_password_and_the_client() {
    let idp = granting(r#"{"access_token":"planted-a#","refresh_token":"planted-r#","scope":"mail"}"#);
    let url = idp.serve().await;
    for (client_auth, more) in [
        (ClientAuth::basic("id", "planted-secret"), 0),
        (ClientAuth::body("id", "planted-secret"), 2),
        (ClientAuth::public("id"), 1),
    ] {
        let user = PasswordGrant::new("user", &url, client_auth, "ada", "planted & word").scope("mail");
        let token = user.fetch(&fetch()).await.unwrap();
        assert_eq!(token.scope(), Some("mail"));
        assert!(token.refresh().is_some());
        let calls = idp.calls();
        let call = calls.last().unwrap();
        let form = form(call);
        assert_eq!(form.len(), 4 + more);
        for (name, value) in [
            ("grant_type", "password"),
            ("username", "ada"),
            ("password", "planted & word"),
            ("scope", "mail"),
        ] {
            assert_eq!(form[name], value);
        }
        assert_eq!(client(call).0, "id");
    }
}

#[tokio::test]
async fn r114_a_refresh_token_is_redeemed_by_the_step_that_got_it() {
    let idp = Idp::new(|call, number| {
        let refresh = if call.body.contains("keep") { "" } else { r#","refresh_token":"planted-r#""# };
        Reply::Json(format!(r#"{{"access_token":"planted-a#"{refresh}}}"#).replace('#', &number.to_string()))
    });
    let url = idp.serve().await;
    let user = PasswordGrant::new(
        "user",
        &url,
        ClientAuth::basic("id", "planted-secret"),
        "ada",
        "planted-password",
    )
    .scope("mail")
    .field("audience", "api");
    let token = user.refresh(&fetch(), &Secret::new("planted & new")).await.unwrap().expect("it can");
    assert_eq!((token.value().expose(), token.refresh().unwrap().expose()), ("planted-a1", "planted-r1"));
    let call = &idp.calls()[0];
    assert_eq!(
        form(call),
        pairs(&[("grant_type", "refresh_token"), ("refresh_token", "planted & new"), ("audience", "api")]),
        "no password, no scope"
    );
    assert_eq!(client(call), ("id".to_owned(), "planted-secret".to_owned(), "basic"), "the same client");
    let in_body =
        PasswordGrant::new("user", &url, ClientAuth::body("id", "planted-secret"), "ada", "planted-password");
    in_body.refresh(&fetch(), &Secret::new("r")).await.unwrap().expect("it can");
    assert_eq!(client(&idp.calls()[1]), ("id".to_owned(), "planted-secret".to_owned(), "body"));
    // An answer without a new one keeps the old one.
    let kept = user.refresh(&fetch(), &Secret::new("keep")).await.unwrap().unwrap();
    assert_eq!((kept.value().expose(), kept.refresh().unwrap().expose()), ("planted-a3", "keep"));
    // A fetcher that is no grant does not know how.
    let plain = BodyTokenFetcher::post("plain", &url);
    assert!(plain.refresh(&fetch(), &Secret::new("r")).await.unwrap().is_none());
    assert_eq!(idp.calls().len(), 3);
}

#[tokio::test]
async fn r114_the_refresh_token_grant_goes_on_with_the_newest_one() {
    let idp = Idp::new(|call, number| {
        let presented = form(call)["refresh_token"].clone();
        match number {
            // Rotated, kept, rotated, refused, and then asked again.
            1 | 3 => Reply::Json(format!(
                r#"{{"access_token":"planted-a{number}","refresh_token":"planted-r{number}"}}"#
            )),
            4 => status(400, r#"{"error":"invalid_grant"}"#),
            _ => Reply::Json(format!(r#"{{"access_token":"{presented}-{number}"}}"#)),
        }
    });
    let url = idp.serve().await;
    let client = ClientAuth::body("id", "planted-secret");
    let step = RefreshTokenGrant::new("user", &url, client, "planted-first").scope("mail");
    for expected in ["planted-a1", "planted-r1-2", "planted-a3"] {
        let token = step.fetch(&fetch()).await.unwrap();
        assert_eq!(token.value().expose(), expected);
    }
    let error = step.fetch(&fetch()).await.unwrap_err();
    assert_eq!((error.code(), error.is_terminal()), (Some(OAuthErrorCode::InvalidGrant), true));
    // A clone knows the newest, too.
    assert_eq!(step.clone().fetch(&fetch()).await.unwrap().refresh().unwrap().expose(), "planted-r3");
    let presented: Vec<_> = idp.calls().iter().map(|call| form(call)["refresh_token"].clone()).collect();
    assert_eq!(presented, ["planted-first", "planted-r1", "planted-r1", "planted-r3", "planted-r3"]);
    assert_eq!(form(&idp.calls()[0])["scope"], "mail");
    // What is redeemed for a caller is the newest one from then on.
    step.refresh(&fetch(), &Secret::new("planted-handed")).await.unwrap().unwrap();
    assert_eq!(step.fetch(&fetch()).await.unwrap().value().expose(), "planted-handed-7");
}

#[tokio::test]
async fn r114_refusals_are_typed_and_say_nothing_that_was_sent_or_answered() {
    let (log, _guard) = Log::capture();
    for (code, body, expected) in [
        (
            401,
            r#"{"error":"invalid_client","error_description":"planted"}"#,
            Some(OAuthErrorCode::InvalidClient),
        ),
        (400, r#"{"error":"unauthorized_client"}"#, Some(OAuthErrorCode::UnauthorizedClient)),
        (400, r#"{"error":"invalid_scope"}"#, Some(OAuthErrorCode::InvalidScope)),
        (400, r#"{"error":"invalid_grant"}"#, Some(OAuthErrorCode::InvalidGrant)),
        (400, r#"{"error":"unsupported_grant_type"}"#, Some(OAuthErrorCode::UnsupportedGrantType)),
        (200, r#"{"error":"access_denied","access_token":"planted"}"#, Some(OAuthErrorCode::AccessDenied)),
        (400, "planted", None),
    ] {
        let idp = Idp::new(move |_, _| status(code, body));
        let url = idp.serve().await;
        let client = ClientAuth::body("id", "planted-secret");
        let user = PasswordGrant::new("user", &url, client.clone(), "ada", "planted-password");
        let app = ClientCredentials::new("app", &url, client.clone());
        let again = RefreshTokenGrant::new("again", &url, client, "planted-refresh");
        let shown = format!("{user:?} {app:?} {again:?}");
        assert!(!shown.contains("planted"), "{shown}");
        let single = |builder: TokenPipelineBuilder| builder.build().unwrap().provider();
        for provider in
            [single(pipeline().step(user)), single(pipeline().step(app)), single(pipeline().step(again))]
        {
            let error = provider.leased().await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (TokenErrorKind::Refused, expected), "{body}");
            assert_eq!(error.status(), Some(StatusCode::from_u16(code).unwrap()));
            let text = whole_text(&error);
            assert!(!text.contains("planted"), "{text}");
        }
    }
    let log = log.text();
    assert!(log.contains("token fetch failed") && !log.contains("planted"), "{log}");
}

#[tokio::test]
async fn r114_a_grant_is_a_step_like_any_other() {
    let app = granting(r#"{"access_token":"planted-app#","expires_in":3600}"#);
    let user = granting(r#"{"access_token":"planted-user#","token_type":"bearer","expires_in":600}"#);
    let client = || ClientAuth::basic("id", "planted-secret");
    let app_step = ClientCredentials::new("app", app.serve().await, client());
    let user_step = PasswordGrant::new("user", user.serve().await, client(), "ada", "planted-password")
        .header_from("x-app-token", "app")
        .body_from("assertion", "app");
    let provider = pipeline().step(app_step).step(user_step).build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    assert_eq!(lease.value(), "Bearer planted-user1");
    let newer = provider.newer_than(&lease).wait().await.unwrap().unwrap();
    assert_eq!(newer.value(), "Bearer planted-user2");
    assert_eq!((app.calls().len(), user.calls().len()), (1, 2));
    for call in user.calls() {
        assert_eq!(call.headers["x-app-token"], "planted-app1");
        assert_eq!(form(&call)["assertion"], "planted-app1");
        assert_eq!(client_of(&call), "id");
    }
}

fn client_of(call: &Call) -> String {
    client(call).0
}

#[test]
fn r114_a_grant_that_contradicts_itself_is_refused_when_the_pipeline_is_built() {
    let new = || ClientCredentials::new("app", "https://idp.test/token", ClientAuth::basic("id", "planted"));
    let in_body =
        || ClientCredentials::new("app", "https://idp.test/token", ClientAuth::body("id", "planted"));
    for (step, expected) in [
        (new().scope(""), "app.scope"),
        (new().scope("a  b"), "app.scope"),
        (new().scope("a\"b"), "app.scope"),
        (new().field("grant_type", "planted"), "app.field"),
        (new().scope("a").field("scope", "planted"), "app.field"),
        (in_body().field("client_secret", "planted"), "app.field"),
        (in_body().body_from("client_id", "other"), "app.field"),
        (new().json(serde_json::json!({ "a": "planted" })), "app.json"),
        (new().header("Authorization", "planted"), "app.header"),
        (new().bearer_from("other"), "app.header"),
        (new().method(http::Method::GET), "app.body"),
        (ClientCredentials::new("app", "/token", ClientAuth::public("id")), "app.url"),
        (ClientCredentials::new("app", "https://idp.test/", ClientAuth::public("")), "app.client"),
    ] {
        let error = Idp::counting().pipeline().step(self::step("other")).step(step).build();
        let faults = error.unwrap_err().to_string();
        assert!(faults.contains(expected) && !faults.contains("planted"), "{expected}: {faults}");
    }
    // The header is the client's only where its secret goes there.
    let other = in_body().header("authorization", "Custom abc").field("client_assertion", "x");
    assert!(Idp::counting().pipeline().step(other).build().is_ok());
}

#[tokio::test]
async fn r114_redirects_of_a_token_endpoint_are_not_followed() {
    let thief = Idp::counting();
    let elsewhere = format!("{}/stolen", thief.serve().await);
    let idp = Idp::new(move |_, _| {
        let response = Response::builder().status(307).header("location", &elsewhere);
        Reply::Full(response.body(bytes::Bytes::new()).unwrap())
    });
    let step = ClientCredentials::new("app", idp.serve().await, ClientAuth::body("id", "planted-secret"));
    let error = step.fetch(&fetch()).await.unwrap_err();
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (TokenErrorKind::Refused, 307));
    assert_eq!((idp.calls().len(), thief.calls().len()), (1, 0));
}
