//! A refresh token as it was presented.

use std::{fmt, net::IpAddr};

use crate::credential::Channel;

/// A presented refresh token and where it came from. Channel, tenant, client and key must be what the login was issued
/// for; address and user agent are for events.
#[derive(Clone, Copy)]
pub struct RefreshRequest<'a> {
    token: &'a str,
    channel: Channel,
    tenant: Option<&'a str>,
    client: Option<&'a str>,
    key_thumbprint: Option<&'a str>,
    client_ip: Option<IpAddr>,
    user_agent: Option<&'a str>,
}

impl<'a> RefreshRequest<'a> {
    /// A token that came on this channel.
    pub fn new(token: &'a str, channel: Channel) -> Self {
        Self {
            token,
            channel,
            tenant: None,
            client: None,
            key_thumbprint: None,
            client_ip: None,
            user_agent: None,
        }
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

    /// The address that it came from. Events name it, and say of a repeat whether it is from the network that the
    /// login's context has under `ip_address`, where the ready login service notes it. It decides nothing.
    #[must_use]
    pub fn with_client_ip(mut self, client_ip: IpAddr) -> Self {
        self.client_ip = Some(client_ip);
        self
    }

    /// What the client calls itself. Events say of a repeat whether that is what the login's context has under
    /// `user_agent`. It decides nothing.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: &'a str) -> Self {
        self.user_agent = Some(user_agent);
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

    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    pub(super) fn user_agent(&self) -> Option<&'a str> {
        self.user_agent
    }
}

impl fmt::Debug for RefreshRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshRequest").field("channel", &self.channel).finish_non_exhaustive()
    }
}
