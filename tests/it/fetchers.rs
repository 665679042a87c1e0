//! The ready fetchers: what they ask, what they make of an answer, and what they say when there is no token.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{Extensions, Method, Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{
    BodyTokenFetcher, TokenPipeline,
    clock::{ManualClock, Timestamp},
    http_client::HttpClient,
    maybe_ready::MaybeReady,
    outbound::InjectError,
    pipeline::{AccessToken, Fetch, FileToken, HeaderTokenFetcher, StaticToken, TokenFetcher, TokenFn},
    provider::{Ask, OAuthErrorCode, TokenError, TokenErrorKind, TokenErrorSide, TokenProvider},
};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::{
    hostile_endpoint::whole_text,
    idp::{Idp, Leased, Reply, socket_client, status, step, token},
    log::Log,
    support::{START, secs},
};

/// A fetch from a server on a loopback socket, with a clock that stands still.
fn over_socket() -> Fetch {
    let clock = ManualClock::new(START);
    Fetch::alone(socket_client()).with_clock(clock.clock()).danger_allow_http_on_loopback()
}

fn from(idp: &Idp) -> Fetch {
    Fetch::alone(idp.client()).with_clock(ManualClock::new(START).clock())
}

fn with_header(name: &'static str, value: &'static str) -> Reply {
    let mut response = Response::new(Bytes::from_static(b"<html>a page</html>"));
    response.headers_mut().insert(name, value.parse().unwrap());
    Reply::Full(response)
}

// ===== from a header =====

#[tokio::test]
async fn r095_a_token_from_a_response_header_over_a_socket() {
    let idp = Idp::new(|call, _| match call.name() {
        "bare" => with_header("x-auth-token", "abc"),
        "bearer" => with_header("x-auth-token", "Bearer abc"),
        _ => with_header("x-other", "abc"),
    });
    let url = idp.serve().await;
    let step = |name: &str| HeaderTokenFetcher::post(name, format!("{url}/{name}"), "X-AUTH-Token");
    let bare = step("bare").token_type("Session").ttl(secs(77)).fetch(&over_socket()).await.unwrap();
    assert_eq!((bare.value().expose(), bare.token_type()), ("abc", Some("Session")));
    assert_eq!(bare.lifetime(), Some(secs(77)));
    let bearer = step("bearer").token_type("Session").fetch(&over_socket()).await.unwrap();
    assert_eq!((bearer.value().expose(), bearer.token_type()), ("abc", Some("Bearer")));
    assert_eq!(bearer.lifetime(), Some(secs(300)), "the bounded default");
    let error = step("neither").fetch(&over_socket()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (TokenErrorKind::Malformed, Some(StatusCode::OK)));
}

#[tokio::test]
async fn r095_the_type_of_a_header_token_is_sent_with_it() {
    let idp = Idp::new(|_, _| with_header("x-device-token", "abc"));
    let device = HeaderTokenFetcher::get("device", "https://idp.test/device", "x-device-token");
    let pipeline = idp.pipeline().step(device.token_type("Device")).build().unwrap();
    assert_eq!(pipeline.provider().leased().await.unwrap().value(), "Device abc");
    assert!(idp.calls()[0].body.is_empty());
}

// ===== from a body =====

#[tokio::test]
async fn r096_a_form_and_a_json_object_have_their_content_types_over_a_socket() {
    let idp = Idp::counting();
    let url = idp.serve().await;
    let post = |name: &str| BodyTokenFetcher::post(name, format!("{url}/{name}"));
    let form = post("form").form([("client_id", "me & you"), ("client_secret", "a=b")]).field("x", "ü");
    form.fetch(&over_socket()).await.unwrap();
    post("json").json(json!({ "user": "ada", "n": 7 })).fetch(&over_socket()).await.unwrap();
    post("bare").fetch(&over_socket()).await.unwrap();
    BodyTokenFetcher::get("get", format!("{url}/get?a=b")).fetch(&over_socket()).await.unwrap();
    post("put").method(Method::PUT).json(json!({})).fetch(&over_socket()).await.unwrap();
    let calls = idp.calls();
    let [form, json, bare, get, put] = &calls[..] else { panic!("five calls") };
    let content_type = |call: &crate::idp::Call| call.headers.get("content-type").cloned();
    assert_eq!(content_type(form).unwrap(), "application/x-www-form-urlencoded");
    assert_eq!(form.body, "client_id=me+%26+you&client_secret=a%3Db&x=%C3%BC");
    assert_eq!(content_type(json).unwrap(), "application/json");
    assert_eq!(serde_json::from_str::<Value>(&json.body).unwrap(), json!({ "user": "ada", "n": 7 }));
    for empty in [bare, get] {
        assert_eq!((content_type(empty), &*empty.body), (None, ""));
    }
    assert_eq!((content_type(put).unwrap().as_bytes(), &*put.body), (&b"application/json"[..], "{}"));
    for call in &calls {
        assert_eq!(call.headers["accept"], "application/json");
    }
}

#[tokio::test]
async fn r096_every_part_of_an_answer_can_have_another_name() {
    let answer = json!({
        "data": { "jwt": "abc", "kind": "MAC", "until": "2023-11-14T23:13:20Z", "again": "rrr" },
        "granted": ["read", "write"], "soon": 600, "life": "7200", "tenant": "t1",
    });
    let idp = Idp::new(move |_, _| Reply::Json(answer.to_string()));
    let url = idp.serve().await;
    let step = BodyTokenFetcher::post("only", format!("{url}/token"))
        .token_at("/data/jwt")
        .type_at("/data/kind")
        .expiry_date_at("/data/until")
        .expires_in_at("life")
        .refresh_at("/data/again")
        .refresh_in_at("soon")
        .scope_at("granted")
        .token_type("Other");
    let token = step.fetch(&over_socket()).await.unwrap();
    assert_eq!((token.value().expose(), token.token_type()), ("abc", Some("MAC")));
    assert_eq!((token.lifetime(), token.refresh_in()), (Some(secs(3600)), Some(secs(600))));
    assert_eq!((token.refresh().unwrap().expose(), token.scope()), ("rrr", Some("read write")));
    assert_eq!(token.extra().get("tenant"), Some(&json!("t1")));
    assert!(!format!("{token:?} {step:?}").contains("abc"));
}

#[tokio::test]
async fn r096_the_default_type_is_for_answers_that_name_none() {
    for (answer, expected) in [
        (r#"{"access_token":"t"}"#, "Device"),
        (r#"{"access_token":"t","token_type":""}"#, "Device"),
        (r#"{"access_token":"t","token_type":"MAC"}"#, "MAC"),
    ] {
        let idp = Idp::new(|_, _| Reply::Json(answer.to_owned()));
        let token = step("only").token_type("Device").fetch(&from(&idp)).await.unwrap();
        assert_eq!(token.token_type(), Some(expected), "{answer}");
    }
}

#[tokio::test]
async fn r094_a_jwt_is_kept_for_its_own_life_if_the_answer_has_none() {
    // {"iat":1,"exp":121}
    const JWT: &str = "e30.eyJpYXQiOjEsImV4cCI6MTIxfQ.c2ln";
    for (answer, ttl, expected) in [
        (format!(r#"{{"access_token":"{JWT}"}}"#), None, 120),
        (format!(r#"{{"access_token":"{JWT}"}}"#), Some(3600), 120),
        (format!(r#"{{"access_token":"{JWT}"}}"#), Some(60), 60),
        (format!(r#"{{"access_token":"{JWT}","expires_in":600}}"#), None, 600),
        (r#"{"access_token":"e30.e30.c2ln"}"#.to_owned(), None, 300),
        (r#"{"access_token":"opaque"}"#.to_owned(), None, 300),
    ] {
        let idp = Idp::new({
            let answer = answer.clone();
            move |_, _| Reply::Json(answer.clone())
        });
        let only = match ttl {
            Some(ttl) => step("only").ttl(secs(ttl)),
            None => step("only"),
        };
        let token = only.fetch(&from(&idp)).await.unwrap();
        assert_eq!(token.lifetime(), Some(secs(expected)), "{answer}");
        // A fetcher that says nothing of a life gets the same treatment.
        let text = token.value().expose().to_owned();
        let bare = TokenFn::sync("bare", move |_| AccessToken::new(text.as_str()));
        let alone = bare.fetch(&from(&idp)).await.unwrap().lifetime();
        assert_eq!(alone == Some(secs(120)), answer.contains(JWT), "{answer}");
    }
}

struct Bare;

#[async_trait]
impl TokenFetcher for Bare {
    fn name(&self) -> &str {
        "bare"
    }

    async fn fetch(&self, _: &Fetch) -> Result<AccessToken, TokenError> {
        // {"iat":1,"exp":121}
        AccessToken::new("e30.eyJpYXQiOjEsImV4cCI6MTIxfQ.c2ln")
    }
}

#[tokio::test]
async fn r094_a_jwt_of_a_fetcher_that_says_nothing_of_its_life_is_kept_as_long() {
    let clock = ManualClock::new(START);
    let builder = Idp::counting().pipeline_at(clock.clock()).margin(Duration::ZERO);
    let provider = builder.step(Bare).build().unwrap().provider();
    for (wait, generation) in [(0, 1), (59, 1), (61, 2)] {
        clock.advance(secs(wait));
        assert_eq!(provider.leased().await.unwrap().generation(), generation, "after {wait} s");
    }
}

/// As an endpoint hands out what it has issued before, and the clock is ahead by a little.
#[tokio::test]
async fn r094_a_jwt_that_was_issued_some_time_ago_is_kept_for_what_is_left() {
    for (now, kept) in [(0, 120), (61, 60), (120, 1), (121, 120), (10_000, 120)] {
        let clock = ManualClock::new(Timestamp::from_millis(now * 1000));
        let builder = Idp::counting().pipeline_at(clock.clock()).margin(Duration::ZERO);
        let provider = builder.step(Bare).build().unwrap().provider();
        provider.leased().await.unwrap();
        clock.advance(secs(kept) - Duration::from_millis(1));
        assert_eq!(provider.leased().await.unwrap().generation(), 1, "{now}");
        clock.advance(Duration::from_millis(1));
        assert_eq!(provider.leased().await.unwrap().generation(), 2, "{now}");
    }
}

// ===== what a request can be made of =====

#[test]
fn r096_what_cannot_be_sent_is_refused_when_the_pipeline_is_built() {
    let idp = Idp::counting();
    let fault = |step: BodyTokenFetcher| {
        let built = idp.pipeline().step(step).build();
        built.unwrap_err().faults().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let get = || BodyTokenFetcher::get("only", "https://idp.test/");
    let post = || BodyTokenFetcher::post("only", "https://idp.test/");
    for (step, expected) in [
        (get().form([("client_secret", "planted")]), r#""only.body": needs a method with a body"#),
        (get().json(json!({ "a": "planted" })), r#""only.body": needs a method with a body"#),
        (get().body_with("a", |_| Ok("planted")), r#""only.body_from": needs a method with a body"#),
        (post().method(Method::HEAD).json(json!({})), r#""only.body": needs a method with a body"#),
        (post().method(Method::CONNECT), r#""only.method": must not be CONNECT"#),
        (post().json(json!({})).field("a", "planted"), r#""only.field": cannot be added to JSON"#),
        (post().token_type("a b"), r#""only.token_type": must be visible ASCII"#),
        (post().header_with("a b", |_| Ok("planted")), r#""only.header": must have a header's name"#),
        (post().header("x", "planted\n"), r#""only.header": must have a value of printable ASCII"#),
    ] {
        let found = fault(step);
        assert!(found.contains(expected) && !found.contains("planted"), "{expected}: {found}");
    }
}

#[tokio::test]
async fn r097_computed_parts_are_made_anew_for_each_fetch_and_arrive() {
    let idp = Idp::counting();
    let url = idp.serve().await;
    let clock = ManualClock::new(START);
    let counted = Arc::new(AtomicUsize::new(0));
    let nonce = Arc::clone(&counted);
    let app = BodyTokenFetcher::post("app", format!("{url}/app"));
    let user = BodyTokenFetcher::post("user", format!("{url}/user"))
        .json(json!({ "user": "ada" }))
        .depends_on("app")
        .ttl(secs(60))
        .header_with("x-time", |fetch: &Fetch| Ok(fetch.now().as_millis().to_string()))
        .header_with("x-proof", |fetch: &Fetch| Ok(format!("{}!", fetch.token("app")?.value().expose())))
        .body_with("nonce", move |_| Ok(nonce.fetch_add(1, Ordering::SeqCst)))
        .body_with("app", |fetch: &Fetch| Ok(fetch.token("app")?.value().expose().to_owned()))
        .request_with(|_, request| {
            let length = request.body().len();
            request.headers_mut().insert("x-length", length.into());
            Ok(())
        });
    let pipeline = TokenPipeline::builder("test").http(socket_client()).clock(clock.clock());
    let provider = pipeline.danger_allow_http_on_loopback().step(app).step(user).build().unwrap().provider();
    for _ in 0..2 {
        provider.leased().await.unwrap();
        clock.advance(secs(60));
    }
    let calls = idp.calls();
    let [app, first, second] = &calls[..] else { panic!("three calls, not {:?}", idp.names()) };
    assert_eq!(app.name(), "app");
    for (number, call) in [first, second].into_iter().enumerate() {
        let time = START.plus(secs(60 * number as u64)).as_millis().to_string();
        assert_eq!(call.headers["x-time"], time);
        assert_eq!(call.headers["x-proof"], "app-1!");
        assert_eq!(call.headers["x-length"], call.body.len().to_string());
        let body: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(body, json!({ "user": "ada", "nonce": number, "app": "app-1" }));
    }
}

#[tokio::test]
async fn r097_computed_members_go_into_a_form_too_if_they_fit() {
    let idp = Idp::counting();
    let form = |value: Value| step("only").form([("a", "b")]).body_with("c", move |_| Ok(value.clone()));
    for (value, body) in [(json!("d e"), "a=b&c=d+e"), (json!(7), "a=b&c=7"), (json!(true), "a=b&c=true")] {
        form(value).fetch(&from(&idp)).await.unwrap();
        assert_eq!(idp.calls().last().unwrap().body, body);
    }
    for value in [json!(null), json!(["planted"]), json!({ "a": "planted" })] {
        let error = form(value).fetch(&from(&idp)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Request);
        assert!(!whole_text(&error).contains("planted"));
    }
}

#[tokio::test]
async fn r097_computed_headers_are_sensitive_and_a_bad_one_is_an_error_that_shows_nothing() {
    let idp = Idp::counting();
    let with = |value: &'static str| step("only").header_with("x-proof", move |_| Ok(value));
    with("fine").fetch(&from(&idp)).await.unwrap();
    assert!(idp.calls()[0].headers["x-proof"].is_sensitive());
    let error = with("planted\r\nx-admin: 1").fetch(&from(&idp)).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Request);
    assert!(!whole_text(&error).contains("planted"));

    let finished = step("only").header("authorization", "planted").request_with(|_, request| {
        assert!(request.headers()["authorization"].is_sensitive());
        request.headers_mut().insert("x-signature", "planted".parse().unwrap());
        Ok(())
    });
    finished.fetch(&from(&idp)).await.unwrap();
    let headers = &idp.calls()[1].headers;
    assert!(headers["x-signature"].is_sensitive() && headers["authorization"].is_sensitive());
    assert!(!headers["accept"].is_sensitive());
}

#[tokio::test]
async fn r097_a_computed_part_that_fails_or_leads_elsewhere_sends_nothing() {
    let idp = Idp::counting();
    let failing = || Err::<String, _>(TokenError::new(TokenErrorKind::Request).with_source("no key today"));
    let elsewhere = step("only").request_with(|_, request| {
        *request.uri_mut() = "http://elsewhere.test/".parse().unwrap();
        Ok(())
    });
    for step in [
        step("only").header_with("x", move |_| failing()),
        step("only").body_with("x", move |_| failing()),
        step("only").request_with(move |_, _| failing().map(drop)),
        elsewhere,
    ] {
        let error = step.fetch(&from(&idp)).await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Request);
    }
    assert!(idp.calls().is_empty());
}

// ===== a fetcher of one's own =====

const KEY: &[u8] = b"planted-signing-key";

fn signature(timestamp: &str, body: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
    mac.update(format!("{timestamp}.{body}").as_bytes());
    mac
}

struct SignedTokenFetcher {
    url: String,
}

#[async_trait]
impl TokenFetcher for SignedTokenFetcher {
    fn name(&self) -> &str {
        "signed"
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        let body = r#"{"grant_type":"signed"}"#;
        let timestamp = (fetch.now().as_millis() / 1000).to_string();
        let signature = HEXLOWER.encode(&signature(&timestamp, body).finalize().into_bytes());
        let request = Request::post(&self.url)
            .header("x-timestamp", timestamp)
            .header("x-signature", &signature)
            .body(Full::from(body))
            .map_err(|error| TokenError::new(TokenErrorKind::Request).with_source(error))?;
        let response = fetch.send(request).await?;
        if !response.status().is_success() {
            return Err(TokenError::new(TokenErrorKind::Refused).with_status(response.status()));
        }
        let malformed = || TokenError::new(TokenErrorKind::Malformed);
        let answer: Map<String, Value> =
            serde_json::from_slice(response.body()).map_err(|_text_stays_secret| malformed())?;
        let token = answer.get("token").and_then(Value::as_str).ok_or_else(malformed)?;
        let ttl = answer.get("ttl").and_then(Value::as_u64).ok_or_else(malformed)?;
        let mut extra = Map::new();
        extra.insert("signature".to_owned(), signature.into());
        Ok(AccessToken::new(token)?.with_type("Signed").with_lifetime(secs(ttl)).with_extra(extra))
    }
}

/// A server that gives a token for a true signature of the last five minutes.
fn signing_idp(clock: ManualClock) -> Idp {
    Idp::new(move |call, number| {
        let header = |name: &str| call.headers.get(name).map_or("", |value| value.to_str().unwrap());
        let timestamp = header("x-timestamp");
        let age = clock.now().as_millis() / 1000 - timestamp.parse::<i64>().unwrap_or(0);
        let sent = HEXLOWER.decode(header("x-signature").as_bytes()).unwrap_or_default();
        let genuine = signature(timestamp, &call.body).verify_slice(&sent).is_ok();
        match genuine && age.abs() < 300 {
            true => Reply::Json(format!(r#"{{"token":"signed-{number}","ttl":60}}"#)),
            false => status(401, r#"{"error":"invalid_client"}"#),
        }
    })
}

#[tokio::test]
async fn r098_a_signed_fetcher_alone_and_its_server_checks_the_signature() {
    let clock = ManualClock::new(START);
    let idp = signing_idp(clock.clone());
    let fetcher = SignedTokenFetcher { url: format!("{}/auth/token", idp.serve().await) };
    let fetch = Fetch::alone(socket_client()).with_clock(clock.clock()).danger_allow_http_on_loopback();
    let token = fetcher.fetch(&fetch).await.unwrap();
    assert_eq!((token.value().expose(), token.token_type()), ("signed-1", Some("Signed")));
    assert_eq!(token.lifetime(), Some(secs(60)));
    let timestamp = idp.calls()[0].headers["x-timestamp"].to_str().unwrap().to_owned();
    let expected = signature(&timestamp, &idp.calls()[0].body).finalize().into_bytes();
    assert_eq!(token.extra()["signature"], json!(HEXLOWER.encode(&expected)));

    // A time stamp that is too old is refused: the signature is over this very time.
    clock.advance(secs(300));
    let late = Fetch::alone(socket_client()).with_clock(ManualClock::new(START).clock());
    let error = fetcher.fetch(&late.danger_allow_http_on_loopback()).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (TokenErrorKind::Refused, Some(StatusCode::UNAUTHORIZED)));
    // Plain http needs the word `danger`, alone as in a pipeline.
    let error = fetcher.fetch(&Fetch::alone(socket_client())).await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Request);
}

#[tokio::test]
async fn r098_a_signed_fetcher_is_a_step_like_any_other() {
    let clock = ManualClock::new(START);
    let (signing, idp) = (signing_idp(clock.clone()), Idp::counting());
    let user = BodyTokenFetcher::post("user", format!("{}/user", idp.serve().await)).bearer_from("signed");
    let provider = TokenPipeline::builder("test")
        .http(socket_client())
        .clock(clock.clock())
        .danger_allow_http_on_loopback()
        .step(SignedTokenFetcher { url: signing.serve().await })
        .step(user.ttl(secs(30)))
        .build()
        .unwrap()
        .provider();
    for expected in ["Bearer user-1", "Bearer user-2", "Bearer user-3"] {
        assert_eq!(provider.leased().await.unwrap().value(), expected);
        clock.advance(secs(30));
    }
    let sent: Vec<_> = idp.calls().iter().map(|call| call.headers["authorization"].clone()).collect();
    assert_eq!(sent, ["Bearer signed-1", "Bearer signed-1", "Bearer signed-2"]);
    assert_eq!(signing.calls().len(), 2);
}

/// The same without a type of one's own.
#[tokio::test]
async fn r098_a_ready_fetcher_can_sign_its_request() {
    let clock = ManualClock::new(START);
    let idp = signing_idp(clock.clone());
    let signed = BodyTokenFetcher::post("signed", idp.serve().await)
        .json(json!({ "grant_type": "signed" }))
        .token_at("token")
        .expires_in_at("ttl")
        .header_with("x-timestamp", |fetch| Ok((fetch.now().as_millis() / 1000).to_string()))
        .request_with(|_, request| {
            let timestamp = request.headers()["x-timestamp"].to_str().unwrap();
            let body = std::str::from_utf8(request.body()).unwrap();
            let signature = HEXLOWER.encode(&signature(timestamp, body).finalize().into_bytes());
            request.headers_mut().insert("x-signature", signature.parse().unwrap());
            Ok(())
        });
    let fetch = Fetch::alone(socket_client()).with_clock(clock.clock()).danger_allow_http_on_loopback();
    let token = signed.fetch(&fetch).await.unwrap();
    assert_eq!((token.value().expose(), token.lifetime()), ("signed-1", Some(secs(60))));
}

// ===== without an endpoint =====

#[tokio::test]
async fn r098_a_static_token_is_a_step_that_asks_nobody() {
    let idp = Idp::counting();
    let key = StaticToken::new("key", "planted-key").token_type("ApiKey");
    assert!(!format!("{key:?}").contains("planted"));
    let provider = idp.pipeline().step(key.clone()).build().unwrap().provider();
    let lease = provider.leased().await.unwrap();
    assert_eq!(lease.value(), "ApiKey planted-key");
    // There is nothing newer than it.
    assert!(provider.newer_than(&lease).wait().await.unwrap().is_none());
    let provider = idp.pipeline().step(key).step(step("user").header_from("x-api-key", "key"));
    let provider = provider.build().unwrap().provider();
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer user-1");
    assert_eq!(idp.calls()[0].headers["x-api-key"], "planted-key");
    assert!(idp.pipeline().step(StaticToken::new("key", "abc").token_type("a b")).build().is_err());
    for bad in [StaticToken::new("key", ""), StaticToken::new("key", "a\nplanted")] {
        let error = idp.pipeline().step(bad).build().unwrap_err().to_string();
        assert!(error.contains(r#""key.token": must be visible ASCII"#) && !error.contains("planted"));
    }
}

#[tokio::test(start_paused = true)]
async fn r098_a_static_token_is_used_for_years() {
    let idp = Idp::counting();
    let provider = idp.pipeline().step(StaticToken::new("key", "abc")).build().unwrap().provider();
    provider.leased().await.unwrap();
    tokio::time::advance(secs(10 * 365 * 86_400)).await;
    let found = provider.lease(&Ask::new(&Extensions::new()));
    assert!(matches!(&found, MaybeReady::Now(Ok(lease)) if lease.value() == "Bearer abc"), "{found:?}");
}

/// A folder of its own, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, content: &[u8]) -> PathBuf {
        let path = self.0.join("planted-path");
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone_or_not = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn r098_a_file_is_read_on_each_fetch_and_trimmed() {
    let folder = Folder::new("each");
    let idp = Idp::counting();
    let path = folder.write(b"  one\r\n");
    let clock = ManualClock::new(START);
    let provider = TokenPipeline::builder("test")
        .http(idp.client())
        .clock(clock.clock())
        .step(FileToken::new("file", &path).token_type("Token"))
        .build()
        .unwrap()
        .provider();
    assert_eq!(provider.leased().await.unwrap().value(), "Token one");
    folder.write(b"two");
    assert_eq!(provider.leased().await.unwrap().value(), "Token one", "for a minute");
    clock.advance(secs(60));
    assert_eq!(provider.leased().await.unwrap().value(), "Token two");
    // A rejected token is read anew at once.
    folder.write(b"three");
    let rejected = provider.leased().await.unwrap();
    let newer = provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    assert_eq!(newer.value(), "Token three");
}

#[tokio::test]
async fn r098_a_jwt_in_a_file_is_used_for_what_is_left_of_it() {
    let folder = Folder::new("jwt");
    let idp = Idp::counting();
    for (left, expected) in [(20, 20), (3600, 60), (-20, 60)] {
        let now = START.as_millis() / 1000;
        // Issued long ago: its whole life says nothing.
        let payload = format!(r#"{{"iat":{},"exp":{}}}"#, now - 100_000, now + left);
        let jwt = format!("e30.{}.c2ln", data_encoding::BASE64URL_NOPAD.encode(payload.as_bytes()));
        let path = folder.write(jwt.as_bytes());
        let token = FileToken::new("file", path).fetch(&from(&idp)).await.unwrap();
        assert_eq!(token.lifetime(), Some(secs(expected)), "{left}");
    }
}

#[tokio::test]
async fn r098_what_is_no_token_file_is_an_error_without_path_or_content() {
    let folder = Folder::new("bad");
    let idp = Idp::counting();
    let check = async |what: &str, file: FileToken, kind| {
        let error = file.fetch(&from(&idp)).await.expect_err(what);
        assert_eq!(error.kind(), kind, "{what}");
        let text = whole_text(&error);
        assert!(!text.contains("planted"), "{what}: {text}");
    };
    let at = |path: PathBuf| FileToken::new("file", path);
    check("missing", at(folder.0.join("planted-missing")), TokenErrorKind::Unreadable).await;
    check("folder", at(folder.0.clone()), TokenErrorKind::Unreadable).await;
    check("empty", at(folder.write(b"")), TokenErrorKind::Malformed).await;
    check("blank", at(folder.write(b" \n ")), TokenErrorKind::Malformed).await;
    check("two words", at(folder.write(b"planted token")), TokenErrorKind::Malformed).await;
    check("bytes", at(folder.write(b"planted\xff")), TokenErrorKind::Unreadable).await;
    check("nul", at(folder.write(b"planted\0")), TokenErrorKind::Malformed).await;
    let long = [b"planted".as_slice(), &[b'a'; 64 * 1024]].concat();
    check("long", at(folder.write(&long)), TokenErrorKind::Unreadable).await;
    for bad in [at("x".into()).ttl(Duration::ZERO), at("x".into()).token_type("a b")] {
        assert!(idp.pipeline().step(bad).build().is_err());
    }
    let longest = folder.write(&long[..64 * 1024]);
    assert!(at(longest).fetch(&from(&idp)).await.is_ok());
    check("endless", at("/dev/zero".into()), TokenErrorKind::Unreadable).await;
}

#[cfg(unix)]
#[tokio::test]
async fn r098_a_pipe_is_not_waited_for_and_others_may_be_kept_out() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let folder = Folder::new("unix");
    let idp = Idp::counting();
    let pipe = folder.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reading = FileToken::new("file", &pipe);
    let read = tokio::time::timeout(secs(30), reading.fetch(&from(&idp))).await;
    assert_eq!(read.expect("nobody writes to it").unwrap_err().kind(), TokenErrorKind::Unreadable);
    let path = folder.write(b"abc");
    for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let strict = FileToken::new("file", &path).owner_only().fetch(&from(&idp)).await;
        assert_eq!(strict.is_err(), open, "{mode:o}");
        assert!(FileToken::new("file", &path).fetch(&from(&idp)).await.is_ok());
    }
    let link = folder.0.join("link");
    symlink(&path, &link).unwrap();
    assert!(FileToken::new("file", &link).fetch(&from(&idp)).await.is_ok(), "mounted secrets are links");
}

#[tokio::test]
async fn r098_functions_are_steps_with_what_they_depend_on() {
    let idp = Idp::counting();
    let vault = TokenFn::new("vault", |fetch: Fetch| async move {
        tokio::task::yield_now().await;
        AccessToken::new(format!("vault-at-{}", fetch.now().as_millis()))
    });
    let both = TokenFn::sync("both", |fetch| {
        let (app, vault) = (fetch.token("app")?.value(), fetch.token("vault")?.value());
        AccessToken::new(format!("{}+{}", app.expose(), vault.expose()))
    });
    let both = both.depends_on("app").depends_on("vault").ttl(secs(5));
    assert_eq!(format!("{both:?}"), r#"TokenFn { name: "both", .. }"#);
    let clock = ManualClock::new(START);
    let provider = TokenPipeline::builder("test")
        .http(idp.client())
        .clock(clock.clock())
        .margin(Duration::ZERO)
        .step(step("app"))
        .step(vault)
        .step(both)
        .build()
        .unwrap()
        .provider();
    let expected = format!("Bearer app-1+vault-at-{}", START.as_millis());
    assert_eq!(provider.leased().await.unwrap().value(), &*expected);
    // Its time to live counts: it is called anew, the steps before it are not.
    clock.advance(secs(5));
    let lease = provider.leased().await.unwrap();
    assert_eq!((lease.value(), lease.generation()), (&http::HeaderValue::from_str(&expected).unwrap(), 2));
    assert_eq!(idp.names(), ["app"]);
    // A step that it does not depend on is not there, and it says so.
    let lost = TokenFn::sync("lost", |fetch| fetch.token("app").cloned());
    let lost = idp.pipeline().step(step("app")).step(lost).build().unwrap().provider();
    let error = lost.leased().await.unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Request, Some("lost")));
    let ttl = TokenFn::sync("x", |_| AccessToken::new("x")).ttl(Duration::ZERO);
    assert!(idp.pipeline().step(ttl).build().is_err());
}

// ===== errors =====

#[tokio::test(start_paused = true)]
async fn r099_codes_and_waits_of_a_refusal_reach_the_caller() {
    for (body, code, terminal) in [
        (r#"{"error":"invalid_client"}"#, Some(OAuthErrorCode::InvalidClient), true),
        (
            r#"{"error":"invalid_grant","error_description":"planted"}"#,
            Some(OAuthErrorCode::InvalidGrant),
            true,
        ),
        (r#"{"error":"temporarily_unavailable"}"#, Some(OAuthErrorCode::TemporarilyUnavailable), false),
        (r#"{"error":"planted"}"#, Some(OAuthErrorCode::Other), false),
        (r#"{"message":"planted"}"#, None, false),
    ] {
        let idp = Idp::new(|_, _| {
            let Reply::Full(mut response) = status(400, body) else { unreachable!() };
            response.headers_mut().insert("retry-after", "Tue, 14 Nov 2023 22:13:50 GMT".parse().unwrap());
            Reply::Full(response)
        });
        let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
        let error = provider.leased().await.unwrap_err();
        assert_eq!((error.code(), error.is_terminal()), (code, terminal), "{body}");
        assert_eq!(error.retry_after(), Some(secs(30)));
        assert_eq!((error.step(), error.side()), (Some("only"), TokenErrorSide::Endpoint));
        assert!(!whole_text(&error).contains("planted"));
    }
}

#[tokio::test]
async fn r099_all_of_2xx_is_an_answer_and_nothing_else() {
    for (code, good) in [(200, true), (201, true), (299, true), (300, false), (304, false), (400, false)] {
        let idp = Idp::new(move |_, _| status(code, &token("t")));
        assert_eq!(step("only").fetch(&from(&idp)).await.is_ok(), good, "{code}");
        let idp = Idp::new(move |_, _| {
            let Reply::Full(mut response) = status(code, "") else { unreachable!() };
            response.headers_mut().insert("x-token", "t".parse().unwrap());
            Reply::Full(response)
        });
        let header = HeaderTokenFetcher::get("only", "https://idp.test/", "x-token");
        assert_eq!(header.fetch(&from(&idp)).await.is_ok(), good, "{code}");
    }
}

#[test]
fn r127_an_error_says_what_where_and_why_on_one_line_and_each_thing_once() {
    let step: Arc<str> = "app".into();
    let error = TokenError::new(TokenErrorKind::Refused)
        .with_status(StatusCode::UNAUTHORIZED)
        .with_code(OAuthErrorCode::InvalidClient)
        .with_source(io::Error::other("the cause"))
        .in_step(&step)
        .in_step(&"user".into());
    assert_eq!(error.to_string(), r#"step "app": the token endpoint refused (status 401, invalid_client)"#);
    assert_eq!((error.step(), error.side()), (Some("app"), TokenErrorSide::Endpoint));
    let wrapped = InjectError::Token(error);
    let mut texts = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&wrapped);
    while let Some(error) = next {
        texts.push(error.to_string());
        next = error.source();
    }
    assert_eq!(texts.len(), 3);
    for (place, text) in texts.iter().enumerate() {
        assert!(texts[place + 1..].iter().all(|deeper| !text.contains(deeper.as_str())), "{texts:?}");
    }
}

#[test]
fn r127_each_kind_has_a_side_and_a_text_of_its_own() {
    let kinds = [
        (TokenErrorKind::Transport, TokenErrorSide::Network),
        (TokenErrorKind::Timeout, TokenErrorSide::Network),
        (TokenErrorKind::Refused, TokenErrorSide::Endpoint),
        (TokenErrorKind::Malformed, TokenErrorSide::Endpoint),
        (TokenErrorKind::Request, TokenErrorSide::Client),
        (TokenErrorKind::Unreadable, TokenErrorSide::Client),
        (TokenErrorKind::Panicked, TokenErrorSide::Client),
        (TokenErrorKind::Aborted, TokenErrorSide::Client),
        (TokenErrorKind::NoRuntime, TokenErrorSide::Client),
    ];
    let mut texts: Vec<String> = Vec::new();
    for (kind, side) in kinds {
        let error = TokenError::new(kind);
        assert_eq!(error.side(), side, "{kind:?}");
        texts.push(error.to_string());
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), kinds.len());
}

/// A client with a time-out of its own, which is shorter than the step's.
#[tokio::test]
async fn r127_a_clients_timeout_stays_a_timeout() {
    for (kind, expected) in [
        (io::ErrorKind::TimedOut, TokenErrorKind::Timeout),
        (io::ErrorKind::ConnectionRefused, TokenErrorKind::Transport),
    ] {
        let http = HttpClient::new(tower::service_fn(move |_: Request<Full<Bytes>>| async move {
            Err::<Response<Full<Bytes>>, _>(io::Error::other(io::Error::from(kind)))
        }));
        let error = step("only").fetch(&Fetch::alone(http)).await.unwrap_err();
        assert_eq!(error.kind(), expected);
        assert!(std::error::Error::source(&error).is_some());
    }
}

#[tokio::test]
async fn r127_a_refused_connection_is_a_transport_error_with_its_cause() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let step = BodyTokenFetcher::post("only", format!("http://{closed}/")).form([("secret", "planted")]);
    let error = step.fetch(&over_socket()).await.unwrap_err();
    assert_eq!((error.kind(), error.side()), (TokenErrorKind::Transport, TokenErrorSide::Network));
    let text = whole_text(&error);
    assert!(text.contains("refused") && !text.contains("planted"), "{text}");
}

// ===== the hook =====

struct Moody {
    told: Arc<Mutex<Vec<String>>>,
    panics: bool,
}

#[async_trait]
impl TokenFetcher for Moody {
    fn name(&self) -> &str {
        "moody"
    }

    async fn fetch(&self, _: &Fetch) -> Result<AccessToken, TokenError> {
        Err(TokenError::new(TokenErrorKind::Request).with_source("planted-reason"))
    }

    fn on_fetch_error(&self, error: &TokenError) {
        self.told.lock().unwrap().push(format!("fetcher: {error}"));
        assert!(!self.panics, "planted panic");
    }
}

#[tokio::test(start_paused = true)]
async fn r100_the_hook_is_called_once_for_each_failed_step_however_many_wait() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("app", 1) => status(503, "planted"),
        ("app", 2) => panic!("planted"),
        ("user", 1) => Reply::Never,
        (name, _) => Reply::After(secs(1), token(name)),
    });
    let hear = Arc::clone(&told);
    let provider = idp
        .pipeline()
        .step(step("app"))
        .step(step("user").bearer_from("app"))
        .on_fetch_error(move |error| {
            hear.lock().unwrap().push((error.step().map(str::to_owned), error.kind()))
        })
        .build()
        .unwrap()
        .provider();
    let (log, _guard) = Log::capture();
    for (step, kind) in [
        ("app", TokenErrorKind::Refused),
        ("app", TokenErrorKind::Panicked),
        ("user", TokenErrorKind::Timeout),
    ] {
        // What is kept of a failure is not what this is about.
        tokio::time::advance(secs(60)).await;
        let waiting: Vec<_> = (0..10).map(|_| provider.leased()).collect();
        for result in futures_util::future::join_all(waiting).await {
            let error = result.unwrap_err();
            assert_eq!((error.step(), error.kind()), (Some(step), kind));
        }
        let heard = std::mem::take(&mut *told.lock().unwrap());
        assert_eq!(heard, [(Some(step.to_owned()), kind)]);
    }
    tokio::time::advance(secs(60)).await;
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer user");
    assert!(told.lock().unwrap().is_empty());
    let log = log.text();
    assert!(log.contains("app") && log.contains("token fetch failed") && !log.contains("planted"), "{log}");
}

#[tokio::test]
async fn r100_a_hook_that_panics_masks_nothing_and_silences_nobody() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&told);
    let idp = Idp::counting();
    let provider = idp
        .pipeline()
        .step(Moody { told: Arc::clone(&told), panics: true })
        .on_fetch_error(move |error| {
            hear.lock().unwrap().push(format!("pipeline: {error}"));
            panic!("planted panic");
        })
        .build()
        .unwrap()
        .provider();
    let (log, _guard) = Log::capture();
    let error = provider.leased().await.unwrap_err();
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Request, Some("moody")));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "planted-reason");
    let said = r#"step "moody": the token request could not be made"#;
    assert_eq!(*told.lock().unwrap(), [format!("fetcher: {said}"), format!("pipeline: {said}")]);
    let log = log.text();
    assert!(log.contains("hook panicked") && log.contains("moody") && !log.contains("planted"), "{log}");
}

// ===== whatever an endpoint says =====

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "planted[a-z]{0,6}".prop_map(Value::from),
        Just(Value::from("e30.eyJleHAiOjE3MDAwMDM2MDB9.planted")),
        Just(Value::from("2023-11-14T23:13:20Z")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-z_]{1,12}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Bodies that are nearly answers of a token endpoint, with planted texts.
pub(crate) fn answer_body() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: [&str; 9] = [
        "access_token",
        "token_type",
        "expires_in",
        "expires_at",
        "refresh_token",
        "refresh_in",
        "scope",
        "error",
        "error_description",
    ];
    let object = || {
        let member = prop_oneof![
            3 => (proptest::sample::select(&NAMES[..]), json_value()),
            1 => (Just("access_token"), "planted[a-z]{0,6}".prop_map(Value::from)),
        ];
        proptest::collection::vec(member, 0..8).prop_map(|members| {
            let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::Object(members.collect()).to_string().into_bytes()
        })
    };
    let cut = (object(), any::<proptest::sample::Index>()).prop_map(|(mut text, at)| {
        text.truncate(at.index(text.len() + 1));
        text
    });
    let good = ("planted[a-z]{0,6}", 1..100_000_u32).prop_map(|(token, life)| {
        json!({ "access_token": token, "expires_in": life }).to_string().into_bytes()
    });
    prop_oneof![3 => good, 4 => object(), 1 => cut, 1 => proptest::collection::vec(any::<u8>(), 0..64)]
}

#[test]
fn r099_no_answer_whatever_panics_or_gets_into_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let good = AtomicUsize::new(0);
    let tail =
        prop_oneof!["[!-~]{1,9}".prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..20)];
    let header = tail.prop_map(|tail| [b"planted ".as_slice(), &tail].concat());
    let config =
        proptest::test_runner::Config { cases: 1_000, failure_persistence: None, ..Default::default() };
    let runner = &mut TestRunner::new(config);
    runner
        .run(&(answer_body(), header, 200..=599_u16), |(body, header, code)| {
            let idp = Idp::new(move |_, _| {
                let code = if code % 3 == 0 { code } else { 200 };
                let mut response = Response::new(Bytes::from(body.clone()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                for name in ["x-token", "retry-after"] {
                    if let Ok(value) = http::HeaderValue::from_bytes(&header) {
                        response.headers_mut().insert(name, value);
                    }
                }
                Reply::Full(response)
            });
            let body = step("only").expiry_date_at("expires_at").form([("secret", "planted-secret")]);
            let header = HeaderTokenFetcher::get("only", "https://idp.test/", "x-token");
            runtime.block_on(async {
                for fetched in [body.fetch(&from(&idp)).await, header.fetch(&from(&idp)).await] {
                    match fetched {
                        Ok(token) => {
                            let life = token.lifetime().unwrap();
                            assert!(life >= secs(1) && life <= secs(100 * 366 * 86_400));
                            assert!(!format!("{token:?}").contains("planted"));
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => {
                            let text = whole_text(&error);
                            assert!(!text.contains("planted") && text.is_ascii(), "{text}");
                        }
                    }
                }
            });
            Ok(())
        })
        .unwrap();
    assert!(good.into_inner() > 100, "some answers are good, too");
}
