//! The request goes on: one extension, nothing else changes.

use std::sync::Arc;

use http::Request;

use super::{settle::Settle, verify::Door};
use crate::{identity::AuthContext, verify::Verified};

impl<I: Send + Sync + 'static> Door<I> {
    pub(super) fn admit<B>(&self, request: &mut Request<B>, verified: Verified<I>, position: u8) -> Settle {
        let (identity, details, evidence, scope) = verified.into_parts();
        let settle = self.settlement.plan(Some(evidence.channel()));
        let challenges = Arc::clone(&self.challenges);
        request
            .extensions_mut()
            .insert(AuthContext::known(identity, details, evidence, scope, challenges, position));
        settle
    }

    pub(super) fn admit_anonymous<B>(&self, request: &mut Request<B>) -> Settle {
        request.extensions_mut().insert(AuthContext::anonymous::<I>(Arc::clone(&self.challenges)));
        self.settlement.plan(None)
    }
}
