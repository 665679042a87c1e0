//! What a verifier proved, without the identity.

use std::{any::Any, net::IpAddr, sync::Arc};

use super::{Evidence, Site, Subject};
use crate::{event::Event, scope::Scope};

/// Details that only the verifier knows the type of: a login record, the claims of a JWT.
pub type Details = Arc<dyn Any + Send + Sync>;

/// Everything about an admitted credential that has no type parameter.
#[derive(Clone)]
pub(crate) struct Proof {
    pub(crate) details: Details,
    pub(crate) evidence: Evidence,
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) subject: Option<Arc<Subject>>,
    /// The position of the presented scheme among the layer's challenges.
    pub(crate) presented: u8,
    /// The position of the authenticator that verified it.
    pub(crate) verified_by: usize,
}

impl Proof {
    /// Adds to an event whose login it is about.
    pub(super) fn describe(&self, event: Event, client_ip: Option<IpAddr>, site: &Site) -> Event {
        event
            .with_channel(self.evidence.channel())
            .with_scheme(&site.challenges, self.presented)
            .with_details(Arc::clone(&self.details))
            .with_known(self.evidence.record(), self.subject.clone(), client_ip)
    }
}
