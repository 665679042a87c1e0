//! The service that takes identity headers off and puts its own on.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::layer::Settings;
use crate::{
    inbound::guard::AnswerFuture,
    problem::{MakeReply, ProblemReply},
};

/// Takes identity headers off requests and adds its own. See [`IdentityHeaders`](super::IdentityHeaders).
#[must_use]
pub struct IdentityHeadersService<S, R = ProblemReply> {
    inner: S,
    settings: Arc<Settings>,
    maker: Arc<R>,
}

impl<S, R> IdentityHeadersService<S, R> {
    pub(super) fn new(inner: S, settings: Arc<Settings>, maker: Arc<R>) -> Self {
        Self { inner, settings, maker }
    }

    /// The service behind it.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service behind it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service behind it.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, R, B, RB> Service<Request<B>> for IdentityHeadersService<S, R>
where
    S: Service<Request<B>, Response = Response<RB>>,
    R: MakeReply<RB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        match self.settings.apply(&mut parts) {
            Ok(()) => AnswerFuture::admitted(self.inner.call(Request::from_parts(parts, body))),
            Err(rejection) => AnswerFuture::rejected(rejection.respond(&*self.maker)),
        }
    }
}

impl<S: Clone, R> Clone for IdentityHeadersService<S, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
            maker: Arc::clone(&self.maker),
        }
    }
}

impl<S: fmt::Debug, R> fmt::Debug for IdentityHeadersService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityHeadersService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
