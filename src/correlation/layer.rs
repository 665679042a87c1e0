//! The layer.

use http::HeaderName;
use tower_layer::Layer;

use super::service::Correlate;

/// Gives every request a [`CorrelationId`](super::CorrelationId). See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct CorrelationLayer {
    header: HeaderName,
}

impl CorrelationLayer {
    /// A layer that uses the header `x-request-id`.
    pub fn new() -> Self {
        Self { header: HeaderName::from_static("x-request-id") }
    }

    /// Uses this header instead.
    pub fn header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }
}

impl Default for CorrelationLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for CorrelationLayer {
    type Service = Correlate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Correlate::new(inner, self.header.clone())
    }
}
