//! reqwest's client as a service of requests.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use reqwest::{Body, Client, ClientBuilder, redirect::Policy};
use tower_service::Service;

use super::{answer::answer, error::ReqwestError, rebox::chunk, redirects::Redirects};
use crate::http_client::HttpClient;

/// A [`reqwest::Client`] for layers of tower: its requests and answers are those of `http`.
///
/// The URI must be absolute. Extensions of a request stay with it; so does its version, which reqwest takes as it is. The
/// answer has a [`FinalUri`](crate::outbound::FinalUri), and turns into a [`reqwest::Response`] with its URL.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use portcullis::{BodyTokenFetcher, ReqwestService, TokenInjectLayer, TokenPipeline, outbound::Tee};
/// use tower::{ServiceBuilder, ServiceExt};
///
/// let reqwest = ReqwestService::from_builder(reqwest::Client::builder())?;
/// let pipeline = TokenPipeline::builder("myapp")
///     .http(reqwest.http_client())
///     .step(BodyTokenFetcher::post("app", "https://auth.example.com/token").form([("client_id", "me")]))
///     .build()?;
/// let client = ServiceBuilder::new()
///     .layer(
///         TokenInjectLayer::new(pipeline.provider())
///             .allow_origin("https://api.example.com")
///             .replay(Tee::new())
///             .build()?,
///     )
///     .service(reqwest);
///
/// let request = http::Request::post("https://api.example.com/orders").body(reqwest::Body::from("{}"))?;
/// let call = async {
///     let response = client.oneshot(request).await?;
///     Ok::<_, Box<dyn std::error::Error + Send + Sync>>(reqwest::Response::from(response).text().await?)
/// };
/// # drop(call);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct ReqwestService {
    client: Client,
    redirects: Redirects,
}

/// Response future of [`ReqwestService`].
///
/// # Cancel safety
/// Dropping it drops the request.
#[must_use = "futures do nothing unless polled"]
pub struct ReqwestFuture(State);

enum State {
    Sent(<Client as Service<reqwest::Request>>::Future),
    Failed(Option<ReqwestError>),
}

/// The service for token endpoints: the whole request may be a secret there, not only a header.
#[derive(Clone)]
struct TokenClient(ReqwestService);

// ===== impl ReqwestService =====

impl ReqwestService {
    /// Builds a client that follows no redirects. To follow them all the same, put a layer for it outside of those that
    /// attach tokens.
    ///
    /// # Errors
    /// [`ReqwestError`] if reqwest does not build it.
    pub fn from_builder(builder: ClientBuilder) -> Result<Self, ReqwestError> {
        let client = builder.redirect(Policy::none()).build().map_err(ReqwestError::failed)?;
        Ok(Self { client, redirects: Redirects::Stay })
    }

    /// Takes a client that may follow redirects, to wherever. A request with a header that is
    /// [sensitive](http::HeaderValue::is_sensitive) is not sent, and fails with [`ReqwestError::header`]; every token of
    /// ours is.
    pub fn from_client(client: Client) -> Self {
        Self { client, redirects: Redirects::Unknown }
    }

    /// Sends credentials all the same: this client is known to follow no redirects, or only those that stay at one
    /// origin, as with [`same_origin_redirects`](crate::same_origin_redirects).
    pub fn assume_no_foreign_redirects(mut self) -> Self {
        self.redirects = Redirects::Stay;
        self
    }

    /// The same client for token endpoints. If it may follow redirects, nothing is sent.
    pub fn http_client(&self) -> HttpClient {
        HttpClient::new(TokenClient(self.clone()))
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ReqwestError> {
        if self.redirects == Redirects::Stay {
            return Ok(());
        }
        match headers.iter().find(|(_, value)| value.is_sensitive()) {
            Some((name, _)) => Err(ReqwestError::header_may_leave(name)),
            None => Ok(()),
        }
    }
}

impl Service<Request<Body>> for ReqwestService {
    type Response = Response<Body>;
    type Error = ReqwestError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReqwestError>> {
        self.client.poll_ready(cx).map_err(ReqwestError::failed)
    }

    fn call(&mut self, request: Request<Body>) -> ReqwestFuture {
        let request = self
            .check(request.headers())
            .and_then(|()| reqwest::Request::try_from(request).map_err(ReqwestError::failed));
        ReqwestFuture(match request {
            Ok(request) => State::Sent(self.client.call(request)),
            Err(error) => State::Failed(Some(error)),
        })
    }
}

impl fmt::Debug for ReqwestService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestService").field("redirects", &self.redirects).finish_non_exhaustive()
    }
}

// ===== impl ReqwestFuture =====

impl Future for ReqwestFuture {
    type Output = Result<Response<Body>, ReqwestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Sent(future) => {
                let response = ready!(Pin::new(future).poll(cx)).map_err(ReqwestError::failed)?;
                Poll::Ready(Ok(answer(response)))
            }
            State::Failed(error) => Poll::Ready(Err(error.take().expect("polled after completion"))),
        }
    }
}

impl fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestFuture").finish_non_exhaustive()
    }
}

// ===== impl TokenClient =====

impl Service<Request<Full<Bytes>>> for TokenClient {
    type Response = Response<Body>;
    type Error = ReqwestError;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ReqwestError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> ReqwestFuture {
        if self.0.redirects == Redirects::Unknown {
            return ReqwestFuture(State::Failed(Some(ReqwestError::request_may_leave())));
        }
        self.0.call(request.map(|mut body| Body::from(chunk(&mut body).unwrap_or_default())))
    }
}
