//! A request that waits for its token.
//!
//! Ten thousand may wait at once, and all are woken at once: what each of them keeps is a few words, as long as it waits
//! for a flight of its own runtime that may bring what it wants. Everything else is rare, and boxed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tracing::Span;

use super::{
    flight::{Boarding, Need, Ticket},
    provider::PipelineProvider,
    signal::Wait,
    slot::Landed,
};
use crate::{
    maybe_ready::BoxFuture,
    provider::{Lease, LeaseOutcome, TokenError, TokenErrorKind},
};

/// Waits for a lease. Nothing happens before it is polled: it may be made outside the runtime that it is run in.
pub(super) struct Waiting {
    provider: PipelineProvider,
    state: State,
}

enum State {
    Begin,
    Flight { wait: Wait<Landed>, began: bool },
    Rare(BoxFuture<Result<Arc<Lease>, TokenError>>),
}

impl Waiting {
    pub(super) fn new(provider: PipelineProvider, repeatable: bool) -> Self {
        let state = if repeatable { State::Begin } else { State::Rare(provider.clone().rare(repeatable)) };
        Self { provider, state }
    }

    fn board(&self) -> Option<(Wait<Landed>, bool)> {
        let handle = &self.provider.handle;
        match handle.board(handle.last(), &Need::Fresh) {
            Boarding::Flight(Ticket { wait, fits: true, foreign: false, began, span, .. }) => {
                if !began {
                    span.follows_from(Span::current());
                }
                Some((wait, began))
            }
            Boarding::Flight(_) | Boarding::Landed(_) => None,
        }
    }
}

impl Future for Waiting {
    type Output = Result<Arc<Lease>, TokenError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut self.state {
                State::Begin => self.board().map(|(wait, began)| State::Flight { wait, began }),
                State::Flight { wait, began } => {
                    let sent = ready!(Pin::new(wait).poll(cx));
                    let outcome = match (&*sent, *began) {
                        // Its runtime has ended; this one has not.
                        (Err(error), _) if error.kind() == TokenErrorKind::Aborted => None,
                        (Err(_), _) => Some(LeaseOutcome::Failed),
                        (Ok(_), true) => Some(LeaseOutcome::Missed),
                        (Ok(_), false) => Some(LeaseOutcome::Waited),
                    };
                    if let Some(outcome) = outcome {
                        self.provider.tell(outcome);
                        return Poll::Ready(match &*sent {
                            Ok(held) => Ok(Arc::clone(&held.lease)),
                            Err(error) => Err(error.clone()),
                        });
                    }
                    None
                }
                State::Rare(future) => return future.as_mut().poll(cx),
            };
            self.state = next.unwrap_or_else(|| State::Rare(self.provider.clone().rare(true)));
        }
    }
}
