//! A token that a function of the application gets.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;

use crate::{
    maybe_ready::BoxFuture,
    pipeline::{
        fetch::{Fetch, TokenFetcher},
        life::{self, Lifetime},
        token::AccessToken,
    },
    provider::TokenError,
};

type Call = dyn Fn(Fetch) -> BoxFuture<Result<AccessToken, TokenError>> + Send + Sync;

/// A step that asks a function. For a fetcher with a state of its own, implement [`TokenFetcher`].
///
/// ```
/// use portcullis::pipeline::{AccessToken, Fetch, TokenFn};
///
/// let vault = TokenFn::new("vault", |_fetch: Fetch| async {
///     let text = String::from("from-the-vault"); // ask somebody and wait
///     AccessToken::new(text)
/// });
/// let user = TokenFn::sync("user", |fetch| {
///     AccessToken::new(format!("{}-for-ada", fetch.token("vault")?.value().expose()))
/// })
/// .depends_on("vault");
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenFn {
    name: String,
    depends_on: Vec<String>,
    ttl: Option<Duration>,
    call: Arc<Call>,
}

impl TokenFn {
    /// A step that waits for what an asynchronous function brings.
    pub fn new<F, Fut>(name: impl Into<String>, call: F) -> Self
    where
        F: Fn(Fetch) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<AccessToken, TokenError>> + Send + 'static,
    {
        Self::make(name.into(), Arc::new(move |fetch| Box::pin(call(fetch))))
    }

    /// A step with a function that answers at once. It must not block.
    pub fn sync<F>(name: impl Into<String>, call: F) -> Self
    where
        F: Fn(&Fetch) -> Result<AccessToken, TokenError> + Send + Sync + 'static,
    {
        let call = Arc::new(call);
        Self::make(
            name.into(),
            Arc::new(move |fetch| {
                let call = Arc::clone(&call);
                Box::pin(async move { call(&fetch) })
            }),
        )
    }

    fn make(name: String, call: Arc<Call>) -> Self {
        Self { name, depends_on: Vec::new(), ttl: None, call }
    }

    /// Waits for an earlier step, whose token [`Fetch::token`] then has.
    pub fn depends_on(mut self, step: impl Into<String>) -> Self {
        self.depends_on.push(step.into());
        self
    }

    /// The longest life of the token. Without it, and if neither the function nor the token itself, being a JWT,
    /// has a life, a token is used for five minutes.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }
}

#[async_trait]
impl TokenFetcher for TokenFn {
    fn name(&self) -> &str {
        &self.name
    }

    fn depends_on(&self) -> &[String] {
        &self.depends_on
    }

    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        match self.ttl {
            Some(Duration::ZERO) => vec![("ttl", "must not be zero")],
            _ => Vec::new(),
        }
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        let token = (self.call)(fetch.clone()).await?;
        let life = life::granted(&token, self.ttl, Lifetime::Shorter, fetch.now());
        Ok(token.with_lifetime(life))
    }
}

impl fmt::Debug for TokenFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFn").field("name", &self.name).finish_non_exhaustive()
    }
}
