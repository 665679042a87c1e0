//! What a verifier finds.

use std::{any::Any, error::Error, fmt, sync::Arc};

use super::Renewal;
use crate::{
    error::BoxError,
    identity::{Details, Evidence, Subject},
    problem::Reason,
    scope::Scope,
};

/// A credential that was found valid.
pub struct Verified<I> {
    pub(crate) identity: Arc<I>,
    pub(crate) details: Details,
    pub(crate) evidence: Evidence,
    pub(crate) subject: Option<Arc<Subject>>,
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) renewal: Option<Renewal>,
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

// ===== impl Verified =====

impl<I> Verified<I> {
    /// An identity with its evidence; `details` are for those who know their type, `Arc::new(())` if there are
    /// none.
    pub fn new(identity: Arc<I>, evidence: Evidence, details: Details) -> Self {
        Self { identity, details, evidence, subject: None, scope: None, renewal: None }
    }

    /// Names the subject, for events and for whoever does not know the type of the identity.
    #[must_use]
    pub fn with_subject(mut self, subject: Arc<Subject>) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Limits the credential to a scope.
    #[must_use]
    pub fn with_scope(mut self, scope: Arc<Scope>) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Notes that the credential was extended.
    #[must_use]
    pub fn with_renewal(mut self, renewal: Renewal) -> Self {
        self.evidence = self.evidence.renewed_until(renewal.expires());
        self.renewal = Some(renewal);
        self
    }

    /// Another identity for the same credential.
    #[must_use]
    pub fn with_identity(mut self, identity: Arc<I>) -> Self {
        self.identity = identity;
        self
    }

    /// Other details for the same credential.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    /// The identity.
    pub fn identity(&self) -> &Arc<I> {
        &self.identity
    }

    /// What proves it.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Whom the credential stands for, if the verifier says so.
    pub fn subject(&self) -> Option<&Arc<Subject>> {
        self.subject.as_ref()
    }

    /// What the verifier knows beyond the identity, if it is a `T`.
    pub fn details<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.details.downcast_ref()
    }

    /// The extension of the credential, if this request caused one.
    pub fn renewal(&self) -> Option<&Renewal> {
        self.renewal.as_ref()
    }

    /// What the credential may be used for; `None` if it is not limited to a scope.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_deref()
    }
}

/// Shows the evidence, not who it is.
impl<I> fmt::Debug for Verified<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("evidence", &self.evidence).finish_non_exhaustive()
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
