//! The service.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{error::CircuitOpen, future::ResponseFuture, layer::Shared};
use crate::error::BoxError;

/// Sends nothing to an origin in trouble. See the [module docs](super).
///
/// It is as ready as the service inside; an error of that readiness passes through and is not judged, since it belongs to
/// no origin. A request that is not sent leaves the service inside ready, with whatever place it has reserved.
#[derive(Clone)]
#[must_use]
pub struct CircuitBreaker<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> CircuitBreaker<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
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

impl<S, B, RB> Service<Request<B>> for CircuitBreaker<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Shared { circuits, rules, .. } = &*self.shared;
        let permit = match circuits.get(request.uri(), rules).map(|circuit| circuit.admit(rules)) {
            None => None,
            Some(Ok(permit)) => Some(permit),
            Some(Err(wait)) => return ResponseFuture::rejected(CircuitOpen::new(wait)),
        };
        ResponseFuture::sent(self.inner.call(request), permit, Arc::clone(&self.shared))
    }
}

impl<S: fmt::Debug> fmt::Debug for CircuitBreaker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("inner", &self.inner).finish_non_exhaustive()
    }
}
