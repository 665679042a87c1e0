//! What one request wants otherwise than its layer does.

use std::time::Duration;

/// What becomes of a request that brings the header which our token would go into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExistingHeader {
    /// The request passes as it is. The default.
    #[default]
    Keep,
    /// Our token replaces it.
    Replace,
}

/// Options of one request, in its extensions. They limit what the layer does or demand it; none of them sends a
/// token to where the layer's rules send none, and without options the rules alone decide.
///
/// The layer leaves them where they are: the next layer of its kind reads them, too, and they are not sent.
///
/// ```
/// use http::Request;
/// use portcullis::outbound::InjectOptions;
///
/// let request = Request::get("https://api.example.com/transfers")
///     .extension(InjectOptions::new().require().never_repeat())
///     .body(())?;
/// # let _ = request;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InjectOptions {
    pub(super) demand: Demand,
    pub(super) existing: Option<ExistingHeader>,
    pub(super) never_repeat: bool,
    pub(super) wait_limit: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Demand {
    #[default]
    ByRules,
    Skip,
    Require,
}

impl InjectOptions {
    /// Everything as the layer does it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The request passes untouched.
    #[must_use]
    pub fn skip(mut self) -> Self {
        self.demand = Demand::Skip;
        self
    }

    /// The request fails with [`InjectError::NoRule`](super::InjectError::NoRule) where it would pass untouched
    /// otherwise, because its origin is not allowed or its path is excluded. A header of its own that stays is
    /// enough.
    #[must_use]
    pub fn require(mut self) -> Self {
        self.demand = Demand::Require;
        self
    }

    /// Overrides what the layer does about a header that is there.
    #[must_use]
    pub fn existing_header(mut self, existing: ExistingHeader) -> Self {
        self.existing = Some(existing);
        self
    }

    /// The request is sent once. After a rejection a newer token is fetched all the same, for the next one.
    #[must_use]
    pub fn never_repeat(mut self) -> Self {
        self.never_repeat = true;
        self
    }

    /// How long the request waits for a token, in place of what the [layer](super::TokenInjectLayerBuilder::wait_limit)
    /// says.
    #[must_use]
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.wait_limit = Some(limit);
        self
    }
}
