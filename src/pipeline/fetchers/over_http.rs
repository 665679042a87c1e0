//! A step that asks over HTTP: one request, and a way to read the token from the answer.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use serde::Serialize;
use serde_json::Value;

use super::{
    answer,
    request::{More, StepRequest},
};
use crate::{
    clock::Timestamp,
    pipeline::{
        blame,
        fetch::{Fetch, TokenFetcher},
        life::{self, Lifetime},
        token::AccessToken,
    },
    provider::TokenError,
    secret::Secret,
    text::is_visible,
};

/// How one kind of endpoint wants to be asked, and where the token is in its answer.
pub trait Manner: sealed::Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// What the form holds beside the step's own fields: for a refresh token, or without one. `None` if it cannot
    /// be asked so.
    #[doc(hidden)]
    fn fields(&self, refresh: Option<&Secret>) -> Option<Vec<(&'static str, Secret)>> {
        refresh.is_none().then(Vec::new)
    }

    /// Who asks, where that goes into the `Authorization` header.
    #[doc(hidden)]
    fn authorization(&self) -> Option<HeaderValue> {
        None
    }

    /// Reads the token; its lifetime is the endpoint's word.
    #[doc(hidden)]
    fn read(&self, response: &Response<Bytes>, now: Timestamp) -> Result<AccessToken, TokenError>;

    /// Before a fetch from the start. An error is the answer to it, and nothing is sent.
    #[doc(hidden)]
    fn begins(&self) -> Result<(), TokenError> {
        Ok(())
    }

    /// Sees each token that has come.
    #[doc(hidden)]
    fn received(&self, _token: &AccessToken) {}

    /// Sees each refresh token that was refused.
    #[doc(hidden)]
    fn refused(&self, _refresh: &Secret, _error: &TokenError) {}

    /// Whether its request works only once.
    #[doc(hidden)]
    fn must_finish(&self) -> bool {
        false
    }
}

pub(in crate::pipeline) mod sealed {
    /// Only the manners of this crate.
    pub trait Sealed {}
}

/// Fetches a token over HTTP: as [`BodyTokenFetcher`](super::BodyTokenFetcher) from the body of the answer, as
/// [`HeaderTokenFetcher`](super::HeaderTokenFetcher) from a header, as
/// [`ClientCredentials`](super::ClientCredentials) and its siblings by a grant of OAuth 2.0.
///
/// Only 2xx answers are read; redirects are refused. Requests say `Accept: application/json` unless that header is
/// set; of one header, and of `json` and `form`, the last one counts. A `GET` has no body: what would go into one
/// is refused when the pipeline is built, because in a URL secrets end up in the logs of everybody on the way.
///
/// Each part of a request can be fixed (`header`), an earlier step's token (`header_from`), or computed for each
/// fetch (`header_with`).
///
/// ```
/// use portcullis::{BodyTokenFetcher, pipeline::Fetch};
///
/// let app = BodyTokenFetcher::post("app", "https://auth.example.com/v1/app/token")
///     .form([("client_id", "my-app"), ("client_secret", "s3cret")]);
/// let user = BodyTokenFetcher::post("user", "https://auth.example.com/v1/user/token")
///     .json(serde_json::json!({ "user": "ada", "device_validated": true }))
///     .header_from("x-app-token", "app")
///     .body_with("requested_at", |fetch: &Fetch| Ok(fetch.now().as_millis()))
///     .token_at("/data/token")
///     .expiry_date_at("/data/expires_at");
/// ```
#[derive(Clone)]
#[must_use]
pub struct HttpTokenFetcher<M> {
    request: StepRequest,
    ttl: Option<Duration>,
    rule: Lifetime,
    token_type: Option<String>,
    pub(super) manner: M,
}

impl<M> HttpTokenFetcher<M> {
    pub(super) fn make(name: String, method: Method, url: &str, manner: M) -> Self {
        Self {
            request: StepRequest::new(name, method, url),
            ttl: None,
            rule: Lifetime::default(),
            token_type: None,
            manner,
        }
    }

    /// Asks with another method.
    pub fn method(mut self, method: Method) -> Self {
        self.request.method = method;
        self
    }

    /// Sends a JSON object.
    pub fn json(mut self, body: impl Serialize) -> Self {
        self.request.json(body);
        self
    }

    /// Sends a form. Its values are treated as secrets.
    pub fn form<N: Into<String>, V: Into<Secret>>(
        mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.request.form(fields.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Adds one field to the form: in a grant `audience`, `resource`, or whatever else the server knows.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.request.field(name.into(), value.into());
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

    /// Sends a header whose value is computed anew for each fetch: a time stamp, a signature. It is treated as a
    /// secret.
    pub fn header_with<V: Into<Secret>>(
        mut self,
        name: impl AsRef<str>,
        value: impl Fn(&Fetch) -> Result<V, TokenError> + Send + Sync + 'static,
    ) -> Self {
        self.request.header_with(name.as_ref(), Arc::new(move |fetch| value(fetch).map(Into::into)));
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

    /// Sends a member of the body that is computed anew for each fetch. In a form it must be a text, a number or a
    /// boolean.
    pub fn body_with<V: Into<Value>>(
        mut self,
        member: impl Into<String>,
        value: impl Fn(&Fetch) -> Result<V, TokenError> + Send + Sync + 'static,
    ) -> Self {
        self.request.body_with(member.into(), Arc::new(move |fetch| value(fetch).map(Into::into)));
        self
    }

    /// Has the last word on each request, for what depends on the whole of it: a signature over the body. All
    /// header values but `Accept` and `Content-Type` are treated as secrets then.
    ///
    /// Of several, each sees what those before it have done.
    pub fn request_with(
        mut self,
        finish: impl Fn(&Fetch, &mut Request<Bytes>) -> Result<(), TokenError> + Send + Sync + 'static,
    ) -> Self {
        self.request.finish_with(Arc::new(finish));
        self
    }

    /// Waits for an earlier step without sending its token. The computed parts can read it from [`Fetch::token`].
    pub fn depends_on(mut self, step: impl AsRef<str>) -> Self {
        self.request.needs(step.as_ref());
        self
    }

    /// The token's type if the answer names none. Without it, a token goes out as `Bearer`.
    pub fn token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// The longest life of the token. Without it, and if neither the answer nor the token itself, being a JWT, has
    /// a life, a token is used for five minutes.
    ///
    /// What a JWT says is not verified: it only bounds how long the token is kept.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whose word counts for the life of the token. Default [`Lifetime::Shorter`].
    pub fn lifetime(mut self, rule: Lifetime) -> Self {
        self.rule = rule;
        self
    }
}

impl<M: Manner> HttpTokenFetcher<M> {
    async fn exchange(
        &self,
        fetch: &Fetch,
        fields: Vec<(&'static str, Secret)>,
    ) -> Result<AccessToken, TokenError> {
        let more = More { fields: &fields, authorization: self.manner.authorization() };
        let response = fetch.send(self.request.build(fetch, more)?).await?;
        let now = fetch.now();
        if !response.status().is_success() {
            return Err(answer::read_refusal(&response, now));
        }
        let mut token = self.manner.read(&response, now)?;
        if let (None, Some(token_type)) = (token.token_type(), &self.token_type) {
            token = token.with_type(token_type);
        }
        // An answer without a new one leaves the old one valid (RFC 6749 §6).
        if let (None, Some((_, sent))) = (token.refresh(), fields.iter().find(|(name, _)| *name == REFRESH)) {
            token = token.with_refresh(sent.clone());
        }
        self.manner.received(&token);
        let life = life::granted(&token, self.ttl, self.rule, now);
        Ok(token.with_lifetime(life))
    }
}

/// The parameter that carries a refresh token (RFC 6749 §6).
pub(super) const REFRESH: &str = "refresh_token";

#[async_trait]
impl<M: Manner> TokenFetcher for HttpTokenFetcher<M> {
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
        let own = self.manner.fields(None).unwrap_or_default();
        let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
        let mut faults = self.request.faults(&names, self.manner.authorization().is_some());
        faults.extend(self.manner.faults());
        if self.ttl.is_some_and(|ttl| ttl.is_zero()) {
            faults.push(("ttl", "must not be zero"));
        }
        if self.token_type.as_deref().is_some_and(|named| !is_visible(named)) {
            faults.push(("token_type", "must be visible ASCII"));
        }
        faults
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        self.manner.begins()?;
        self.exchange(fetch, self.manner.fields(None).unwrap_or_default()).await
    }

    fn must_finish(&self) -> bool {
        self.manner.must_finish()
    }

    async fn refresh(&self, fetch: &Fetch, refresh: &Secret) -> Result<Option<AccessToken>, TokenError> {
        match self.manner.fields(Some(refresh)) {
            Some(fields) => {
                let exchanged = self.exchange(fetch, fields).await;
                if let Err(error) = &exchanged
                    && blame::is_final(error)
                {
                    self.manner.refused(refresh, error);
                }
                exchanged.map(Some)
            }
            None => Ok(None),
        }
    }
}

impl<M> fmt::Debug for HttpTokenFetcher<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTokenFetcher").field("name", &self.request.name).finish_non_exhaustive()
    }
}
