//! The service that attaches tokens.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    attempt::{Attempt, save},
    error::InjectError,
    future::ResponseFuture,
    replay::{EmptyOnly, Replay},
    rules::Rules,
};
use crate::{error::BoxError, maybe_ready::MaybeReady, provider::Ask};

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
    RB: Send + 'static,
{
    type Response = Response<RB>;
    type Error = InjectError;
    type Future = ResponseFuture<S, R, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), InjectError>> {
        self.inner.poll_ready(cx).map_err(InjectError::inner)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(origin) = self.rules.apply_to(&request) else {
            return ResponseFuture::sent(self.inner.call(request), None);
        };
        match self.rules.provider.lease(&Ask::new(request.extensions())) {
            MaybeReady::Now(Ok(lease)) => {
                let again = save(&self.inner, &self.replay, &mut request);
                self.rules.attach(request.headers_mut(), &lease);
                let attempt = Attempt { lease, rules: Arc::clone(&self.rules), origin, again };
                ResponseFuture::sent(self.inner.call(request), Some(attempt))
            }
            MaybeReady::Now(Err(error)) => ResponseFuture::failed(InjectError::Token(error)),
            MaybeReady::Later(lease) => {
                // A fetch may take long: what the readied service has reserved is given back, and asked for
                // again when there is a token. The fetch itself may need it, if both go through one limit.
                let mut service = self.inner.clone();
                self.inner = service.clone();
                let (rules, replay) = (Arc::clone(&self.rules), self.replay.clone());
                ResponseFuture::slow(Box::pin(async move {
                    let lease = lease.await.map_err(InjectError::Token)?;
                    let again = save(&service, &replay, &mut request);
                    rules.attach(request.headers_mut(), &lease);
                    poll_fn(|cx| service.poll_ready(cx)).await.map_err(InjectError::inner)?;
                    let response = service.call(request).await.map_err(InjectError::inner)?;
                    let attempt = Attempt { lease, rules, origin, again };
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
