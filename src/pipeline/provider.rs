//! The provider that hands out the last step's token.

use std::sync::Arc;

use http::HeaderName;

use super::parts::Parts;
use crate::{
    maybe_ready::MaybeReady,
    provider::{Ask, Lease, TokenError, TokenProvider},
};

/// Hands out the token of a pipeline's last step.
#[derive(Debug, Clone)]
pub struct PipelineProvider {
    pub(super) parts: Arc<Parts>,
}

impl TokenProvider for PipelineProvider {
    fn header(&self) -> &HeaderName {
        &self.parts.header
    }

    fn lease(&self, _ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
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
