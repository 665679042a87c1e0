//! Four flows of several steps, each against a server on a real socket that lets nobody in without the right
//! earlier token, with every call counted: app → user, device → app → user, session → API key → access token, and
//! one whose second request has the earlier token in a header and more in its body.

use std::{cell::Cell, time::Duration};

use bytes::Bytes;
use http::Response;
use portcullis::{
    BodyTokenFetcher, TokenPipeline,
    clock::ManualClock,
    pipeline::{HeaderTokenFetcher, PipelineProvider, TokenPipelineBuilder},
    provider::TokenProvider,
};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::{
    fetchers::answer_body,
    hostile_endpoint::whole_text,
    idp::{Call, Idp, Leased, Reply, socket_client, status, step},
    log::Log,
    support::START,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn in_header(name: &'static str, value: String) -> Reply {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(name, value.parse().unwrap());
    Reply::Full(response)
}

fn in_body(token: String) -> Reply {
    Reply::Json(json!({ "access_token": token }).to_string())
}

fn json_of(call: &Call) -> Value {
    serde_json::from_str(&call.body).unwrap_or_default()
}

/// Whether the header holds a token of this kind.
fn carries(call: &Call, header: &str, kind: &str) -> bool {
    let value = call.headers.get(header).map_or("", |value| value.to_str().unwrap());
    value.strip_prefix(kind).is_some_and(|number| number.parse::<u32>().is_ok())
}

struct Flow {
    idp: Idp,
    clock: ManualClock,
    provider: PipelineProvider,
    seen: usize,
}

impl Flow {
    async fn new(idp: Idp, steps: impl FnOnce(TokenPipelineBuilder, &str) -> TokenPipelineBuilder) -> Self {
        let url = idp.serve().await;
        let clock = ManualClock::new(START);
        let builder = TokenPipeline::builder("flow")
            .http(socket_client())
            .danger_allow_http_on_loopback()
            .margin(Duration::ZERO)
            .clock(clock.clock());
        let provider = steps(builder, &url).build().unwrap().provider();
        Self { idp, clock, provider, seen: 0 }
    }

    /// After this time, the next request carries this token, and these calls were made for it.
    #[track_caller]
    fn expect(&mut self, found: &str, header: &str, calls: &[&str]) {
        assert_eq!(found, header);
        let names = self.idp.names();
        assert_eq!(names[self.seen..], *calls);
        self.seen = names.len();
    }

    async fn after(&self, time: Duration) -> String {
        self.clock.advance(time);
        self.provider.leased().await.unwrap().value().to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn r109_app_to_user() {
    let idp = Idp::new(|call, number| match call.name() {
        "app" if json_of(call)["client_secret"] == "planted-app-secret" => {
            in_body(format!("planted-app-{number}"))
        }
        "user"
            if carries(call, "x-app-token", "planted-app-")
                && json_of(call)["password"] == "planted-password" =>
        {
            in_body(format!("planted-user-{number}"))
        }
        _ => status(401, r#"{"error":"invalid_client"}"#),
    });
    let mut flow = Flow::new(idp, |pipeline, url| {
        let client = json!({
            "grant_type": "client_credentials", "client_id": "your-app-id", "client_secret": "planted-app-secret",
        });
        let login = json!({ "username": "user@example.com", "password": "planted-password" });
        let app = BodyTokenFetcher::post("app", format!("{url}/v1/app")).json(client).ttl(HOUR);
        let user = BodyTokenFetcher::post("user", format!("{url}/v1/user")).json(login);
        pipeline.step(app).step(user.header_from("X-App-Token", "app").ttl(30 * MINUTE)).refresh_from("user")
    })
    .await;
    for (wait, header, calls) in [
        (Duration::ZERO, "Bearer planted-user-1", &["app", "user"][..]),
        (Duration::ZERO, "Bearer planted-user-1", &[]),
        (10 * MINUTE, "Bearer planted-user-1", &[]),
        (20 * MINUTE, "Bearer planted-user-2", &["user"]),
        (30 * MINUTE, "Bearer planted-user-3", &["app", "user"]),
    ] {
        let found = flow.after(wait).await;
        flow.expect(&found, header, calls);
    }
    let rejected = flow.provider.leased().await.unwrap();
    let newer = flow.provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    flow.expect(newer.value().to_str().unwrap(), "Bearer planted-user-4", &["user"]);
    assert_eq!(flow.idp.calls()[1].headers["x-app-token"], "planted-app-1");
}

#[tokio::test]
async fn r109_device_to_app_to_user() {
    let idp = Idp::new(|call, number| match call.name() {
        "device" if call.headers["x-device-id"] == "unique-device-id" => {
            in_header("X-Device-Token", format!("planted-device-{number}"))
        }
        "app" if carries(call, "x-device-token", "planted-device-") => {
            in_body(format!("planted-app-{number}"))
        }
        "user" if carries(call, "x-app-token", "planted-app-") => in_body(format!("planted-user-{number}")),
        _ => status(401, ""),
    });
    let mut flow = Flow::new(idp, |pipeline, url| {
        let device = HeaderTokenFetcher::post("device", format!("{url}/v1/device"), "X-Device-Token")
            .header("X-Device-ID", "unique-device-id")
            .header("X-Device-Type", "mobile")
            .token_type("Device")
            .ttl(30 * DAY);
        let app = BodyTokenFetcher::post("app", format!("{url}/v1/app"))
            .json(json!({ "client_id": "app-id", "client_secret": "planted-secret" }))
            .header_from("X-Device-Token", "device")
            .ttl(HOUR);
        let user = BodyTokenFetcher::post("user", format!("{url}/v1/user"))
            .json(json!({ "username": "user@example.com", "password": "planted-password" }))
            .header_from("X-App-Token", "app")
            .ttl(15 * MINUTE);
        pipeline.step(device).step(app).step(user)
    })
    .await;
    for (wait, header, calls) in [
        (Duration::ZERO, "Bearer planted-user-1", &["device", "app", "user"][..]),
        (Duration::ZERO, "Bearer planted-user-1", &[]),
        (16 * MINUTE, "Bearer planted-user-2", &["user"]),
        (45 * MINUTE, "Bearer planted-user-3", &["app", "user"]),
        (30 * DAY, "Bearer planted-user-4", &["device", "app", "user"]),
    ] {
        let found = flow.after(wait).await;
        flow.expect(&found, header, calls);
    }
}

#[tokio::test]
async fn r109_session_to_api_key_to_access_token() {
    let idp = Idp::new(|call, number| match call.name() {
        "login" if call.body == "username=user&password=planted" => {
            in_header("X-Session-Token", format!("Session planted-session-{number}"))
        }
        "generate" if carries(call, "x-session-token", "planted-session-") && call.body.is_empty() => {
            in_header("X-API-Key", format!("planted-key-{number}"))
        }
        "token" if carries(call, "x-api-key", "planted-key-") && json_of(call)["grant_type"] == "api_key" => {
            in_body(format!("planted-access-{number}"))
        }
        _ => status(401, ""),
    });
    let mut flow = Flow::new(idp, |pipeline, url| {
        let session = HeaderTokenFetcher::post("session", format!("{url}/v1/login"), "X-Session-Token")
            .form([("username", "user"), ("password", "planted")])
            .ttl(DAY);
        let key = HeaderTokenFetcher::post("api_key", format!("{url}/v1/apikey/generate"), "X-API-Key")
            .header_from("X-Session-Token", "session")
            .token_type("ApiKey")
            .ttl(12 * HOUR);
        let access = BodyTokenFetcher::post("access", format!("{url}/v1/token"))
            .json(json!({ "grant_type": "api_key" }))
            .header_from("X-API-Key", "api_key")
            .ttl(30 * MINUTE);
        pipeline.step(session).step(key).step(access)
    })
    .await;
    for (wait, header, calls) in [
        (Duration::ZERO, "Bearer planted-access-1", &["login", "generate", "token"][..]),
        (Duration::ZERO, "Bearer planted-access-1", &[]),
        (31 * MINUTE, "Bearer planted-access-2", &["token"]),
        (12 * HOUR, "Bearer planted-access-3", &["generate", "token"]),
        (12 * HOUR, "Bearer planted-access-4", &["login", "generate", "token"]),
    ] {
        let found = flow.after(wait).await;
        flow.expect(&found, header, calls);
    }
}

#[tokio::test]
async fn r109_a_token_in_the_header_and_more_in_the_body() {
    let idp = Idp::new(|call, number| match call.name() {
        "register" if call.headers["x-device-id"] == "device-123" => {
            in_header("X-Device-Token", format!("planted-device-{number}"))
        }
        "token" if carries(call, "x-device-token", "planted-device-") => {
            let body = json_of(call);
            let expected = json!({
                "username": "user", "password": "planted", "device_validated": true,
                "device": call.headers["x-device-token"].to_str().unwrap(),
            });
            if body == expected { in_body(format!("planted-access-{number}")) } else { status(400, "") }
        }
        _ => status(401, ""),
    });
    let mut flow = Flow::new(idp, |pipeline, url| {
        let device = HeaderTokenFetcher::post("device", format!("{url}/device/register"), "X-Device-Token")
            .header("X-Device-ID", "device-123")
            .ttl(30 * DAY);
        let access = BodyTokenFetcher::post("access", format!("{url}/token"))
            .json(json!({ "username": "user", "password": "planted" }))
            .header_from("X-Device-Token", "device")
            .body_from("device", "device")
            .body_with("device_validated", |_| Ok(true))
            .ttl(30 * MINUTE);
        pipeline.step(device).step(access)
    })
    .await;
    for (wait, header, calls) in [
        (Duration::ZERO, "Bearer planted-access-1", &["register", "token"][..]),
        (Duration::ZERO, "Bearer planted-access-1", &[]),
        (30 * MINUTE, "Bearer planted-access-2", &["token"]),
        (30 * DAY, "Bearer planted-access-3", &["register", "token"]),
    ] {
        let found = flow.after(wait).await;
        flow.expect(&found, header, calls);
    }
}

/// Each step of a flow is answered with anything. Nothing of an answer gets into an error or the log, and what is
/// handed out is a header that can be sent.
#[test]
fn r109_a_flow_survives_whatever_its_endpoints_answer() {
    let (log, _guard) = Log::capture();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    let (fine, failed) = (Cell::new(0), Cell::new(0));
    // Always the same answers, so that it is no matter of chance whether some of them are fine.
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&(answer_body(), answer_body()), |(app, user)| {
            let idp = Idp::new(move |call, _| {
                let body = if call.name() == "app" { app.clone() } else { user.clone() };
                Reply::Full(Response::new(Bytes::from(body)))
            });
            let user = step("user").json(json!({ "password": "planted" })).header_from("x-app", "app");
            let app = step("app").form([("secret", "planted")]).expiry_date_at("expires_at");
            let built = idp.pipeline_at(ManualClock::new(START).clock()).step(app).step(user).build();
            let provider = built.unwrap().provider();
            match runtime.block_on(provider.leased()) {
                Ok(lease) => {
                    assert!(lease.value().is_sensitive() && lease.value().to_str().is_ok());
                    fine.set(fine.get() + 1);
                }
                Err(error) => {
                    assert!(matches!(error.step(), Some("app" | "user")));
                    let text = whole_text(&error);
                    assert!(!text.contains("planted"), "{text}");
                    failed.set(failed.get() + 1);
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(fine.get() > 0 && failed.get() > 0, "{fine:?} were fine, {failed:?} failed");
    let log = log.text();
    assert!(log.contains("token fetch failed") && !log.contains("planted"));
}
