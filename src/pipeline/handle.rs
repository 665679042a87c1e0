//! Who holds a pipeline, and how it stops.
//!
//! Flights hold the parts of a pipeline, never a handle: else a fetch that hangs would keep itself alive.

use std::{fmt, ops::Deref, sync::Arc};

use tokio::time;

use super::{parts::Parts, signal::Wait, slot::Landed};

/// A pipeline in somebody's hands: a user's, or those of a request that waits for its token. When the last one is
/// dropped, the flights end.
#[derive(Clone)]
pub(super) struct Handle(Arc<Owner>);

struct Owner(Arc<Parts>);

impl Handle {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(Owner(Arc::new(parts))))
    }

    /// Ends all flights, and waits for those that cannot be ended.
    pub(super) async fn shutdown(&self) {
        for (step, flight) in self.stop() {
            // As long as it can take, should its runtime stand still.
            let _whatever_it_brings = time::timeout(self.patience(step), flight).await;
        }
    }
}

impl Deref for Handle {
    type Target = Arc<Parts>;

    fn deref(&self) -> &Self::Target {
        &self.0.0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Parts::fmt(self, f)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.0.stop());
    }
}

impl Parts {
    /// Ends all flights but those that have sent what works only once, and lets none begin. Returns those that go on.
    fn stop(&self) -> Vec<(usize, Wait<Landed>)> {
        let (mut ended, mut going_on) = (Vec::new(), Vec::new());
        for (index, step) in self.steps.iter().enumerate() {
            let mut control = step.slot.control();
            control.stopped = true;
            match &control.flight {
                Some(flying) if flying.must_finish => going_on.push((index, flying.signal.wait())),
                Some(flying) => ended.push(flying.task.clone()),
                None => {}
            }
        }
        // Outside the locks: a task that is dropped takes its flight off.
        ended.iter().for_each(|task| task.abort());
        going_on
    }
}
