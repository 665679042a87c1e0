//! The outbound layer: which requests get a token, and what a 401 leads to.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::{
    TokenInjectLayer, TokenPipeline,
    clock::PausedClock,
    http_client::HttpClient,
    outbound::{Cloned, ExistingHeader, InjectError, Never, Replay, TokenInjectLayerBuilder},
    pipeline::PipelineProvider,
    provider::{TokenErrorKind, TokenProvider},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{
    idp::{Idp, Leased, Reply, status, step, token},
    support::{Body, START, secs},
};

const API: &str = "https://api.test";

/// An API that accepts some tokens, and remembers what it was sent.
#[derive(Clone, Default)]
struct Api(Arc<Mutex<ApiState>>);

#[derive(Default)]
struct ApiState {
    refused: HashSet<String>,
    refuse_all: bool,
    seen: Vec<(Method, HeaderMap)>,
}

impl Api {
    fn refuse(&self, token: &str) {
        self.0.lock().unwrap().refused.insert(format!("Bearer {token}"));
    }

    fn refuse_all(&self, all: bool) {
        self.0.lock().unwrap().refuse_all = all;
    }

    /// The `Authorization` values in order; `-` for none.
    fn seen(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let value = |headers: &HeaderMap| {
            headers.get("authorization").map_or("-", |value| value.to_str().unwrap()).to_owned()
        };
        state.seen.iter().map(|(_, headers)| value(headers)).collect()
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut state = self.0.lock().unwrap();
        state.seen.push((request.method().clone(), request.headers().clone()));
        let value = request.headers().get("authorization").map(|value| {
            assert!(value.is_sensitive());
            value.to_str().unwrap().to_owned()
        });
        let refused = state.refuse_all || value.is_some_and(|value| state.refused.contains(&value));
        let mut response = Response::new(Body::from("answer"));
        *response.status_mut() = if refused { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        response
    }
}

fn get(uri: &str) -> Request<Body> {
    Request::get(uri).body(Body::default()).unwrap()
}

fn layer(provider: PipelineProvider) -> TokenInjectLayerBuilder {
    TokenInjectLayer::new(provider).allow_origin(API)
}

async fn send<R>(
    layer: TokenInjectLayerBuilder<R>,
    api: &Api,
    request: Request<Body>,
) -> Result<StatusCode, InjectError>
where
    R: Replay<Body>,
{
    let api = api.clone();
    let service = layer.build().unwrap().layer(service_fn(move |request: Request<Body>| {
        let api = api.clone();
        async move {
            // A turn of the executor, as a network takes: parallel requests meet here.
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(api.answer(&request))
        }
    }));
    service.oneshot(request).await.map(|response| response.status())
}

fn two_steps(idp: &Idp) -> PipelineProvider {
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    builder.build().unwrap().provider()
}

// ===== which requests =====

#[tokio::test(start_paused = true)]
async fn r116_the_token_is_attached_and_nothing_else_changes() {
    let (idp, api) = (Idp::counting(), Api::default());
    let provider = two_steps(&idp);
    let mut request = get("https://api.test/a?b=c");
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    request.headers_mut().insert("x-own", "kept".parse().unwrap());
    assert_eq!(send(layer(provider.clone()), &api, request).await.unwrap(), 200);
    let seen = api.0.lock().unwrap().seen[0].1.clone();
    assert_eq!(
        (seen.len(), &seen["content-type"], &seen["x-own"]),
        (3, &"application/json".parse().unwrap(), &"kept".parse().unwrap())
    );
    assert_eq!(api.seen(), ["Bearer user-1"]);

    let own = || {
        let mut request = get("https://api.test/");
        request.headers_mut().insert("authorization", http::HeaderValue::from_static("Bearer mine"));
        request.headers_mut().get_mut("authorization").unwrap().set_sensitive(true);
        request
    };
    send(layer(provider.clone()), &api, own()).await.unwrap();
    send(layer(provider).existing_header(ExistingHeader::Replace), &api, own()).await.unwrap();
    assert_eq!(api.seen()[1..], ["Bearer mine", "Bearer user-1"]);
}

#[tokio::test(start_paused = true)]
async fn r116_header_and_prefix_can_be_set() {
    let api = Api::default();
    let idp = Idp::new(|_, _| Reply::Json(r#"{"access_token":"t","token_type":"MAC"}"#.to_owned()));
    let pipeline = || idp.pipeline().step(step("only"));
    for (builder, name, value) in [
        (pipeline(), "authorization", "MAC t"),
        (pipeline().scheme("Token"), "authorization", "Token t"),
        (pipeline().header("X-User-Token").without_scheme(), "x-user-token", "t"),
    ] {
        send(layer(builder.build().unwrap().provider()), &api, get("https://api.test/")).await.unwrap();
        let seen = api.0.lock().unwrap().seen.last().unwrap().1.clone();
        assert_eq!((seen.len(), seen[name].to_str().unwrap()), (1, value));
    }
}

#[tokio::test(start_paused = true)]
async fn r121_only_allowed_origins_get_the_token() {
    let (idp, api) = (Idp::counting(), Api::default());
    let provider = two_steps(&idp);
    for foreign in [
        "https://evil.test/",
        "http://api.test/",
        "http://api.test:443/",
        "https://api.test:8443/",
        "https://api.test.evil.test/",
        "https://sub.api.test/",
        "https://api.test@evil.test/",
        "/path-only",
    ] {
        assert_eq!(send(layer(provider.clone()), &api, get(foreign)).await.unwrap(), 200, "{foreign}");
    }
    assert!(api.seen().iter().all(|value| value == "-"));
    assert!(idp.names().is_empty(), "no token is fetched for them either");

    // A 401 from an origin that got no token is not about our token.
    api.refuse_all(true);
    assert_eq!(send(layer(provider.clone()), &api, get("https://evil.test/")).await.unwrap(), 401);
    assert!(idp.names().is_empty());
    api.refuse_all(false);
    send(layer(provider.clone()).allow_origin("https://b.test:8443"), &api, get("https://b.test:8443/x"))
        .await
        .unwrap();
    assert_eq!(api.seen().last().unwrap(), "Bearer user-1");

    for origin in ["http://api.test", "http://10.0.0.1", "api.test", "https://api.test/path", "*"] {
        assert!(TokenInjectLayer::new(provider.clone()).allow_origin(origin).build().is_err(), "{origin}");
    }
    assert!(TokenInjectLayer::new(provider.clone()).build().is_err(), "at least one origin");
    assert!(TokenInjectLayer::new(provider.clone()).allow_origin("http://127.0.0.1:1").build().is_err());
    let pasted = TokenInjectLayer::new(provider.clone()).allow_origin("https://me:planted@api.test");
    let shown = format!("{pasted:?}");
    assert!(!format!("{shown} {}", pasted.build().unwrap_err()).contains("planted"));
    let open = TokenInjectLayer::new(provider).danger_allow_http_on_loopback();
    assert!(open.allow_origin("http://127.0.0.1:1").build().is_ok());
}

/// Whoever made the value, and whether it is sent for the first or for the second time.
#[tokio::test(start_paused = true)]
async fn sec_k04_the_header_is_marked_sensitive() {
    use http::HeaderValue;
    use portcullis::provider::{
        AllOf, ApiKey, Ask, Basic, FirstOf, StaticBearer, provider_async_fn, provider_fn,
    };

    let key = || ApiKey::header("x-key", "planted").unwrap();
    let bearer = || StaticBearer::new("planted").unwrap();
    let plain = || Ok(Some(HeaderValue::from_static("planted")));
    let pipeline = |header: &str| {
        Idp::counting().pipeline().step(step("user")).header(header).build().unwrap().provider()
    };
    let providers: [(Arc<dyn TokenProvider>, usize); 10] = [
        (Arc::new(pipeline("authorization")), 2),
        (Arc::new(pipeline("x-user-token")), 2),
        (Arc::new(pipeline("cookie")), 2),
        (Arc::new(key()), 1),
        (Arc::new(Basic::new("ada", "planted").unwrap()), 1),
        (Arc::new(bearer()), 1),
        (Arc::new(provider_fn("x-fn".parse().unwrap(), move |_: &Ask<'_>| plain())), 1),
        (Arc::new(provider_async_fn("x-fn".parse().unwrap(), move |_: &Ask<'_>| async move { plain() })), 1),
        (Arc::new(FirstOf::of(pipeline("x-first")).or(key())), 2),
        (Arc::new(AllOf::of(key()).and(pipeline("x-user-token")).build().unwrap()), 2),
    ];
    for (provider, sendings) in providers {
        let headers = provider.headers().to_vec();
        let seen: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
        let log = Arc::clone(&seen);
        let inner = service_fn(move |request: Request<Body>| {
            log.lock().unwrap().push(request.headers().clone());
            let refused = Response::builder().status(401).body(Body::default()).unwrap();
            std::future::ready(Ok::<_, Infallible>(refused))
        });
        let layer = TokenInjectLayer::new(provider).allow_origin(API).build().unwrap();
        layer.layer(inner).oneshot(get("https://api.test/")).await.unwrap();
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), sendings, "{headers:?}");
        for sent in &*seen {
            let sensitive = sent.values().filter(|value| value.is_sensitive()).count();
            assert_eq!(
                (sensitive, sent.len()),
                (sent.len(), if headers.len() == 2 && sent.len() == 2 { 2 } else { 1 })
            );
            assert!(sent.keys().all(|name| headers.contains(name)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sec_k06_without_a_token_the_request_is_not_sent() {
    let (idp, api) = (Idp::new(|_, _| status(500, "")), Api::default());
    let error = send(layer(two_steps(&idp)), &api, get("https://api.test/")).await.unwrap_err();
    let InjectError::Token(error) = error else { panic!("{error:?}") };
    assert_eq!((error.kind(), error.step()), (TokenErrorKind::Refused, Some("app")));
    assert!(api.seen().is_empty());
}

// ===== after a 401 =====

#[tokio::test(start_paused = true)]
async fn r117_a_401_is_followed_by_one_repeat_with_another_token() {
    let (idp, api) = (Idp::counting(), Api::default());
    let provider = two_steps(&idp);
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    api.refuse("user-1");
    assert_eq!(send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap(), 200);
    assert_eq!(api.seen(), ["Bearer user-1", "Bearer user-1", "Bearer user-2"]);
    assert_eq!(idp.names(), ["app", "user", "user"], "the last step only");

    // The very first token can be refused too.
    let (idp, api) = (Idp::counting(), Api::default());
    api.refuse("user-1");
    assert_eq!(send(layer(two_steps(&idp)), &api, get("https://api.test/")).await.unwrap(), 200);
    assert_eq!(api.seen(), ["Bearer user-1", "Bearer user-2"]);
}

#[tokio::test(start_paused = true)]
async fn r117_a_second_401_is_the_answer() {
    let (idp, api) = (Idp::counting(), Api::default());
    api.refuse_all(true);
    let provider = two_steps(&idp);
    assert_eq!(send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap(), 401);
    assert_eq!(api.seen(), ["Bearer user-1", "Bearer user-2"]);

    // The new token never worked, so it is not the cause: it is not replaced for a while, and requests fail
    // once each.
    for _ in 0..10 {
        assert_eq!(send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap(), 401);
    }
    assert_eq!(idp.names(), ["app", "user", "user"]);
    assert_eq!(api.seen().len(), 12);
    tokio::time::advance(secs(5)).await;
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    assert_eq!(idp.names()[3..], ["app", "user"], "blame has moved one level up");

    // Once it has worked, a 401 is about the token again, at once.
    api.refuse_all(false);
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    api.refuse("user-3");
    assert_eq!(send(layer(provider), &api, get("https://api.test/")).await.unwrap(), 200);
    assert_eq!(idp.names()[5..], ["user"]);
}

#[tokio::test(start_paused = true)]
async fn r117_the_same_token_again_is_not_sent_again() {
    let idp = Idp::new(|_, _| Reply::Json(token("always-the-same")));
    let api = Api::default();
    api.refuse("always-the-same");
    let provider = idp.pipeline().step(step("only")).build().unwrap().provider();
    for _ in 0..10 {
        assert_eq!(send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap(), 401);
    }
    assert_eq!(api.seen().len(), 10, "each request once");
    assert_eq!(idp.names().len(), 2, "and one attempt to get another");
}

#[tokio::test(start_paused = true)]
async fn r117_a_body_that_cannot_be_repeated_is_not() {
    let (idp, api) = (Idp::counting(), Api::default());
    let provider = two_steps(&idp);
    let post = || Request::post("https://api.test/").body(Body::from("payload")).unwrap();
    api.refuse("user-1");
    assert_eq!(send(layer(provider.clone()), &api, post()).await.unwrap(), 401);
    assert_eq!(api.seen(), ["Bearer user-1"]);
    // The token was renewed all the same, so the next call is fine.
    assert_eq!(send(layer(provider.clone()), &api, post()).await.unwrap(), 200);
    assert_eq!(idp.names(), ["app", "user", "user"]);

    api.refuse("user-2");
    assert_eq!(send(layer(provider.clone()).replay(Cloned), &api, post()).await.unwrap(), 200);
    api.refuse("user-3");
    assert_eq!(
        send(layer(provider.clone()).replay(Never), &api, get("https://api.test/")).await.unwrap(),
        401
    );
    assert_eq!(send(layer(provider).replay(Never), &api, get("https://api.test/")).await.unwrap(), 200);
}

#[tokio::test(start_paused = true)]
async fn r117_who_cannot_repeat_does_not_wait_for_the_fetch() {
    let idp = Idp::new(|call, number| {
        Reply::After(secs(u64::from(number > 1) * 20), token(&format!("{}-{number}", call.name())))
    });
    let api = Api::default();
    let provider = two_steps(&idp);
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    api.refuse("user-1");
    let clock = PausedClock::starting_at(START);
    let post = Request::post("https://api.test/").body(Body::from("payload")).unwrap();
    assert_eq!(send(layer(provider.clone()), &api, post).await.unwrap(), 401);
    assert_eq!(clock.now().since(START), Duration::ZERO);
    assert_eq!(send(layer(provider), &api, get("https://api.test/")).await.unwrap(), 200);
    assert_eq!((idp.names().len(), clock.now().since(START)), (3, secs(20)), "one fetch, begun by the first");
}

/// A gateway's 503 says nothing of the token: a new one that is refused afterwards is still no cause for a
/// fetch.
#[tokio::test(start_paused = true)]
async fn r117_only_a_success_shows_that_a_token_works() {
    for (between, fetches) in [(503, 3), (429, 3), (404, 3), (302, 3), (307, 3), (200, 4), (204, 4), (304, 4)]
    {
        let idp = Idp::counting();
        let provider = two_steps(&idp);
        let next = Arc::new(Mutex::new(401_u16));
        let status = Arc::clone(&next);
        let inner = service_fn(move |_: Request<Body>| {
            let status = *status.lock().unwrap();
            async move { Ok::<_, Infallible>(Response::builder().status(status).body(Body::default()).unwrap()) }
        });
        let layer = layer(provider).build().unwrap();
        for answer in [401, between, 401] {
            *next.lock().unwrap() = answer;
            assert_eq!(
                layer.layer(inner.clone()).oneshot(get("https://api.test/")).await.unwrap().status(),
                answer
            );
        }
        assert_eq!(idp.names().len(), fetches, "{between}");
    }
}

/// The first 401 makes the chain be fetched anew; what it brought is not lost to a late 401 of the same token.
#[tokio::test(start_paused = true)]
async fn r110_a_late_401_does_not_throw_a_fresh_parent_away() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2) => status(500, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let builder = idp.pipeline().step(step("app")).step(step("user").header_from("x-app", "app"));
    let provider = builder.refresh_from("app").build().unwrap().provider();
    let rejected = provider.leased().await.unwrap();
    assert!(provider.newer_than(&rejected).wait().await.is_err());
    assert_eq!(idp.names(), ["app", "user", "app", "user"]);
    let newer = provider.newer_than(&rejected).wait().await.unwrap().unwrap();
    assert_eq!(newer.value(), "Bearer user-3");
    assert_eq!(idp.names()[4..], ["user"]);
}

/// Real threads: each generation is rejected by all of them at once, and fetched once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r118_threads_that_reject_one_generation_share_one_fetch() {
    let idp = Idp::counting();
    let pipeline = TokenPipeline::builder("threads").http(idp.client()).step(step("only"));
    let provider = pipeline.rejection_cooldown(Duration::ZERO).build().unwrap().provider();
    let mut lease = provider.leased().await.unwrap();
    for round in 2..=300 {
        let barrier = Arc::new(tokio::sync::Barrier::new(8));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (provider, lease, barrier) = (provider.clone(), Arc::clone(&lease), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    provider.newer_than(&lease).wait().await.unwrap().unwrap()
                })
            })
            .collect();
        let mut newer = Vec::new();
        for task in tasks {
            newer.push(task.await.unwrap());
        }
        assert!(newer.iter().all(|found| found.generation() == newer[0].generation()));
        assert_eq!(idp.names().len(), round);
        lease = newer.swap_remove(0);
    }
}

/// Requests and token fetches through one limit: a request that waits for its token must not hold the place
/// that the fetch needs.
#[tokio::test(start_paused = true)]
async fn r138_a_limit_that_is_shared_with_the_fetch_does_not_lock_up() {
    let answer = service_fn(|request: Request<Body>| async move {
        let body = if request.uri().host() == Some("idp.test") { token("t1") } else { "answer".to_owned() };
        Ok::<_, Infallible>(Response::new(Body::from(body)))
    });
    let limited = tower::limit::ConcurrencyLimit::new(answer, 1);
    let pipeline = TokenPipeline::builder("limit").http(HttpClient::new(limited.clone())).step(step("only"));
    let layer = layer(pipeline.build().unwrap().provider()).build().unwrap();
    let service = layer.layer(limited);
    let calls: Vec<_> =
        (0..10).map(|_| tokio::spawn(service.clone().oneshot(get("https://api.test/")))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn r117_the_repeat_is_the_same_request() {
    #[derive(Clone, PartialEq, Debug)]
    struct Mark(u8);

    let idp = Idp::counting();
    let provider = two_steps(&idp);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let inner = service_fn(move |request: Request<Body>| {
        let log = Arc::clone(&log);
        async move {
            use http_body_util::BodyExt;

            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let mark = parts.extensions.get::<Mark>().cloned();
            let refused = parts.headers["authorization"] == "Bearer user-1";
            let mut headers = parts.headers;
            headers.remove("authorization");
            log.lock().unwrap().push((parts.method, parts.uri, parts.version, headers, mark, body));
            let mut response = Response::new(Body::default());
            *response.status_mut() = if refused { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
            Ok::<_, Infallible>(response)
        }
    });
    let service = layer(provider).replay(Cloned).build().unwrap().layer(inner);
    let mut request = Request::put("https://api.test/a?b=c")
        .version(http::Version::HTTP_2)
        .body(Body::from("payload"))
        .unwrap();
    request.headers_mut().insert("x-own", "kept".parse().unwrap());
    request.extensions_mut().insert(Mark(7));
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], seen[1]);
    assert_eq!((seen[1].4.clone(), &seen[1].5[..]), (Some(Mark(7)), &b"payload"[..]));
}

#[tokio::test(start_paused = true)]
async fn r117_other_statuses_are_answers() {
    let idp = Idp::counting();
    let provider = two_steps(&idp);
    for code in [400, 403, 407, 429, 500, 503] {
        let inner = service_fn(move |_: Request<Body>| async move {
            Ok::<_, Infallible>(Response::builder().status(code).body(Body::default()).unwrap())
        });
        let service = layer(provider.clone()).build().unwrap().layer(inner);
        assert_eq!(service.oneshot(get("https://api.test/")).await.unwrap().status(), code);
    }
    assert_eq!(idp.names(), ["app", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r117_if_no_newer_token_can_be_had_the_401_is_the_answer() {
    let idp = Idp::new(|call, number| match (call.name(), number) {
        ("user", 2) => status(500, ""),
        (name, number) => Reply::Json(token(&format!("{name}-{number}"))),
    });
    let api = Api::default();
    let provider = two_steps(&idp);
    api.refuse("user-1");
    assert_eq!(send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap(), 401);
    assert_eq!(send(layer(provider), &api, get("https://api.test/")).await.unwrap(), 200);
    assert_eq!(api.seen(), ["Bearer user-1", "Bearer user-3"], "a rejected token is not sent again");
}

#[tokio::test(start_paused = true)]
async fn sec_k05_fifty_parallel_401s_cause_one_fetch() {
    let idp = Idp::new(|call, number| {
        Reply::After(Duration::from_millis(100), token(&format!("{}-{number}", call.name())))
    });
    let api = Api::default();
    let provider = two_steps(&idp);
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    api.refuse("user-1");
    let requests =
        (0..50).map(|_| send(layer(provider.clone()), &api, get("https://api.test/"))).collect::<Vec<_>>();
    for status in futures_util::future::join_all(requests).await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(idp.names(), ["app", "user", "user"]);
    let seen = api.seen();
    let with = |token: &str| seen.iter().filter(|value| *value == token).count();
    assert_eq!((with("Bearer user-1"), with("Bearer user-2")), (51, 50));
}

#[tokio::test(start_paused = true)]
async fn r118_a_hundred_parallel_401s_cause_one_fetch() {
    let idp = Idp::new(|call, number| {
        Reply::After(Duration::from_millis(100), token(&format!("{}-{number}", call.name())))
    });
    let api = Api::default();
    let provider = two_steps(&idp);
    send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
    api.refuse("user-1");
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (provider, api) = (provider.clone(), api.clone());
            tokio::spawn(async move { send(layer(provider), &api, get("https://api.test/")).await.unwrap() })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(idp.names(), ["app", "user", "user"]);
    let seen = api.seen();
    assert_eq!(seen.iter().filter(|value| *value == "Bearer user-2").count(), 100);
    assert!(seen.len() <= 201);
}

/// Requests that were sent with the old token and whose 401 comes long after the new one is there.
#[tokio::test(start_paused = true)]
async fn r118_late_401s_of_one_generation_cause_one_fetch() {
    let idp = Idp::counting();
    let provider = two_steps(&idp);
    let inner = service_fn(move |request: Request<Body>| async move {
        let old = request.headers()["authorization"] == "Bearer user-1";
        if old {
            let wait = request.headers()["x-wait"].to_str().unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let status = if old { 401 } else { 200 };
        Ok::<_, Infallible>(Response::builder().status(status).body(Body::default()).unwrap())
    });
    let layer = layer(provider).build().unwrap();
    let requests: Vec<_> = (0..1_000)
        .map(|number: u32| {
            let service = layer.layer(inner);
            let mut request = get("https://api.test/");
            request.headers_mut().insert("x-wait", (number * 5).to_string().parse().unwrap());
            tokio::spawn(async move { service.oneshot(request).await.unwrap().status() })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap(), 200);
    }
    assert_eq!(idp.names(), ["app", "user", "user"]);
}

#[tokio::test(start_paused = true)]
async fn r110_refresh_from_fetches_that_step_and_what_builds_on_it() {
    for (from, expected) in [
        (None, ["user"].as_slice()),
        (Some("user"), &["user"]),
        (Some("app"), &["app", "user"]),
        (Some("device"), &["device", "app", "user"]),
    ] {
        let (idp, api) = (Idp::counting(), Api::default());
        let builder = idp
            .pipeline()
            .step(step("device"))
            .step(step("app").header_from("x-device", "device"))
            .step(step("user").header_from("x-app", "app"));
        let builder = if let Some(from) = from { builder.refresh_from(from) } else { builder };
        let provider = builder.build().unwrap().provider();
        send(layer(provider.clone()), &api, get("https://api.test/")).await.unwrap();
        api.refuse("user-1");
        assert_eq!(send(layer(provider), &api, get("https://api.test/")).await.unwrap(), 200);
        assert_eq!(idp.names()[3..], *expected, "{from:?}");
    }
}

#[tokio::test]
async fn errors_of_the_service_below_pass_as_such() {
    let idp = Idp::counting();
    let inner = service_fn(|_: Request<Body>| async {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("down"))
    });
    let service = layer(two_steps(&idp)).build().unwrap().layer(inner);
    for uri in ["https://api.test/", "https://other.test/"] {
        let error = service.clone().oneshot(get(uri)).await.unwrap_err();
        assert!(matches!(&error, InjectError::Inner(inner) if inner.to_string() == "down"), "{error:?}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "down");
    }
}
