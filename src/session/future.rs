//! The future of an answer: the handler first, then its session.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use super::{handle::Session, settle::Settled};
use crate::{
    maybe_ready::{BoxFuture, MaybeReady},
    problem::MakeReply,
};

pin_project! {
    /// Response future of [`SessionService`](super::SessionService).
    pub struct ResponseFuture<F, R, RB> {
        #[pin]
        state: State<F, RB>,
        session: Session,
        maker: Arc<R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, RB> {
        /// The inner service has the request.
        Calling {
            #[pin]
            future: F,
        },
        /// It has answered, and the session is being saved.
        Settling {
            settling: BoxFuture<Settled>,
            response: Option<Response<RB>>,
        },
    }
}

impl<F, R, RB> ResponseFuture<F, R, RB> {
    pub(super) fn new(future: F, session: Session, maker: Arc<R>) -> Self {
        Self { state: State::Calling { future }, session, maker }
    }
}

impl<F, R, RB, E> Future for ResponseFuture<F, R, RB>
where
    F: Future<Output = Result<Response<RB>, E>>,
    R: MakeReply<RB>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut state = this.state;
        let engine = &this.session.shared.engine;
        loop {
            let (settled, response) = match state.as_mut().project() {
                StateProj::Calling { future } => {
                    let response = ready!(future.poll(cx))?;
                    let written = engine.settings.cookie.is_set_by(response.headers());
                    match this.session.settle(written) {
                        MaybeReady::Now(settled) => (settled, response),
                        MaybeReady::Later(settling) => {
                            state.set(State::Settling { settling, response: Some(response) });
                            continue;
                        }
                    }
                }
                StateProj::Settling { settling, response } => {
                    let settled = ready!(settling.as_mut().poll(cx));
                    (settled, response.take().expect("polled after completion"))
                }
            };
            let mut response = match &settled.failure {
                None => response,
                Some(error) => error.rejection().respond(&**this.maker),
            };
            settled.apply(engine, response.headers_mut());
            return Poll::Ready(Ok(response));
        }
    }
}

impl<F, R, RB> fmt::Debug for ResponseFuture<F, R, RB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
