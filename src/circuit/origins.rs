//! The circuits of a layer, by origin.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Uri;

use super::breaker::{Circuit, Rules};
use crate::origin::Origin;

/// A short list, read without a lock: a client talks to few origins.
pub(super) struct Circuits {
    known: ArcSwap<Vec<Arc<Circuit>>>,
    max: usize,
}

impl Circuits {
    pub(super) fn new(max: usize) -> Self {
        Self { known: ArcSwap::default(), max }
    }

    /// The circuit that is there already.
    pub(super) fn find(&self, uri: &Uri) -> Option<Arc<Circuit>> {
        find(&self.known.load(), uri)
    }

    /// The circuit of this origin, a new one if need be. `None` if all places are taken by origins in trouble: to forget
    /// one of those would let requests through to it, and to refuse a new origin would be their trouble made everybody's.
    pub(super) fn get(&self, uri: &Uri, rules: &Rules) -> Option<Arc<Circuit>> {
        let known = self.find(uri);
        if known.is_some() {
            return known;
        }
        let new = Arc::new(Circuit::new(Origin::of(uri)));
        self.known.rcu(|known| {
            let mut next = Vec::clone(known);
            if find(known, uri).is_some() {
                return next; // somebody else was faster
            }
            if next.len() < self.max {
                next.push(Arc::clone(&new));
            } else if let Some(spare) =
                next.iter_mut().find(|circuit| circuit.is_spare(rules.clock.monotonic()))
            {
                *spare = Arc::clone(&new);
            }
            next
        });
        self.find(uri)
    }
}

fn find(known: &[Arc<Circuit>], uri: &Uri) -> Option<Arc<Circuit>> {
    known.iter().find(|circuit| circuit.is_for(uri)).cloned()
}
