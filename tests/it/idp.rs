//! An identity server that answers as the test says, and remembers what it was asked.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    BodyTokenFetcher, TokenPipeline,
    clock::{Clock, PausedClock},
    http_client::HttpClient,
    pipeline::TokenPipelineBuilder,
    provider::{Ask, Lease, TokenError, TokenProvider},
};
use tower::service_fn;

use crate::support::START;

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) enum Reply {
    Json(String),
    Full(Response<Bytes>),
    /// After this long.
    After(Duration, String),
    Never,
    Broken,
}

type Answer = dyn Fn(&Call, usize) -> Reply + Send + Sync;

/// Answers are made from the call and its number, counted from 1 for each path.
#[derive(Clone)]
pub(crate) struct Idp {
    calls: Arc<Mutex<Vec<Call>>>,
    answer: Arc<Answer>,
}

impl Idp {
    pub(crate) fn new(answer: impl Fn(&Call, usize) -> Reply + Send + Sync + 'static) -> Self {
        Self { calls: Arc::default(), answer: Arc::new(answer) }
    }

    /// Every call gets another token, `<last part of the path>-<number>`, for an hour.
    pub(crate) fn counting() -> Self {
        Self::new(|call, number| Reply::Json(token(&format!("{}-{number}", call.name()))))
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The names of the called endpoints, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.calls().iter().map(|call| call.name().to_owned()).collect()
    }

    pub(crate) fn client(&self) -> HttpClient {
        let this = self.clone();
        HttpClient::new(service_fn(move |request: Request<Full<Bytes>>| {
            let this = this.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.expect("never fails").to_bytes();
                this.respond(parts, body).await
            }
        }))
    }

    /// Serves on a loopback socket until the runtime of the test ends. Returns where.
    pub(crate) async fn serve(&self) -> String {
        let this = self.clone();
        let router = axum::Router::new().fallback(async move |request: axum::extract::Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let response = this.respond(parts, body).await.unwrap();
            response.map(axum::body::Body::new)
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    async fn respond(
        &self,
        parts: http::request::Parts,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>, io::Error> {
        let call = Call {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        let number = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(call.clone());
            calls.iter().filter(|known| known.path == call.path).count()
        };
        match (self.answer)(&call, number) {
            Reply::Json(text) => Ok(Response::new(Full::from(text))),
            Reply::Full(response) => Ok(response.map(Full::new)),
            Reply::After(wait, text) => {
                tokio::time::sleep(wait).await;
                Ok(Response::new(Full::from(text)))
            }
            Reply::Never => std::future::pending().await,
            Reply::Broken => Err(io::Error::other("connection reset")),
        }
    }

    /// A pipeline on this server that follows tokio's paused time.
    pub(crate) fn pipeline(&self) -> TokenPipelineBuilder {
        self.pipeline_at(PausedClock::starting_at(START))
    }

    /// One with another clock.
    pub(crate) fn pipeline_at(&self, clock: Clock) -> TokenPipelineBuilder {
        TokenPipeline::builder("test").http(self.client()).clock(clock)
    }
}

impl Call {
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap()
    }
}

pub(crate) fn token(text: &str) -> String {
    format!(r#"{{"access_token":"{text}","expires_in":3600}}"#)
}

pub(crate) fn status(status: u16, body: &str) -> Reply {
    let mut response = Response::new(Bytes::copy_from_slice(body.as_bytes()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Reply::Full(response)
}

/// A client for real sockets.
pub(crate) fn socket_client() -> HttpClient {
    HttpClient::new(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>())
}

/// A step named after its endpoint.
pub(crate) fn step(name: &str) -> BodyTokenFetcher {
    BodyTokenFetcher::post(name, format!("https://idp.test/v1/{name}"))
}

/// A lease as a request without extensions gets it.
pub(crate) trait Leased: TokenProvider {
    fn leased(&self) -> impl Future<Output = Result<Arc<Lease>, TokenError>> + Send + use<Self> {
        self.lease(&Ask::new(&Extensions::new())).wait()
    }
}

impl<P: TokenProvider> Leased for P {}

/// Lets everything run that need not wait for time to pass.
pub(crate) async fn settle() {
    for _ in 0..30 {
        tokio::task::yield_now().await;
    }
}
