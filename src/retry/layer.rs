//! The layer and its settings.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tower::retry::budget::{Budget, TpsBudget};
use tower_layer::Layer;

use super::{
    body::EmptyBodies,
    policy::{RequestRetryPolicy, SharedBudget},
    rules::Rules,
    service::RequestRetry,
};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
};

const REPEATS_MAX: u32 = 20;
const WAIT_MIN: Duration = Duration::from_millis(1);
const WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// Repeats requests after failures that may pass. All services of a layer share its budget. See the
/// [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct RequestRetryLayer<C = EmptyBodies> {
    policy: RequestRetryPolicy<C>,
}

/// Settings of a [`RequestRetryLayer`].
#[must_use]
pub struct RequestRetryLayerBuilder<C = EmptyBodies> {
    rules: Rules,
    budget: Option<SharedBudget>,
    bodies: C,
}

// ===== impl RequestRetryLayer =====

impl RequestRetryLayer {
    /// Starts from the defaults.
    pub fn builder() -> RequestRetryLayerBuilder {
        RequestRetryLayerBuilder {
            rules: Rules::default(),
            budget: Some(Arc::new(TpsBudget::default())),
            bodies: EmptyBodies,
        }
    }
}

impl Default for RequestRetryLayer {
    /// The defaults of the builder.
    fn default() -> Self {
        Self::builder().build().expect("the defaults break no rule")
    }
}

impl<S, C: Clone> Layer<S> for RequestRetryLayer<C> {
    type Service = RequestRetry<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        RequestRetry::new(inner, self.policy.clone())
    }
}

impl<C> fmt::Debug for RequestRetryLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRetryLayer").field("policy", &self.policy).finish()
    }
}

// ===== impl RequestRetryLayerBuilder =====

impl<C> RequestRetryLayerBuilder<C> {
    /// A request is repeated so often at most, that is, sent once more than that. 0 to 20, default 3.
    pub fn repeats(mut self, count: u32) -> Self {
        self.rules.repeats = count;
        self
    }

    /// The wait before the first repeat; it doubles with every further one. From 1 ms to the longest wait, default 1 s.
    pub fn first_wait(mut self, wait: Duration) -> Self {
        self.rules.backoff.first = wait;
        self
    }

    /// No wait doubles beyond this one. Up to 1 h, default 60 s.
    pub fn longest_wait(mut self, wait: Duration) -> Self {
        self.rules.backoff.longest = wait;
        self
    }

    /// An answer with a longer `Retry-After` is returned instead. Up to 1 h, default 60 s; zero repeats nothing after
    /// such an answer, unless it says that we may come at once.
    pub fn longest_retry_after(mut self, wait: Duration) -> Self {
        self.rules.longest_retry_after = wait;
        self
    }

    /// After which statuses requests are repeated, instead of 408, 429, 500, 502, 503 and 504. Statuses of 4xx and 5xx,
    /// without 401 and 407: what was refused there is a credential, and it would be the same again.
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.rules.statuses = statuses.into_iter().collect();
        self
    }

    /// Repeats requests with this method, too, although the protocol does not say that they can be. Whether it is safe is
    /// the API's to say; for single requests there is [`Repeat`](super::Repeat).
    pub fn repeat_method(mut self, method: Method) -> Self {
        self.rules.methods.push(method);
        self
    }

    /// After which errors requests are repeated, instead of those that are
    /// [transient](super::is_transient); their causes are in [`Error::source`].
    pub fn errors(mut self, which: impl Fn(&(dyn Error + 'static)) -> bool + Send + Sync + 'static) -> Self {
        self.rules.errors = Arc::new(which);
        self
    }

    /// How much of all is repeated. Each request pays in, each repeat draws; without cover, the answer or error is
    /// returned as it is. One budget may serve several layers. By default a layer has `TpsBudget::default()`: a fifth of
    /// the requests of the last ten seconds, and ten a second beside.
    pub fn budget(mut self, budget: Arc<impl Budget + Send + Sync + 'static>) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Sets no bound to what is repeated in all. Every client that repeats three times without one makes four times the
    /// load of an outage.
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// How bodies are copied: [`EmptyBodies`], [`ClonedBodies`](super::ClonedBodies), or a
    /// [`CopyBody`](super::CopyBody) of your own.
    pub fn bodies<T>(self, bodies: T) -> RequestRetryLayerBuilder<T> {
        RequestRetryLayerBuilder { rules: self.rules, budget: self.budget, bodies }
    }

    /// Replaces the clock that dates in `Retry-After` are compared with; the default is [`Clock::system`]. Sleeping is
    /// tokio's.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.rules.clock = clock;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<RequestRetryLayer<C>, ConfigError> {
        let Self { rules, budget, bodies } = self;
        let mut faults = Faults::default();
        faults.check(rules.repeats <= REPEATS_MAX, "repeats", rules.repeats, "must be from 0 to 20");
        let (first, longest) = (rules.backoff.first, rules.backoff.longest);
        faults.check(longest <= WAIT_MAX, "longest_wait", longest, "must be 1 h at most");
        let usable = (WAIT_MIN..=longest).contains(&first);
        faults.check(usable, "first_wait", first, "must be from 1 ms to the longest wait");
        let asked = rules.longest_retry_after;
        faults.check(asked <= WAIT_MAX, "longest_retry_after", asked, "must be 1 h at most");
        for status in &rules.statuses {
            let error = status.is_client_error() || status.is_server_error();
            faults.check(error, "statuses", status, "must be 4xx or 5xx");
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::PROXY_AUTHENTICATION_REQUIRED];
            let rule = "would send a refused credential again";
            faults.check(!refused.contains(status), "statuses", status, rule);
        }
        faults.finish()?;
        Ok(RequestRetryLayer { policy: RequestRetryPolicy::new(Arc::new(rules), budget, bodies) })
    }
}

impl<C> fmt::Debug for RequestRetryLayerBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRetryLayerBuilder").field("rules", &self.rules).finish_non_exhaustive()
    }
}
