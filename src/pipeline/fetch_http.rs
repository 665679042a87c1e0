//! A step that asks over HTTP: one request, and a way to read the token from the answer.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Response};
use serde::Serialize;

use super::{
    fetch::{Fetch, TokenFetcher},
    step::StepRequest,
    token::AccessToken,
};
use crate::{
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

/// Where the token is in the answer.
pub trait ReadToken: sealed::Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    fn faults(&self) -> Vec<(&'static str, &'static str)>;
    /// Reads the token; its lifetime is how long it shall be used.
    #[doc(hidden)]
    fn read(&self, response: &Response<Bytes>, ttl: Option<Duration>) -> Result<AccessToken, TokenError>;
}

pub(super) mod sealed {
    /// Only the readers of this crate.
    pub trait Sealed {}
}

/// Fetches a token over HTTP: as [`BodyTokenFetcher`](super::BodyTokenFetcher) from the body of the answer, as
/// [`HeaderTokenFetcher`](super::HeaderTokenFetcher) from a header. Only 2xx answers are read; redirects are
/// refused. Requests say `Accept: application/json` unless that header is set; of one header, and of `json` and
/// `form`, the last one counts.
#[derive(Clone)]
#[must_use]
pub struct HttpTokenFetcher<R> {
    request: StepRequest,
    ttl: Option<Duration>,
    pub(super) reader: R,
}

impl<R> HttpTokenFetcher<R> {
    pub(super) fn new(name: String, method: Method, url: &str, reader: R) -> Self {
        Self { request: StepRequest::new(name, method, url), ttl: None, reader }
    }

    /// Sends a JSON object.
    pub fn json(mut self, body: impl Serialize) -> Self {
        self.request.json(body);
        self
    }

    /// Sends a form.
    pub fn form<N: Into<String>, V: Into<Secret>>(
        mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.request.form(fields.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Sends a header; its value is treated as a secret.
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<Secret>) -> Self {
        self.request.header(name.as_ref(), &value.into());
        self
    }

    /// Sends the token of an earlier step, as it is, in a header. The step depends on that one.
    pub fn header_from(mut self, name: impl AsRef<str>, step: impl Into<String>) -> Self {
        self.request.header_from(name.as_ref(), step.into(), None);
        self
    }

    /// Sends the token of an earlier step as `Authorization: Bearer`. The step depends on that one.
    pub fn bearer_from(mut self, step: impl Into<String>) -> Self {
        self.request.header_from("authorization", step.into(), Some("Bearer"));
        self
    }

    /// Sends the token of an earlier step as a member of the body. The step depends on that one.
    pub fn body_from(mut self, member: impl Into<String>, step: impl Into<String>) -> Self {
        self.request.body_from(member.into(), step.into());
        self
    }

    /// Waits for an earlier step without sending its token.
    pub fn depends_on(mut self, step: impl AsRef<str>) -> Self {
        self.request.needs(step.as_ref());
        self
    }

    /// The longest life of the token. Without it, and if the answer names none, a token is used for five
    /// minutes.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

#[async_trait]
impl<R: ReadToken> TokenFetcher for HttpTokenFetcher<R> {
    fn name(&self) -> &str {
        &self.request.name
    }

    fn depends_on(&self) -> &[String] {
        &self.request.depends_on
    }

    fn endpoint(&self) -> Option<&http::Uri> {
        self.request.uri()
    }

    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = self.request.faults();
        faults.extend(self.reader.faults());
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            faults.push(("ttl", "must not be zero"));
        }
        faults
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        let response = fetch.send(self.request.build(fetch)?).await?;
        if !response.status().is_success() {
            return Err(TokenError::new(TokenErrorKind::Refused).with_status(response.status()));
        }
        self.reader.read(&response, self.ttl)
    }
}

impl<R> fmt::Debug for HttpTokenFetcher<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTokenFetcher").field("name", &self.request.name).finish_non_exhaustive()
    }
}
