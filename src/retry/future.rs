//! The future of an answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::retry::future::ResponseFuture as Retried;
use tower_service::Service;

use super::{body::CopyBody, boxed::BoxErrors, policy::RequestRetryPolicy};
use crate::error::BoxError;

pin_project! {
    /// Response future of [`RequestRetry`](super::RequestRetry).
    ///
    /// # Cancel safety
    /// Dropping it drops the attempt that is out, or ends the wait for the next one.
    pub struct ResponseFuture<S, C, B, RB>
    where
        S: Service<Request<B>, Response = Response<RB>>,
        S::Error: Into<BoxError>,
        C: CopyBody<B>,
    {
        #[pin]
        future: Retried<RequestRetryPolicy<C>, BoxErrors<S>, Request<B>>,
    }
}

impl<S, C, B, RB> ResponseFuture<S, C, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    C: CopyBody<B>,
{
    pub(super) fn new(future: Retried<RequestRetryPolicy<C>, BoxErrors<S>, Request<B>>) -> Self {
        Self { future }
    }
}

impl<S, C, B, RB> Future for ResponseFuture<S, C, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    C: CopyBody<B>,
{
    type Output = Result<Response<RB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx)
    }
}

impl<S, C, B, RB> fmt::Debug for ResponseFuture<S, C, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    C: CopyBody<B>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
