//! The caller, as handlers see it.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{Ended, Evidence, Proof, Site, Subject};
use crate::{
    event::EventKind,
    maybe_ready::BoxFuture,
    problem::{Reason, Rejection, RejectionKind},
    scope::Scope,
};

/// The caller: an identity, and the evidence for it.
///
/// As an axum extractor it answers 401 with the layer's challenges when the request is anonymous, and a loud
/// 500 when no layer with this identity type is in front. `Option<Auth<I>>` is `None` for an anonymous request
/// only.
pub struct Auth<I> {
    identity: Arc<I>,
    proof: Proof,
    client_ip: Option<IpAddr>,
    site: Arc<Site>,
}

impl<I> Auth<I> {
    pub(super) fn new(identity: Arc<I>, proof: Proof, client_ip: Option<IpAddr>, site: Arc<Site>) -> Self {
        Self { identity, proof, client_ip, site }
    }

    /// The identity.
    pub fn user(&self) -> &I {
        &self.identity
    }

    /// The identity, to keep.
    pub fn shared(&self) -> Arc<I> {
        Arc::clone(&self.identity)
    }

    /// Whom the credential stands for, if the verifier names a subject; opaque tokens always do.
    pub fn subject(&self) -> Option<&Subject> {
        self.proof.subject.as_deref()
    }

    /// What proves it.
    pub fn evidence(&self) -> &Evidence {
        &self.proof.evidence
    }

    /// Whether this request has extended the credential.
    pub fn renewed(&self) -> bool {
        self.proof.evidence.renewed()
    }

    /// What the credential may be used for; `None` if it is not limited to a scope.
    pub fn scope(&self) -> Option<&Scope> {
        self.proof.scope.as_deref()
    }

    /// The scheme of the presented credential, as configured; `Cookie` for a cookie.
    pub fn scheme(&self) -> &str {
        self.site.challenges.scheme(self.proof.presented)
    }

    /// The address from which the request came, if it is known; see the `client_ip` setting of the layer.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub fn details<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.proof.details.downcast_ref()
    }

    /// Refuses the caller, for a check of your own: a 403 `insufficient_scope` (RFC 6750 §3.1) on the presented
    /// scheme. Reports it, so call it once for each refusal.
    ///
    /// `scope` names what is missing and must be scope words (RFC 6749 §3.3); anything else is left out of the
    /// challenge.
    pub fn insufficient_scope(&self, scope: Option<&'static str>) -> Rejection {
        self.site.report(EventKind::AuthzFail, |event| {
            self.proof.describe(event, self.client_ip, &self.site).with_reason(Reason::NotPermitted)
        });
        self.site
            .refuse(RejectionKind::InsufficientScope, Reason::NotPermitted, Some(self.proof.presented))
            .with_scope(scope)
    }

    /// Waits until the credential has ended, for a stream or a socket that outlives its request:
    ///
    /// ```
    /// use portcullis::{Auth, identity::Subject};
    ///
    /// async fn stream(auth: Auth<Subject>, messages: impl Future<Output = ()>) {
    ///     tokio::select! {
    ///         () = messages => {}
    ///         _why = auth.watch() => {} // close the socket
    ///     }
    /// }
    /// ```
    ///
    /// For opaque tokens: at once where this process revokes the login, within 30 s where another one does or
    /// the user becomes inactive, and at the end of the access token, which a refresh or a renewal in between
    /// moves. While the store does not answer, only that end counts. It needs a tokio runtime with time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped; another call waits for the same end.
    pub fn watch(&self) -> BoxFuture<Ended> {
        self.site.watches[self.proof.verified_by](&self.proof.evidence)
    }
}

impl<I> Clone for Auth<I> {
    fn clone(&self) -> Self {
        Self {
            identity: Arc::clone(&self.identity),
            proof: self.proof.clone(),
            client_ip: self.client_ip,
            site: Arc::clone(&self.site),
        }
    }
}

/// Shows the evidence, not who it is.
impl<I> fmt::Debug for Auth<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("evidence", &self.proof.evidence).finish_non_exhaustive()
    }
}
