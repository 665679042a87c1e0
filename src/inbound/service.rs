//! The service that guards another.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower_service::Service;

use super::{
    door::{Door, Verdict},
    future::{Parked, ResponseFuture},
    head::RequestHead,
};
use crate::problem::{MakeReply, ProblemReply};

/// Guards a service. See the [module docs](super).
#[must_use]
pub struct AuthService<S, I, R = ProblemReply> {
    inner: S,
    door: Arc<Door<I>>,
    maker: Arc<R>,
}

impl<S, I, R> AuthService<S, I, R> {
    pub(super) fn new(inner: S, door: Arc<Door<I>>, maker: Arc<R>) -> Self {
        Self { inner, door, maker }
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

impl<S, I, R, B, RB> Service<Request<B>> for AuthService<S, I, R>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    I: Send + Sync + 'static,
    R: MakeReply<RB>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, I, R, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let head = RequestHead::of(&request);
        let visit = self.door.visit(head);
        let settle = match self.door.judge(head, &visit) {
            Verdict::Known(known) => self.door.admit(&mut request, known, &visit),
            Verdict::Anonymous => self.door.admit_anonymous(&mut request, &visit),
            Verdict::Exempt => self.door.admit_exempt(&mut request, &visit),
            Verdict::Refused(refused) => {
                let head = RequestHead::of(&request);
                return ResponseFuture::rejected(self.door.reject(refused, head, &visit, &*self.maker));
            }
            Verdict::Waiting(waiting) => {
                // The service that was polled ready leaves with the request; the clone that stays has to be
                // polled first.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                let (door, maker) = (Arc::clone(&self.door), Arc::clone(&self.maker));
                return ResponseFuture::waiting(Parked { door, maker, inner, request, visit, waiting });
            }
        };
        ResponseFuture::admitted(self.inner.call(request), settle)
    }
}

impl<S: Clone, I, R> Clone for AuthService<S, I, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), door: Arc::clone(&self.door), maker: Arc::clone(&self.maker) }
    }
}

impl<S: fmt::Debug, I, R> fmt::Debug for AuthService<S, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
