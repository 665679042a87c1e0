//! Who holds a pipeline, and how it stops.
//!
//! Flights hold the parts of a pipeline, never a handle: else a fetch that hangs would keep itself alive.

use std::{fmt, ops::Deref, sync::Arc};

use super::{
    parts::Parts,
    slot::{Flight, Landed},
};

/// A pipeline in somebody's hands: a user's, or those of a request that waits for its token. When the last one is
/// dropped, the flights end.
#[derive(Clone)]
pub(super) struct Handle {
    parts: Arc<Parts>,
    _owner: Arc<Owner>,
}

struct Owner(Arc<Parts>);

impl Handle {
    pub(super) fn new(parts: Parts) -> Self {
        let parts = Arc::new(parts);
        Self { _owner: Arc::new(Owner(Arc::clone(&parts))), parts }
    }

    /// Ends all flights, and waits for those that cannot be ended.
    pub(super) async fn shutdown(&self) {
        for flight in self.parts.stop() {
            let _whatever_it_brings: Landed = flight.await;
        }
    }
}

impl Deref for Handle {
    type Target = Arc<Parts>;

    fn deref(&self) -> &Self::Target {
        &self.parts
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.stop());
    }
}

impl Parts {
    /// Ends all flights but those that have sent what works only once, and lets none begin. Returns those that go on.
    fn stop(&self) -> Vec<Flight> {
        let (mut ended, mut going_on) = (Vec::new(), Vec::new());
        for step in &self.steps {
            let mut control = step.slot.control();
            control.stopped = true;
            match &control.flight {
                Some(flying) if flying.must_finish => going_on.push(flying.flight.clone()),
                Some(flying) => ended.push(flying.task.clone()),
                None => {}
            }
        }
        // Outside the locks: a task that is dropped takes its flight off.
        ended.iter().for_each(|task| task.abort());
        going_on
    }
}
