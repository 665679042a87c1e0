//! What the services here have in common: they answer one method, and never fail.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use http_body::Body;

use super::{
    answer::{Answer, refusal},
    body::Content,
};
use crate::{maybe_ready::BoxFuture, problem::Rejection};

/// What one service does with a request.
pub(super) trait Endpoint: Send + Sync + 'static {
    /// The methods it answers, as `Allow` names them.
    const METHODS: &'static str;

    fn answer(
        &self,
        head: &Parts,
        content: Content,
    ) -> impl Future<Output = Result<Answer, Rejection>> + Send;
}

/// Response future of the services in this module.
pub struct ResponseFuture(BoxFuture<Answer>);

pub(super) fn serve<E, B>(endpoint: &Arc<E>, request: Request<B>) -> ResponseFuture
where
    E: Endpoint,
    B: Body<Data: Send> + Send + 'static,
{
    let endpoint = Arc::clone(endpoint);
    ResponseFuture(Box::pin(async move {
        let (head, body) = request.into_parts();
        if !E::METHODS.split(", ").any(|method| method == head.method.as_str()) {
            return refusal(Rejection::method_not_allowed(E::METHODS));
        }
        let content = Content::new(&head.headers, body);
        endpoint.answer(&head, content).await.unwrap_or_else(refusal)
    }))
}

/// What every service here is to its host: always ready, cheap to clone, and silent about its settings.
macro_rules! service {
    ($service:ident $(<$parameter:ident: $bound:ident>)?) => {
        impl<$($parameter: $bound,)? I, B> tower_service::Service<http::Request<B>> for $service<$($parameter,)? I>
        where
            I: Send + Sync + 'static,
            B: http_body::Body<Data: Send> + Send + 'static,
        {
            type Response = $crate::flow::answer::Answer;
            type Error = std::convert::Infallible;
            type Future = $crate::flow::ResponseFuture;

            fn poll_ready(
                &mut self,
                _cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<(), std::convert::Infallible>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<B>) -> $crate::flow::ResponseFuture {
                $crate::flow::endpoint::serve(&self.0, request)
            }
        }

        impl<$($parameter,)? I> Clone for $service<$($parameter,)? I> {
            fn clone(&self) -> Self {
                Self(std::sync::Arc::clone(&self.0))
            }
        }

        impl<$($parameter,)? I> std::fmt::Debug for $service<$($parameter,)? I> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($service)).finish_non_exhaustive()
            }
        }
    };
}

pub(super) use service;

impl Future for ResponseFuture {
    type Output = Result<Answer, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
