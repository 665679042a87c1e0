//! reqwest below the token layer, over real sockets.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    routing::{get, post},
};
use futures_util::future::join_all;
use http::{HeaderName, HeaderValue, Method, Request, Response, Version};
use portcullis::{
    BodyTokenFetcher, ReqwestError, ReqwestService, TokenPipeline,
    outbound::{AuthOutcome, FinalUri, InjectError, Replay, Tee, TokenInjectLayer},
    pipeline::TokenPipelineBuilder,
    provider::{StaticBearer, TokenErrorKind},
    same_origin_redirects,
};
use reqwest::{Body, Client};
use serde_json::json;
use tokio::{net::TcpListener, sync::Barrier};
use tower::{Layer, ServiceExt};

use crate::{
    idp::Leased,
    reqwest_peer::{Peer, layer, shown, streamed},
    stock::Stock,
};

type Answered = Result<Response<Body>, InjectError>;

/// No proxy of the environment, and no redirects.
fn bare() -> ReqwestService {
    ReqwestService::from_builder(Client::builder().no_proxy()).unwrap()
}

/// A client that somebody else has built: reqwest's own policy follows ten redirects, to wherever.
fn following() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

fn request(method: Method, uri: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(uri).body(body.into()).unwrap()
}

async fn send<R: Replay<Body>>(
    layer: &TokenInjectLayer<R>,
    service: ReqwestService,
    request: Request<Body>,
) -> Answered {
    layer.layer(service).oneshot(request).await
}

fn outcome(response: &Response<Body>) -> Option<&'static str> {
    response.extensions().get::<AuthOutcome>().map(AuthOutcome::name)
}

/// What the service itself has failed with.
fn inner(error: InjectError) -> ReqwestError {
    let InjectError::Inner(error) = error else { panic!("{error:?}") };
    *error.downcast().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_sends_the_token_and_repeats_once_after_a_401() {
    let (api, at) = Peer::start().await;
    let stock = Stock::new();
    let layer = layer(stock.clone(), &at).build().unwrap();
    let call = async |path: &str| {
        send(&layer, bare(), request(Method::GET, &format!("{at}{path}"), "")).await.unwrap()
    };
    let response = call("/fine").await;
    assert_eq!((response.status().as_u16(), outcome(&response)), (200, None));
    api.refuse("t-1");
    let response = call("/late?a=b").await;
    assert_eq!((response.status().as_u16(), outcome(&response)), (200, Some("repeated")));
    assert_eq!(response.extensions().get::<FinalUri>().unwrap().uri().to_string(), format!("{at}/late?a=b"));
    let response = reqwest::Response::from(response);
    assert_eq!(response.url().as_str(), format!("{at}/late?a=b"), "found again on the way back");
    assert_eq!(response.text().await.unwrap(), "done");
    api.state().refuses_all = true;
    let response = call("/no").await;
    assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("rejected_again")));
    assert_eq!(
        api.seen("authorization"),
        ["/fine Bearer t-1", "/late Bearer t-1", "/late Bearer t-2", "/no Bearer t-2", "/no Bearer t-3",]
    );
    assert_eq!(stock.state().rejected, [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_repeats_bytes_and_streams_whole_up_to_the_limit() {
    for limit in [10, 9] {
        for (body, length) in [(Body::from("0123456789"), Some("10")), (streamed(&["01234", "56789"]), None)]
        {
            let (api, at) = Peer::start().await;
            api.refuse("t-1");
            let layer = layer(Stock::new(), &at).replay(Tee::new().limit(limit)).build().unwrap();
            let response = send(&layer, bare(), request(Method::POST, &at, body)).await.unwrap();
            let expected = if limit == 10 { (200, 2, "repeated") } else { (401, 1, "not_repeatable") };
            let state = api.state();
            let found = (response.status().as_u16(), state.seen.len(), outcome(&response).unwrap());
            assert_eq!(found, expected, "{limit} {length:?}");
            for seen in &state.seen {
                let header =
                    |name: &str| seen.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                assert_eq!(seen.body, "0123456789");
                assert_eq!(header("content-length").as_deref(), length);
                assert_eq!(header("transfer-encoding").is_some(), length.is_none());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_a_body_that_nobody_keeps_is_sent_once() {
    for body in [Body::from("bytes"), streamed(&["bytes"])] {
        let (api, at) = Peer::start().await;
        api.refuse("t-1");
        let stock = Stock::new();
        let layer = layer(stock.clone(), &at).build().unwrap();
        let response = send(&layer, bare(), request(Method::POST, &at, body)).await.unwrap();
        assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("not_repeatable")));
        assert_eq!(stock.state().rejected, [1], "the next request has a new one");
        let state = api.state();
        assert_eq!((state.seen.len(), &state.seen[0].body[..]), (1, &b"bytes"[..]));
    }
}

/// reqwest repeats a body itself where it follows a 307, if it is bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r117_reqwest_bytes_stay_bytes_below_tee() {
    for (body, path, sent) in [(Body::from("bytes"), "/new", 200), (streamed(&["bytes"]), "/old", 307)] {
        let (api, at) = Peer::start().await;
        api.redirect("/old", 307, "/new");
        let layer = layer(Stock::new(), &at).replay(Tee::new()).build().unwrap();
        let client = Client::builder().no_proxy().redirect(same_origin_redirects()).build().unwrap();
        let service = ReqwestService::from_client(client).assume_no_foreign_redirects();
        let response = send(&layer, service, request(Method::PUT, &format!("{at}/old"), body)).await.unwrap();
        assert_eq!(response.status(), sent);
        let state = api.state();
        let last = state.seen.last().unwrap();
        assert_eq!((last.path.as_str(), &last.body[..]), (path, &b"bytes"[..]));
    }
}

// ===== redirects =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_follows_no_redirect_where_it_is_built_here() {
    for (header, status) in [("authorization", 302), ("x-user-token", 302), ("x-user-token", 307)] {
        let (api, at) = Peer::start().await;
        let (evil, elsewhere) = Peer::start().await;
        api.redirect("/away", status, format!("{elsewhere}/trap"));
        let layer = layer(Stock::named(header.parse().unwrap(), "t"), &at).build().unwrap();
        // Not even with a policy that says otherwise.
        let builder = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::limited(3));
        let service = ReqwestService::from_builder(builder).unwrap();
        let response = send(&layer, service, request(Method::GET, &format!("{at}/away"), "")).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(api.seen(header), ["/away Bearer t-1"]);
        assert!(evil.state().seen.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_gets_no_credential_where_it_might_redirect() {
    for name in ["authorization", "cookie", "x-user-token"] {
        let (api, at) = Peer::start().await;
        let layer = layer(Stock::named(name.parse().unwrap(), "t"), &at).build().unwrap();
        let service = ReqwestService::from_client(following());
        let error = send(&layer, service.clone(), request(Method::GET, &at, "")).await.unwrap_err();
        let error = inner(error);
        assert_eq!(error.header().map(HeaderName::as_str), Some(name));
        assert!(error.to_string().contains(name) && !shown(&error).contains("t-1"));
        assert!(api.state().seen.is_empty(), "not sent");

        let mut plain = request(Method::GET, &at, "");
        plain.headers_mut().insert("x-own", HeaderValue::from_static("no secret"));
        assert_eq!(service.oneshot(plain).await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_with_our_policy_follows_what_stays_and_nothing_else() {
    let (api, at) = Peer::start().await;
    let (evil, elsewhere) = Peer::start().await;
    let port = at.rsplit_once(':').unwrap().1;
    api.redirect("/old", 302, "/new");
    api.redirect("/away", 302, format!("{elsewhere}/trap"));
    api.redirect("/name", 302, format!("http://localhost:{port}/"));
    api.redirect("/late", 302, "/away");
    api.redirect("/loop", 302, "/loop");
    let stock = Stock::named("x-user-token".parse().unwrap(), "t");
    let layer = layer(stock.clone(), &at).build().unwrap();
    let client = Client::builder().no_proxy().redirect(same_origin_redirects()).build().unwrap();
    let service = ReqwestService::from_client(client).assume_no_foreign_redirects();
    let call = async |path: &str| {
        send(&layer, service.clone(), request(Method::GET, &format!("{at}{path}"), "")).await
    };
    for (path, status) in [("/old", 200), ("/away", 302), ("/name", 302), ("/late", 302)] {
        assert_eq!(call(path).await.unwrap().status(), status, "{path}");
    }
    assert_eq!(
        api.seen("x-user-token"),
        [
            "/old Bearer t-1",
            "/new Bearer t-1",
            "/away Bearer t-1",
            "/name Bearer t-1",
            "/late Bearer t-1",
            "/away Bearer t-1",
        ]
    );
    assert!(evil.state().seen.is_empty());

    // A 401 behind a redirect that stays is one of ours.
    api.state().refused.insert("Bearer t-1".to_owned());
    api.state().seen.clear();
    let response = call("/old").await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (200, Some("repeated")));
    assert_eq!(response.extensions().get::<FinalUri>().unwrap().uri().path(), "/new");
    assert_eq!(
        api.seen("x-user-token"),
        ["/old Bearer t-1", "/new Bearer t-1", "/old Bearer t-2", "/new Bearer t-2",]
    );
    api.state().seen.clear();
    let error = inner(call("/loop?key=planted").await.unwrap_err());
    assert_eq!(api.state().seen.len(), 11, "ten redirects");
    assert!(!shown(&error).contains("planted"), "{}", shown(&error));
}

/// Where the promise about a client is not kept, what answers elsewhere is no word about the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k04_reqwest_a_401_from_elsewhere_costs_no_token() {
    let (api, at) = Peer::start().await;
    let (evil, elsewhere) = Peer::start().await;
    api.redirect("/away", 302, format!("{elsewhere}/trap?a=b"));
    evil.state().refuses_all = true;
    let stock = Stock::new();
    let layer = layer(stock.clone(), &at).build().unwrap();
    let service = ReqwestService::from_client(following()).assume_no_foreign_redirects();
    let response = send(&layer, service, request(Method::GET, &format!("{at}/away"), "")).await.unwrap();
    assert_eq!((response.status().as_u16(), outcome(&response)), (401, Some("foreign")));
    assert_eq!(
        response.extensions().get::<FinalUri>().unwrap().uri().to_string(),
        format!("{elsewhere}/trap?a=b")
    );
    assert_eq!(reqwest::Response::from(response).url().as_str(), format!("{elsewhere}/trap?a=b"));
    assert!(stock.state().rejected.is_empty());
    assert_eq!(
        (api.seen("authorization").len(), evil.seen("authorization")),
        (1, vec!["/trap -".to_owned()])
    );
}

// ===== errors =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r126_reqwest_errors_show_no_url() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let (api, at) = Peer::start().await;
    api.redirect("/loop", 302, "/loop?key=planted");
    let timed = Client::builder().no_proxy().timeout(Duration::from_millis(30));
    let timed = ReqwestService::from_builder(timed).unwrap();
    // As it is where one service's answer is another's request.
    let foreign = following().get(format!("{nobody}/?key=planted")).send().await.unwrap_err();
    assert!(shown(&foreign).contains("planted"), "reqwest's own do");
    let failing = futures_util::stream::iter([Err::<http_body::Frame<bytes::Bytes>, _>(foreign)]);
    let failing = Body::wrap(http_body_util::StreamBody::new(failing));

    let cases = [
        ("refused", bare(), request(Method::GET, &format!("{nobody}/?key=planted"), "")),
        ("timed out", timed, request(Method::GET, &format!("{at}/never?key=planted"), "")),
        ("scheme", bare(), request(Method::GET, "ftp://planted.test/planted?key=planted", "")),
        ("body", bare(), request(Method::POST, &format!("{at}/?key=planted"), failing)),
        (
            "loop",
            ReqwestService::from_client(following()),
            request(Method::GET, &format!("{at}/loop?key=planted"), ""),
        ),
    ];
    for (case, service, request) in cases {
        let error = service.oneshot(request).await.unwrap_err();
        assert_eq!(
            (error.is_connect(), error.is_timeout()),
            (case == "refused", case == "timed out"),
            "{case}"
        );
        assert_eq!(std::error::Error::source(&error).is_some(), case != "body", "{case}");
        assert!(error.header().is_none());
        let text = shown(&error);
        assert!(!text.contains("planted"), "{case}: {text}");
        assert!(text.starts_with("reqwest has no answer Failed(..)"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_a_uri_that_is_no_url_is_an_error() {
    for uri in ["/planted", "*", "example.com:80"] {
        let mut request = request(Method::GET, "/", "");
        *request.uri_mut() = uri.parse().unwrap();
        let error = bare().oneshot(request).await.unwrap_err();
        assert!(!shown(&error).contains("planted"), "{uri}");
    }
}

// ===== the rest of a request =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r121_reqwest_requests_to_others_pass_as_they_are() {
    let (api, at) = Peer::start().await;
    let layer = layer(Stock::new(), "http://127.0.0.1:9").build().unwrap();
    for version in [Version::HTTP_10, Version::HTTP_11] {
        let mut request = request(Method::PATCH, &format!("{at}/path?q=1"), "text");
        *request.version_mut() = version;
        request.headers_mut().insert("x-own", HeaderValue::from_static("kept"));
        assert_eq!(send(&layer, bare(), request).await.unwrap().status(), 200);
        let seen = api.state().seen.pop().unwrap();
        assert_eq!((seen.path.as_str(), &seen.body[..], seen.version), ("/path", &b"text"[..], version));
        assert_eq!(seen.headers["x-own"], "kept");
        assert!(!seen.headers.contains_key("authorization"));
    }
}

/// Its time-out is an extension, which nobody else can read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_extensions_of_a_request_reach_the_client() {
    let (_api, at) = Peer::start().await;
    let layer = layer(StaticBearer::new("t").unwrap(), &at).build().unwrap();
    let request = following().get(format!("{at}/never")).timeout(Duration::from_millis(30)).build().unwrap();
    let error = send(&layer, bare(), request.try_into().unwrap()).await.unwrap_err();
    assert!(inner(error).is_timeout());
}

// ===== token endpoints =====

/// A pipeline whose only token is fetched here.
fn pipeline(service: &ReqwestService, idp: &str) -> TokenPipelineBuilder {
    TokenPipeline::builder("reqwest")
        .http(service.http_client())
        .danger_allow_http_on_loopback()
        .step(BodyTokenFetcher::post("only", format!("{idp}/token")).form([("client_secret", "planted")]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_a_thousand_late_401s_of_one_token_cause_one_fetch() {
    const CALLS: usize = 1_000;
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let meet = Arc::new(Barrier::new(CALLS));
    let idp = {
        let asked = Arc::clone(&asked);
        post(async move |body: String| {
            assert_eq!(body, "client_secret=planted");
            let number = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            Json(json!({ "access_token": format!("t-{number}"), "expires_in": 3600 }))
        })
    };
    let api = get(async move |headers: http::HeaderMap| {
        if headers["authorization"] != "Bearer t-1" {
            return http::StatusCode::OK;
        }
        meet.wait().await;
        http::StatusCode::UNAUTHORIZED
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/token", idp).route("/api", api);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let service = bare();
    let provider = pipeline(&service, &at).build().unwrap().provider();
    let client = layer(provider, &at).build().unwrap().layer(service);
    let uri = format!("{at}/api");
    let calls = (0..CALLS).map(|_| tokio::spawn(client.clone().oneshot(request(Method::GET, &uri, ""))));
    for response in join_all(calls).await {
        let response = response.unwrap().unwrap();
        assert_eq!((response.status().as_u16(), outcome(&response)), (200, Some("repeated")));
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r205_reqwest_asks_token_endpoints_only_where_it_does_not_redirect() {
    let (idp, at) = Peer::start().await;
    let (evil, elsewhere) = Peer::start().await;
    idp.redirect("/token", 307, format!("{elsewhere}/token"));
    let error = pipeline(&bare(), &at).build().unwrap().provider().leased().await.unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(307));
    assert_eq!(idp.state().seen[0].body, "client_secret=planted");

    let unknown = ReqwestService::from_client(following());
    let error = pipeline(&unknown, &at).build().unwrap().provider().leased().await.unwrap_err();
    assert_eq!(error.kind(), TokenErrorKind::Request);
    assert!(shown(&error).contains("a redirect could carry it"), "{}", shown(&error));
    assert_eq!((idp.state().seen.len(), evil.state().seen.len()), (1, 0));
}
