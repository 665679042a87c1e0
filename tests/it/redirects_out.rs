//! Redirects: a token stays with its origins, whoever answers, over real sockets.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::{Request as AxumRequest, State},
    response::{IntoResponse, Redirect},
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, Uri, header::LOCATION};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    BodyTokenFetcher, TokenInjectLayer, TokenPipeline,
    http_client::HttpClient,
    maybe_ready::MaybeReady,
    outbound::{AuthOutcome, InjectError, InjectOptions},
    provider::{Ask, Lease, TokenError, TokenErrorKind, TokenProvider},
};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt};
use tower_http::follow_redirect::{
    FollowRedirectLayer,
    policy::{FilterCredentials, Limited, PolicyExt, SameOrigin},
};

use crate::{idp::Leased, stock::Stock};

type Body = Full<Bytes>;

/// What one server does: redirects, or answers with a status.
#[derive(Clone, Default)]
struct Server {
    /// By path; the others are answered.
    redirects: Arc<Mutex<Vec<(String, StatusCode, String)>>>,
    refuse: Arc<Mutex<bool>>,
    seen: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

impl Server {
    async fn start() -> (Self, String) {
        let server = Self::default();
        let router = Router::new().fallback(Self::answer).with_state(server.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, format!("http://{address}"))
    }

    async fn answer(State(server): State<Self>, request: AxumRequest) -> axum::response::Response {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        server.seen.lock().unwrap().push((path.clone(), head.headers, body));
        let redirects = server.redirects.lock().unwrap();
        if let Some((_, status, to)) = redirects.iter().find(|(from, ..)| *from == path) {
            let mut response = Redirect::temporary(to).into_response();
            *response.status_mut() = *status;
            return response;
        }
        let refuse = *server.refuse.lock().unwrap();
        if refuse { StatusCode::UNAUTHORIZED.into_response() } else { "done".into_response() }
    }

    fn redirect(&self, from: &str, status: u16, to: String) {
        let status = StatusCode::from_u16(status).unwrap();
        self.redirects.lock().unwrap().push((from.to_owned(), status, to));
    }

    /// Path and value of this header, `-` for none, of every request.
    fn seen(&self, header: &str) -> Vec<String> {
        let value =
            |headers: &HeaderMap| headers.get(header).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(path, headers, _)| format!("{path} {}", value(headers))).collect()
    }
}

/// Follows redirects outside the layer, as such layers do: each hop is the request as it came in, with another URI.
#[derive(Clone)]
struct Follow<S>(S);

impl<S, B> Service<Request<Body>> for Follow<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = InjectError> + Clone + Send + 'static,
    S::Future: Send,
    B: Send,
{
    type Response = Response<B>;
    type Error = InjectError;
    type Future = BoxFuture<'static, Result<Self::Response, InjectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), InjectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let mut request = request;
            loop {
                let response = inner.clone().oneshot(request.clone()).await?;
                let Some(to) = response.headers().get(LOCATION) else { return Ok(response) };
                let to: Uri = to.to_str().unwrap().parse().unwrap();
                *request.uri_mut() = match to.authority() {
                    Some(_) => to,
                    None => {
                        let mut parts = request.uri().clone().into_parts();
                        parts.path_and_query = to.into_parts().path_and_query;
                        Uri::from_parts(parts).unwrap()
                    }
                };
            }
        })
    }
}

fn http() -> Client<hyper_util::client::legacy::connect::HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn layer(provider: impl TokenProvider, origin: &str) -> TokenInjectLayer {
    let layer = TokenInjectLayer::new(provider).danger_allow_http_on_loopback();
    layer.allow_origin(origin).build().unwrap()
}

fn get(origin: &str, path: &str) -> Request<Body> {
    Request::get(format!("{origin}{path}")).body(Body::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_a_redirect_to_another_origin_gets_no_token_and_its_401_costs_none() {
    for (header, status) in
        [("authorization", 302), ("x-user-token", 302), ("x-user-token", 307), ("cookie", 308)]
    {
        let (api, at) = Server::start().await;
        let (evil, elsewhere) = Server::start().await;
        api.redirect("/away", status, format!("{elsewhere}/trap"));
        *evil.refuse.lock().unwrap() = true;
        let stock = Stock::named(header.parse().unwrap(), "t");
        let client = Follow(layer(stock.clone(), &at).layer(http()));
        let response = client.oneshot(get(&at, "/away")).await.unwrap();
        assert_eq!(response.status(), 401);
        assert!(response.extensions().get::<AuthOutcome>().is_none());
        assert_eq!(api.seen(header), ["/away Bearer t-1"]);
        assert_eq!(evil.seen(header), ["/trap -"]);
        assert!(stock.state().rejected.is_empty());
        assert!(!format!("{:?}", evil.seen.lock().unwrap()).contains("t-1"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_a_redirect_that_stays_keeps_its_token_and_its_401_counts() {
    let (api, at) = Server::start().await;
    api.redirect("/old", 307, "/new".to_owned());
    let stock = Stock::new();
    let client = Follow(layer(stock.clone(), &at).layer(http()));
    assert_eq!(client.clone().oneshot(get(&at, "/old")).await.unwrap().status(), 200);
    assert_eq!(api.seen("authorization"), ["/old Bearer t-1", "/new Bearer t-1"]);
    *api.refuse.lock().unwrap() = true;
    let response = client.oneshot(get(&at, "/old")).await.unwrap();
    assert_eq!(response.extensions().get::<AuthOutcome>().unwrap().name(), "rejected_again");
    assert_eq!(api.seen("authorization")[2..], ["/old Bearer t-1", "/new Bearer t-1", "/new Bearer t-2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_other_hosts_ports_and_schemes_get_no_token() {
    let (api, at) = Server::start().await;
    let port = at.rsplit_once(':').unwrap().1;
    let (other, elsewhere) = Server::start().await;
    let stock = Stock::new();
    let client = layer(stock.clone(), &at).layer(http());
    for uri in [format!("{elsewhere}/"), format!("http://localhost:{port}/")] {
        assert_eq!(client.clone().oneshot(get(&uri, "")).await.unwrap().status(), 200, "{uri}");
    }
    assert_eq!(
        (api.seen("authorization"), other.seen("authorization")),
        (vec!["/ -".into()], vec!["/ -".into()])
    );
    assert!(stock.state().repeatable.is_empty(), "no token is asked for either");
}

// ===== tower-http's own layer =====

/// Around the token layer, where it belongs: each hop is judged by its own origin.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_with_tower_https_redirects_around_the_layer_the_token_stays() {
    for status in [301, 302, 303, 307, 308] {
        for header in ["authorization", "x-user-token", "cookie"] {
            let (api, at) = Server::start().await;
            let (evil, elsewhere) = Server::start().await;
            api.redirect("/away", status, format!("{elsewhere}/trap"));
            evil.redirect("/trap", status, format!("{at}/back"));
            let stock = Stock::named(header.parse().unwrap(), "planted");
            let client = FollowRedirectLayer::new().layer(layer(stock.clone(), &at).layer(http()));
            let mut request = get(&at, "/away");
            request.extensions_mut().insert(InjectOptions::new().require());
            assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
            assert_eq!(api.seen(header), ["/away Bearer planted-1", "/back Bearer planted-1"]);
            assert_eq!(evil.seen(header), ["/trap -"]);
            assert!(!format!("{:?}", evil.seen.lock().unwrap()).contains("planted"));
        }
    }
}

/// It drops all extensions on the way to another origin. Options that are to hold there must be let through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_options_hold_across_tower_https_redirects_if_they_are_let_through() {
    let options = FilterCredentials::new().allow_extension::<InjectOptions>();
    let follow = FollowRedirectLayer::with_policy(Limited::new(5).and::<_, (), ()>(options));

    // What must not go out without a token does not.
    let (api, at) = Server::start().await;
    let (evil, elsewhere) = Server::start().await;
    api.redirect("/away", 307, format!("{elsewhere}/trap"));
    let client = follow.layer(layer(Stock::new(), &at).layer(http()));
    let mut request = get(&at, "/away");
    request.extensions_mut().insert(InjectOptions::new().require());
    assert!(matches!(client.clone().oneshot(request).await, Err(InjectError::NoRule)));
    assert_eq!((api.seen.lock().unwrap().len(), evil.seen.lock().unwrap().len()), (1, 0));

    // What must go out without one does, also where an answer of somebody else leads to the API.
    evil.redirect("/start", 307, format!("{at}/in"));
    let mut request = get(&elsewhere, "/start");
    request.extensions_mut().insert(InjectOptions::new().skip());
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);
    assert_eq!(api.seen("authorization"), ["/away Bearer t-1", "/in -"]);
}

/// Inside of the token layer, the token of a header of one's own is safe only with redirects that stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_with_tower_https_redirects_inside_of_the_layer_the_token_stays() {
    let (api, at) = Server::start().await;
    let (evil, elsewhere) = Server::start().await;
    api.redirect("/away", 307, format!("{elsewhere}/trap"));
    // `Authorization` and `Cookie` are taken off by its standard policy.
    for header in ["authorization", "cookie"] {
        let stock = Stock::named(header.parse().unwrap(), "planted");
        let client = layer(stock, &at).layer(FollowRedirectLayer::new().layer(http()));
        assert_eq!(client.oneshot(get(&at, "/away")).await.unwrap().status(), 200);
        assert_eq!(evil.seen(header).pop().unwrap(), "/trap -");
    }
    // Others are not, so whoever follows redirects there must stay at the origin.
    let stays = FollowRedirectLayer::with_policy(Limited::new(5).and::<_, (), ()>(SameOrigin::new()));
    let stock = Stock::named("x-user-token".parse().unwrap(), "planted");
    let client = layer(stock, &at).layer(stays.layer(http()));
    let mut request = get(&at, "/away");
    request.extensions_mut().insert(InjectOptions::new().require());
    assert_eq!(client.oneshot(request).await.unwrap().status(), 307);
    assert_eq!(evil.seen.lock().unwrap().len(), 2);
    assert!(!format!("{:?}", evil.seen.lock().unwrap()).contains("planted"));
}

/// What a token endpoint is sent must not be sent elsewhere, whatever it answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_a_redirect_of_a_token_endpoint_is_an_error_and_the_secret_stays() {
    for status in [301, 302, 303, 307, 308] {
        let (idp, at) = Server::start().await;
        let (evil, elsewhere) = Server::start().await;
        idp.redirect("/token", status, format!("{elsewhere}/token"));
        let step = BodyTokenFetcher::post("only", format!("{at}/token")).form([("client_secret", "planted")]);
        let pipeline = TokenPipeline::builder("redirected")
            .http(HttpClient::new(http()))
            .danger_allow_http_on_loopback()
            .step(step);
        let provider = pipeline.build().unwrap().provider();
        let error = provider.leased().await.unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Refused);
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        assert!(evil.seen.lock().unwrap().is_empty());
        assert_eq!(idp.seen.lock().unwrap().len(), 1);

        let (api, at) = Server::start().await;
        let refused = layer(provider, &at).layer(http()).oneshot(get(&at, "/")).await;
        assert!(matches!(refused, Err(InjectError::Token(_))));
        assert!(api.seen.lock().unwrap().is_empty());
    }
}

/// Through a client with the very layer whose tokens it fetches, whether its endpoint's origin is an allowed one or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_a_token_request_through_a_client_that_attaches_tokens_does_not_wait_for_itself() {
    for allowed in [true, false] {
        through_its_own_client(allowed).await;
    }
}

async fn through_its_own_client(allowed: bool) {
    let (_api, at) = Server::start().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let router = Router::new().fallback(move |headers: HeaderMap| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        assert!(!headers.contains_key("authorization"));
        std::future::ready(format!(r#"{{"access_token":"t-{number}","expires_in":3600}}"#))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let idp = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    // The pipeline's client is the layered one, so the layer's provider is filled in later.
    let slot: Arc<std::sync::OnceLock<Arc<dyn TokenProvider>>> = Arc::default();
    let late = Late(http::header::AUTHORIZATION, Arc::clone(&slot));
    let layer = TokenInjectLayer::new(late).danger_allow_http_on_loopback().allow_origin(&at);
    let layer = if allowed { layer.allow_origin(&idp) } else { layer };
    let client = layer.build().unwrap().layer(http());
    let pipeline = TokenPipeline::builder("same")
        .http(HttpClient::new(client.clone()))
        .danger_allow_http_on_loopback()
        .step(BodyTokenFetcher::post("only", format!("{idp}/token")));
    assert!(slot.set(Arc::new(pipeline.build().unwrap().provider())).is_ok());
    let call = tokio::time::timeout(std::time::Duration::from_secs(20), client.oneshot(get(&at, "/")));
    assert_eq!(call.await.expect("no lock-up").unwrap().status(), 200);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

struct Late(http::HeaderName, Arc<std::sync::OnceLock<Arc<dyn TokenProvider>>>);

impl TokenProvider for Late {
    fn header(&self) -> &http::HeaderName {
        &self.0
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        self.1.get().unwrap().lease(ask)
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        self.1.get().unwrap().newer_than(rejected)
    }
}
