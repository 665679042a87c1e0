//! Four ways to a token in several steps, on loopback sockets: `cargo run --example token_pipeline`
//!
//! One server gives tokens, each only against the earlier token that its step needs, and has an API that wants the
//! last one. Four clients get there by themselves: app → user, device → app → user, session → API key → access token,
//! and one whose second request carries the earlier token in a header and more in its body. Every line that is
//! printed was checked; what is counted is counted in the server. The first expectation that does not hold ends the
//! program with a non-zero status.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use portcullis::{
    BodyTokenFetcher, TokenInjectLayer, TokenPipeline,
    clock::{ManualClock, Timestamp},
    http_client::HttpClient,
    pipeline::{HeaderTokenFetcher, TokenPipelineBuilder},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

type AnyError = Box<dyn Error + Send + Sync>;
type Http = Client<HttpConnector, Full<Bytes>>;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

// ===== the server =====

/// The paths that were asked, in order.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl Asked {
    /// Notes a call, and says how often that path was asked by now.
    fn note(&self, path: &str) -> usize {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        paths.push(path.to_owned());
        paths.iter().filter(|known| *known == path).count()
    }

    /// What came after the first `seen` calls.
    fn since(&self, seen: usize) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[seen..].to_vec()
    }
}

/// Every token is `<kind>-<number>`. A real server would look it up.
fn is(text: &str, kind: &str) -> bool {
    text.strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|n| n.parse::<usize>().is_ok())
}

async fn answer(State(asked): State<Asked>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let number = asked.note(uri.path());
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    let in_body = |kind: &str| Json(json!({ "access_token": format!("{kind}-{number}") })).into_response();
    let in_header =
        |name: &'static str, kind: &str| ([(name, format!("{kind}-{number}"))], ()).into_response();
    match uri.path() {
        "/v1/device/register" if header("x-device-id") == "device-123" => {
            in_header("x-device-token", "device")
        }
        "/v1/app/token" if json["client_secret"] == "app-secret" => in_body("app"),
        "/v1/device/app/token" if is(header("x-device-token"), "device") => in_body("app"),
        "/v1/user/token" if is(header("x-app-token"), "app") && json["password"] == "password123" => {
            in_body("user")
        }
        "/v1/login" if *body == *b"username=user&password=pass" => in_header("x-session-token", "session"),
        "/v1/apikey/generate" if is(header("x-session-token"), "session") => in_header("x-api-key", "key"),
        "/v1/token" if is(header("x-api-key"), "key") && json["grant_type"] == "api_key" => in_body("access"),
        "/token" if is(header("x-device-token"), "device") && json["device_validated"] == true => {
            in_body("mixed")
        }
        "/api" => header("authorization").to_owned().into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

// ===== the four pipelines =====

fn app_user(pipeline: TokenPipelineBuilder, server: &str) -> TokenPipelineBuilder {
    pipeline
        .step(
            BodyTokenFetcher::post("app", format!("{server}/v1/app/token"))
                .json(json!({ "client_id": "app-id", "client_secret": "app-secret" }))
                .ttl(HOUR),
        )
        .step(
            BodyTokenFetcher::post("user", format!("{server}/v1/user/token"))
                .json(json!({ "username": "user@example.com", "password": "password123" }))
                .header_from("x-app-token", "app")
                .ttl(30 * MINUTE),
        )
}

fn device_app_user(pipeline: TokenPipelineBuilder, server: &str) -> TokenPipelineBuilder {
    pipeline
        .step(
            HeaderTokenFetcher::post("device", format!("{server}/v1/device/register"), "x-device-token")
                .header("x-device-id", "device-123")
                .token_type("Device")
                .ttl(30 * DAY),
        )
        .step(
            BodyTokenFetcher::post("app", format!("{server}/v1/device/app/token"))
                .header_from("x-device-token", "device")
                .ttl(HOUR),
        )
        .step(
            BodyTokenFetcher::post("user", format!("{server}/v1/user/token"))
                .json(json!({ "username": "user@example.com", "password": "password123" }))
                .header_from("x-app-token", "app")
                .ttl(15 * MINUTE),
        )
}

fn session_key_access(pipeline: TokenPipelineBuilder, server: &str) -> TokenPipelineBuilder {
    pipeline
        .step(
            HeaderTokenFetcher::post("session", format!("{server}/v1/login"), "x-session-token")
                .form([("username", "user"), ("password", "pass")])
                .ttl(DAY),
        )
        .step(
            HeaderTokenFetcher::post("api_key", format!("{server}/v1/apikey/generate"), "x-api-key")
                .header_from("x-session-token", "session")
                .ttl(12 * HOUR),
        )
        .step(
            BodyTokenFetcher::post("access", format!("{server}/v1/token"))
                .json(json!({ "grant_type": "api_key" }))
                .header_from("x-api-key", "api_key")
                .ttl(30 * MINUTE),
        )
}

fn mixed(pipeline: TokenPipelineBuilder, server: &str) -> TokenPipelineBuilder {
    pipeline
        .step(
            HeaderTokenFetcher::post("device", format!("{server}/v1/device/register"), "x-device-token")
                .header("x-device-id", "device-123")
                .ttl(30 * DAY),
        )
        .step(
            BodyTokenFetcher::post("access", format!("{server}/token"))
                .json(json!({ "username": "user", "password": "pass" }))
                .header_from("x-device-token", "device")
                .body_with("device_validated", |_| Ok(true))
                .ttl(30 * MINUTE),
        )
}

// ===== the transcript =====

/// How long to wait, the header that the API then sees, and who was asked for it.
type Line = (Duration, &'static str, &'static [&'static str]);

/// Prints and checks the lines of one flow, with a server of its own.
async fn prove(
    what: &str,
    flow: fn(TokenPipelineBuilder, &str) -> TokenPipelineBuilder,
    lines: &[Line],
) -> Result<(), AnyError> {
    let asked = Asked::default();
    let server = serve(Router::new().fallback(answer).with_state(asked.clone())).await?;
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let pipeline = TokenPipeline::builder(what)
        .http(HttpClient::new(http.clone()))
        .danger_allow_http_on_loopback()
        .clock(clock.clock());
    let layer = TokenInjectLayer::new(flow(pipeline, &server).build()?.provider())
        .danger_allow_http_on_loopback()
        .allow_origin(&server)
        .build()?;
    let client = layer.layer(http);

    println!("{what}");
    let mut seen_calls = 0;
    for (wait, header, expected) in lines {
        clock.advance(*wait);
        let seen = fetch(&client, format!("{server}/api")).await?;
        let mut calls = asked.since(seen_calls);
        seen_calls += calls.len();
        // The API's own call is the last one.
        calls.pop();
        if seen != *header || calls != *expected {
            let found = format!("{seen:?} after {calls:?}");
            return Err(format!("{what}: expected {header:?} after {expected:?}, found {found}").into());
        }
        let asked = if calls.is_empty() { "nobody".to_owned() } else { calls.join(", ") };
        println!("  {:>5} min later: {header}, asked: {asked}", wait.as_secs() / 60);
    }
    Ok(())
}

/// The body of a `GET`.
async fn fetch<S, B>(client: &S, uri: String) -> Result<String, AnyError>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<AnyError>,
    B: http_body::Body,
    B::Error: Into<AnyError>,
{
    let request = Request::get(uri).body(Full::default())?;
    let response = client.clone().oneshot(request).await.map_err(Into::into)?;
    let body = response.into_body().collect().await.map_err(Into::into)?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

async fn serve(router: Router) -> Result<String, AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    prove(
        "app → user",
        app_user,
        &[
            (Duration::ZERO, "Bearer user-1", &["/v1/app/token", "/v1/user/token"]),
            (Duration::ZERO, "Bearer user-1", &[]),
            (31 * MINUTE, "Bearer user-2", &["/v1/user/token"]),
            (31 * MINUTE, "Bearer user-3", &["/v1/app/token", "/v1/user/token"]),
        ],
    )
    .await?;
    prove(
        "device → app → user",
        device_app_user,
        &[
            (
                Duration::ZERO,
                "Bearer user-1",
                &["/v1/device/register", "/v1/device/app/token", "/v1/user/token"],
            ),
            (Duration::ZERO, "Bearer user-1", &[]),
            (16 * MINUTE, "Bearer user-2", &["/v1/user/token"]),
            (45 * MINUTE, "Bearer user-3", &["/v1/device/app/token", "/v1/user/token"]),
        ],
    )
    .await?;
    prove(
        "session → API key → access token",
        session_key_access,
        &[
            (Duration::ZERO, "Bearer access-1", &["/v1/login", "/v1/apikey/generate", "/v1/token"]),
            (Duration::ZERO, "Bearer access-1", &[]),
            (31 * MINUTE, "Bearer access-2", &["/v1/token"]),
            (12 * HOUR, "Bearer access-3", &["/v1/apikey/generate", "/v1/token"]),
            (12 * HOUR, "Bearer access-4", &["/v1/login", "/v1/apikey/generate", "/v1/token"]),
        ],
    )
    .await?;
    prove(
        "a token in the header and more in the body",
        mixed,
        &[
            (Duration::ZERO, "Bearer mixed-1", &["/v1/device/register", "/token"]),
            (Duration::ZERO, "Bearer mixed-1", &[]),
            (31 * MINUTE, "Bearer mixed-2", &["/token"]),
            (30 * DAY, "Bearer mixed-3", &["/v1/device/register", "/token"]),
        ],
    )
    .await
}
