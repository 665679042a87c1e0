//! The request goes on: one extension, nothing else changes.

use std::sync::Arc;

use http::Request;

use super::{
    door::{Door, Known, Visit},
    settle::Settle,
};
use crate::{
    identity::{AuthContext, Proof},
    verify::Verified,
};

impl<I: Send + Sync + 'static> Door<I> {
    pub(super) fn admit<B>(&self, request: &mut Request<B>, known: Known<I>, visit: &Visit) -> Settle {
        let Known { mut verified, found, verified_by } = known;
        let cookie = self.renewed_cookie(&mut verified, found);
        let Verified { identity, details, evidence, subject, scope, renewal: _taken } = verified;
        let proof = Proof { details, evidence, scope, subject, presented: found.position, verified_by };
        let context = AuthContext::known(identity, proof, visit.client_ip, Arc::clone(&self.site));
        context.report_success();
        request.extensions_mut().insert(context);
        self.settlement.plan(Some(found.channel)).with_cookie(cookie)
    }

    pub(super) fn admit_anonymous<B>(&self, request: &mut Request<B>, visit: &Visit) -> Settle {
        self.admit_exempt(request, visit);
        self.settlement.plan(None)
    }

    /// The answer does not depend on a credential, so caches need to be told nothing.
    pub(super) fn admit_exempt<B>(&self, request: &mut Request<B>, visit: &Visit) -> Settle {
        let context = AuthContext::anonymous::<I>(visit.client_ip, Arc::clone(&self.site));
        request.extensions_mut().insert(context);
        Settle::default()
    }
}
