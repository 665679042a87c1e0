//! The future of an answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{breaker::Permit, error::CircuitOpen, layer::Shared};
use crate::error::BoxError;

pin_project! {
    /// Response future of [`CircuitBreaker`](super::CircuitBreaker).
    ///
    /// # Cancel safety
    /// Dropping it drops the inner service's future. It counts as neither success nor failure, and a probe gives its
    /// place back.
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Sent {
            #[pin]
            future: F,
            permit: Option<Permit>,
            shared: Arc<Shared>,
        },
        Rejected {
            error: CircuitOpen,
        },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn sent(future: F, permit: Option<Permit>, shared: Arc<Shared>) -> Self {
        Self { state: State::Sent { future, permit, shared } }
    }

    pub(super) fn rejected(error: CircuitOpen) -> Self {
        Self { state: State::Rejected { error } }
    }
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<RB>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent { future, permit, shared } => {
                let result = ready!(future.poll(cx)).map_err(Into::into);
                if let Some(permit) = permit.take() {
                    permit.settle(match &result {
                        Ok(response) => shared.judge.answer(response.status(), response.headers()),
                        Err(error) => shared.judge.error(error),
                    });
                }
                Poll::Ready(result)
            }
            StateProj::Rejected { error } => Poll::Ready(Err((*error).into())),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
