//! How long a request waits for its token.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{Instant, Sleep, sleep_until},
};

/// Time to wait for a token: that of the first one, or that of a newer one after a rejection.
pub(super) enum Patience {
    Endless,
    Until(Instant),
    Running(Pin<Box<Sleep>>),
    Over,
}

impl Patience {
    /// Runs from now on.
    #[allow(clippy::disallowed_methods)] // the timer's own clock, which a paused time is part of
    pub(super) fn new(limit: Option<Duration>) -> Self {
        match limit {
            None => Self::Endless,
            // A timer would be a millisecond late.
            Some(Duration::ZERO) => Self::Over,
            Some(limit) => Instant::now().checked_add(limit).map_or(Self::Endless, Self::Until),
        }
    }

    /// `None` if it ends before there is an answer. What is there already is never late.
    ///
    /// A timer needs a runtime. Without one, nobody waits for a token but a provider of another kind, and as long as
    /// that takes.
    pub(super) async fn wait<T>(&mut self, answer: impl Future<Output = T>) -> Option<T> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Some(answer));
            }
            if let Self::Until(end) = *self
                && Handle::try_current().is_ok()
            {
                *self = Self::Running(Box::pin(sleep_until(end)));
            }
            match self {
                Self::Endless | Self::Until(_) => Poll::Pending,
                Self::Running(end) => end.as_mut().poll(cx).map(|()| None),
                Self::Over => Poll::Ready(None),
            }
        })
        .await
    }
}
