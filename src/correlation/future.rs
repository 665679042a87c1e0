//! The future of an answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::id::CorrelationId;

pin_project! {
    /// Response future of [`Correlate`](super::Correlate).
    ///
    /// # Cancel safety
    /// Dropping it drops the inner service's future.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        id: Option<CorrelationId>,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(future: F, id: Option<CorrelationId>) -> Self {
        Self { future, id }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.future.poll(cx))?;
        if let Some(id) = this.id.take() {
            response.extensions_mut().insert(id);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("id", &self.id).finish_non_exhaustive()
    }
}
