//! A refresh token as it was presented.

use std::fmt;

use crate::credential::Channel;

/// A presented refresh token and where it came from. All of it must be what the login was issued for.
#[derive(Clone, Copy)]
pub struct RefreshRequest<'a> {
    token: &'a str,
    channel: Channel,
    tenant: Option<&'a str>,
    client: Option<&'a str>,
    key_thumbprint: Option<&'a str>,
}

impl<'a> RefreshRequest<'a> {
    /// A token that came on this channel.
    pub fn new(token: &'a str, channel: Channel) -> Self {
        Self { token, channel, tenant: None, client: None, key_thumbprint: None }
    }

    /// The tenant of the request.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &'a str) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// The authenticated client that sent it.
    #[must_use]
    pub fn with_client(mut self, client: &'a str) -> Self {
        self.client = Some(client);
        self
    }

    /// The thumbprint (RFC 7638) of the key that the client proved to hold.
    #[must_use]
    pub fn with_key_thumbprint(mut self, thumbprint: &'a str) -> Self {
        self.key_thumbprint = Some(thumbprint);
        self
    }

    pub(super) fn token(&self) -> &'a str {
        self.token
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel
    }

    pub(super) fn tenant(&self) -> Option<&'a str> {
        self.tenant
    }

    pub(super) fn client(&self) -> Option<&'a str> {
        self.client
    }

    pub(super) fn key_thumbprint(&self) -> Option<&'a str> {
        self.key_thumbprint
    }
}

impl fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest").field("channel", &self.channel).finish_non_exhaustive()
    }
}
