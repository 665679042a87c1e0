//! What it costs to give a request a token that is at hand: our layer, tower-http's, and a middleware of
//! reqwest-middleware.
//!
//! The same token, the same absolute `https` URI, and an inner service that answers at once. A middleware's cost is
//! taken off a chain that ends in the same answering middleware.
#![allow(clippy::print_stdout)]

use std::{convert::Infallible, future::Ready, hint::black_box, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Extensions, HeaderValue, Request, Response, Uri, header::AUTHORIZATION};
use http_body_util::Full;
use portcullis::{
    BodyTokenFetcher, TokenInjectLayer, TokenPipeline, http_client::HttpClient, outbound::Never,
};
use portcullis_peers::{Variant, compare};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use tower::{Layer, Service, service_fn};
use tower_http::auth::AddAuthorizationLayer;

type Body = Full<Bytes>;

const TOKEN: &str = "0123456789012345678901234567890123456789";

fn inner(request: Request<Body>) -> Ready<Result<Response<Body>, Infallible>> {
    black_box(&request);
    std::future::ready(Ok(Response::new(Body::default())))
}

fn calling<S>(mut service: S) -> impl FnMut() + 'static
where
    S: Service<Request<Body>, Response = Response<Body>> + 'static,
    S::Error: std::fmt::Debug,
{
    let uri: Uri = "https://api.test/orders?page=1".parse().expect("a URI");
    move || {
        let mut request = Request::new(Body::default());
        *request.uri_mut() = uri.clone();
        let response = service.call(request).now_or_never().expect("nothing to wait for");
        black_box(response.expect("an answer"));
    }
}

/// The end of a chain: answers at once.
struct Answer;

/// The token is at hand as a finished value.
struct AddToken(Arc<HeaderValue>);

/// As [`AddToken`], and the request is cloned for a second sending.
struct AddTokenKeepClone(Arc<HeaderValue>);

#[async_trait]
impl Middleware for Answer {
    async fn handle(
        &self,
        request: reqwest::Request,
        _extensions: &mut Extensions,
        _next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        black_box(&request);
        Ok(Response::new("").into())
    }
}

#[async_trait]
impl Middleware for AddToken {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(&self.0));
        next.run(request, extensions).await
    }
}

#[async_trait]
impl Middleware for AddTokenKeepClone {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let kept = request.try_clone();
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::clone(&self.0));
        let response = next.run(request, extensions).await;
        black_box(kept);
        response
    }
}

fn executing(client: ClientWithMiddleware) -> impl FnMut() + 'static {
    let url: reqwest::Url = "https://api.test/orders?page=1".parse().expect("a URL");
    move || {
        let request = reqwest::Request::new(http::Method::GET, url.clone());
        let response = client.execute(request).now_or_never().expect("nothing to wait for");
        black_box(response.expect("an answer"));
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let token_answer = |_: Request<Body>| {
        let body = format!(r#"{{"access_token":"{TOKEN}","expires_in":3600}}"#);
        std::future::ready(Ok::<_, Infallible>(Response::new(Body::from(body))))
    };
    let pipeline = TokenPipeline::builder("bench")
        .http(HttpClient::new(service_fn(token_answer)))
        .step(BodyTokenFetcher::post("only", "https://idp.test/token"))
        .build()
        .expect("a pipeline");
    let layer = || TokenInjectLayer::new(pipeline.provider()).allow_origin("https://api.test");
    let mut never = layer().replay(Never).build().expect("a layer").layer(service_fn(inner));
    let armed = layer().build().expect("a layer").layer(service_fn(inner));
    let mut first = Request::new(Body::default());
    *first.uri_mut() = Uri::from_static("https://api.test/");
    runtime.block_on(never.call(first)).expect("a token");

    let value = Arc::new(HeaderValue::from_str(&format!("Bearer {TOKEN}")).expect("a header"));
    let chain = |first: Option<Box<dyn Middleware>>| {
        let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new());
        let client = match first {
            Some(middleware) => client.with_arc(Arc::from(middleware)),
            None => client,
        };
        executing(client.with(Answer).build())
    };
    let added = compare(
        "a token that is at hand, absolute https URI",
        vec![
            Variant::bare("a tower service", calling(service_fn(inner))),
            Variant::on(
                0,
                "tower-http, AddAuthorization",
                calling(AddAuthorizationLayer::bearer(TOKEN).layer(service_fn(inner))),
            ),
            Variant::on(0, "TokenInject, replay off", calling(never)),
            Variant::on(0, "TokenInject, replay of empty bodies armed", calling(armed)),
            Variant::bare("reqwest-middleware, one that answers", chain(None)),
            Variant::on(
                4,
                "reqwest-middleware, add a token",
                chain(Some(Box::new(AddToken(Arc::clone(&value))))),
            ),
            Variant::on(
                4,
                "reqwest-middleware, add a token and keep a clone",
                chain(Some(Box::new(AddTokenKeepClone(value)))),
            ),
        ],
    );
    println!();
    added.ratio("replay off, against AddAuthorization", 2, 1, 2.4);
    added.ratio("replay off, against an add-token middleware", 2, 5, 0.7);
    added.ratio("replay armed, against an add-token middleware that keeps a clone", 3, 6, 0.8);
}
