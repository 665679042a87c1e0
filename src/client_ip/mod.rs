//! Who is on the other end of the connection, as far as it can be known.
//!
//! 1. Without further settings that is the peer's address, and no header is read: anyone can send a header.
//! 2. Behind proxies of your own, name their networks with [`trust`](ClientIpPolicy::trust). The header is then read
//!    from right to left, all its lines as one list, and only while whoever handed us an entry is trusted.
//! 3. An entry that is no address ends the walk at the last hop that was known: what stands to the left of it may be
//!    the client's own invention.
//! 4. IPv4 addresses in IPv6 form (`::ffff:192.0.2.7`) are IPv4 addresses.
//!
//! ```
//! use portcullis::client_ip::{ClientIpPolicy, ForwardedHeader};
//!
//! let direct = ClientIpPolicy::peer();
//! let behind_a_proxy = ClientIpPolicy::peer().trust("10.0.0.0/8").trust("::1").header(ForwardedHeader::Forwarded);
//! # let _ = (direct, behind_a_proxy);
//! ```

mod bucket;
mod forwarded;
mod network;
mod policy;

pub use bucket::IpBucket;
pub use policy::{ClientIpPolicy, ForwardedHeader, PeerAddr};

#[cfg(test)]
mod tests;
