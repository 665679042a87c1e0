//! Scheme, host and port: where a token may go, and whose page sent a request.

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// A web origin (RFC 6454 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// `None` unless the text is `http` or `https`, a host, perhaps a port, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // `Uri` drops a fragment in silence.
        let uri: Uri = Some(text).filter(|text| !text.contains('#'))?.parse().ok()?;
        let bare = uri.path() == "/" && uri.query().is_none() && !uri.authority()?.as_str().contains('@');
        if !bare {
            return None;
        }
        let (https, host, port) = parts(&uri)?;
        // `Uri` takes more, `*` among it: a wildcard would be a host that no request has.
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[:]".contains(&byte);
        if !host.bytes().all(name) {
            return None;
        }
        Some(Self { https, host: host.to_ascii_lowercase(), port })
    }

    /// The origin that a request to this URI goes to, if it names one.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        let (https, host, port) = parts(uri)?;
        Some(Self { https, host: host.to_ascii_lowercase(), port })
    }

    /// Whether the URI names an origin at all.
    pub(crate) fn is_named_by(uri: &Uri) -> bool {
        parts(uri).is_some()
    }

    /// Without an allocation. A URI without an authority has no origin and matches nothing.
    pub(crate) fn matches(&self, uri: &Uri) -> bool {
        self.is_written_as(uri)
            || parts(uri).is_some_and(|(https, host, port)| {
                https == self.https && port == self.port && host.eq_ignore_ascii_case(&self.host)
            })
    }

    /// The usual case, in two comparisons: lower case, and a default port that is left out.
    fn is_written_as(&self, uri: &Uri) -> bool {
        let (scheme, port) = if self.https { (&Scheme::HTTPS, 443) } else { (&Scheme::HTTP, 80) };
        let host = || uri.authority().is_some_and(|authority| authority.as_str() == self.host);
        self.port == port && uri.scheme() == Some(scheme) && host()
    }

    /// Whether a request for this authority is one for the origin: the same host, and the same port, where none
    /// means the default of the origin's own scheme.
    pub(crate) fn is_at(&self, authority: &Authority) -> bool {
        !authority.as_str().contains('@')
            && authority.host().eq_ignore_ascii_case(&self.host)
            && port_of(authority, self.https) == Some(self.port)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn is_safe(&self, http_on_loopback: bool) -> bool {
        self.https || (http_on_loopback && is_loopback(&self.host))
    }
}

/// Whether a secret may be sent to this address.
pub(crate) fn is_safe(uri: &Uri, http_on_loopback: bool) -> bool {
    parts(uri).is_some_and(|(https, host, _)| https || (http_on_loopback && is_loopback(host)))
}

fn parts(uri: &Uri) -> Option<(bool, &str, u16)> {
    let https = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host();
    let port = port_of(authority, https)?;
    (!host.is_empty()).then_some((https, host, port))
}

/// A port that is there but is no number is not the default one.
fn port_of(authority: &Authority, https: bool) -> Option<u16> {
    let host_and_port = authority.as_str().rsplit('@').next()?;
    match host_and_port.strip_prefix(authority.host())? {
        "" if https => Some(443),
        "" => Some(80),
        port => {
            port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
        }
    }
}

/// Literal addresses, and `localhost`, which resolvers keep on this machine (RFC 6761 §6.3).
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests;
