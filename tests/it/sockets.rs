//! Both doors on real sockets: an axum server, a hyper client, and bytes written by hand.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    http::HeaderMap,
    routing::{get, post},
};
use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    Auth, AuthLayer, BodyTokenFetcher, MemoryStore, TokenInjectLayer, TokenPipeline, TokenPolicy,
    TokenService, http_client::HttpClient, identity::Subject, token::IssueOptions,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, ServiceExt};

/// Serves until the runtime of the test ends.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address.to_string()
}

#[derive(Clone)]
struct Identity {
    tokens: TokenService,
    app: Arc<AtomicUsize>,
    user: Arc<AtomicUsize>,
}

async fn issue(identity: &Identity, user: &str) -> Json<Value> {
    let issued =
        identity.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap();
    Json(json!({ "access_token": issued.access().expose(), "expires_in": 3600 }))
}

fn identity_server(identity: Identity) -> Router {
    Router::new()
        .route(
            "/v1/app/token",
            post(async |State(identity): State<Identity>| {
                identity.app.fetch_add(1, Ordering::SeqCst);
                issue(&identity, "app").await
            }),
        )
        .route(
            "/v1/user/token",
            post(async |State(identity): State<Identity>, headers: HeaderMap| {
                identity.user.fetch_add(1, Ordering::SeqCst);
                let app = headers.get("x-app-token").and_then(|value| value.to_str().ok()).unwrap_or("");
                match identity.tokens.verify(app, None).await {
                    Ok(app) if app.identity().id() == "app" => Ok(issue(&identity, "ada").await),
                    _ => Err(StatusCode::FORBIDDEN),
                }
            }),
        )
        .with_state(identity)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_the_two_doors_meet_on_real_sockets() {
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let identity = Identity { tokens: tokens.clone(), app: Arc::default(), user: Arc::default() };
    let idp = serve(identity_server(identity.clone())).await;
    let me = Router::new().route("/me", get(async |auth: Auth<Subject>| auth.user().id().to_owned()));
    let api = serve(me.layer(AuthLayer::new(tokens.clone()).build().unwrap())).await;

    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let pipeline = TokenPipeline::builder("sockets")
        .http(HttpClient::new(http.clone()))
        .danger_allow_http_on_loopback()
        .step(BodyTokenFetcher::post("app", format!("http://{idp}/v1/app/token")))
        .step(
            BodyTokenFetcher::post("user", format!("http://{idp}/v1/user/token"))
                .header_from("x-app-token", "app"),
        )
        .build()
        .unwrap();
    let layer = TokenInjectLayer::new(pipeline.provider())
        .danger_allow_http_on_loopback()
        .allow_origin(format!("http://{api}"))
        .build()
        .unwrap();
    let client = layer.layer(http);
    let uri: Uri = format!("http://{api}/me").parse().unwrap();
    let call = async || {
        let response =
            client.clone().oneshot(Request::get(uri.clone()).body(Full::default()).unwrap()).await.unwrap();
        let status = response.status();
        (status.as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    };
    let fetched = || (identity.app.load(Ordering::SeqCst), identity.user.load(Ordering::SeqCst));

    assert_eq!(call().await, (200, Bytes::from_static(b"ada")));
    assert_eq!(fetched(), (1, 1));
    assert_eq!(tokens.revoke_subject(&Subject::local("ada")).await.unwrap(), 1);
    assert_eq!(call().await, (200, Bytes::from_static(b"ada")));
    assert_eq!(fetched(), (1, 2), "the last step only");
}

/// What a client with no manners can write into a header, each on a connection of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_a07_raw_bytes_on_a_socket_get_an_answer_of_the_table() {
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let router = Router::new().route("/", get(async || "in"));
    let address = serve(router.layer(AuthLayer::new(tokens).cookie("token").build().unwrap())).await;
    let long = [b"Bearer ".as_slice(), &[b'a'; 64 * 1024]].concat();
    let cases: [(&[u8], &str); 10] = [
        (b"Bearer %", "400"),
        (b"Bearer", "400"),
        (b"Bearer \x80\xff", "400"),
        (b"bearer\ta", "400"),
        (b"Bearer a\xc2\xa0", "400"),
        (b"\xff\xfe", "401"),
        (b"", "401"),
        (b"Bearer junk", "401"),
        (b"Basic \x80", "401"),
        (&long, "400"),
    ];
    for (value, expected) in cases {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ", value, b"\r\n\r\n"]
            .concat();
        stream.write_all(&head).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let line = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert!(
            line.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{:?}: {line}",
            String::from_utf8_lossy(&value[..value.len().min(20)])
        );
    }
}
