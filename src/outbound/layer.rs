//! The layer and its settings.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{replay::EmptyOnly, rules::Rules, service::TokenInject};
use crate::{
    error::{ConfigError, Faults},
    origin::Origin,
    provider::TokenProvider,
};

/// Gives every request to an allowed origin its token. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct TokenInjectLayer<R = EmptyOnly> {
    rules: Arc<Rules>,
    replay: R,
}

/// Settings of a [`TokenInjectLayer`].
#[must_use]
pub struct TokenInjectLayerBuilder<R = EmptyOnly> {
    provider: Arc<dyn TokenProvider>,
    origins: Vec<String>,
    default_origin: Option<String>,
    http_on_loopback: bool,
    replace_existing: bool,
    replay: R,
}

// ===== impl TokenInjectLayer =====

impl TokenInjectLayer {
    /// Starts from the defaults: no origin is allowed, a header that is there stays, requests with an empty
    /// body are repeated after a 401.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new(provider: impl TokenProvider) -> TokenInjectLayerBuilder {
        TokenInjectLayerBuilder {
            provider: Arc::new(provider),
            origins: Vec::new(),
            default_origin: None,
            http_on_loopback: false,
            replace_existing: false,
            replay: EmptyOnly,
        }
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

// ===== impl TokenInjectLayerBuilder =====

impl<R> TokenInjectLayerBuilder<R> {
    /// Sends the token to this origin: `https://api.example.com`, perhaps with a port. At least one is needed;
    /// requests to any other pass without a token.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Where requests go whose URI is a path alone: the origin that the client below is connected to. Generated
    /// gRPC clients send such requests. They get a token if this origin is an allowed one; by default they get
    /// none.
    pub fn default_origin(mut self, origin: impl Into<String>) -> Self {
        self.default_origin = Some(origin.into());
        self
    }

    /// Accepts origins with plain `http` on a loopback address, for tests and local development.
    pub fn danger_allow_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Replaces a header that the request has already. By default such a request passes as it is.
    pub fn replace_existing(mut self) -> Self {
        self.replace_existing = true;
        self
    }

    /// How requests can be repeated after a 401: [`EmptyOnly`], [`Cloned`](super::Cloned) or
    /// [`Never`](super::Never).
    pub fn replay<T>(self, replay: T) -> TokenInjectLayerBuilder<T> {
        TokenInjectLayerBuilder {
            provider: self.provider,
            origins: self.origins,
            default_origin: self.default_origin,
            http_on_loopback: self.http_on_loopback,
            replace_existing: self.replace_existing,
            replay,
        }
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<TokenInjectLayer<R>, ConfigError> {
        let mut faults = Faults::default();
        faults.check(!self.origins.is_empty(), "allow_origin", "none", "name at least one origin");
        let mut origins = Vec::with_capacity(self.origins.len());
        for text in &self.origins {
            match Origin::parse(text) {
                Some(origin) if origin.is_safe(self.http_on_loopback) => origins.push(origin),
                Some(_) => faults.add("allow_origin", without_userinfo(text), "must be https"),
                None => {
                    faults.add(
                        "allow_origin",
                        without_userinfo(text),
                        "must be scheme, host and perhaps a port",
                    );
                }
            }
        }
        let default_origin = self.default_origin.as_deref().and_then(|text| {
            let origin = Origin::parse(text);
            faults.check(
                origin.is_some(),
                "default_origin",
                without_userinfo(text),
                "must be scheme, host and perhaps a port",
            );
            origins.iter().position(|allowed| Some(allowed) == origin.as_ref())
        });
        faults.finish()?;
        let (provider, replace_existing) = (self.provider, self.replace_existing);
        Ok(TokenInjectLayer {
            rules: Arc::new(Rules { provider, origins, default_origin, replace_existing }),
            replay: self.replay,
        })
    }
}

impl<R> fmt::Debug for TokenInjectLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInjectLayerBuilder")
            .field("origins", &self.origins.len())
            .finish_non_exhaustive()
    }
}

/// A password may have been pasted along with the host.
fn without_userinfo(origin: &str) -> &str {
    origin.rsplit_once('@').map_or(origin, |(_, host)| host)
}
