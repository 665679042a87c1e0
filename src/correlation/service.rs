//! The service.

use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, Request, Response};
use tower_service::Service;

use super::{future::ResponseFuture, id::CorrelationId};

/// Sends every request with an id. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct Correlate<S> {
    inner: S,
    header: HeaderName,
}

impl<S> Correlate<S> {
    pub(super) fn new(inner: S, header: HeaderName) -> Self {
        Self { inner, header }
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

impl<S, B, RB> Service<Request<B>> for Correlate<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let brought = brought(request.headers(), &self.header);
        let id = brought.or_else(|| request.extensions().get().cloned()).or_else(generate);
        match &id {
            Some(id) => {
                request.headers_mut().insert(self.header.clone(), id.as_header().clone());
                request.extensions_mut().insert(id.clone());
            }
            // What is there is not sane, and there is nothing to put in its place.
            None => drop(request.headers_mut().remove(&self.header)),
        }
        ResponseFuture::new(self.inner.call(request), id)
    }
}

/// The id in the header, if there is exactly one, and it is sane.
fn brought(headers: &HeaderMap, name: &HeaderName) -> Option<CorrelationId> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    CorrelationId::from_header(first).filter(|_| values.next().is_none())
}

/// A request is not worth failing for want of its id.
fn generate() -> Option<CorrelationId> {
    CorrelationId::generate()
        .inspect_err(|error| tracing::warn!(%error, "a request goes out without a correlation id"))
        .ok()
}
