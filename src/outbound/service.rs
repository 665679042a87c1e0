//! The service that attaches tokens.

use std::{
    fmt,
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, StatusCode, request};
use tower_service::Service;

use super::{
    future::{Answer, InjectError, ResponseFuture},
    origin::Origin,
    replay::{EmptyOnly, Replay},
};
use crate::{
    error::BoxError,
    maybe_ready::MaybeReady,
    provider::{Lease, TokenProvider},
};

/// Attaches a token to every request for an allowed origin. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct TokenInject<S, R = EmptyOnly> {
    inner: S,
    rules: Arc<Rules>,
    replay: R,
}

/// A layer's settings, checked and shared by all its services.
pub(super) struct Rules {
    pub(super) provider: Arc<dyn TokenProvider>,
    pub(super) origins: Vec<Origin>,
    pub(super) replace_existing: bool,
}

/// A request that is out with a lease, and what is needed to send it once more.
pub(super) struct Attempt<S, R, B>
where
    R: Replay<B>,
{
    lease: Arc<Lease>,
    rules: Arc<Rules>,
    again: Option<Box<Again<S, R, B>>>,
}

struct Again<S, R, B>
where
    R: Replay<B>,
{
    service: S,
    head: request::Parts,
    replay: R,
    saved: R::Saved,
}

impl<S, R> TokenInject<S, R> {
    pub(super) fn new(inner: S, rules: Arc<Rules>, replay: R) -> Self {
        Self { inner, rules, replay }
    }

    /// The service that sends.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that sends.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that sends.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, B, RB> Service<Request<B>> for TokenInject<S, R>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    R: Replay<B>,
    B: Send + 'static,
    RB: Send + 'static,
{
    type Response = Response<RB>;
    type Error = InjectError;
    type Future = ResponseFuture<S, R, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), InjectError>> {
        self.inner.poll_ready(cx).map_err(InjectError::inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.rules.apply_to(&request) {
            return ResponseFuture::sent(self.inner.call(request), None);
        }
        match self.rules.provider.lease() {
            MaybeReady::Now(Ok(lease)) => {
                let again = save(&self.inner, &self.replay, &mut request);
                self.rules.attach(request.headers_mut(), &lease);
                let attempt = Attempt { lease, rules: Arc::clone(&self.rules), again };
                ResponseFuture::sent(self.inner.call(request), Some(attempt))
            }
            MaybeReady::Now(Err(error)) => ResponseFuture::failed(InjectError::Token(error)),
            MaybeReady::Later(lease) => {
                // The service that was polled ready leaves with the request; the clone that stays has to be polled first.
                let clone = self.inner.clone();
                let mut ready = mem::replace(&mut self.inner, clone);
                let (rules, replay) = (Arc::clone(&self.rules), self.replay.clone());
                ResponseFuture::slow(Box::pin(async move {
                    let lease = lease.await.map_err(InjectError::Token)?;
                    let again = save(&ready, &replay, &mut request);
                    rules.attach(request.headers_mut(), &lease);
                    let response = ready.call(request).await.map_err(InjectError::inner)?;
                    let attempt = Attempt { lease, rules, again };
                    if attempt.is_rejected(&response) { attempt.renew(response).await } else { Ok(response) }
                }))
            }
        }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for TokenInject<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInject").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Rules {
    /// Whether the request shall carry our token: it goes to an allowed origin, and brings no header that stays.
    fn apply_to<B>(&self, request: &Request<B>) -> bool {
        self.origins.iter().any(|origin| origin.matches(request.uri()))
            && (self.replace_existing || !request.headers().contains_key(self.provider.header()))
    }

    fn attach(&self, headers: &mut HeaderMap, lease: &Lease) {
        headers.insert(self.provider.header().clone(), lease.value().clone());
    }
}

impl<S, R, B, RB> Attempt<S, R, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    R: Replay<B>,
{
    /// Whether the answer refuses our token; any other answer accepts it.
    pub(super) fn is_rejected(&self, response: &Response<RB>) -> bool {
        let rejected = response.status() == StatusCode::UNAUTHORIZED;
        if !rejected {
            self.lease.mark_accepted();
        }
        rejected
    }

    /// Gets a newer token and sends the request with it, once. Whatever stands in the way, the rejection is the answer.
    pub(super) async fn renew(self, rejected: Response<RB>) -> Answer<RB> {
        let newer = self.rules.provider.newer_than(&self.lease).wait().await;
        let lease = match newer {
            Ok(Some(lease)) => lease,
            Ok(None) => return Ok(rejected),
            Err(error) => {
                tracing::warn!(%error, "no newer token after a 401");
                return Ok(rejected);
            }
        };
        let Some(again) = self.again else {
            return Ok(rejected);
        };
        drop(rejected);
        let Again { mut service, head, replay, saved } = *again;
        let mut request = Request::from_parts(head, replay.restore(saved));
        self.rules.attach(request.headers_mut(), &lease);
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(InjectError::inner)?;
        let response = service.call(request).await.map_err(InjectError::inner)?;
        if response.status() != StatusCode::UNAUTHORIZED {
            lease.mark_accepted();
        }
        Ok(response)
    }
}

/// Keeps what a second sending needs, or nothing if the body cannot be sent again.
fn save<S: Clone, R: Replay<B>, B>(
    service: &S,
    replay: &R,
    request: &mut Request<B>,
) -> Option<Box<Again<S, R, B>>> {
    let saved = replay.save(request.body_mut())?;
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    *head.extensions_mut() = request.extensions().clone();
    let (head, ()) = head.into_parts();
    Some(Box::new(Again { service: service.clone(), head, replay: replay.clone(), saved }))
}
