//! The settings of a layer, and every rule that they have to keep.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode, Uri};

use super::{
    budget::{Purse, RepeatBudget},
    layer::TokenInjectLayer,
    options::ExistingHeader,
    refresh_retry::RefreshRetry,
    replay::EmptyOnly,
    rules::{RefreshFailure, Rules},
    verdict::{Condition, Rejections},
};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
    origin::Origin,
    path::PathSet,
    provider::{Recorder, Recorders, TokenProvider},
};

/// Settings of a [`TokenInjectLayer`].
#[must_use]
pub struct TokenInjectLayerBuilder<R = EmptyOnly> {
    settings: Settings,
    replay: R,
}

/// What does not depend on the body.
struct Settings {
    provider: Arc<dyn TokenProvider>,
    origins: Vec<String>,
    default_origin: Option<String>,
    http_on_loopback: bool,
    excluded: Vec<String>,
    existing: ExistingHeader,
    repeated: Option<Vec<Method>>,
    /// Beside 401; numbers that are no statuses are found by `build`.
    rejections: Vec<u16>,
    condition: Option<Box<Condition>>,
    budget: RepeatBudget,
    refresh_retry: RefreshRetry,
    refresh_failure: RefreshFailure,
    wait_limit: Option<Duration>,
    clock: Clock,
    recorders: Recorders,
}

impl TokenInjectLayerBuilder {
    pub(super) fn new(provider: Arc<dyn TokenProvider>) -> Self {
        let settings = Settings {
            provider,
            origins: Vec::new(),
            default_origin: None,
            http_on_loopback: false,
            excluded: Vec::new(),
            existing: ExistingHeader::Keep,
            repeated: None,
            rejections: Vec::new(),
            condition: None,
            budget: RepeatBudget::new(),
            refresh_retry: RefreshRetry::none(),
            refresh_failure: RefreshFailure::Answer,
            wait_limit: None,
            clock: Clock::system(),
            recorders: Recorders::default(),
        };
        Self { settings, replay: EmptyOnly }
    }
}

impl<R> TokenInjectLayerBuilder<R> {
    // ----- which requests -----

    /// Sends the token to this origin: `https://api.example.com`, perhaps with a port. At least one is needed;
    /// requests to any other pass without a token.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.settings.origins.push(origin.into());
        self
    }

    /// Where requests go whose URI is a path alone: the origin that the client below is connected to. Generated
    /// gRPC clients send such requests. They get a token if this origin is an allowed one; by default they get
    /// none.
    ///
    /// The layer cannot see what is connected, so take both from one place: see
    /// [gRPC](crate::docs::client_layers#grpc).
    pub fn default_origin(mut self, origin: impl Into<String>) -> Self {
        self.settings.default_origin = Some(origin.into());
        self
    }

    /// Accepts origins with plain `http` on a loopback address, for tests and local development.
    pub fn danger_allow_http_on_loopback(mut self) -> Self {
        self.settings.http_on_loopback = true;
        self
    }

    /// Paths whose requests pass without a token, as [`path`](crate::path) describes them: `/health`, `/static/**`.
    /// By default none.
    ///
    /// This saves tokens where none is wanted. What a token must not reach is kept from it by its origin: a path that
    /// could be read in two ways is not excluded.
    pub fn exclude_paths<T: Into<String>>(mut self, patterns: impl IntoIterator<Item = T>) -> Self {
        self.settings.excluded.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// What becomes of a request that brings the token's header. Default [`ExistingHeader::Keep`].
    pub fn existing_header(mut self, existing: ExistingHeader) -> Self {
        self.settings.existing = existing;
        self
    }

    // ----- after a rejection -----

    /// How requests can be repeated after a 401: [`EmptyOnly`], [`Cloned`](super::Cloned), [`Tee`](super::Tee) or
    /// [`Never`](super::Never).
    pub fn replay<T>(self, replay: T) -> TokenInjectLayerBuilder<T> {
        TokenInjectLayerBuilder { settings: self.settings, replay }
    }

    /// Repeats requests with these methods only. By default every method is repeated: what answers 401 has not acted.
    pub fn repeat_methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.settings.repeated = Some(methods.into_iter().collect());
        self
    }

    /// Takes this status for a rejection of the token, as 401 is, unless a challenge says that the scope does not
    /// reach. For APIs that answer 403 or 440 to a token that has ended.
    pub fn also_refresh_on(mut self, status: u16) -> Self {
        self.settings.rejections.push(status);
        self
    }

    /// Looks at status and headers of every answer that would be taken for a rejection, and decides whether it is
    /// one. The last call counts.
    pub fn refresh_if(
        mut self,
        condition: impl Fn(StatusCode, &HeaderMap) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.settings.condition = Some(Box::new(condition));
        self
    }

    /// Whether and when a token fetch that failed is begun again, before the request gives up. Default
    /// [`RefreshRetry::none`].
    pub fn refresh_retry(mut self, retry: RefreshRetry) -> Self {
        self.settings.refresh_retry = retry;
        self
    }

    /// Fails a request whose token was rejected if getting a newer one fails. By default the rejection is its answer.
    pub fn fail_if_refresh_fails(mut self) -> Self {
        self.settings.refresh_failure = RefreshFailure::Error;
        self
    }

    /// How long a request waits for a token: before it is sent, and once more after a rejection. Zero does not wait at
    /// all. By default there is no limit but the provider's own deadline.
    ///
    /// A request that has waited so long before it was sent fails with [`InjectError::TookTooLong`]; after a rejection,
    /// the rejection is the answer, with [`AuthOutcome::TookTooLong`]. A timeout around the layer would lose that answer.
    /// The fetch goes on for the others. Waits of a [`refresh_retry`](Self::refresh_retry) count.
    ///
    /// [`InjectError::TookTooLong`]: super::InjectError::TookTooLong
    /// [`AuthOutcome::TookTooLong`]: super::AuthOutcome::TookTooLong
    pub fn wait_limit(mut self, limit: Duration) -> Self {
        self.settings.wait_limit = Some(limit);
        self
    }

    /// How many requests may be sent twice while newer tokens are rejected, too. Default [`RepeatBudget::new`].
    pub fn repeat_budget(mut self, budget: RepeatBudget) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Has somebody told of every answer that gets an [`AuthOutcome`](super::AuthOutcome), for counters. Pipelines have
    /// recorders of their own.
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.settings.recorders.add(recorder);
        self
    }

    /// Replaces the clock, which the budget alone looks at; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<TokenInjectLayer<R>, ConfigError> {
        Ok(TokenInjectLayer { rules: Arc::new(self.settings.check()?), replay: self.replay })
    }
}

impl<R> fmt::Debug for TokenInjectLayerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenInjectLayerBuilder")
            .field("origins", &self.settings.origins.len())
            .finish_non_exhaustive()
    }
}

// ===== impl Settings =====

impl Settings {
    fn check(self) -> Result<Rules, ConfigError> {
        let mut faults = Faults::default();
        faults.check(!self.origins.is_empty(), "allow_origin", "none", "name at least one origin");
        let mut origins = Vec::with_capacity(self.origins.len());
        for text in &self.origins {
            match origin("allow_origin", text, &mut faults) {
                Some(origin) if origin.is_safe(self.http_on_loopback) => origins.push(origin),
                Some(_) => faults.add("allow_origin", &*origin_alone(text), "must be https"),
                None => {}
            }
        }
        let default_origin = self.default_origin.as_deref().and_then(|text| {
            let default = origin("default_origin", text, &mut faults)?;
            origins.iter().position(|allowed| *allowed == default)
        });
        let excluded = PathSet::parse(&self.excluded, "exclude_paths", &mut faults);
        let mut statuses = Vec::with_capacity(self.rejections.len());
        for code in self.rejections {
            let error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
            let status = StatusCode::from_u16(code).ok().filter(error);
            faults.check(status.is_some(), "also_refresh_on", code, "must be a status from 400 to 599");
            statuses.extend(status);
        }
        faults.finish()?;
        Ok(Rules {
            header: self.provider.header().clone(),
            headers: self.provider.headers().into(),
            provider: self.provider,
            origins,
            default_origin,
            excluded,
            existing: self.existing,
            repeated: self.repeated,
            rejections: Rejections { statuses, condition: self.condition },
            purse: Purse::new(self.budget, self.clock),
            refresh_retry: self.refresh_retry,
            refresh_failure: self.refresh_failure,
            wait_limit: self.wait_limit,
            recorders: self.recorders,
        })
    }
}

fn origin(field: &'static str, text: &str, faults: &mut Faults) -> Option<Origin> {
    let origin = Origin::parse(text);
    let rule = "must be scheme, host and perhaps a port";
    faults.check(origin.is_some(), field, &*origin_alone(text), rule);
    origin
}

/// What a fault shows of an origin: a password or a key may have been pasted along with it, or in place of it.
fn origin_alone(text: &str) -> Cow<'static, str> {
    let uri = text.parse::<Uri>().ok();
    let shown = uri.and_then(|uri| {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let host = authority.as_str().rsplit('@').next()?;
        Some(format!("{scheme}://{host}").into())
    });
    shown.unwrap_or(Cow::Borrowed("…"))
}
