//! The port between a layer and whatever knows credentials.
//!
//! 1. A verifier says from the text alone whether a credential is its own; exactly one verifies it.
//! 2. It answers with an identity, or with *invalid*, or with *could not check*; never with two of them mixed
//!    up.
//! 3. An absent credential never reaches it.

use std::{any::Any, error::Error, fmt, sync::Arc};

use http::{HeaderMap, Method, Uri};

use crate::{
    clock::Timestamp,
    credential::Credential,
    error::BoxError,
    identity::{Details, Evidence, Subject},
    maybe_ready::MaybeReady,
    problem::Reason,
};

/// Everything that a verifier may look at.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    credential: Credential<'a>,
    now: Timestamp,
    tenant: Option<&'a str>,
    request: Option<(&'a Method, &'a Uri, &'a HeaderMap)>,
}

/// A credential that was found valid.
pub struct Verified<I> {
    identity: Arc<I>,
    details: Details,
    evidence: Evidence,
}

/// Why there is no identity.
#[allow(clippy::exhaustive_enums)] // the three outcomes of the crate: valid, invalid, could not check
pub enum Refusal {
    /// The credential is not valid; answered with 401.
    Invalid(Reason),
    /// Whether it is valid could not be found out; answered with 503.
    Unavailable(BoxError),
}

/// What a verifier finds.
pub type Outcome<I> = Result<Verified<I>, Refusal>;

/// Knows one kind of credential.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot verify credentials",
    note = "`AuthLayer::new` takes a `TokenService` or your own `portcullis::verify::Verify`"
)]
pub trait Verify: Send + Sync + 'static {
    /// Whom a valid credential stands for.
    type Identity: Send + Sync + 'static;

    /// Whether this is the kind of credential to verify here, judged by the text alone and without I/O.
    fn recognises(&self, text: &str) -> bool;

    /// Verifies. What waits for I/O owns what it needs of the attempt.
    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<Self::Identity>>;
}

/// Finds the user behind a subject, on every request.
pub trait UserLookup: Send + Sync + 'static {
    /// The identity that handlers see.
    type User: Send + Sync + 'static;

    /// The user; `None` if there is none or it is not active. An error means "could not check" and becomes a
    /// 503.
    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Self::User>>, BoxError>>;
}

// ===== impl Attempt =====

impl<'a> Attempt<'a> {
    /// An attempt with nothing but a credential, at a moment.
    pub fn new(credential: Credential<'a>, now: Timestamp) -> Self {
        Self { credential, now, tenant: None, request: None }
    }

    /// Sets the tenant of the request.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &'a str) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Sets the head of the request.
    #[must_use]
    pub fn with_request(mut self, method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        self.request = Some((method, uri, headers));
        self
    }

    /// The credential.
    pub fn credential(&self) -> Credential<'a> {
        self.credential
    }

    /// The moment at which it is judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The tenant that the request is for; `None` in a service without tenants.
    pub fn tenant(&self) -> Option<&'a str> {
        self.tenant
    }

    /// The request's method, if there is a request.
    pub fn method(&self) -> Option<&'a Method> {
        self.request.map(|(method, _, _)| method)
    }

    /// The request's URI, if there is a request.
    pub fn uri(&self) -> Option<&'a Uri> {
        self.request.map(|(_, uri, _)| uri)
    }

    /// The request's headers, if there is a request.
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        self.request.map(|(_, _, headers)| headers)
    }
}

/// Shows the place of the credential and the moment: URI and headers may hold secrets.
impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("credential", &self.credential)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

// ===== impl Verified =====

impl<I> Verified<I> {
    /// An identity with its evidence; `details` are for those who know their type, `Arc::new(())` if there are
    /// none.
    pub fn new(identity: Arc<I>, evidence: Evidence, details: Details) -> Self {
        Self { identity, details, evidence }
    }

    /// The identity.
    pub fn identity(&self) -> &Arc<I> {
        &self.identity
    }

    /// What proves it.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub fn details<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.details.downcast_ref()
    }

    pub(crate) fn into_parts(self) -> (Arc<I>, Details, Evidence) {
        (self.identity, self.details, self.evidence)
    }
}

// ===== impl Refusal =====

/// Shows the reason, not the cause: its text is somebody else's.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => f.debug_tuple("Invalid").field(reason).finish(),
            Self::Unavailable(_) => f.write_str("Unavailable(..)"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid(_) => "the credential is not valid",
            Self::Unavailable(_) => "the credential could not be checked",
        })
    }
}

impl Error for Refusal {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(_) => None,
            Self::Unavailable(source) => Some(&**source),
        }
    }
}

/// Shows the evidence, not who it is.
impl<I> fmt::Debug for Verified<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("evidence", &self.evidence).finish_non_exhaustive()
    }
}
