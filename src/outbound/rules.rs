//! Which requests carry a token.

use std::sync::Arc;

use http::{Extensions, HeaderMap, Request, Uri};

use super::final_uri::FinalUri;
use crate::{
    origin::Origin,
    provider::{Lease, TokenProvider},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Rules {
    pub(super) provider: Arc<dyn TokenProvider>,
    pub(super) origins: Vec<Origin>,
    /// Where requests without an authority go: the place among the allowed origins.
    pub(super) default_origin: Option<usize>,
    pub(super) replace_existing: bool,
}

impl Rules {
    /// The allowed origin that the request goes to, unless it brings a header that stays.
    pub(super) fn apply_to<B>(&self, request: &Request<B>) -> Option<usize> {
        let origin = self.origin_of(request.uri())?;
        (self.replace_existing || !request.headers().contains_key(self.provider.header())).then_some(origin)
    }

    /// Whether the answer is that of the origin which the token was sent to.
    pub(super) fn answered_by(&self, origin: usize, extensions: &Extensions) -> bool {
        extensions.get::<FinalUri>().is_none_or(|last| self.origin_of(last.uri()) == Some(origin))
    }

    pub(super) fn attach(&self, headers: &mut HeaderMap, lease: &Lease) {
        headers.insert(self.provider.header().clone(), lease.value().clone());
    }

    fn origin_of(&self, uri: &Uri) -> Option<usize> {
        if uri.authority().is_none() && uri.scheme().is_none() {
            return self.default_origin;
        }
        self.origins.iter().position(|origin| origin.matches(uri))
    }
}
