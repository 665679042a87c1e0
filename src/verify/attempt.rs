//! What is to be verified, and where it was found.

use std::{fmt, net::IpAddr};

use http::{HeaderMap, Method, Uri};

use crate::{clock::Timestamp, credential::Credential};

/// Everything that a verifier may look at.
#[derive(Clone, Copy)]
pub struct Attempt<'a> {
    credential: Credential<'a>,
    now: Timestamp,
    tenant: Option<&'a str>,
    request: Option<(&'a Method, &'a Uri, &'a HeaderMap)>,
    client_ip: Option<IpAddr>,
    renew_inline: bool,
}

impl<'a> Attempt<'a> {
    /// An attempt with nothing but a credential, at a moment.
    pub fn new(credential: Credential<'a>, now: Timestamp) -> Self {
        Self { credential, now, tenant: None, request: None, client_ip: None, renew_inline: false }
    }

    /// Sets the tenant of the request.
    #[must_use]
    pub fn with_tenant(mut self, tenant: &'a str) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Sets the head of the request.
    #[must_use]
    pub fn with_request(mut self, method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        self.request = Some((method, uri, headers));
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn with_client_ip(mut self, address: IpAddr) -> Self {
        self.client_ip = Some(address);
        self
    }

    /// Asks for renewals to be written before the answer: somebody will act on them.
    #[must_use]
    pub fn renewing_inline(mut self) -> Self {
        self.renew_inline = true;
        self
    }

    /// The credential.
    pub fn credential(&self) -> Credential<'a> {
        self.credential
    }

    /// The moment at which it is judged.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The tenant that the request is for; `None` in a service without tenants.
    pub fn tenant(&self) -> Option<&'a str> {
        self.tenant
    }

    /// The client's address, if the layer knows it.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Whether a renewal has to be written before the answer.
    pub fn renews_inline(&self) -> bool {
        self.renew_inline
    }

    /// The request's method, if there is a request.
    pub fn method(&self) -> Option<&'a Method> {
        self.request.map(|(method, _, _)| method)
    }

    /// The request's URI, if there is a request.
    pub fn uri(&self) -> Option<&'a Uri> {
        self.request.map(|(_, uri, _)| uri)
    }

    /// The request's headers, if there is a request.
    pub fn headers(&self) -> Option<&'a HeaderMap> {
        self.request.map(|(_, _, headers)| headers)
    }
}

/// Shows the place of the credential and the moment: URI and headers may hold secrets.
impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("credential", &self.credential)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}
