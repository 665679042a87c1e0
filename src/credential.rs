//! What a request presents: a text, and where it was found.

mod header;

use std::fmt;

pub(crate) use header::{FromHeader, MAX_LENGTH, from_header, is_token68};

/// The way a credential travels. A token issued for one is refused on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Channel {
    /// The `Authorization` header.
    Header,
    /// A cookie.
    Cookie,
}

/// A presented credential, still unverified.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    text: &'a str,
    channel: Channel,
    scheme: Option<&'a str>,
}

// ===== impl Channel =====

impl Channel {
    /// The channel of this [name](Self::as_str), for a store that reads one back.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Header, Self::Cookie].into_iter().find(|channel| channel.as_str() == name)
    }

    /// The name under which the channel is stored and hashed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }
}

// ===== impl Credential =====

impl<'a> Credential<'a> {
    /// A credential from a header, with the scheme that preceded it.
    pub fn header(text: &'a str, scheme: &'a str) -> Self {
        Self { text, channel: Channel::Header, scheme: Some(scheme) }
    }

    /// A credential from a cookie.
    pub fn cookie(text: &'a str) -> Self {
        Self { text, channel: Channel::Cookie, scheme: None }
    }

    /// The text itself: a secret.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where it was found.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The authentication scheme as configured, for a header.
    pub fn scheme(&self) -> Option<&'a str> {
        self.scheme
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("channel", &self.channel)
            .field("scheme", &self.scheme)
            .finish_non_exhaustive()
    }
}
