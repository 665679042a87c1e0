//! The head of a request, without its body.

use std::fmt;

use http::{Extensions, HeaderMap, Method, Request, Uri};

/// The head of a request, as settings that are functions of it see it.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    /// The method.
    pub fn method(&self) -> &'a Method {
        self.method
    }

    /// The URI.
    pub fn uri(&self) -> &'a Uri {
        self.uri
    }

    /// The headers. They hold the credential.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// What layers outside of this one, or the host, have left with the request.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }
}

/// Shows the method: everything else may hold secrets.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead").field("method", &self.method).finish_non_exhaustive()
    }
}
