//! Everything that the public API promises. A test of row N of `src/docs/features.md` is named `rNNN_…`, one of
//! the security scoreboard `sec_xNN_…`.
#![allow(clippy::unwrap_used)] // a test that meets an error has failed

mod allocations;
mod arrows;
mod audit;
mod cookies;
mod devices;
mod events;
mod extractors;
mod features;
mod header_bytes;
mod hostile_endpoint;
mod idp;
mod inbound;
mod inject;
mod lifetimes;
mod limits;
mod mock;
mod pipeline;
mod refresh;
mod rekey;
mod reuse;
mod schedules;
mod sequences;
mod sliding;
mod sockets;
mod support;
mod tokens;
mod torture;
mod touches;
mod users;
