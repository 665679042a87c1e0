//! The future of an answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::info::RateInfo;
use crate::clock::Clock;

pin_project! {
    /// Response future of [`ReadRateInfo`](super::ReadRateInfo).
    ///
    /// # Cancel safety
    /// Dropping it drops the inner service's future.
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        clock: Clock,
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(future: F, clock: Clock) -> Self {
        Self { future, clock }
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
        if let Some(info) = RateInfo::from_headers(response.headers(), this.clock.now()) {
            response.extensions_mut().insert(info);
        }
        Poll::Ready(Ok(response))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
