//! How long a request waits for its token.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// Time to wait for a token, all waits of a request together.
pub(super) enum Patience {
    Endless,
    Until(Pin<Box<Sleep>>),
    Over,
}

impl Patience {
    /// Runs from now on.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        match limit {
            None => Self::Endless,
            // A timer would be a millisecond late.
            Some(Duration::ZERO) => Self::Over,
            Some(limit) => Self::Until(Box::pin(sleep(limit))),
        }
    }

    /// `None` if it ends before there is an answer. What is there already is never late.
    pub(super) async fn wait<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            match self {
                Self::Endless => Poll::Pending,
                Self::Until(end) => end.as_mut().poll(cx).map(|()| None),
                Self::Over => Poll::Ready(None),
            }
        })
        .await
    }
}
