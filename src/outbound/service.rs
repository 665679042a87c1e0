//! The service that attaches tokens.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    attempt::Attempt,
    error::InjectError,
    first::{First, ask, keep},
    future::ResponseFuture,
    refresh_retry::RefreshRetry,
    replay::{EmptyOnly, Replay},
    rules::{Plan, Rules},
};
use crate::{error::BoxError, maybe_ready::MaybeReady};

/// Attaches a token to every request for an allowed origin. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct TokenInject<S, R = EmptyOnly> {
    inner: S,
    rules: Arc<Rules>,
    replay: R,
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
    RB: Body + Send + 'static,
{
    type Response = Response<RB>;
    type Error = InjectError;
    type Future = ResponseFuture<S, R, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), InjectError>> {
        self.inner.poll_ready(cx).map_err(InjectError::inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (origin, repeat) = match self.rules.plan(&request) {
            Plan::Pass => return ResponseFuture::sent(self.inner.call(request), None),
            Plan::Refuse => return ResponseFuture::failed(InjectError::NoRule),
            Plan::Attach { origin, repeat } => (origin, repeat),
        };
        let repeatable = repeat && self.replay.can_save(request.body());
        let leased = match self.rules.provider.lease(&ask(&request, repeatable)) {
            MaybeReady::Now(Ok(lease)) => {
                let again = keep(&lease, repeatable, &self.inner, &self.replay, &mut request);
                self.rules.attach(request.headers_mut(), &lease);
                let attempt = Attempt { lease, rules: Arc::clone(&self.rules), origin, again };
                return ResponseFuture::sent(self.inner.call(request), Some(attempt));
            }
            MaybeReady::Now(Err(error)) if self.rules.refresh_retry == RefreshRetry::none() => {
                return ResponseFuture::failed(InjectError::Token(error));
            }
            leased => leased,
        };
        // A fetch may take long: what the readied service has reserved is given back, and asked for again when
        // there is a token. The fetch itself may need it, if both go through one limit.
        let service = self.inner.clone();
        self.inner = service.clone();
        let (rules, replay) = (Arc::clone(&self.rules), self.replay.clone());
        let first = First { service, rules, replay, request, origin, repeatable };
        ResponseFuture::slow(Box::pin(first.send(leased)))
    }
}

impl<S: fmt::Debug, R> fmt::Debug for TokenInject<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInject").field("inner", &self.inner).finish_non_exhaustive()
    }
}
