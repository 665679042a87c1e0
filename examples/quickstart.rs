//! Both doors, end to end, on loopback sockets: `cargo run --example quickstart`
//!
//! An identity server gives two kinds of tokens, the second only against the first. An API lets their holders
//! in. A client gets its tokens by itself and survives their revocation. Every line that is printed was
//! checked; the first expectation that does not hold ends the program with a non-zero status. What is counted
//! is counted in the servers, not in the client.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::WWW_AUTHENTICATE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use portcullis::{
    Auth, AuthLayer, BodyTokenFetcher, MemoryStore, Require, TokenInjectLayer, TokenPipeline, TokenPolicy,
    TokenService, credential::Channel, http_client::HttpClient, identity::Subject, inbound::Permission,
    token::IssueOptions,
};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};

type AnyError = Box<dyn Error + Send + Sync>;
type Http = Client<HttpConnector, Full<Bytes>>;

// ===== the identity server =====

#[derive(Clone)]
struct Identity {
    tokens: TokenService,
    app_calls: Arc<AtomicUsize>,
    user_calls: Arc<AtomicUsize>,
}

fn identity_server(identity: Identity) -> Router {
    Router::new()
        .route("/v1/app/token", post(app_token))
        .route("/v1/user/token", post(user_token))
        .with_state(identity)
}

async fn app_token(State(identity): State<Identity>, body: String) -> Result<Json<Value>, StatusCode> {
    identity.app_calls.fetch_add(1, Ordering::SeqCst);
    if body != "client_id=quickstart&client_secret=s3cret" {
        return Err(StatusCode::UNAUTHORIZED);
    }
    identity.issue("app:quickstart").await
}

async fn user_token(
    State(identity): State<Identity>,
    headers: HeaderMap,
    Json(login): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    identity.user_calls.fetch_add(1, Ordering::SeqCst);
    let app = headers.get("x-app-token").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let app = identity.tokens.verify(app, Some(Channel::Header)).await;
    if !app.is_ok_and(|app| app.identity().id() == "app:quickstart") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    // A real server would check a password here.
    identity.issue(login["user"].as_str().ok_or(StatusCode::BAD_REQUEST)?).await
}

impl Identity {
    async fn issue(&self, user: &str) -> Result<Json<Value>, StatusCode> {
        let issued = self.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await;
        let issued = issued.map_err(|_store| StatusCode::SERVICE_UNAVAILABLE)?;
        let expires_in = issued.expires_in().map(|life| life.as_secs());
        Ok(Json(json!({
            "access_token": issued.access().expose(), "token_type": "Bearer", "expires_in": expires_in,
        })))
    }

    /// (requests for an app token, requests for a user token)
    fn calls(&self) -> (usize, usize) {
        (self.app_calls.load(Ordering::SeqCst), self.user_calls.load(Ordering::SeqCst))
    }
}

// ===== the API =====

struct BetaTester;

impl Permission for BetaTester {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("beta");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.record().is_ok_and(|login| login.context().get("beta") == Some(Value::Bool(true)))
    }
}

async fn me(auth: Auth<Subject>) -> String {
    auth.user().id().to_owned()
}

async fn beta(_: Require<BetaTester>) -> &'static str {
    "welcome"
}

fn api_server(tokens: TokenService, refused: Arc<AtomicUsize>) -> Result<Router, AnyError> {
    let guard = AuthLayer::new(tokens).schemes(["Bearer", "Token"]).realm("quickstart").build()?;
    let count = middleware::from_fn_with_state(refused, count_refusals);
    Ok(Router::new().route("/me", get(me)).route("/beta", get(beta)).layer(guard).layer(count))
}

async fn count_refusals(
    State(refused): State<Arc<AtomicUsize>>,
    request: axum::extract::Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        refused.fetch_add(1, Ordering::SeqCst);
    }
    response
}

// ===== the client =====

fn pipeline(http: Http, identity: &str) -> Result<TokenPipeline, AnyError> {
    let pipeline = TokenPipeline::builder("quickstart")
        .http(HttpClient::new(http))
        .danger_allow_http_on_loopback()
        .step(
            BodyTokenFetcher::post("app", format!("{identity}/v1/app/token"))
                .form([("client_id", "quickstart"), ("client_secret", "s3cret")])
                .ttl(Duration::from_secs(3600)),
        )
        .step(
            BodyTokenFetcher::post("user", format!("{identity}/v1/user/token"))
                .json(json!({ "user": "ada" }))
                .header_from("x-app-token", "app"),
        );
    Ok(pipeline.build()?)
}

/// Status, challenge and body of a `GET`.
async fn fetch<S, B>(client: &S, uri: String, token: Option<&str>) -> Result<(u16, String, String), AnyError>
where
    S: Service<Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<AnyError>,
    B: http_body::Body,
    B::Error: Into<AnyError>,
{
    let mut request = Request::get(uri);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = client.clone().oneshot(request.body(Full::default())?).await.map_err(Into::into)?;
    let (parts, body) = response.into_parts();
    let challenge = parts.headers.get(WWW_AUTHENTICATE).map_or("", |value| value.to_str().unwrap_or(""));
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok((parts.status.as_u16(), challenge.to_owned(), String::from_utf8(body.to_vec())?))
}

// ===== the transcript =====

#[derive(Default)]
struct Transcript(usize);

impl Transcript {
    fn prove<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        found: T,
        expected: T,
    ) -> Result<(), AnyError> {
        self.0 += 1;
        if found != expected {
            return Err(format!("{}. {what}: expected {expected:?}, found {found:?}", self.0).into());
        }
        println!("{:>2}. {what}", self.0);
        Ok(())
    }
}

async fn serve(router: Router) -> Result<String, AnyError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(format!("http://{address}"))
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let identity = Identity { tokens: tokens.clone(), app_calls: Arc::default(), user_calls: Arc::default() };
    let refused = Arc::new(AtomicUsize::new(0));
    let identity_url = serve(identity_server(identity.clone())).await?;
    let api = serve(api_server(tokens.clone(), Arc::clone(&refused))?).await?;
    let refusals = || refused.swap(0, Ordering::SeqCst);

    let plain: Http = Client::builder(TokioExecutor::new()).build_http();
    let layer = TokenInjectLayer::new(pipeline(plain.clone(), &identity_url)?.provider())
        .danger_allow_http_on_loopback()
        .allow_origin(&api)
        .build()?;
    let client = layer.layer(plain.clone());
    let me = || format!("{api}/me");
    let ada = (200, String::new(), "ada".to_owned());
    let mut transcript = Transcript::default();

    // A client with the layer.
    transcript.prove("the first call gets in", fetch(&client, me(), None).await?, ada.clone())?;
    transcript.prove(
        "it took one request for an app token and one for a user token",
        identity.calls(),
        (1, 1),
    )?;
    let mut more = 0;
    for _ in 0..20 {
        more += usize::from(fetch(&client, me(), None).await? == ada);
    }
    transcript.prove("twenty more calls get in", more, 20)?;
    transcript.prove("and take no request for a token", identity.calls(), (1, 1))?;

    transcript.prove(
        "the user's tokens are revoked on the server",
        tokens.revoke_subject(&Subject::local("ada")).await?,
        1,
    )?;
    refusals();
    transcript.prove("the next call gets in all the same", fetch(&client, me(), None).await?, ada.clone())?;
    transcript.prove("the API refused once", refusals(), 1)?;
    transcript.prove("only the user token was fetched again", identity.calls(), (1, 2))?;

    tokens.revoke_subject(&Subject::local("ada")).await?;
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (client, uri) = (client.clone(), me());
            tokio::spawn(async move { fetch(&client, uri, None).await })
        })
        .collect();
    let mut in_all = 0;
    for call in calls {
        in_all += usize::from(call.await?? == ada);
    }
    transcript.prove("revoked again: of a hundred calls at once, all get in", in_all, 100)?;
    transcript.prove("one request for a user token served them all", identity.calls(), (1, 3))?;

    // A client without it.
    let (status, challenge, body) = fetch(&plain, me(), None).await?;
    transcript.prove("no credential: 401", status, 401)?;
    transcript.prove(
        "with a challenge and no error in it",
        challenge.as_str(),
        r#"Bearer realm="quickstart""#,
    )?;
    transcript.prove(
        "and a problem body",
        serde_json::from_str::<Value>(&body)?["code"].clone(),
        "missing_credential".into(),
    )?;

    let (status, challenge, _) = fetch(&client, format!("{api}/beta"), None).await?;
    transcript.prove("a caller without the permission: 403", status, 403)?;
    let insufficient = r#"Bearer realm="quickstart", error="insufficient_scope", scope="beta""#;
    transcript.prove("which names what is missing", challenge.as_str(), insufficient)?;
    let mut context = Map::new();
    context.insert("beta".to_owned(), Value::Bool(true));
    let tester = IssueOptions::default().context(context);
    let tester = tokens.issue_for_header(Subject::local("bob"), tester).await?;
    let beta = fetch(&plain, format!("{api}/beta"), Some(tester.access().expose())).await?;
    transcript.prove("a caller with it gets in", beta, (200, String::new(), "welcome".to_owned()))?;

    let cookie = tokens.issue_for_cookie(Subject::local("bob"), IssueOptions::default()).await?;
    let (status, challenge, _) = fetch(&plain, me(), Some(cookie.access().expose())).await?;
    transcript.prove("a token issued for a cookie, sent as a header: 401", status, 401)?;
    transcript.prove(
        "and invalid, like any other",
        challenge.as_str(),
        r#"Bearer realm="quickstart", error="invalid_token""#,
    )?;
    Ok(())
}
