//! What a request through reqwest fails with.

use std::{error::Error, fmt};

use http::HeaderName;

use crate::error::{NotSent, causes};

/// reqwest has not answered, or the request was not given to it.
///
/// Neither its text nor its causes show the URL, whose query may hold a secret.
pub struct ReqwestError(Kind);

enum Kind {
    /// `None` if a cause of reqwest's error has a URL that cannot be taken off.
    Failed(Option<reqwest::Error>),
    HeaderMayLeave(HeaderName),
    RequestMayLeave,
}

impl ReqwestError {
    pub(super) fn failed(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let has_url = |cause: &(dyn Error + 'static)| {
            cause.downcast_ref::<reqwest::Error>().is_some_and(|error| error.url().is_some())
        };
        Self(Kind::Failed(if causes(&error).any(has_url) { None } else { Some(error) }))
    }

    pub(super) fn header_may_leave(header: &HeaderName) -> Self {
        Self(Kind::HeaderMayLeave(header.clone()))
    }

    pub(super) fn request_may_leave() -> Self {
        Self(Kind::RequestMayLeave)
    }

    /// The header for which the request was not sent: the client might have sent it on to another origin.
    pub fn header(&self) -> Option<&HeaderName> {
        match &self.0 {
            Kind::HeaderMayLeave(header) => Some(header),
            Kind::Failed(_) | Kind::RequestMayLeave => None,
        }
    }

    /// Whether it took too long.
    pub fn is_timeout(&self) -> bool {
        matches!(&self.0, Kind::Failed(Some(error)) if error.is_timeout())
    }

    /// Whether there was no connection.
    pub fn is_connect(&self) -> bool {
        matches!(&self.0, Kind::Failed(Some(error)) if error.is_connect())
    }
}

impl fmt::Debug for ReqwestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Failed(_) => f.write_str("Failed(..)"),
            Kind::HeaderMayLeave(header) => f.debug_tuple("HeaderMayLeave").field(header).finish(),
            Kind::RequestMayLeave => f.write_str("RequestMayLeave"),
        }
    }
}

impl fmt::Display for ReqwestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Failed(_) => f.write_str("reqwest has no answer"),
            Kind::HeaderMayLeave(header) => {
                write!(f, "not sent: a redirect could carry the header {header} to another origin")
            }
            Kind::RequestMayLeave => f.write_str("not sent: a redirect could carry it to another origin"),
        }
    }
}

impl Error for ReqwestError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Kind::Failed(error) => error.as_ref().map(|error| error as _),
            Kind::HeaderMayLeave(_) | Kind::RequestMayLeave => Some(&NotSent),
        }
    }
}
