//! The future of an answer; its states are the rooms that the request passes.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    reject::reject,
    settle::Settle,
    verify::{Door, Verdict, Waiting},
};
use crate::problem::MakeReply;

pin_project! {
    /// Response future of [`AuthService`](super::AuthService).
    pub struct ResponseFuture<S, I, R, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, I, R, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, I, R, B>
    where
        S: Service<Request<B>>,
    {
        /// The inner service has the request.
        Admitted {
            #[pin]
            future: S::Future,
            settle: Settle,
        },
        /// We have answered.
        Rejected {
            response: Option<S::Response>,
        },
        /// An authenticator does I/O. Boxed, so that the other states stay small.
        Verifying {
            parked: Option<Box<Parked<S, I, R, B>>>,
        },
    }
}

/// The request and the readied service, until it is known what becomes of them.
pub(super) struct Parked<S, I, R, B> {
    pub(super) door: Arc<Door<I>>,
    pub(super) maker: Arc<R>,
    pub(super) inner: S,
    pub(super) request: Request<B>,
    pub(super) waiting: Waiting<I>,
}

impl<S, I, R, B> ResponseFuture<S, I, R, B>
where
    S: Service<Request<B>>,
{
    pub(super) fn admitted(future: S::Future, settle: Settle) -> Self {
        Self { state: State::Admitted { future, settle } }
    }

    pub(super) fn rejected(response: S::Response) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }

    pub(super) fn verifying(parked: Parked<S, I, R, B>) -> Self {
        Self { state: State::Verifying { parked: Some(Box::new(parked)) } }
    }
}

impl<S, I, R, B, RB> Future for ResponseFuture<S, I, R, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    I: Send + Sync + 'static,
    R: MakeReply<RB>,
{
    type Output = Result<Response<RB>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProj::Admitted { future, settle } => {
                    let mut response = ready!(future.poll(cx))?;
                    settle.apply(response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
                StateProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                StateProj::Verifying { parked } => {
                    let waiting = &mut parked.as_mut().expect("polled after completion").waiting;
                    let outcome = ready!(waiting.outcome.as_mut().poll(cx));
                    let mut parked = *parked.take().expect("taken only here");
                    match parked.door.resume(&parked.request, parked.waiting.place, outcome) {
                        Verdict::Known { verified, position } => {
                            let settle = parked.door.admit(&mut parked.request, verified, position);
                            State::Admitted { future: parked.inner.call(parked.request), settle }
                        }
                        Verdict::Anonymous => {
                            let settle = parked.door.admit_anonymous(&mut parked.request);
                            State::Admitted { future: parked.inner.call(parked.request), settle }
                        }
                        Verdict::Refused(rejection) => {
                            State::Rejected { response: Some(reject(rejection, &*parked.maker)) }
                        }
                        Verdict::Waiting(waiting) => {
                            State::Verifying { parked: Some(Box::new(Parked { waiting, ..parked })) }
                        }
                    }
                }
            };
            state.set(next);
        }
    }
}

impl<S, I, R, B> fmt::Debug for ResponseFuture<S, I, R, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
