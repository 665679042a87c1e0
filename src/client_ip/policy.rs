//! Whose word counts.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Extensions, HeaderMap, HeaderName, header};

use super::{
    forwarded::{address, entries_from_the_right, for_parameter},
    network::Network,
};
use crate::{error::Faults, settings::Description};

/// The address of the connection's other end, put into a request's extensions by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// The header in which trusted proxies name who asked them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, each appended by the proxy that was asked from there.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239), its `for` parameters.
    Forwarded,
}

/// How a request's client address is found. See the [module docs](super).
#[derive(Clone)]
#[must_use]
pub struct ClientIpPolicy {
    trusted: Vec<Trusted>,
    header: ForwardedHeader,
    peer: Option<Arc<ReadPeer>>,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

type ReadPeer = dyn Fn(&Extensions) -> Option<IpAddr> + Send + Sync;

/// A network as it was written, and as it was read.
#[derive(Clone)]
struct Trusted {
    text: String,
    network: Result<Network, &'static str>,
}

// ===== impl ClientIpPolicy =====

impl ClientIpPolicy {
    /// The peer's address and nothing else. The default.
    pub fn peer() -> Self {
        Self {
            trusted: Vec::new(),
            header: ForwardedHeader::default(),
            peer: None,
            faults: Faults::default(),
        }
    }

    /// Believes proxies of this network, as `10.0.0.0/8`, `fd00::/8` or a single address, when they say who asked
    /// them. Name only proxies that write the header themselves.
    pub fn trust(mut self, cidr: impl Into<String>) -> Self {
        let text = cidr.into();
        let network = Network::parse(&text);
        self.trusted.push(Trusted { text, network });
        self
    }

    /// The header that the trusted proxies write; the other one is never read. Default
    /// [`ForwardedHeader::XForwardedFor`].
    pub fn header(mut self, header: ForwardedHeader) -> Self {
        self.header = header;
        self
    }

    /// Reads the peer's address from an extension of the host, such as axum's `ConnectInfo<SocketAddr>`. By default
    /// the extension [`PeerAddr`] is read.
    pub fn peer_from(mut self, read: impl Fn(&Extensions) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.peer = Some(Arc::new(read));
        self
    }

    /// The settings in force. How the peer is found has no line: that is the application's code.
    pub fn describe(&self) -> Description {
        let trusted: Vec<&str> = self.trusted.iter().map(|trusted| trusted.text.as_str()).collect();
        Description::new(vec![("trust", trusted.join(",")), ("header", self.header.as_str().to_owned())])
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`describe`](Self::describe), and `trust` is a list that takes the place of the networks before. Faults are
    /// reported by the `build` of whatever takes the policy.
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: crate::settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = crate::settings::Reader::new(settings, &mut faults);
        if let Some(networks) = read.list("trust") {
            self.trusted.clear();
            self = networks.into_iter().fold(self, Self::trust);
        }
        let headers = ForwardedHeader::ALL.map(|header| (header.as_str(), header));
        if let Some(header) = read.choice("header", &headers, "must be x-forwarded-for or forwarded") {
            self.header = header;
        }
        read.finish();
        self.faults = faults;
        self
    }

    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.extend(&self.faults);
        for trusted in &self.trusted {
            if let Err(rule) = trusted.network {
                faults.add("trust", &trusted.text, rule);
            }
        }
    }

    /// The client's address in canonical form, or the nearest hop to it that is known for sure. `None` where the
    /// host does not tell the peer: then no header is read either, because nobody knows who wrote it.
    pub(crate) fn client_ip(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let peer = match &self.peer {
            Some(read) => read(extensions),
            None => extensions.get::<PeerAddr>().map(|peer| peer.0.ip()),
        };
        let mut hop = peer?.to_canonical();
        if !self.trusts(hop) {
            return Some(hop);
        }
        let lines = headers.get_all(self.header.name()).iter().rev();
        for entry in lines.flat_map(|line| entries_from_the_right(line.as_bytes())) {
            // An empty entry ends the walk as well: a proxy that knows no address must not make the client's own
            // text the last one.
            let Some(before) = self.header.read(entry) else { break };
            hop = before.to_canonical();
            if !self.trusts(hop) {
                break;
            }
        }
        Some(hop)
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted.iter().any(|trusted| trusted.network.is_ok_and(|network| network.contains(ip)))
    }
}

impl Default for ClientIpPolicy {
    fn default() -> Self {
        Self::peer()
    }
}

impl fmt::Debug for ClientIpPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trusted: Vec<&str> = self.trusted.iter().map(|trusted| trusted.text.as_str()).collect();
        f.debug_struct("ClientIpPolicy")
            .field("trusted", &trusted)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

// ===== impl ForwardedHeader =====

impl ForwardedHeader {
    #[cfg(feature = "config")]
    const ALL: [Self; 2] = [Self::XForwardedFor, Self::Forwarded];

    /// The name under which it is configured: the header's own, in lower case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }

    fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static(self.as_str()),
            Self::Forwarded => header::FORWARDED,
        }
    }

    fn read(self, entry: &[u8]) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => address(entry),
            Self::Forwarded => for_parameter(entry),
        }
    }
}

#[cfg(feature = "config")]
crate::settings::deserialize_builder!(ClientIpPolicy, ClientIpPolicy::peer());
