//! What a request fails with.

use std::{error::Error, fmt};

use crate::{
    error::{BoxError, NotSent},
    provider::TokenError,
};

/// A request was not answered. Where it was not sent either, a [`TokenError`] or [`NotSent`] is the source.
#[non_exhaustive]
pub enum InjectError {
    /// There is no token, so the request was not sent.
    Token(TokenError),
    /// The request [requires](super::InjectOptions::require) a token, and no rule gives it one. It was not sent.
    NoRule,
    /// The token was not there within the [limit](super::TokenInjectLayerBuilder::wait_limit), so the request was not
    /// sent. The fetch goes on.
    TookTooLong,
    /// The service below failed.
    Inner(BoxError),
}

impl InjectError {
    pub(super) fn inner(error: impl Into<BoxError>) -> Self {
        Self::Inner(error.into())
    }
}

/// Shows no cause below ours: its text is somebody else's.
impl fmt::Debug for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => f.debug_tuple("Token").field(error).finish(),
            Self::NoRule => f.write_str("NoRule"),
            Self::TookTooLong => f.write_str("TookTooLong"),
            Self::Inner(_) => f.write_str("Inner(..)"),
        }
    }
}

impl fmt::Display for InjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token(_) => "no token for the request",
            Self::NoRule => "no rule gives the request a token",
            Self::TookTooLong => "no token for the request in time",
            Self::Inner(_) => "the request failed",
        })
    }
}

impl Error for InjectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Token(error) => Some(error),
            Self::NoRule | Self::TookTooLong => Some(&NotSent),
            Self::Inner(error) => Some(&**error),
        }
    }
}
