//! The service with a session for each request.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{future::ResponseFuture, sessions::Engine};
use crate::problem::{MakeReply, ProblemReply};

/// Gives the requests of a service their session. See the [module docs](super).
#[must_use]
pub struct SessionService<S, R = ProblemReply> {
    inner: S,
    engine: Arc<Engine>,
    maker: Arc<R>,
}

impl<S, R> SessionService<S, R> {
    pub(super) fn new(inner: S, engine: Arc<Engine>, maker: Arc<R>) -> Self {
        Self { inner, engine, maker }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, B, RB> Service<Request<B>> for SessionService<S, R>
where
    S: Service<Request<B>, Response = Response<RB>>,
    R: MakeReply<RB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let session = self.engine.session(&request);
        request.extensions_mut().insert(session.clone());
        ResponseFuture::new(self.inner.call(request), session, Arc::clone(&self.maker))
    }
}

impl<S: Clone, R> Clone for SessionService<S, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), engine: Arc::clone(&self.engine), maker: Arc::clone(&self.maker) }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for SessionService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
