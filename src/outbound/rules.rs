//! Which requests carry a token.

use std::sync::Arc;

use http::{HeaderMap, Request};

use crate::{
    origin::Origin,
    provider::{Lease, TokenProvider},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Rules {
    pub(super) provider: Arc<dyn TokenProvider>,
    pub(super) origins: Vec<Origin>,
    pub(super) replace_existing: bool,
}

impl Rules {
    /// Whether the request shall carry our token: it goes to an allowed origin, and brings no header that
    /// stays.
    pub(super) fn apply_to<B>(&self, request: &Request<B>) -> bool {
        self.origins.iter().any(|origin| origin.matches(request.uri()))
            && (self.replace_existing || !request.headers().contains_key(self.provider.header()))
    }

    pub(super) fn attach(&self, headers: &mut HeaderMap, lease: &Lease) {
        headers.insert(self.provider.header().clone(), lease.value().clone());
    }
}
