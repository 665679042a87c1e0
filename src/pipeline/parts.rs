//! What a pipeline consists of: its steps with their slots, and its settings.

use std::{fmt, sync::Arc, time::Duration};

use http::HeaderName;

use super::{
    fetch::TokenFetcher, hook::ErrorHook, shared::SharedLeases, slot::Slot, token::Prefix, window::Windows,
};
use crate::{clock::Clock, http_client::HttpClient, provider::Recorders, store::LeaseKey};

pub(super) struct Parts {
    /// Never empty: it keeps the pipeline's tokens apart from those of others.
    pub(super) name: String,
    pub(super) http: HttpClient,
    pub(super) steps: Vec<Step>,
    pub(super) shared: Option<SharedLeases>,
    /// Where a renewal begins.
    pub(super) renewed_from: usize,
    /// The steps that a renewal replaces.
    pub(super) renewed: Vec<usize>,
    /// A token is dropped when one that it was made from is replaced.
    pub(super) bound: bool,
    pub(super) header: HeaderName,
    pub(super) prefix: Prefix,
    pub(super) fetch_timeout: Duration,
    pub(super) windows: Windows,
    pub(super) rejection_cooldown: Duration,
    pub(super) http_on_loopback: bool,
    pub(super) clock: Clock,
    pub(super) recorders: Recorders,
    pub(super) on_fetch_error: ErrorHook,
}

pub(super) struct Step {
    pub(super) name: Arc<str>,
    pub(super) fetcher: Arc<dyn TokenFetcher>,
    /// Under which name its tokens are shared, if they are.
    pub(super) key: Option<LeaseKey>,
    pub(super) parents: Vec<usize>,
    /// Every step that builds on this one, directly or not.
    pub(super) dependents: Vec<usize>,
    /// The number of fetches, one after the other, that a token of this step may take.
    pub(super) depth: u32,
    pub(super) slot: Slot,
}

impl Parts {
    pub(super) fn last(&self) -> usize {
        self.steps.len() - 1
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
