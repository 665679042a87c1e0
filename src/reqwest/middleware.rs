//! The token layer for clients of reqwest-middleware.

use std::{
    fmt,
    future::{Future, ready},
    mem,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use async_trait::async_trait;
use http::Extensions;
use reqwest::Body;
use reqwest_middleware::{Error, Middleware, Next, Result};
use tower_service::Service;

use super::{answer::answer, error::ReqwestError, redirects::Redirects};
use crate::outbound::{EmptyOnly, InjectError, Replay, TokenInjectLayer};

/// A [`TokenInjectLayer`] as a middleware of reqwest-middleware: the same rules, the same repeat.
///
/// 1. [`InjectOptions`](crate::outbound::InjectOptions) of one request go into its extensions (`with_extension`), and so
///    does what a provider wants to know of it. [`AuthOutcome`](crate::outbound::AuthOutcome) is among the extensions of
///    the answer.
/// 2. Middlewares behind this one run once more for a repeat. A retry belongs before it, so that each attempt has the
///    token that is fresh then; what may wait or record belongs where it shall see one sending.
/// 3. A 401 that one of them makes up counts where it has the request's URL (`reqwest::ResponseBuilderExt`); without
///    one it is nobody's.
/// 4. An error of the client or of another middleware comes out as it is, with its URL. Ours is an
///    [`InjectError`], as `Error::Middleware`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use portcullis::{
///     TokenInjectLayer, TokenMiddleware, outbound::{InjectOptions, Tee}, provider::StaticBearer, same_origin_redirects,
/// };
///
/// let layer = TokenInjectLayer::new(StaticBearer::new("secret")?)
///     .allow_origin("https://api.example.com")
///     .replay(Tee::new())
///     .build()?;
/// let client = reqwest::Client::builder().redirect(same_origin_redirects()).build()?;
/// let client = reqwest_middleware::ClientBuilder::new(client)
///     .with(TokenMiddleware::new(layer).assume_no_foreign_redirects())
///     .build();
///
/// let call = client.post("https://api.example.com/orders").with_extension(InjectOptions::new().require()).send();
/// # drop(call);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct TokenMiddleware<R = EmptyOnly> {
    layer: TokenInjectLayer<R>,
    redirects: Redirects,
}

/// What comes behind the middleware, lent for one request.
#[derive(Clone)]
struct Behind<'a> {
    next: Next<'a>,
    /// Those of the request, which the middlewares behind read and write.
    extensions: &'a Mutex<Extensions>,
}

// ===== impl TokenMiddleware =====

impl<R> TokenMiddleware<R> {
    /// Runs this layer for a client that may follow redirects, to wherever: a request that would get a token is not
    /// sent, and fails with [`ReqwestError::header`].
    pub fn new(layer: TokenInjectLayer<R>) -> Self {
        Self { layer, redirects: Redirects::Unknown }
    }

    /// Sends tokens: the client is known to follow no redirects, or only those that stay at one origin, as with
    /// [`same_origin_redirects`](crate::same_origin_redirects).
    pub fn assume_no_foreign_redirects(mut self) -> Self {
        self.redirects = Redirects::Stay;
        self
    }
}

#[async_trait]
impl<R: Replay<Body>> Middleware for TokenMiddleware<R> {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<reqwest::Response> {
        let mut request = http::Request::<Body>::try_from(request)?;
        request.extensions_mut().extend(extensions.clone());
        if self.redirects == Redirects::Unknown
            && let Some(header) = self.layer.header_for(&request)
        {
            return Err(Error::middleware(ReqwestError::header_may_leave(header)));
        }
        let lent = Mutex::new(extensions.clone());
        let answered = self.layer.send(Behind { next, extensions: &lent }, request).await;
        *extensions = lent.into_inner().unwrap_or_else(PoisonError::into_inner);
        answered.map(reqwest::Response::from).map_err(outward)
    }
}

impl<R> fmt::Debug for TokenMiddleware<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenMiddleware")
            .field("layer", &self.layer)
            .field("redirects", &self.redirects)
            .finish()
    }
}

/// What came from behind goes out as it came.
fn outward(error: InjectError) -> Error {
    match error {
        InjectError::Inner(inner) => match inner.downcast::<Error>() {
            Ok(error) => *error,
            Err(inner) => Error::middleware(InjectError::Inner(inner)),
        },
        error => Error::middleware(error),
    }
}

// ===== impl Behind =====

impl<'a> Service<http::Request<Body>> for Behind<'a> {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>>> + Send + 'a>>;

    /// A client of reqwest, and its middlewares, are ready always.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let request = match reqwest::Request::try_from(request) {
            Ok(request) => request,
            Err(error) => return Box::pin(ready(Err(error.into()))),
        };
        let Self { next, extensions } = self.clone();
        let state = || extensions.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(async move {
            let mut own = mem::take(&mut *state());
            let answered = next.run(request, &mut own).await;
            *state() = own;
            answered.map(answer)
        })
    }
}
