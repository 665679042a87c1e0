//! Everything that the public API promises. A test of row N of `src/docs/features.md` is named `rNNN_…`, one of
//! the security scoreboard `sec_xNN_…`.
#![allow(clippy::unwrap_used)] // a test that meets an error has failed

mod allocations;
mod arrows;
mod audit;
mod cookies;
mod devices;
mod environment;
mod events;
mod extractors;
mod features;
mod flow;
mod flow_bodies;
mod flow_devices;
mod flow_login;
mod flow_logout;
mod flow_refresh;
mod guards;
mod header_bytes;
mod hostile_endpoint;
mod identity_headers;
mod idp;
mod inbound;
mod inbound_events;
mod inbound_exempt;
mod inbound_hooks;
mod inbound_renewal;
mod inbound_watch;
mod inject;
mod leases;
mod lifetimes;
mod limits;
mod mock;
mod pipeline;
#[cfg(feature = "redis")]
mod redis_server;
mod refresh;
mod rekey;
mod reuse;
mod schedules;
mod sequences;
mod sessions;
mod sliding;
mod sockets;
mod support;
mod tokens;
mod torture;
mod touches;
mod users;
