//! What the two layers add to a request: `cargo bench --bench layer_overhead`, or with `-- <words of a title>`
//!
//! Every variant answers the same requests; rounds of all variants are interleaved, so that whatever slows the
//! machine down slows all of them. Printed are medians over the rounds: nanoseconds per request, what is added
//! to the bare service, the ratio to it, and allocations per request.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use http_body_util::Full;
use portcullis::{
    AuthLayer, BodyTokenFetcher, MemoryStore, TokenInjectLayer, TokenPipeline, TokenPolicy, TokenService,
    http_client::HttpClient, identity::Subject, outbound::Never, token::IssueOptions,
};
use tower::{Layer, Service, service_fn};

type Body = Full<Bytes>;

const ROUNDS: usize = 41;
const CALLS: usize = 20_000;
const LOGINS: usize = 100_000;

/// Answers one request; the number says which.
type Variant = (&'static str, Box<dyn FnMut(usize)>);

fn variant<S>(name: &'static str, mut service: S, make: impl Fn(usize) -> Request<Body> + 'static) -> Variant
where
    S: Service<Request<Body>, Response = Response<Body>> + 'static,
    S::Error: std::fmt::Debug,
{
    let call = move |number| {
        let response = service.call(make(number)).now_or_never().expect("nothing to wait for");
        black_box(response.expect("an answer"));
    };
    (name, Box::new(call))
}

fn inner(request: Request<Body>) -> std::future::Ready<Result<Response<Body>, Infallible>> {
    black_box(&request);
    std::future::ready(Ok(Response::new(Body::default())))
}

/// The first variant is the bare service that the others are compared with.
fn compare(title: &str, mut variants: Vec<Variant>) {
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    if wanted.peek().is_some() && !wanted.any(|word| title.contains(&word)) {
        return;
    }
    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for round in 0..ROUNDS {
        for ((_, call), times) in variants.iter_mut().zip(&mut times) {
            let started = Instant::now();
            for number in 0..CALLS {
                call(round * CALLS + number);
            }
            times.push(started.elapsed());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    println!("\n{title}\n{:<44} {:>9} {:>9} {:>7} {:>7}", "", "ns", "added ns", "ratio", "allocs");
    for ((name, call), median) in variants.iter_mut().zip(&medians) {
        let counted = allocation_counter::measure(|| (0..1_000).for_each(&mut *call));
        let allocations = counted.count_total as f64 / 1_000.0;
        let bare = medians[0];
        println!("{name:<44} {median:>9.1} {:>9.1} {:>7.2} {allocations:>7.2}", median - bare, median / bare);
    }
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / CALLS as f64
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("memory answers at once")
}

// ===== inbound =====

fn request(token: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::new(Body::default());
    if let Some(token) = token {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
    }
    request
}

fn inbound() {
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let other = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let header = |tokens: &TokenService, number: usize| {
        let subject = Subject::local(format!("user-{number}"));
        let issued = now(tokens.issue_for_header(subject, IssueOptions::default())).expect("a login");
        HeaderValue::from_str(&format!("Bearer {}", issued.access().expose())).expect("a header")
    };
    let live: Vec<_> = (0..LOGINS).map(|number| header(&tokens, number)).collect();
    let unknown: Vec<_> = (0..1_000).map(|number| header(&other, number)).collect();
    let junk =
        HeaderValue::from_static("Bearer abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklm");

    // A stride that shares no factor with the number of logins visits all of them, in an order that no cache
    // foresees.
    let pick = |number: usize| number.wrapping_mul(61_283) % LOGINS;
    let required = || AuthLayer::new(tokens.clone()).build().expect("a layer").layer(service_fn(inner));
    let optional =
        || AuthLayer::new(tokens.clone()).optional().build().expect("a layer").layer(service_fn(inner));
    let (a, b, c, d) = (live.clone(), live.clone(), live.clone(), live);
    compare(
        "inbound, opaque token, 100 000 logins in memory",
        vec![
            variant("bare service", service_fn(inner), move |number| request(Some(&a[pick(number)]))),
            variant("valid token", required(), move |number| request(Some(&b[pick(number)]))),
            variant("junk, answered", required(), move |_| request(Some(&junk))),
            variant("well-formed but unknown, answered", required(), move |number| {
                request(Some(&unknown[number % 1_000]))
            }),
        ],
    );
    compare(
        "inbound, the same token over and over",
        vec![
            variant("bare service", service_fn(inner), move |_| request(Some(&c[0]))),
            variant("valid token", required(), move |_| request(Some(&d[0]))),
        ],
    );
    compare(
        "inbound, no credential",
        vec![
            variant("bare service", service_fn(inner), |_| request(None)),
            variant("absent, optional mode", optional(), |_| request(None)),
        ],
    );
}

// ===== outbound =====

fn outbound() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let answer = |_: Request<Body>| {
        let body = r#"{"access_token":"0123456789012345678901234567890123456789","expires_in":3600}"#;
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body))))
    };
    let pipeline = TokenPipeline::builder("bench")
        .http(HttpClient::new(service_fn(answer)))
        .step(BodyTokenFetcher::post("only", "https://idp.test/token"))
        .build()
        .expect("a pipeline");
    let layer = || TokenInjectLayer::new(pipeline.provider()).allow_origin("https://api.test");
    let mut never = layer().replay(Never).build().expect("a layer").layer(service_fn(inner));
    let armed = layer().build().expect("a layer").layer(service_fn(inner));

    let uri: http::Uri = "https://api.test/orders?page=1".parse().expect("a URI");
    let make = move |_| {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = uri.clone();
        request
    };
    runtime.block_on(never.call(make(0))).expect("a token");
    let value = HeaderValue::from_static("Bearer 0123456789012345678901234567890123456789");
    let by_hand = service_fn(move |mut request: Request<Body>| {
        request.headers_mut().insert(AUTHORIZATION, value.clone());
        inner(request)
    });
    compare(
        "outbound, warm lease, absolute https URI",
        vec![
            variant("bare service", service_fn(inner), make.clone()),
            variant("a static header, set by hand", by_hand, make.clone()),
            variant("replay off", never, make.clone()),
            variant("replay of empty bodies armed", armed, make),
        ],
    );
}

fn main() {
    // `cargo test --benches` and `cargo nextest` ask for a list or a run of tests; there are none here.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    inbound();
    outbound();
}
