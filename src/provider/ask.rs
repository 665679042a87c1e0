//! What a request needs of its token.

use http::Extensions;

/// What a request asks of its token.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    extensions: &'a Extensions,
    repeatable: bool,
}

/// Extension of a request that fetches a token: it is given none, or it would wait for itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRequest;

impl<'a> Ask<'a> {
    /// What a request with these extensions asks, if it can be sent again after a 401.
    pub fn new(extensions: &'a Extensions) -> Self {
        Self { extensions, repeatable: true }
    }

    /// The request cannot be sent again: its token should have some life left, for nothing will mend a 401.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// The request's extensions: on whose behalf it goes out, and what else its sender has noted.
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// Whether the request can be sent again after a 401.
    pub fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}
