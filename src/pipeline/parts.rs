//! A pipeline: its steps with their slots, and its settings.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    builder::TokenPipelineBuilder, fetch::TokenFetcher, hook::ErrorHook, provider::PipelineProvider,
    slot::Slot, token::Prefix,
};
use crate::{clock::Clock, http_client::HttpClient};

/// A checked pipeline; cheap to clone, clones share their tokens.
#[derive(Clone)]
pub struct TokenPipeline {
    pub(super) parts: Arc<Parts>,
}

pub(super) struct Parts {
    pub(super) name: String,
    pub(super) http: HttpClient,
    pub(super) steps: Vec<Step>,
    /// The steps to fetch anew after a rejection.
    pub(super) renewed: Vec<usize>,
    pub(super) header: HeaderName,
    pub(super) prefix: Prefix,
    pub(super) fetch_timeout: Duration,
    pub(super) margin: Duration,
    pub(super) rejection_cooldown: Duration,
    pub(super) http_on_loopback: bool,
    pub(super) clock: Clock,
    pub(super) on_fetch_error: ErrorHook,
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
        TokenPipelineBuilder::new(name.into())
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
