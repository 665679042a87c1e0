//! The future of an answer that is logged.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;

use crate::{
    clock::{Clock, Monotonic},
    redact::Redaction,
};

pub(super) const TARGET: &str = "portcullis::request_log";

pin_project! {
    /// Response future of [`RequestLog`](super::RequestLog).
    ///
    /// # Cancel safety
    /// Dropping it drops the inner service's future; no answer is logged then.
    pub struct ResponseFuture<F> {
        #[pin]
        pub(super) inner: F,
        pub(super) line: Option<Line>,
    }
}

/// What the line of the answer needs.
pub(super) struct Line {
    pub(super) redaction: Redaction,
    pub(super) clock: Clock,
    pub(super) started: Monotonic,
}

impl<F, RB, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let Some(Line { redaction, clock, started }) = this.line.take() else {
            return Poll::Ready(answer);
        };
        let millis = clock.monotonic().since(started).as_millis();
        match &answer {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), redaction.headers(response.headers()));
                tracing::debug!(target: TARGET, status, millis, ?headers, "answer");
            }
            Err(_text_stays_secret) => tracing::debug!(target: TARGET, millis, "no answer"),
        }
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
