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
    pub(super) fn join(&self, joint: &Joint, leases: &[(usize, Arc<Lease>)]) -> Arc<Lease> {
        if let Some(last) = &*joint.0.load() {
            let same = |(part, (member, lease)): (&Part, &(usize, Arc<Lease>))| {
                part.member == *member && Arc::ptr_eq(&part.lease, lease)
            };
            if last.parts().len() == leases.len() && last.parts().iter().zip(leases).all(same) {
                return Arc::clone(last);
            }
        }
        let part = |(member, lease): &(usize, Arc<Lease>)| Part {
            member: *member,
            header: self.providers[*member].header().clone(),
            lease: Arc::clone(lease),
        };
        // Members count for themselves, so the composite counts its own: whatever is put together later is newer.
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let lease = Arc::new(Lease::joined(leases.iter().map(part).collect(), generation));
        joint.0.store(Some(Arc::clone(&lease)));
        lease
    }
}
