//! The future of a service that either hands the request on or answers itself.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;

pin_project! {
    /// Response future of [`GuardService`](super::GuardService) and
    /// [`IdentityHeadersService`](crate::inbound::IdentityHeadersService).
    pub struct AnswerFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        /// The inner service has the request.
        Admitted {
            #[pin]
            future: F,
        },
        /// We have answered.
        Rejected {
            response: Option<Response<B>>,
        },
    }
}

impl<F, B> AnswerFuture<F, B> {
    pub(in crate::inbound) fn admitted(future: F) -> Self {
        Self { state: State::Admitted { future } }
    }

    pub(in crate::inbound) fn rejected(response: Response<B>) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }
}

impl<F, B, E> Future for AnswerFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Admitted { future } => future.poll(cx),
            StateProj::Rejected { response } => {
                Poll::Ready(Ok(response.take().expect("polled after completion")))
            }
        }
    }
}

impl<F, B> fmt::Debug for AnswerFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerFuture").finish_non_exhaustive()
    }
}
