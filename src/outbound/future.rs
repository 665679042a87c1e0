//! The future of an answer.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{attempt::Attempt, error::InjectError, replay::Replay};
use crate::{error::BoxError, maybe_ready::BoxFuture};

type Answer<RB> = Result<Response<RB>, InjectError>;

pin_project! {
    /// Response future of [`TokenInject`](super::TokenInject).
    ///
    /// # Cancel safety
    /// Dropping it drops the inner service's future, or the request if it waits for a token. A token fetch that
    /// was begun goes on for the others.
    pub struct ResponseFuture<S, R, B, RB>
    where
        S: Service<Request<B>>,
        R: Replay<B>,
    {
        #[pin]
        state: State<S, R, B, RB>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, B, RB>
    where
        S: Service<Request<B>>,
        R: Replay<B>,
    {
        /// The request is out: with a token, or without one where none belongs.
        Sent {
            #[pin]
            future: S::Future,
            attempt: Option<Attempt<S, R, B>>,
        },
        /// Something has to be waited for: the first token, or a newer one.
        Slow {
            future: BoxFuture<Answer<RB>>,
        },
        Failed {
            error: Option<InjectError>,
        },
    }
}

impl<S, R, B, RB> ResponseFuture<S, R, B, RB>
where
    S: Service<Request<B>>,
    R: Replay<B>,
{
    pub(super) fn sent(future: S::Future, attempt: Option<Attempt<S, R, B>>) -> Self {
        Self { state: State::Sent { future, attempt } }
    }

    pub(super) fn slow(future: BoxFuture<Result<Response<RB>, InjectError>>) -> Self {
        Self { state: State::Slow { future } }
    }

    pub(super) fn failed(error: InjectError) -> Self {
        Self { state: State::Failed { error: Some(error) } }
    }
}

impl<S, R, B, RB> Future for ResponseFuture<S, R, B, RB>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    R: Replay<B>,
    B: Send + 'static,
    RB: Body + Send + 'static,
{
    type Output = Answer<RB>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let renewing = match state.as_mut().project() {
                StateProj::Sent { future, attempt } => {
                    let mut response = ready!(future.poll(cx)).map_err(InjectError::inner)?;
                    let Some(attempt) = attempt.take() else {
                        return Poll::Ready(Ok(response));
                    };
                    if !attempt.is_rejected(&mut response) {
                        return Poll::Ready(Ok(response));
                    }
                    attempt.renew(response)
                }
                StateProj::Slow { future } => return future.as_mut().poll(cx),
                StateProj::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect("polled after completion")));
                }
            };
            state.set(State::Slow { future: Box::pin(renewing) });
        }
    }
}

impl<S, R, B, RB> fmt::Debug for ResponseFuture<S, R, B, RB>
where
    S: Service<Request<B>>,
    R: Replay<B>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
