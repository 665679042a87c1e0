//! Real servers, started for the tests that need them and ended with them, and a proxy that fails on purpose.
//!
//! A server that is shared is the one whose address is in the environment, as `scripts/test` sets it, or one that is
//! started for the test. Who kills a server or makes it stand still starts one of its own.

mod child;
#[cfg(feature = "redis")]
mod harness;
mod postgres;
mod proxy;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "redis")]
pub(crate) use self::redis::{Keeps, Program, RedisServer, SharedServer};
pub(crate) use self::{
    postgres::{Database, PostgresServer, SharedPostgres},
    proxy::Proxy,
};

/// What every server started here asks for, and no log may hold.
pub(crate) const PASSWORD: &str = "planted-password";
