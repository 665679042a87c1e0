//! The service that asks for a right.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{AnswerFuture, Policy};
use crate::{
    identity::caller::known,
    problem::{MakeReply, ProblemReply},
};

/// Asks for a right in front of another service. See [`GuardLayer`](super::GuardLayer).
#[must_use]
pub struct GuardService<S, I, R = ProblemReply> {
    inner: S,
    policy: Policy<I>,
    maker: Arc<R>,
}

impl<S, I, R> GuardService<S, I, R> {
    pub(super) fn new(inner: S, policy: Policy<I>, maker: Arc<R>) -> Self {
        Self { inner, policy, maker }
    }

    /// The guarded service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The guarded service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The guarded service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, I, R, B, RB> Service<Request<B>> for GuardService<S, I, R>
where
    S: Service<Request<B>, Response = Response<RB>>,
    I: Send + Sync + 'static,
    R: MakeReply<RB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = AnswerFuture<S::Future, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match known(request.extensions()).and_then(|auth| self.policy.check(&auth)) {
            Ok(()) => AnswerFuture::admitted(self.inner.call(request)),
            Err(rejection) => AnswerFuture::rejected(rejection.respond(&*self.maker)),
        }
    }
}

impl<S: Clone, I, R> Clone for GuardService<S, I, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), policy: self.policy.clone(), maker: Arc::clone(&self.maker) }
    }
}

impl<S: fmt::Debug, I, R> fmt::Debug for GuardService<S, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardService")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
