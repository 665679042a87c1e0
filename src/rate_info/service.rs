//! The service.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::ResponseFuture;
use crate::clock::Clock;

/// Reads what answers say about rate limits. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct ReadRateInfo<S> {
    inner: S,
    clock: Clock,
}

impl<S> ReadRateInfo<S> {
    pub(super) fn new(inner: S, clock: Clock) -> Self {
        Self { inner, clock }
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

impl<S, B, RB> Service<Request<B>> for ReadRateInfo<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture::new(self.inner.call(request), self.clock.clone())
    }
}
