//! Everything that the public API promises. A test of row N of `src/docs/features.md` is named `rNNN_…`, one of
//! the security scoreboard `sec_xNN_…`.
#![allow(clippy::unwrap_used)] // a test that meets an error has failed

mod allocations;
mod arrows;
mod blame;
mod cached;
mod cascade;
mod circuit;
mod client_stack;
mod configuration;
mod correlation;
mod credentials_out;
mod debug_out;
mod environment;
mod failing_endpoint;
mod features;
mod fetchers;
mod flights;
mod flow;
mod flows_outbound;
mod grants;
#[cfg(feature = "tonic")]
mod grpc;
mod guards;
mod hostile_endpoint;
mod idp;
mod inbound;
mod inject;
mod leases;
mod log;
mod mock;
#[cfg(all(feature = "postgres", feature = "redis"))]
mod outages;
mod outcome;
mod pipeline;
#[cfg(feature = "postgres")]
mod postgres;
mod rate_info;
mod ready_out;
mod redirects_out;
#[cfg(feature = "redis")]
mod redis;
mod refresh_tokens;
mod replay;
mod request_log;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
#[cfg(feature = "reqwest")]
mod reqwest_out;
#[cfg(feature = "reqwest")]
mod reqwest_peer;
mod retry;
mod rules_out;
mod schedules;
mod scripted;
mod sequences;
#[cfg(any(feature = "postgres", feature = "redis"))]
#[cfg_attr(not(all(feature = "postgres", feature = "redis")), allow(dead_code, unused_imports))]
// parts of it
mod servers;
mod sessions;
mod sockets;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stock;
mod stopping;
mod stores;
#[cfg(all(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod storms;
mod subjects;
mod suite_log;
mod support;
#[cfg(feature = "retry")]
mod tls_out;
mod token_events;
mod tokens;
mod torture;
mod wait_limit;
mod windows;
