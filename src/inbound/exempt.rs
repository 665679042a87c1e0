//! Requests that are nobody's: neither read nor verified.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN},
};

use super::head::RequestHead;
use crate::path::PathSet;

/// Which requests need no credential.
#[derive(Debug)]
pub(super) struct Exemptions {
    pub(super) paths: PathSet,
    pub(super) preflight: bool,
}

impl Exemptions {
    pub(super) fn cover(&self, head: RequestHead<'_>) -> bool {
        self.paths.matches(head.uri().path())
            || (self.preflight && is_preflight(head.method(), head.headers()))
    }
}

/// Whether a browser asks, before the request it means, whether that may be sent from another origin. It sends no
/// credentials with the question.
fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    let once = |name: HeaderName| headers.get_all(name).iter().count() == 1;
    *method == Method::OPTIONS && once(ORIGIN) && once(ACCESS_CONTROL_REQUEST_METHOD)
}
