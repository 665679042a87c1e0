//! Named steps that build on one another, and the provider that hands out the last one's token.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use http::{HeaderName, header::AUTHORIZATION};

use super::{fetch::TokenFetcher, slot::Slot, token::Prefix};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
    http_client::HttpClient,
    maybe_ready::MaybeReady,
    origin,
    provider::{Lease, TokenError, TokenProvider},
    text::is_visible,
};

/// A checked pipeline; cheap to clone, clones share their tokens.
#[derive(Clone)]
pub struct TokenPipeline {
    parts: Arc<Parts>,
}

/// Makes a [`TokenPipeline`].
#[must_use]
pub struct TokenPipelineBuilder {
    name: String,
    http: Option<HttpClient>,
    steps: Vec<Arc<dyn TokenFetcher>>,
    any_order: bool,
    refresh_from: Option<String>,
    /// The name, or the text that is none.
    header: Result<HeaderName, String>,
    prefix: Prefix,
    fetch_timeout: Duration,
    margin: Duration,
    rejection_cooldown: Duration,
    http_on_loopback: bool,
    clock: Clock,
}

/// Hands out the token of a pipeline's last step.
#[derive(Debug, Clone)]
pub struct PipelineProvider {
    parts: Arc<Parts>,
}

pub(super) struct Parts {
    pub(super) name: String,
    pub(super) http: HttpClient,
    pub(super) steps: Vec<Step>,
    /// The steps to fetch anew after a rejection.
    renewed: Vec<usize>,
    pub(super) header: HeaderName,
    pub(super) prefix: Prefix,
    pub(super) fetch_timeout: Duration,
    pub(super) margin: Duration,
    pub(super) rejection_cooldown: Duration,
    pub(super) http_on_loopback: bool,
    pub(super) clock: Clock,
}

pub(super) struct Step {
    pub(super) name: Arc<str>,
    pub(super) fetcher: Arc<dyn TokenFetcher>,
    pub(super) parents: Vec<usize>,
    /// The number of fetches, one after the other, that a token of this step may take.
    pub(super) depth: u32,
    pub(super) slot: Slot,
}

// ===== impl TokenPipeline =====

impl TokenPipeline {
    /// Starts a pipeline. The name appears in logs.
    pub fn builder(name: impl Into<String>) -> TokenPipelineBuilder {
        TokenPipelineBuilder {
            name: name.into(),
            http: None,
            steps: Vec::new(),
            any_order: false,
            refresh_from: None,
            header: Ok(AUTHORIZATION),
            prefix: Prefix::TokenType,
            fetch_timeout: Duration::from_secs(30),
            margin: Duration::from_secs(30),
            rejection_cooldown: Duration::from_secs(5),
            http_on_loopback: false,
            clock: Clock::system(),
        }
    }

    /// The tokens of the last step.
    pub fn provider(&self) -> PipelineProvider {
        PipelineProvider { parts: Arc::clone(&self.parts) }
    }
}

impl fmt::Debug for TokenPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

// ===== impl PipelineProvider =====

impl TokenProvider for PipelineProvider {
    fn header(&self) -> &HeaderName {
        &self.parts.header
    }

    fn lease(&self) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        match self.parts.acquire(self.parts.last()) {
            MaybeReady::Now(held) => MaybeReady::Now(held.map(|held| Arc::clone(&held.lease))),
            MaybeReady::Later(flight) => {
                MaybeReady::later(async move { flight.await.map(|held| Arc::clone(&held.lease)) })
            }
        }
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        let (parts, rejected) = (Arc::clone(&self.parts), Arc::clone(rejected));
        MaybeReady::later(async move {
            let Some(landed) = parts.ride(parts.last(), Some(&rejected)).await else { return Ok(None) };
            let lease = Arc::clone(&landed?.lease);
            // An endpoint that hands the same token out again has nothing newer.
            let newer = lease.generation() > rejected.generation() && lease.value() != rejected.value();
            Ok(newer.then_some(lease))
        })
    }
}

// ===== impl Parts =====

impl Parts {
    pub(super) fn last(&self) -> usize {
        self.steps.len() - 1
    }

    /// Called under the lock of the last step, by the first who reports its token as rejected.
    pub(super) fn mark_renewed_stale(&self) {
        for step in &self.renewed {
            if let Some(held) = &*self.steps[*step].slot.load() {
                let _one_of_several = held.make_stale();
            }
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<&str> = self.steps.iter().map(|step| &*step.name).collect();
        f.debug_struct("TokenPipeline")
            .field("name", &self.name)
            .field("steps", &steps)
            .finish_non_exhaustive()
    }
}

// ===== impl TokenPipelineBuilder =====

impl TokenPipelineBuilder {
    /// The client that token requests are sent with. It must not follow redirects, must not carry the layer
    /// whose tokens it fetches, and its errors must hold no secrets: they become the causes of ours.
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

    /// How long one step may take, its parents not counted. Default 30 s.
    ///
    /// A request that waits may give up earlier, by a timeout of its own; the fetch goes on.
    pub fn fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// How long before its end a token is not sent any more; never more than a tenth of its life. Default 30 s.
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// How long a token that replaced a rejected one, and was rejected itself before it ever worked, is kept
    /// before it is fetched again: it is not the cause then. Default 5 s.
    pub fn rejection_cooldown(mut self, cooldown: Duration) -> Self {
        self.rejection_cooldown = cooldown;
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
        let parents = self.parents(&mut faults);
        let renewed = self.renewed(&parents, &mut faults);
        faults.finish()?;
        let depths: Vec<u32> = (0..parents.len()).map(|step| depth(&parents, step)).collect();
        let steps = self.steps.into_iter().zip(parents).zip(depths).map(|((fetcher, parents), depth)| Step {
            name: fetcher.name().into(),
            fetcher,
            parents,
            depth,
            slot: Slot::empty(),
        });
        Ok(TokenPipeline {
            parts: Arc::new(Parts {
                name: self.name,
                http: self.http.expect("its absence is a fault"),
                steps: steps.collect(),
                renewed,
                header: self.header.expect("its absence is a fault"),
                prefix: self.prefix,
                fetch_timeout: self.fetch_timeout,
                margin: self.margin,
                rejection_cooldown: self.rejection_cooldown,
                http_on_loopback: self.http_on_loopback,
                clock: self.clock,
            }),
        })
    }

    /// The positions of what each step depends on, or faults that name the step and the dependency.
    fn parents(&self, faults: &mut Faults) -> Vec<Vec<usize>> {
        let mut known = HashMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            faults.check(!step.name().is_empty(), "step", index, "must have a name");
            if known.insert(step.name(), index).is_some() {
                faults.add("step", step.name(), "must not come twice");
            }
        }
        let mut all = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let mut parents = Vec::new();
            for needed in step.depends_on() {
                let arrow = format!("{} -> {needed}", step.name());
                match known.get(needed.as_str()) {
                    None => faults.add("depends_on", arrow, "names no step"),
                    Some(parent) if *parent == index => {
                        faults.add("depends_on", arrow, "must not be the step itself")
                    }
                    Some(parent) if *parent > index && !self.any_order => {
                        faults.add("depends_on", arrow, "must name an earlier step");
                    }
                    Some(parent) => parents.push(*parent),
                }
            }
            all.push(parents);
        }
        for (index, step) in self.steps.iter().enumerate() {
            if let Some(via) = all[index].iter().find(|parent| reaches(&all, **parent, index)) {
                let arrow = format!("{} -> {}", step.name(), self.steps[*via].name());
                faults.add("depends_on", arrow, "must not lead back to the step");
            }
        }
        all
    }

    /// The last step, or `refresh_from` and all between it and the last.
    fn renewed(&self, parents: &[Vec<usize>], faults: &mut Faults) -> Vec<usize> {
        let Some(last) = self.steps.len().checked_sub(1) else {
            return Vec::new();
        };
        let Some(name) = &self.refresh_from else {
            return vec![last];
        };
        let Some(from) = self.steps.iter().position(|step| step.name() == name) else {
            faults.add("refresh_from", name, "names no step");
            return Vec::new();
        };
        faults.check(
            reaches(parents, last, from),
            "refresh_from",
            name,
            "must be one that the last step builds on",
        );
        (0..self.steps.len())
            .filter(|step| reaches(parents, last, *step) && reaches(parents, *step, from))
            .collect()
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

/// The longest chain that ends in this step; there are no cycles any more.
fn depth(parents: &[Vec<usize>], step: usize) -> u32 {
    let longest = parents[step].iter().map(|parent| depth(parents, *parent)).max().unwrap_or(0);
    longest.saturating_add(1)
}

/// Whether `from` is `to` or depends on it, directly or not.
fn reaches(parents: &[Vec<usize>], from: usize, to: usize) -> bool {
    let mut seen = vec![false; parents.len()];
    let mut open = vec![from];
    while let Some(step) = open.pop() {
        if step == to {
            return true;
        }
        if !std::mem::replace(&mut seen[step], true) {
            open.extend(&parents[step]);
        }
    }
    false
}
