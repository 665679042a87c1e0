//! No `Debug` of a public type of the outbound side, and no text of an error of ours, shows a secret.

use std::{convert::Infallible, error::Error, fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Extensions, HeaderMap, HeaderValue, Request, Response,
    header::{AUTHORIZATION, COOKIE, WWW_AUTHENTICATE},
};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use portcullis::{
    BodyTokenFetcher, TokenInjectLayer, TokenPipeline,
    challenge::Challenge,
    circuit::CircuitBreakerLayer,
    clock::Timestamp,
    correlation::CorrelationLayer,
    error::BoxError,
    http_client::HttpClient,
    outbound::{
        AuthOutcome, Cloned, EmptyOnly, ExistingHeader, FinalUri, InjectError, InjectOptions, Never,
        RefreshRetry, RepeatBudget, Replay, Tee,
    },
    pipeline::{
        AccessToken, ClientAuth, ClientCredentials, Fetch, FileToken, HeaderTokenFetcher, PasswordGrant,
        RefreshTokenGrant, SharedLeases, StaticToken, TokenFn,
    },
    provider::{
        AllOf, ApiKey, Ask, Basic, FirstOf, Lease, OAuthErrorCode, StaticBearer, TokenError, TokenErrorKind,
        TokenEvent, TokenProvider, provider_async_fn, provider_fn,
    },
    rate_info::RateInfoLayer,
    redact::Redaction,
    request_log::RequestLogLayer,
    secret::{Secret, SecretBytes},
    store::{FoundLease, LeaseRecord, LeaseVersion, LockOwner, MemoryLeases},
};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::{idp::Leased, stock::lease, support::Body};

/// What was planted, in every form in which it could come out again.
const PLANTED: [&str; 4] = ["planted", "PLANTED", "cGxhbnRlZ", "BsYW50ZW"];

#[derive(Default)]
struct Texts(Vec<(&'static str, String)>);

impl Texts {
    fn debug(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.push((name, format!("{value:?} {value:#?}")));
    }

    /// With the texts of all causes that are ours.
    fn error(&mut self, name: &'static str, error: &(dyn Error + 'static)) {
        self.0.push((name, format!("{error} {error:?}")));
        let mut next = error.source();
        while let Some(cause) = next.filter(|cause| !cause.is::<Foreign>()) {
            self.0.push((name, format!("{cause} {cause:?}")));
            next = cause.source();
        }
    }

    #[track_caller]
    fn check(self, least: usize) {
        for (name, text) in &self.0 {
            assert!(!PLANTED.iter().any(|planted| text.contains(planted)), "{name}: {text}");
        }
        assert!(self.0.len() >= least, "{}", self.0.len());
    }
}

/// An error of somebody else's: what it prints is its own affair.
#[derive(Debug)]
struct Foreign;

impl std::fmt::Display for Foreign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("planted")
    }
}

impl Error for Foreign {}

fn http() -> HttpClient {
    HttpClient::new(service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(
            r#"{"access_token":"planted","expires_in":3600}"#,
        )))
    }))
}

fn token() -> AccessToken {
    let extra = json!({ "id_token": "planted" }).as_object().unwrap().clone();
    AccessToken::new("planted").unwrap().with_refresh(Secret::new("planted")).with_extra(extra)
}

fn value() -> HeaderValue {
    HeaderValue::from_static("Bearer planted")
}

#[tokio::test]
async fn r126_no_debug_text_of_a_step_shows_a_secret() {
    const URL: &str = "https://ada:planted@idp.test/token?key=planted";

    let mut texts = Texts::default();
    let client = || ClientAuth::basic("app", "planted");
    texts.debug("ClientAuth", &client());
    texts.debug("ClientAuth", &ClientAuth::body("app", "planted"));
    let body = || BodyTokenFetcher::post("body", URL).header("x-key", "planted");
    texts.debug("BodyTokenFetcher", &body().json(json!({ "password": "planted" })));
    texts.debug("BodyTokenFetcher", &body().form([("password", "planted")]).field("a", "planted"));
    let header = HeaderTokenFetcher::post("header", URL, "x-token").form([("password", "planted")]);
    texts.debug("HeaderTokenFetcher", &header);
    texts.debug("ClientCredentials", &ClientCredentials::new("client", URL, client()).field("a", "planted"));
    texts.debug("PasswordGrant", &PasswordGrant::new("user", URL, client(), "planted", "planted"));
    texts.debug("RefreshTokenGrant", &RefreshTokenGrant::new("again", URL, client(), "planted"));
    texts.debug("StaticToken", &StaticToken::new("static", "planted"));
    texts.debug("FileToken", &FileToken::new("file", "/run/secrets/token"));
    texts.debug("TokenFn", &TokenFn::sync("function", |_| Ok(token())));
    texts.debug("AccessToken", &token());
    texts.debug("Fetch", &Fetch::alone(http()).with_token("app", token()));
    texts.debug("HttpClient", &http());
    let faulty = || TokenPipeline::builder("faulty").http(http()).step(body().header("a b", "planted"));
    texts.debug("TokenPipelineBuilder", &faulty());
    texts.error("ConfigError", &faulty().build().unwrap_err());
    let pipeline = TokenPipeline::builder("fine").http(http());
    let pipeline = pipeline.step(BodyTokenFetcher::post("only", "https://idp.test/token")).build().unwrap();
    let provider = pipeline.provider();
    assert_eq!(provider.leased().await.unwrap().value(), "Bearer planted");
    texts.debug("TokenPipeline", &pipeline);
    texts.debug("PipelineProvider", &provider);
    texts.debug("Lease", &provider.leased().await.unwrap());
    texts.debug("Secret", &Secret::new("planted"));
    texts.debug("SecretBytes", &SecretBytes::new(*b"planted-planted-planted-planted-"));
    texts.check(21);
}

#[tokio::test]
async fn r126_no_debug_text_of_a_shared_token_shows_a_secret() {
    let mut texts = Texts::default();
    let store = MemoryLeases::default();
    let builder = || SharedLeases::in_memory("app", &store);
    texts.debug("SharedLeasesBuilder", &builder());
    let shared = builder().build().unwrap();
    let key = shared.key("pipeline", "step");
    texts.debug("SharedLeases", &shared);
    texts.debug("LeaseKey", &key);
    let record = LeaseRecord::new(LeaseVersion::new(1), Timestamp::from_millis(0), b"planted".to_vec());
    texts.debug("LeaseRecord", &record);
    texts.debug("FoundLease", &FoundLease::new(record, Duration::from_secs(1)));
    texts.debug("MemoryLeases", &store);
    texts.debug("LockOwner", &LockOwner::from_bytes(*b"planted-planted-"));
    let pipeline = TokenPipeline::builder("shared").http(http()).shared(shared);
    let pipeline = pipeline.step(BodyTokenFetcher::post("only", "https://idp.test/token")).build().unwrap();
    pipeline.provider().leased().await.unwrap();
    texts.debug("MemoryLeases", &store);
    texts.debug("TokenPipeline", &pipeline);
    texts.check(9);
}

#[tokio::test]
async fn r126_no_debug_text_of_a_provider_shows_a_secret() {
    let mut texts = Texts::default();
    let key = || ApiKey::header("x-api-key", "planted").unwrap();
    let basic = || Basic::new("planted", "planted").unwrap();
    let bearer = || StaticBearer::new("planted").unwrap();
    texts.debug("ApiKey", &key());
    texts.debug("Basic", &basic());
    texts.debug("StaticBearer", &bearer());
    texts.debug("ProviderFn", &provider_fn(COOKIE, |_: &Ask<'_>| Ok(Some(value()))));
    texts.debug("AsyncProviderFn", &provider_async_fn(COOKIE, |_: &Ask<'_>| async { Ok(Some(value())) }));
    texts.debug("FirstOf", &FirstOf::of(key()).or(basic()));
    let all = || AllOf::of(key()).and(bearer());
    texts.debug("AllOfBuilder", &all());
    texts.debug("AllOf", &all().build().unwrap());
    let joint = all().build().unwrap().leased().await.unwrap();
    texts.debug("Lease of several", &joint);
    texts.debug("Lease", &Lease::new(value(), 1));
    texts.debug("Lease without a successor", &Lease::fixed(value()));
    texts.debug("MaybeReady", &all().build().unwrap().newer_than(&joint));
    let mut extensions = Extensions::new();
    extensions.insert("planted");
    texts.debug("Ask", &Ask::new(&extensions));
    let error = || {
        let error = TokenError::new(TokenErrorKind::Refused).with_code(OAuthErrorCode::parse("planted"));
        error.with_source(Box::new(Foreign) as BoxError)
    };
    texts.error("TokenError", &error());
    texts.check(14);
}

#[tokio::test]
async fn r126_no_debug_text_of_the_layer_shows_a_secret() {
    let mut texts = Texts::default();
    let bearer = || StaticBearer::new("planted").unwrap();
    let builder = || TokenInjectLayer::new(bearer()).allow_origin("https://api.test");
    let layer = builder().build().unwrap();
    texts.debug("TokenInjectLayerBuilder", &builder());
    texts.debug("TokenInjectLayer", &layer);
    let answer = |_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("planted"))) };
    let mut service = layer.layer(Opaque(service_fn(answer)));
    texts.debug("TokenInject", &service);
    let request = || {
        Request::post("https://api.test/?code=planted").header("x-key", "planted").body(Body::from("planted"))
    };
    let future = service.call(request().unwrap());
    texts.debug("outbound::ResponseFuture", &future);
    drop(future);
    texts.debug("InjectOptions", &InjectOptions::new().require().existing_header(ExistingHeader::Keep));
    texts.debug("RefreshRetry", &RefreshRetry::fixed(1, Duration::from_secs(1)));
    texts.debug("RepeatBudget", &RepeatBudget::new());
    texts.debug("EmptyOnly", &(EmptyOnly, Cloned, Never, Tee::new()));
    let mut teed = UnsyncBoxBody::<Bytes, Infallible>::new(Full::from("planted"));
    texts.debug("TeeSaved", &Tee::new().save(&mut teed).unwrap());
    texts.debug("Teed", &teed);

    let uri = |text: &str| FinalUri::new(text.parse().unwrap());
    let last = uri("https://ada:planted@api.test:8443/cb?code=planted");
    assert_eq!(format!("{last:?}"), "FinalUri(https://api.test:8443/cb)");
    texts.debug("FinalUri", &last);
    texts.debug("FinalUri", &uri("/cb?code=planted"));
    texts.error("InjectError::Token", &InjectError::Token(TokenError::new(TokenErrorKind::Timeout)));
    texts.error("InjectError::NoRule", &InjectError::NoRule);
    texts.error("InjectError::TookTooLong", &InjectError::TookTooLong);
    // Its source is the error of the service below, and prints what that prints.
    let inner = InjectError::Inner(Box::new(Foreign));
    assert!(inner.source().unwrap().is::<Foreign>());
    texts.error("InjectError::Inner", &inner);

    let mut headers = HeaderMap::new();
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Negotiate cGxhbnRlZA=="));
    headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Digest nonce=\"planted\", error=x"));
    let challenges = Challenge::read(&headers);
    assert_eq!(challenges.len(), 2);
    assert!(format!("{challenges:?}").contains("nonce"));
    texts.debug("Challenge", &challenges);
    for outcome in [
        AuthOutcome::Repeated,
        AuthOutcome::RejectedAgain,
        AuthOutcome::NotRepeatable,
        AuthOutcome::NoNewerToken,
        AuthOutcome::TookTooLong,
        AuthOutcome::RefreshFailed(TokenError::new(TokenErrorKind::Refused).with_source(Foreign)),
    ] {
        texts.debug("AuthOutcome", &outcome);
    }
    texts.debug("a lease at hand", &lease("planted", 1));
    texts.check(24);
}

/// A client of somebody else's, which prints nothing.
#[derive(Clone)]
struct Opaque<S>(S);

impl<S> Debug for Opaque<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opaque")
    }
}

impl<S: Service<R>, R> Service<R> for Opaque<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

#[tokio::test]
async fn r126_no_debug_text_of_the_other_layers_shows_a_secret() {
    fn through<L>(texts: &mut Texts, name: &'static str, layer: &L)
    where
        L: Layer<Opaque<Plain>> + Debug,
        L::Service: Service<Request<Body>> + Debug,
        <L::Service as Service<Request<Body>>>::Future: Debug,
    {
        texts.debug(name, layer);
        let mut service = layer.layer(Opaque(Plain));
        texts.debug(name, &service);
        let request =
            Request::get("https://ada:planted@api.test/?code=planted").header(AUTHORIZATION, value());
        texts.debug(name, &service.call(request.body(Body::from("planted")).unwrap()));
    }

    let mut texts = Texts::default();
    through(&mut texts, "circuit", &CircuitBreakerLayer::default());
    through(&mut texts, "correlation", &CorrelationLayer::new());
    through(&mut texts, "rate_info", &RateInfoLayer::new());
    through(&mut texts, "request_log", &RequestLogLayer::new(Redaction::new()));
    #[cfg(feature = "retry")]
    through(&mut texts, "retry", &portcullis::retry::RequestRetryLayer::builder().build().unwrap());
    texts.debug("CircuitBreakerLayerBuilder", &CircuitBreakerLayer::builder());
    texts.check(13);
}

#[derive(Clone)]
struct Plain;

impl Service<Request<Body>> for Plain {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::new(Body::from("planted"))))
    }
}

/// The events of a pipeline whose endpoint says secrets, as a recorder prints them.
#[tokio::test]
async fn r126_no_debug_text_of_an_event_shows_a_secret() {
    let told: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&told);
    let refuse = HttpClient::new(service_fn(|_: Request<Full<Bytes>>| async {
        let answer = r#"{"error":"invalid_grant","error_description":"planted"}"#;
        Ok::<_, Infallible>(Response::builder().status(400).body(Full::<Bytes>::from(answer)).unwrap())
    }));
    for client in [http(), refuse] {
        let log = Arc::clone(&log);
        let pipeline = TokenPipeline::builder("told").http(client);
        let pipeline = pipeline.step(BodyTokenFetcher::post("only", "https://idp.test/token"));
        let pipeline =
            pipeline.on_event(move |event: &TokenEvent<'_>| log.lock().unwrap().push(format!("{event:?}")));
        let _either = pipeline.build().unwrap().provider().leased().await;
    }
    let told = told.lock().unwrap().join("\n");
    assert!(told.contains("Fetched") && told.contains("Failed") && !told.contains("planted"), "{told}");
}
