//! A token that is known from the start.

use std::fmt;

use async_trait::async_trait;

use crate::{
    pipeline::{
        fetch::{Fetch, TokenFetcher},
        life::LIFETIME_MAX,
        token::AccessToken,
    },
    provider::TokenError,
    secret::Secret,
    text::is_visible,
};

/// A step whose token never changes: an API key, or a token that somebody made by hand. Nothing is fetched.
#[derive(Clone)]
#[must_use]
pub struct StaticToken {
    name: String,
    token: Secret,
    token_type: Option<String>,
}

impl StaticToken {
    /// A step with this token.
    pub fn new(name: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self { name: name.into(), token: token.into(), token_type: None }
    }

    /// The token's type. Without it, it goes out as `Bearer`.
    pub fn token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }
}

#[async_trait]
impl TokenFetcher for StaticToken {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_local(&self) -> bool {
        true
    }

    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if !is_visible(self.token.expose()) {
            faults.push(("token", "must be visible ASCII"));
        }
        if self.token_type.as_deref().is_some_and(|named| !is_visible(named)) {
            faults.push(("token_type", "must be visible ASCII"));
        }
        faults
    }

    async fn fetch(&self, _fetch: &Fetch) -> Result<AccessToken, TokenError> {
        let token = AccessToken::new(self.token.clone())?.with_lifetime(LIFETIME_MAX);
        Ok(match &self.token_type {
            Some(token_type) => token.with_type(token_type),
            None => token,
        })
    }
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticToken").field("name", &self.name).finish_non_exhaustive()
    }
}
