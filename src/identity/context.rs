//! The one extension that a layer leaves in a request.

use std::{
    any::{Any, TypeId},
    fmt,
    net::IpAddr,
    sync::Arc,
};

use super::{Auth, Ended, Evidence, Proof, Site, Subject};
use crate::{
    event::EventKind,
    maybe_ready::BoxFuture,
    problem::{Reason, Rejection, RejectionKind},
};

/// What a layer found out about a request; read it through [`Auth<I>`].
#[derive(Clone)]
pub struct AuthContext {
    principal: Option<Principal>,
    identity_type: TypeId,
    client_ip: Option<IpAddr>,
    site: Arc<Site>,
}

#[derive(Clone)]
struct Principal {
    identity: Arc<dyn Any + Send + Sync>,
    proof: Proof,
}

impl AuthContext {
    pub(crate) fn anonymous<I: 'static>(client_ip: Option<IpAddr>, site: Arc<Site>) -> Self {
        Self { principal: None, identity_type: TypeId::of::<I>(), client_ip, site }
    }

    pub(crate) fn known<I: Send + Sync + 'static>(
        identity: Arc<I>,
        proof: Proof,
        client_ip: Option<IpAddr>,
        site: Arc<Site>,
    ) -> Self {
        let principal = Principal { identity, proof };
        Self { principal: Some(principal), identity_type: TypeId::of::<I>(), client_ip, site }
    }

    /// Whether nobody was identified.
    pub fn is_anonymous(&self) -> bool {
        self.principal.is_none()
    }

    /// The evidence, unless the request is anonymous.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.proof().map(|proof| &proof.evidence)
    }

    /// Whom the credential stands for, if the verifier names a subject.
    pub fn subject(&self) -> Option<&Subject> {
        self.proof()?.subject.as_deref()
    }

    /// The address from which the request came, if it is known; see the `client_ip` setting of the layer.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub(crate) fn details<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.proof()?.details).downcast().ok()
    }

    /// The typed view; `None` for an anonymous request.
    ///
    /// # Errors
    /// [`RejectionKind::LayerMissing`] if the layer's identities are not `I`.
    pub fn auth<I: Send + Sync + 'static>(&self) -> Result<Option<Auth<I>>, Rejection> {
        let other_identity = || Rejection::new(RejectionKind::LayerMissing, Reason::LayerMissing);
        // Before anything else: nobody of another kind is not nobody.
        if self.identity_type != TypeId::of::<I>() {
            return Err(other_identity());
        }
        let Some(Principal { identity, proof }) = &self.principal else {
            return Ok(None);
        };
        match Arc::clone(identity).downcast::<I>() {
            Ok(identity) => {
                Ok(Some(Auth::new(identity, proof.clone(), self.client_ip, Arc::clone(&self.site))))
            }
            Err(_never) => Err(other_identity()),
        }
    }

    /// Refuses an anonymous request, for a service that lets some of them through: a 401 with the layer's
    /// challenges. Reports it, so call it once for each refusal.
    pub fn missing_credential(&self) -> Rejection {
        self.site.report(EventKind::AuthMissing, |event| {
            event.with_reason(Reason::Absent).with_known(None, None, self.client_ip)
        });
        self.site.refuse(RejectionKind::MissingCredential, Reason::Absent, None)
    }

    /// As [`Auth::watch`]; `None` for an anonymous request.
    pub fn watch(&self) -> Option<BoxFuture<Ended>> {
        self.proof().map(|proof| self.site.watches[proof.verified_by](&proof.evidence))
    }

    /// Reports that the request was let through.
    pub(crate) fn report_success(&self) {
        if let Some(proof) = self.proof() {
            self.site
                .report(EventKind::AuthSuccess, |event| proof.describe(event, self.client_ip, &self.site));
        }
    }

    fn proof(&self) -> Option<&Proof> {
        self.principal.as_ref().map(|principal| &principal.proof)
    }
}

/// Shows whether somebody is there and the evidence, not who it is.
impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").field("evidence", &self.evidence()).finish_non_exhaustive()
    }
}
