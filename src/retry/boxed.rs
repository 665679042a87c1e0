//! The service inside with its errors boxed: the policy looks through their causes, whatever their type.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::error::BoxError;

#[derive(Debug, Clone)]
pub(super) struct BoxErrors<S>(pub(super) S);

impl<S, Q> Service<Q> for BoxErrors<S>
where
    S: Service<Q>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxedError<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Q) -> Self::Future {
        BoxedError { future: self.0.call(request) }
    }
}

pin_project! {
    pub(super) struct BoxedError<F> {
        #[pin]
        future: F,
    }
}

impl<F, T, E> Future for BoxedError<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map_err(Into::into)
    }
}
