//! Why a store did not answer.

use std::{error::Error, fmt, sync::Arc};

use crate::error::BoxError;

/// A store could not do what was asked. Nothing was changed, or, where a connection broke, it is unknown
/// whether it was.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// The kind of a [`StoreError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The engine did not answer, or answered with an error.
    Unavailable,
    /// The bound is reached and nothing can be purged. The living are never evicted.
    Full,
    /// The id is taken.
    Conflict,
    /// The subject has as many live logins as it may have.
    LimitReached,
}

impl StoreError {
    /// An error of this kind, without a cause.
    pub fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// [`StoreErrorKind::Unavailable`] with its cause.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, source: Some(source.into().into()) }
    }

    /// [`StoreErrorKind::Unavailable`] because this column of a record that was read cannot be: somebody else has
    /// written it. Of what is in it nothing is said.
    pub fn damaged(column: &'static str) -> Self {
        Self::unavailable(Damaged { column })
    }

    /// The kind.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

/// A column does not hold what was written.
#[derive(Debug)]
struct Damaged {
    column: &'static str,
}

/// Shows the kind, not the cause: its text is the engine's.
impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the store did not answer",
            StoreErrorKind::Full => "the store is full",
            StoreErrorKind::Conflict => "the id is taken",
            StoreErrorKind::LimitReached => "the subject has as many live logins as it may have",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the column `{}` of a stored record cannot be read", self.column)
    }
}

impl Error for Damaged {}
