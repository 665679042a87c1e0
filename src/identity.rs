//! Who is calling, and what proves it.
//!
//! A layer leaves exactly one thing in the request's extensions, an [`AuthContext`]. It has no type parameter,
//! so that a guard, a logger and a handler read the same one; [`Auth<I>`] is the typed view of it.

use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};

use crate::{
    clock::Timestamp,
    credential::Channel,
    problem::{Challenges, Reason, Rejection, RejectionKind},
    scope::Scope,
    text::TokenId,
};

/// Who vouches for a subject's id. The same id of two issuers is two subjects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Issuer {
    /// This service.
    Local,
    /// Another one, by its issuer identifier.
    Url(Arc<str>),
    /// Nobody: the subject stands for a browser whose user is not known.
    Nobody,
}

/// A user or a client: an id and who vouches for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    issuer: Issuer,
    id: Arc<str>,
}

/// What is known of a verified credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    channel: Channel,
    record: Option<TokenId>,
    issued: Timestamp,
    expires: Timestamp,
    renewed: bool,
}

/// Why a credential that was valid is no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It has reached its end.
    Expired,
    /// It was revoked, or replaced by another one.
    Revoked,
}

/// Details that only the verifier knows the type of: a login record, the claims of a JWT.
pub type Details = Arc<dyn Any + Send + Sync>;

/// What a layer found out about a request; read it through [`Auth<I>`].
#[derive(Clone)]
pub struct AuthContext {
    principal: Option<Principal>,
    identity_type: TypeId,
    challenges: Arc<Challenges>,
}

#[derive(Clone)]
struct Principal {
    identity: Arc<dyn Any + Send + Sync>,
    details: Details,
    evidence: Evidence,
    scope: Option<Arc<Scope>>,
    presented: u8,
}

/// The caller: an identity, and the evidence for it.
///
/// As an axum extractor it answers 401 with the layer's challenges when the request is anonymous, and a loud
/// 500 when no layer with this identity type is in front. `Option<Auth<I>>` is `None` for an anonymous request
/// only.
pub struct Auth<I> {
    identity: Arc<I>,
    details: Details,
    evidence: Evidence,
    scope: Option<Arc<Scope>>,
    challenges: Arc<Challenges>,
    presented: u8,
}

// ===== impl Subject =====

impl Subject {
    /// A subject of this service.
    pub fn local(id: impl Into<Arc<str>>) -> Self {
        Self { issuer: Issuer::Local, id: id.into() }
    }

    /// A subject of another issuer.
    pub fn of(issuer: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self { issuer: Issuer::Url(issuer.into()), id: id.into() }
    }

    /// A browser whose user is not known, by an id of its own. Such a subject is never an identity: its login
    /// keeps data and authenticates nobody.
    pub fn anonymous(id: impl Into<Arc<str>>) -> Self {
        Self { issuer: Issuer::Nobody, id: id.into() }
    }

    /// Whether this stands for a browser whose user is not known.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.issuer, Issuer::Nobody)
    }

    /// Who vouches for the id.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The id, unique for its issuer.
    pub fn id(&self) -> &str {
        &self.id
    }
}

// ===== impl Evidence =====

impl Evidence {
    /// Evidence for a credential that travelled on `channel` and holds from `issued` until `expires`.
    pub fn new(channel: Channel, issued: Timestamp, expires: Timestamp) -> Self {
        Self { channel, record: None, issued, expires, renewed: false }
    }

    /// Names the login.
    #[must_use]
    pub fn with_record(mut self, record: TokenId) -> Self {
        self.record = Some(record);
        self
    }

    /// Moves the end: the request that this is evidence for has extended the credential.
    #[must_use]
    pub fn renewed_until(mut self, expires: Timestamp) -> Self {
        self.expires = expires;
        self.renewed = true;
        self
    }

    /// The way the credential travelled.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The login, for opaque tokens.
    pub fn record(&self) -> Option<TokenId> {
        self.record
    }

    /// When the login happened; for a credential without a login, when it was issued.
    pub fn issued(&self) -> Timestamp {
        self.issued
    }

    /// When the credential ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Whether this request has extended the credential.
    pub fn renewed(&self) -> bool {
        self.renewed
    }
}

// ===== impl AuthContext =====

impl AuthContext {
    pub(crate) fn anonymous<I: 'static>(challenges: Arc<Challenges>) -> Self {
        Self { principal: None, identity_type: TypeId::of::<I>(), challenges }
    }

    pub(crate) fn known<I: Send + Sync + 'static>(
        identity: Arc<I>,
        details: Details,
        evidence: Evidence,
        scope: Option<Arc<Scope>>,
        challenges: Arc<Challenges>,
        presented: u8,
    ) -> Self {
        let principal = Principal { identity, details, evidence, scope, presented };
        Self { principal: Some(principal), identity_type: TypeId::of::<I>(), challenges }
    }

    /// Whether nobody was identified.
    pub fn is_anonymous(&self) -> bool {
        self.principal.is_none()
    }

    /// The evidence, unless the request is anonymous.
    pub fn evidence(&self) -> Option<&Evidence> {
        self.principal.as_ref().map(|principal| &principal.evidence)
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub(crate) fn details<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.principal.as_ref()?.details).downcast().ok()
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
        let Some(principal) = &self.principal else {
            return Ok(None);
        };
        match Arc::clone(&principal.identity).downcast::<I>() {
            Ok(identity) => Ok(Some(Auth {
                identity,
                details: Arc::clone(&principal.details),
                evidence: principal.evidence,
                scope: principal.scope.clone(),
                challenges: Arc::clone(&self.challenges),
                presented: principal.presented,
            })),
            Err(_never) => Err(other_identity()),
        }
    }

    /// The refusal of an anonymous request, with the layer's challenges, for a service that lets some of them
    /// through.
    pub fn missing_credential(&self) -> Rejection {
        Rejection::new(RejectionKind::MissingCredential, Reason::Absent)
            .challenged(Arc::clone(&self.challenges), None)
    }
}

/// Shows whether somebody is there and the evidence, not who it is.
impl fmt::Debug for AuthContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthContext").field("evidence", &self.evidence()).finish_non_exhaustive()
    }
}

// ===== impl Auth =====

impl<I> Auth<I> {
    /// The identity.
    pub fn user(&self) -> &I {
        &self.identity
    }

    /// The identity, to keep.
    pub fn shared(&self) -> Arc<I> {
        Arc::clone(&self.identity)
    }

    /// What proves it.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What the credential may be used for; `None` if it is not limited to a scope.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_deref()
    }

    /// The scheme of the presented credential, as configured; `Cookie` for a cookie.
    pub fn scheme(&self) -> &str {
        self.challenges.scheme(self.presented)
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub fn details<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.details.downcast_ref()
    }

    /// A 403 `insufficient_scope` (RFC 6750 §3.1) on the presented scheme, for a check of your own. `scope`
    /// names what is missing and must be scope words (RFC 6749 §3.3); anything else is left out of the
    /// challenge.
    pub fn insufficient_scope(&self, scope: Option<&'static str>) -> Rejection {
        Rejection::new(RejectionKind::InsufficientScope, Reason::NotPermitted)
            .challenged(Arc::clone(&self.challenges), Some(self.presented))
            .scope(scope)
    }
}

impl<I> Clone for Auth<I> {
    fn clone(&self) -> Self {
        Self {
            identity: Arc::clone(&self.identity),
            details: Arc::clone(&self.details),
            evidence: self.evidence,
            scope: self.scope.clone(),
            challenges: Arc::clone(&self.challenges),
            presented: self.presented,
        }
    }
}

/// Shows the evidence, not who it is.
impl<I> fmt::Debug for Auth<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("evidence", &self.evidence).finish_non_exhaustive()
    }
}
