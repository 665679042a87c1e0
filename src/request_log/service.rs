//! The service that logs.

use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::future::{Line, ResponseFuture};
use crate::{clock::Clock, redact::Redaction};

/// Logs requests and answers. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct RequestLog<S> {
    inner: S,
    redaction: Redaction,
    clock: Clock,
}

impl<S> RequestLog<S> {
    pub(super) fn new(inner: S, redaction: Redaction, clock: Clock) -> Self {
        Self { inner, redaction, clock }
    }

    /// The service that is logged.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service that is logged.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service that is logged.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for RequestLog<S>
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
        let line = tracing::enabled!(target: super::future::TARGET, tracing::Level::DEBUG).then(|| {
            let (method, uri) = (request.method(), self.redaction.uri(request.uri()));
            let headers = self.redaction.headers(request.headers());
            tracing::debug!(target: super::future::TARGET, %method, %uri, ?headers, "request");
            Line {
                redaction: self.redaction.clone(),
                clock: self.clock.clone(),
                started: self.clock.monotonic(),
            }
        });
        ResponseFuture { inner: self.inner.call(request), line }
    }
}
