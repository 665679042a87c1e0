//! The answer to a caller without a right: every guard makes it here, so that each denial is reported once.

use std::{borrow::Cow, error::Error, fmt};

use crate::{identity::Auth, problem::Rejection};

/// A known caller does not have a right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Denied {
    scope: Option<Cow<'static, str>>,
}

impl Denied {
    /// No scope would help.
    pub const fn new() -> Self {
        Self { scope: None }
    }

    /// A credential with these scope words (RFC 6749 §3.3) would have the right. Anything else than scope words
    /// is left out of the challenge.
    pub fn needs(scope: impl Into<Cow<'static, str>>) -> Self {
        Self { scope: Some(scope.into()) }
    }

    pub(super) const fn for_scope(scope: Option<&'static str>) -> Self {
        match scope {
            Some(scope) => Self { scope: Some(Cow::Borrowed(scope)) },
            None => Self::new(),
        }
    }

    /// The scope words that are missing, if it is these that are.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The answer: 403 `insufficient_scope` on the scheme that the caller presented. Call it where the answer is
    /// given: each one is reported as an `authz_fail` event.
    pub fn reject<I>(self, auth: &Auth<I>) -> Rejection {
        auth.insufficient_scope(None).with_scope(self.scope)
    }

    /// This, unless only the other one names a scope.
    pub(super) fn or(self, other: Self) -> Self {
        if self.scope.is_some() { self } else { other }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.scope {
            Some(scope) => write!(f, "the caller lacks a right, for which it needs the scope {scope:?}"),
            None => f.write_str("the caller lacks a right"),
        }
    }
}

impl Error for Denied {}
