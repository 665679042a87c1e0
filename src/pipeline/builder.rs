//! How a pipeline is made, and every rule that it has to keep.

use std::{fmt, sync::Arc, time::Duration};

use http::{HeaderName, header::AUTHORIZATION};

use super::{
    fetch::TokenFetcher,
    graph,
    handle::Handle,
    hook::ErrorHook,
    parts::{Parts, Step},
    shared::SharedLeases,
    slot::Slot,
    token::Prefix,
    token_pipeline::TokenPipeline,
    window::Windows,
};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
    http_client::HttpClient,
    origin,
    provider::{Hook, Recorder, Recorders, TokenError, TokenEvent},
    text::is_visible,
};

/// Makes a [`TokenPipeline`].
#[must_use]
pub struct TokenPipelineBuilder {
    name: String,
    http: Option<HttpClient>,
    steps: Vec<Arc<dyn TokenFetcher>>,
    any_order: bool,
    shared: Option<SharedLeases>,
    refresh_from: Option<String>,
    /// The name, or the text that is none.
    header: Result<HeaderName, String>,
    prefix: Prefix,
    bound: bool,
    fetch_timeout: Duration,
    windows: Windows,
    rejection_cooldown: Duration,
    http_on_loopback: bool,
    clock: Clock,
    recorders: Recorders,
    on_fetch_error: ErrorHook,
}

impl TokenPipelineBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            http: None,
            steps: Vec::new(),
            any_order: false,
            shared: None,
            refresh_from: None,
            header: Ok(AUTHORIZATION),
            prefix: Prefix::TokenType,
            bound: false,
            fetch_timeout: Duration::from_secs(30),
            windows: Windows::default(),
            rejection_cooldown: Duration::from_secs(5),
            http_on_loopback: false,
            clock: Clock::system(),
            recorders: Recorders::default(),
            on_fetch_error: ErrorHook::default(),
        }
    }

    /// The client that token requests are sent with. It must not follow redirects, and its errors must hold no
    /// secrets: they become the causes of ours. Where it carries the layer whose tokens it fetches, that layer lets its
    /// requests pass.
    pub fn http(mut self, client: HttpClient) -> Self {
        self.http = Some(client);
        self
    }

    /// Adds a step. The last one's token is the one that requests carry.
    pub fn step(mut self, fetcher: impl TokenFetcher) -> Self {
        self.steps.push(Arc::new(fetcher));
        self
    }

    /// Accepts steps in any order but the last. By default a step comes after those it depends on.
    pub fn any_order(mut self) -> Self {
        self.any_order = true;
        self
    }

    /// Takes the tokens of every step over from whoever shares them, and fetches them once for all. By default each
    /// pipeline has its own. [`StaticToken`](super::StaticToken) and [`FileToken`](super::FileToken), and a fetcher
    /// that is [local](TokenFetcher::is_local), are not shared.
    ///
    /// Whoever shares asks for the same: give the pipeline another name when what a step asks for changes, its scope
    /// for example. What is [invalidated](TokenPipeline::invalidate) here is not taken over again; others keep it until
    /// it is refused or ends.
    ///
    /// A token that is fetched for all may take longer than the [`fetch_timeout`](Self::fetch_timeout), at most
    /// [`SharedLeases::longest`].
    pub fn shared(mut self, shared: SharedLeases) -> Self {
        self.shared = Some(shared);
        self
    }

    /// After a rejected token, fetches this step anew and every one that depends on it. By default the last
    /// step only.
    pub fn refresh_from(mut self, step: impl Into<String>) -> Self {
        self.refresh_from = Some(step.into());
        self
    }

    /// The header that carries the token. Default `Authorization`.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.header = name.as_ref().parse().map_err(|_not_a_name| name.as_ref().to_owned());
        self
    }

    /// The scheme before the token. By default it is the token's type, `Bearer` if it has none.
    pub fn scheme(mut self, scheme: impl Into<String>) -> Self {
        self.prefix = Prefix::Fixed(scheme.into());
        self
    }

    /// Sends the token without a scheme before it.
    pub fn without_scheme(mut self) -> Self {
        self.prefix = Prefix::None;
        self
    }

    /// Ends a token with the earlier tokens that it was made from: when one of them is replaced, for whatever
    /// reason, it is fetched anew. By default it outlives them, unless they were refused or
    /// [invalidated](TokenPipeline::invalidate).
    pub fn bind_to_parents(mut self) -> Self {
        self.bound = true;
        self
    }

    /// How long one step may take, its parents not counted. Default 30 s. A step that is tried again, because an
    /// earlier token was refused or dropped meanwhile, has its time again, but all together no more than twice.
    ///
    /// A request that waits may give up earlier, by a timeout of its own; the fetch goes on.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// How long before its end a token is not sent any more; never more than a tenth of its life. Default 30 s.
    ///
    /// A request that cannot be repeated is given a token with twice as much left, because nothing would mend a
    /// 401. It waits for one only as long as the present token is good enough for everybody else; if none can
    /// be had until then, it gets the present one.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.windows.margin = margin;
        self
    }

    /// How long before its end a token is renewed in the background; never more than half of its life. Default
    /// 20 min. Up to a fifth of it is left away at random, once for each token. An endpoint that says in its
    /// answer when it wants the token renewed is obeyed instead.
    pub fn refresh_window(mut self, window: Duration) -> Self {
        self.windows.ahead = Some(window);
        self
    }

    /// Renews no token before it has to: nothing runs in the background, and a request waits when the token has
    /// ended.
    pub fn without_refresh_ahead(mut self) -> Self {
        self.windows.ahead = None;
        self
    }

    /// How long a token that replaced a rejected one, and was rejected itself before it ever worked, is kept
    /// before it is fetched again: it is hardly the cause. The tokens that it was made from are fetched anew with
    /// it then. Default 5 s.
    pub fn rejection_cooldown(mut self, cooldown: Duration) -> Self {
        self.rejection_cooldown = cooldown;
        self
    }

    /// Tells this recorder, too, what becomes of tokens. Counters under the feature `metrics` are one.
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.recorders.add(recorder);
        self
    }

    /// Calls this, too, when a token was fetched, refused, or could not be had. It must not block; a panic in it
    /// is caught.
    pub fn on_event(self, hook: impl Fn(&TokenEvent<'_>) + Send + Sync + 'static) -> Self {
        self.recorder(Hook(hook))
    }

    /// Is called with the error of each fetch that failed, once, however many requests wait for it; the error names
    /// the step. It must not block; a panic is caught and changes nothing. Without it, failures are in the log
    /// alone, by the name of the step and the kind of failure.
    ///
    /// A fetcher of your own can also implement [`TokenFetcher::on_fetch_error`].
    pub fn on_fetch_error(mut self, listener: impl Fn(&TokenError) + Send + Sync + 'static) -> Self {
        self.on_fetch_error = ErrorHook::new(listener);
        self
    }

    /// Replaces the clock; the default is [`Clock::system`].
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Accepts token endpoints with plain `http` on a loopback address, for tests and local development.
    pub fn danger_allow_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<TokenPipeline, ConfigError> {
        let mut faults = Faults::default();
        faults.check(!self.name.is_empty(), "name", &self.name, "must not be empty");
        faults.check(self.http.is_some(), "http", "none", "name a client");
        faults.check(!self.steps.is_empty(), "step", "none", "name at least one");
        if let Err(text) = &self.header {
            faults.add("header", text, "must be a header's name");
        }
        if let Prefix::Fixed(word) = &self.prefix {
            faults.check(is_visible(word), "scheme", word, "must be visible ASCII");
        }
        faults.check(!self.fetch_timeout.is_zero(), "fetch_timeout", self.fetch_timeout, "must not be zero");
        for step in &self.steps {
            for (setting, rule) in step.faults() {
                faults.add("step", format!("{}.{setting}", step.name()), rule);
            }
            let safe = step.endpoint().is_none_or(|uri| origin::is_safe(uri, self.http_on_loopback));
            faults.check(safe, "step", format!("{}.url", step.name()), "must be https");
        }
        let same_clock = self.shared.as_ref().is_none_or(|shared| shared.has_clock(&self.clock));
        faults.check(same_clock, "shared", "clock", "must be the pipeline's");
        let parents = graph::parents(&self.steps, self.any_order, &mut faults);
        let (renewed_from, renewed) =
            graph::renewed(&self.steps, self.refresh_from.as_deref(), &parents, &mut faults);
        faults.finish()?;
        let step = |(index, fetcher): (usize, Arc<dyn TokenFetcher>)| Step {
            name: fetcher.name().into(),
            key: self
                .shared
                .as_ref()
                .filter(|_| !fetcher.is_local())
                .map(|shared| shared.key(&self.name, fetcher.name())),
            fetcher,
            parents: parents[index].clone(),
            dependents: graph::dependents(&parents, index),
            depth: graph::depth(&parents, index),
            slot: Slot::empty(),
        };
        let steps = self.steps.into_iter().enumerate().map(step).collect();
        let handle = Handle::new(Parts {
            name: self.name,
            http: self.http.expect("its absence is a fault"),
            steps,
            shared: self.shared,
            renewed_from,
            renewed,
            bound: self.bound,
            header: self.header.expect("its absence is a fault"),
            prefix: self.prefix,
            fetch_timeout: self.fetch_timeout,
            windows: self.windows,
            rejection_cooldown: self.rejection_cooldown,
            http_on_loopback: self.http_on_loopback,
            clock: self.clock,
            recorders: self.recorders,
            on_fetch_error: self.on_fetch_error,
        });
        Ok(TokenPipeline { handle })
    }
}

impl fmt::Debug for TokenPipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenPipelineBuilder")
            .field("name", &self.name)
            .field("steps", &self.steps.len())
            .finish_non_exhaustive()
    }
}
