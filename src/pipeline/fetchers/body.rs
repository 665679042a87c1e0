//! A token that an endpoint gives in a JSON body.

use bytes::Bytes;
use http::{Method, Response};

use super::{
    answer::{self, Fields},
    over_http::{HttpTokenFetcher, Manner, sealed},
};
use crate::{clock::Timestamp, pipeline::token::AccessToken, provider::TokenError};

/// Posts a form or a JSON object and reads the token from the JSON object that comes back.
///
/// Without settings it reads the members of RFC 6749 §5.1 (`access_token`, `token_type`, `expires_in`,
/// `refresh_token`, `scope`) and `refresh_in`. Whatever else the answer holds is in [`AccessToken::extra`].
pub type BodyTokenFetcher = HttpTokenFetcher<FromBody>;

/// Reads a JSON object.
#[derive(Debug, Clone, Default)]
pub struct FromBody {
    fields: Fields,
}

impl BodyTokenFetcher {
    /// A step that posts to this URL, which must be `https`.
    pub fn post(name: impl Into<String>, url: impl AsRef<str>) -> Self {
        Self::make(name.into(), Method::POST, url.as_ref(), FromBody::default())
    }

    /// A step that gets this URL.
    pub fn get(name: impl Into<String>, url: impl AsRef<str>) -> Self {
        Self::make(name.into(), Method::GET, url.as_ref(), FromBody::default())
    }

    /// Where the answer holds the token: a member, or a JSON pointer (RFC 6901) if it starts with `/`. Default
    /// `access_token`.
    pub fn token_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.token = field.into();
        self
    }

    /// Where it holds the type. Default `token_type`.
    pub fn type_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.token_type = field.into();
        self
    }

    /// Where it holds the life in seconds: a number, or a text of one. Default `expires_in`.
    pub fn expires_in_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.expires_in = field.into();
        self
    }

    /// Where it holds the end of the life as a moment: seconds or milliseconds of Unix time, or a date of RFC 3339.
    /// By default none is looked for. It is compared with the clock of this machine, which `expires_in` does not
    /// need; if the answer has both, the shorter counts.
    pub fn expiry_date_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.expiry_date = Some(field.into());
        self
    }

    /// Where it holds a refresh token. Default `refresh_token`.
    pub fn refresh_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.refresh = field.into();
        self
    }

    /// Where it says after how many seconds to ask again. Default `refresh_in`; an unusable one is ignored.
    pub fn refresh_in_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.refresh_in = field.into();
        self
    }

    /// Where it holds the granted scope: a text, or a list of texts. Default `scope`.
    pub fn scope_at(mut self, field: impl Into<String>) -> Self {
        self.manner.fields.scope = field.into();
        self
    }
}

impl sealed::Sealed for FromBody {}

impl Manner for FromBody {
    fn read(&self, response: &Response<Bytes>, now: Timestamp) -> Result<AccessToken, TokenError> {
        answer::read_body(response, &self.fields, now)
    }
}
