//! The unit in which clients are counted.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address, which is what one
/// subscriber gets and can change addresses in at will.
///
/// Shown as `192.0.2.7/32` and `2001:db8:1:2::/64`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpBucket(IpAddr);

impl IpBucket {
    /// The bucket of an address. An IPv4 address in IPv6 form counts as IPv4.
    pub fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        })
    }
}

impl fmt::Debug for IpBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for IpBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, if self.0.is_ipv4() { 32 } else { 64 })
    }
}
