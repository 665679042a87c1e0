//! The layer.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{builder::TokenInjectLayerBuilder, replay::EmptyOnly, rules::Rules, service::TokenInject};
use crate::provider::TokenProvider;

/// Gives every request to an allowed origin its token. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct TokenInjectLayer<R = EmptyOnly> {
    pub(super) rules: Arc<Rules>,
    pub(super) replay: R,
}

impl TokenInjectLayer {
    /// Starts from the defaults: no origin is allowed, a header that is there stays, requests with an empty
    /// body are repeated after a 401.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new(provider: impl TokenProvider) -> TokenInjectLayerBuilder {
        TokenInjectLayerBuilder::new(Arc::new(provider))
    }
}

impl<S, R: Clone> Layer<S> for TokenInjectLayer<R> {
    type Service = TokenInject<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenInject::new(inner, Arc::clone(&self.rules), self.replay.clone())
    }
}

impl<R> fmt::Debug for TokenInjectLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInjectLayer").field("origins", &self.rules.origins).finish_non_exhaustive()
    }
}
