//! Networks in CIDR form.

use std::net::IpAddr;

/// An address and how many of its first bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    first: IpAddr,
    prefix: u32,
}

impl Network {
    /// `10.0.0.0/8`, or a single address.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "must be an address, or a network such as `10.0.0.0/8`";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let first: IpAddr = address.parse().map_err(|_not_an_address| RULE)?;
        let width = if first.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_not_a_number| RULE)?
            }
            Some(_) => return Err(RULE),
        };
        if prefix > width {
            return Err(RULE);
        }
        if prefix == 0 {
            return Err("must not be everybody: then the client itself would say who it is");
        }
        if first.to_canonical() != first {
            return Err("must be written as IPv4: that is how such addresses are compared");
        }
        let network = Self { first, prefix };
        if bits(first) & !network.mask() != 0 {
            return Err("must have no bits set behind its prefix");
        }
        Ok(network)
    }

    /// `ip` is in canonical form.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.first.is_ipv4() && bits(ip) & self.mask() == bits(self.first)
    }

    fn mask(&self) -> u128 {
        u128::MAX << (128 - self.prefix)
    }
}

/// The bits of an address, from the left.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
