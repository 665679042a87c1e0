//! The future of an answer; its states are the rooms that the request passes.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    door::{Door, Verdict, Visit, Waiting},
    head::RequestHead,
    settle::Settle,
};
use crate::{
    maybe_ready::{BoxFuture, MaybeReady},
    problem::MakeReply,
};

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
        /// An authenticator or a hook does I/O. Boxed, so that the other states stay small.
        Waiting {
            parked: Option<Box<Parked<S, I, R, B>>>,
        },
        /// The inner service has answered, and the store is asked whether the renewed cookie still holds.
        Settling {
            settling: Option<Box<Settling<S::Response>>>,
        },
    }
}

/// The request and the readied service, until it is known what becomes of them.
pub(super) struct Parked<S, I, R, B> {
    pub(super) door: Arc<Door<I>>,
    pub(super) maker: Arc<R>,
    pub(super) inner: S,
    pub(super) request: Request<B>,
    pub(super) visit: Visit,
    pub(super) waiting: Waiting<I>,
}

struct Settling<T> {
    response: T,
    settle: Settle,
    is_current: BoxFuture<bool>,
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

    pub(super) fn waiting(parked: Parked<S, I, R, B>) -> Self {
        Self { state: State::Waiting { parked: Some(Box::new(parked)) } }
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
                    match settle.sends_cookie(&response) {
                        MaybeReady::Now(sends_cookie) => {
                            settle.apply(response.headers_mut(), sends_cookie);
                            return Poll::Ready(Ok(response));
                        }
                        MaybeReady::Later(is_current) => {
                            let settle = mem::take(settle);
                            let settling = Some(Box::new(Settling { response, settle, is_current }));
                            State::Settling { settling }
                        }
                    }
                }
                StateProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect("polled after completion")));
                }
                StateProj::Waiting { parked } => {
                    let verdict = ready!(parked.as_mut().expect("polled after completion").poll(cx));
                    parked.take().expect("taken only here").go_on(verdict)
                }
                StateProj::Settling { settling } => {
                    let asked = settling.as_mut().expect("polled after completion");
                    let sends_cookie = ready!(asked.is_current.as_mut().poll(cx));
                    let Settling { mut response, settle, is_current: _answered } =
                        *settling.take().expect("taken only here");
                    settle.apply(response.headers_mut(), sends_cookie);
                    return Poll::Ready(Ok(response));
                }
            };
            state.set(next);
        }
    }
}

impl<S, I, R, B, RB> Parked<S, I, R, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    I: Send + Sync + 'static,
    R: MakeReply<RB>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict<I>> {
        self.door.poll(&mut self.waiting, RequestHead::of(&self.request), &self.visit, cx)
    }

    fn go_on(mut self: Box<Self>, verdict: Verdict<I>) -> State<S, I, R, B> {
        let (door, visit) = (&*self.door, &self.visit);
        let settle = match verdict {
            Verdict::Known(known) => door.admit(&mut self.request, known, visit),
            Verdict::Anonymous => door.admit_anonymous(&mut self.request, visit),
            Verdict::Exempt => door.admit_exempt(&mut self.request, visit),
            Verdict::Refused(refused) => {
                let head = RequestHead::of(&self.request);
                let response = door.reject(refused, head, visit, &*self.maker);
                return State::Rejected { response: Some(response) };
            }
            Verdict::Waiting(waiting) => {
                self.waiting = waiting;
                return State::Waiting { parked: Some(self) };
            }
        };
        let Self { mut inner, request, .. } = *self;
        State::Admitted { future: inner.call(request), settle }
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
