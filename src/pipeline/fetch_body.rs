//! A token that an endpoint gives in a JSON body.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response};

use super::{
    answer::{self, Fields, Lifetime},
    fetch_http::{HttpTokenFetcher, ReadToken, sealed},
    token::AccessToken,
};
use crate::provider::TokenError;

/// Posts a form or a JSON object and reads the token from the JSON object that comes back.
///
/// Without settings it reads the members of RFC 6749 §5.1: `access_token`, `token_type`, `expires_in`,
/// `refresh_token`, `scope`.
pub type BodyTokenFetcher = HttpTokenFetcher<FromBody>;

/// Reads a JSON object.
#[derive(Debug, Clone, Default)]
pub struct FromBody {
    fields: Fields,
    lifetime: Lifetime,
}

impl BodyTokenFetcher {
    /// A step that posts to this URL, which must be `https`.
    pub fn post(name: impl Into<String>, url: impl AsRef<str>) -> Self {
        Self::new(name.into(), Method::POST, url.as_ref(), FromBody::default())
    }

    /// Whose word counts for the life of the token. Default [`Lifetime::Shorter`].
    pub fn lifetime(mut self, rule: Lifetime) -> Self {
        self.reader.lifetime = rule;
        self
    }

    /// Where the answer holds the token: a member, or a JSON pointer (RFC 6901) if it starts with `/`. Default
    /// `access_token`.
    pub fn token_at(mut self, field: impl Into<String>) -> Self {
        self.reader.fields.token = field.into();
        self
    }

    /// Where it holds the type. Default `token_type`.
    pub fn type_at(mut self, field: impl Into<String>) -> Self {
        self.reader.fields.token_type = field.into();
        self
    }

    /// Where it holds the life in seconds. Default `expires_in`.
    pub fn expires_in_at(mut self, field: impl Into<String>) -> Self {
        self.reader.fields.expires_in = field.into();
        self
    }

    /// Where it holds a refresh token. Default `refresh_token`.
    pub fn refresh_at(mut self, field: impl Into<String>) -> Self {
        self.reader.fields.refresh = field.into();
        self
    }
}

impl sealed::Sealed for FromBody {}

impl ReadToken for FromBody {
    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    fn read(&self, response: &Response<Bytes>, ttl: Option<Duration>) -> Result<AccessToken, TokenError> {
        let token = answer::read_body(response, &self.fields)?;
        let life = answer::effective_life(token.lifetime(), ttl, self.lifetime);
        Ok(token.with_lifetime(life))
    }
}
