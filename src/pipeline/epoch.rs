//! What falls with what: a token is dropped with everything that it was made from.
//!
//! Nothing is deleted. Each step has an epoch, and each token that of the moment at which its fetch began. To
//! drop a step is to raise its epoch and that of every step that builds on it: what is held is not handed out any
//! more, and what is under way is fetched once more before it lands.
//!
//! A parent's epoch is raised before its children's. So a fetch that has seen a child's new epoch finds no
//! dropped parent, and one that has not is dropped itself.

use std::fmt;

use super::{
    parts::Parts,
    slot::{Held, Origin},
};
use crate::clock::Monotonic;

/// The pipeline has no step of this name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownStep {
    name: String,
}

impl Parts {
    /// Whether a token can be handed out now.
    pub(super) fn is_fresh(&self, step: usize, held: &Held, now: Monotonic) -> bool {
        now < held.moments.hard && self.is_standing(step, held)
    }

    /// Whether nothing but time speaks against a token.
    pub(super) fn is_standing(&self, step: usize, held: &Held) -> bool {
        !held.is_rejected() && self.stands(step, &held.origin)
    }

    /// Whether what a token was made from has not been dropped.
    pub(super) fn stands(&self, step: usize, origin: &Origin) -> bool {
        origin.epoch == self.steps[step].slot.epoch()
            && (!self.bound || origin.parents.iter().all(|(parent, made)| self.is_current(*parent, *made)))
    }

    fn is_current(&self, step: usize, generation: u64) -> bool {
        let current = self.steps[step].slot.load();
        current.as_ref().is_some_and(|held| held.generation() == generation && self.is_standing(step, held))
    }

    /// Drops a step's token and everything made from it.
    pub(super) fn invalidate(&self, name: &str) -> Result<(), UnknownStep> {
        let found = self.steps.iter().position(|step| &*step.name == name);
        let step = found.ok_or_else(|| UnknownStep { name: name.to_owned() })?;
        let now = self.clock.now();
        let dependents = self.steps[step].dependents.iter().copied();
        dependents.chain([step]).for_each(|step| self.steps[step].slot.share_from(now));
        self.steps[step].slot.next_epoch();
        self.drop_dependents(&[step]);
        tracing::debug!(pipeline = &*self.name, step = name, "tokens dropped");
        Ok(())
    }

    /// Drops everything made from the tokens of these steps.
    pub(super) fn drop_dependents(&self, of: &[usize]) {
        let mut dropped: Vec<usize> =
            of.iter().flat_map(|step| &self.steps[*step].dependents).copied().collect();
        self.drop_in_order(&mut dropped);
    }

    pub(super) fn drop_in_order(&self, steps: &mut Vec<usize>) {
        // A child's chain is longer than its parent's.
        steps.sort_unstable_by_key(|step| (self.steps[*step].depth, *step));
        steps.dedup();
        for step in steps {
            self.steps[*step].slot.next_epoch();
        }
    }
}

impl fmt::Display for UnknownStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pipeline has no step {:?}", self.name)
    }
}

impl std::error::Error for UnknownStep {}
