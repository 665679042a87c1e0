#![doc = include_str!("../README.md")]
// The log of the unit tests begins before `main`, which takes some.
#![cfg_attr(not(test), forbid(unsafe_code))]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Level 0: words. No I/O, nothing asynchronous.
pub mod challenge;
pub mod client_ip;
pub mod clock;
pub mod cookie;
pub mod credential;
pub mod csrf;
mod date;
pub mod error;
pub mod event;
pub mod identity;
pub mod keyring;
pub mod maybe_ready;
mod oauth_error;
mod origin;
pub mod path;
pub mod problem;
pub mod random;
pub mod redact;
pub mod redirect;
mod retry_after;
pub mod scope;
#[cfg(feature = "seal")]
mod seal;
pub mod secret;
pub mod settings;
pub mod text;

// Level 1: ports.
pub mod http_client;
pub mod provider;
pub mod store;
pub mod verify;

// Level 2: what knows credentials, and what a client's requests need beside them.
pub mod circuit;
pub mod correlation;
pub mod pipeline;
pub mod rate_info;
pub mod request_log;
#[cfg(feature = "retry")]
pub mod retry;
pub mod session;
pub mod throttle;
pub mod token;

// Level 3: ready services.
pub mod flow;

// Level 4: the doors.
pub mod inbound;
pub mod outbound;

// Level 5: hosts and engines, private: their names are those of what they adapt to. And what tests stores.
#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "test-util")]
pub mod conformance;
mod file;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(test)]
#[path = "../tests/it/suite_log.rs"]
mod suite_log;

pub mod docs;

#[cfg(feature = "axum")]
pub use self::axum::Require;
#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresChanges, PostgresNotify, PostgresStore, PostgresStoreBuilder};
#[cfg(feature = "redis")]
pub use self::redis::{RedisStore, RedisStoreBuilder};
#[cfg(feature = "reqwest-middleware")]
pub use self::reqwest::TokenMiddleware;
#[cfg(feature = "reqwest")]
pub use self::reqwest::{ReqwestError, ReqwestFuture, ReqwestService, same_origin_redirects};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteStore, SqliteStoreBuilder};
pub use file::FileLeases;
pub use identity::Auth;
pub use inbound::AuthLayer;
pub use outbound::TokenInjectLayer;
pub use pipeline::{BodyTokenFetcher, TokenPipeline};
pub use session::{Session, SessionLayer, SessionPolicy, Sessions};
pub use store::MemoryStore;
pub use token::{TokenPolicy, TokenService};
