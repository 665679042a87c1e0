//! Renewals that somebody asks for: the old tokens stay until the new ones are there.

use std::sync::Arc;

use super::{flight::Need, parts::Parts, slot::Landed};
use crate::clock::Timestamp;

/// Which tokens a renewal replaces. One renewal is shared by the flights of all its steps, so that each of them is
/// fetched once.
pub(super) struct Renewal {
    /// For each step that is renewed: the last generation that does not count any more.
    after: Box<[Option<u64>]>,
    /// A shared token counts if its fetch began no earlier.
    pub(super) since: Timestamp,
    /// Refresh tokens are not used either.
    pub(super) anew: bool,
}

impl Renewal {
    pub(super) fn accepts(&self, step: usize, generation: u64) -> bool {
        self.after[step].is_none_or(|after| generation > after)
    }

    /// Whether it includes one of these steps.
    pub(super) fn renews_one(&self, steps: &[usize]) -> bool {
        steps.iter().any(|step| self.includes(*step))
    }

    pub(super) fn includes(&self, step: usize) -> bool {
        self.after[step].is_some()
    }
}

impl Parts {
    /// Renews the last step, and with it the step that `refresh_from` names and all between the two; or, `anew`,
    /// every step that the last one builds on.
    pub(super) async fn renew(self: &Arc<Self>, anew: bool) -> Landed {
        let last = self.last();
        // A fetch that is under way now has begun before this call: it does not count.
        let after = self.steps[last].slot.generation();
        self.get(last, &Need::Renewed { after, anew }).await
    }

    /// Begun under the lock of the last step: whoever joins the flight that carries it came before.
    pub(super) fn begin_renewal(&self, anew: bool) -> Renewal {
        let after = self
            .steps
            .iter()
            .enumerate()
            .map(|(index, step)| (anew || self.renewed.contains(&index)).then(|| step.slot.generation()));
        Renewal { after: after.collect(), since: self.clock.now(), anew }
    }
}
