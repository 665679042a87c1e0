//! The layer.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{AuthLayerBuilder, door::Door, service::AuthService};
use crate::{problem::ProblemReply, verify::Verify};

/// Guards services. See the [module docs](super).
#[must_use]
pub struct AuthLayer<I, R = ProblemReply> {
    pub(super) door: Arc<Door<I>>,
    pub(super) maker: Arc<R>,
}

impl<I: Send + Sync + 'static> AuthLayer<I> {
    /// Starts from the defaults: the `Authorization` header with the schemes `Bearer` and `Token`, a credential
    /// required.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new(verifier: impl Verify<Identity = I>) -> AuthLayerBuilder<I> {
        AuthLayerBuilder::new(verifier)
    }
}

impl<S, I, R> Layer<S> for AuthLayer<I, R> {
    type Service = AuthService<S, I, R>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService::new(inner, Arc::clone(&self.door), Arc::clone(&self.maker))
    }
}

impl<I, R> Clone for AuthLayer<I, R> {
    fn clone(&self) -> Self {
        Self { door: Arc::clone(&self.door), maker: Arc::clone(&self.maker) }
    }
}

impl<I, R> fmt::Debug for AuthLayer<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").field("sources", &self.door.sources).finish_non_exhaustive()
    }
}
