//! What a layer shares with every request that it lets through.

use std::sync::Arc;

use super::{Ended, Evidence};
use crate::{
    clock::Clock,
    event::{Event, EventKind, Reporter},
    maybe_ready::BoxFuture,
    problem::{Challenges, Reason, Rejection, RejectionKind},
};

/// Waits for the end of a credential, without the type of its identity.
pub(crate) type Watch = Box<dyn Fn(&Evidence) -> BoxFuture<Ended> + Send + Sync>;

/// Where a credential was verified: who answers for it afterwards.
pub(crate) struct Site {
    pub(crate) challenges: Arc<Challenges>,
    pub(crate) reporter: Reporter,
    pub(crate) clock: Clock,
    /// One for each authenticator, in their order.
    pub(crate) watches: Vec<Watch>,
}

impl Site {
    /// A refusal with the challenges of the layer. `presented` is the position of the presented scheme.
    pub(crate) fn refuse(&self, kind: RejectionKind, reason: Reason, presented: Option<u8>) -> Rejection {
        Rejection::new(kind, reason).challenged(Arc::clone(&self.challenges), presented)
    }

    /// Reports what `event` makes of an event of this kind, if anybody would learn of it.
    pub(crate) fn report(&self, kind: EventKind, event: impl FnOnce(Event) -> Event) {
        if self.reporter.wants(&kind) {
            self.reporter.emit(event(Event::new(kind, self.clock.now())));
        }
    }
}
