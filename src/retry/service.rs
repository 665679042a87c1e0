//! The service.

use std::{
    fmt,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::retry::Retry;
use tower_service::Service;

use super::{
    body::{CopyBody, EmptyBodies},
    boxed::BoxErrors,
    future::ResponseFuture,
    policy::RequestRetryPolicy,
};
use crate::error::BoxError;

/// Repeats requests after failures that may pass. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct RequestRetry<S, C = EmptyBodies> {
    inner: Retry<RequestRetryPolicy<C>, BoxErrors<S>>,
}

impl<S, C> RequestRetry<S, C> {
    pub(super) fn new(inner: S, policy: RequestRetryPolicy<C>) -> Self {
        Self { inner: Retry::new(policy, BoxErrors(inner)) }
    }

    /// The service that sends.
    pub fn get_ref(&self) -> &S {
        &self.inner.get_ref().0
    }

    /// The service that sends.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner.get_mut().0
    }

    /// The service that sends.
    pub fn into_inner(self) -> S {
        self.inner.into_inner().0
    }
}

impl<S, C, B, RB> Service<Request<B>> for RequestRetry<S, C>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    C: CopyBody<B>,
{
    type Response = Response<RB>;
    type Error = BoxError;
    type Future = ResponseFuture<S, C, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Request<B>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request))
    }
}

impl<S: fmt::Debug, C> fmt::Debug for RequestRetry<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRetry").field("inner", self.get_ref()).finish_non_exhaustive()
    }
}
