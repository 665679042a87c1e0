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
        self.find(uri).or_else(|| {
            self.add(uri, rules);
            self.find(uri)
        })
    }

    fn add(&self, uri: &Uri, rules: &Rules) {
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
    }
}

fn find(known: &[Arc<Circuit>], uri: &Uri) -> Option<Arc<Circuit>> {
    known.iter().find(|circuit| circuit.is_for(uri)).cloned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{circuit::machine::Limits, clock::Clock};

    #[test]
    fn r124_two_that_add_an_origin_at_once_add_one_circuit() {
        let limits = Limits { failures: 1, open_for: Duration::from_secs(1), probes: 1, successes: 1 };
        let rules = Rules { limits, clock: Clock::system() };
        let (circuits, uri) = (Circuits::new(4), Uri::from_static("https://api.test/"));
        circuits.add(&uri, &rules);
        let first = circuits.find(&uri).unwrap();
        circuits.add(&uri, &rules);
        assert_eq!(circuits.known.load().len(), 1);
        assert!(Arc::ptr_eq(&first, &circuits.get(&uri, &rules).unwrap()));
    }
}
