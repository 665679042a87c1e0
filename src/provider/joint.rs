//! What both composites need: members, and the lease made of theirs.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use http::HeaderName;

use super::{
    TokenProvider,
    lease::{Lease, Part},
};

/// The providers of a composite, in their order, and the headers of all of them.
pub(super) struct Members {
    pub(super) providers: Vec<Arc<dyn TokenProvider>>,
    pub(super) headers: Vec<HeaderName>,
    generation: AtomicU64,
}

/// The last lease that was made of members' leases. While those stay the same, so does it, and nothing is
/// allocated.
#[derive(Default)]
pub(super) struct Joint(ArcSwapOption<Lease>);

impl Members {
    pub(super) fn new(providers: Vec<Arc<dyn TokenProvider>>) -> Self {
        let mut headers: Vec<HeaderName> = Vec::new();
        for header in providers.iter().flat_map(|provider| provider.headers()) {
            if !headers.contains(header) {
                headers.push(header.clone());
            }
        }
        Self { providers, headers, generation: AtomicU64::new(0) }
    }

    /// One lease of these members' leases, with their places.
    ///
    /// What is kept has the highest generation of all that this joint has handed out: whoever was first in between makes
    /// the next one begin again. So a lease that replaces a rejected one is always newer than that.
    pub(super) fn join(&self, joint: &Joint, leases: &[(usize, Arc<Lease>)]) -> Arc<Lease> {
        if let Some(last) = joint.0.load().as_ref().filter(|last| is_of(last, leases)) {
            return Arc::clone(last);
        }
        let mut joined = None;
        joint.0.rcu(|last| {
            let lease = match last {
                Some(last) if is_of(last, leases) => Arc::clone(last),
                _ => self.next(leases),
            };
            joined = Some(Arc::clone(&lease));
            Some(lease)
        });
        joined.expect("it was made at least once")
    }

    fn next(&self, leases: &[(usize, Arc<Lease>)]) -> Arc<Lease> {
        let part = |(member, lease): &(usize, Arc<Lease>)| Part {
            member: *member,
            header: self.providers[*member].header().clone(),
            lease: Arc::clone(lease),
        };
        // Members count for themselves, so the composite counts its own: whatever is put together later is newer.
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        Arc::new(Lease::joined(leases.iter().map(part).collect(), generation))
    }
}

fn is_of(last: &Lease, leases: &[(usize, Arc<Lease>)]) -> bool {
    let same = |(part, (member, lease)): (&Part, &(usize, Arc<Lease>))| {
        part.member == *member && Arc::ptr_eq(&part.lease, lease)
    };
    last.parts().len() == leases.len() && last.parts().iter().zip(leases).all(same)
}
