//! Where the server is, and how long it is waited for.

use std::{fmt, time::Duration};

use super::{leases::RedisLeases, link::Link};
use crate::{
    error::{ConfigError, Faults},
    secret::Secret,
};

/// Makes a [`RedisLeases`].
#[must_use]
pub struct RedisLeasesBuilder {
    url: Secret,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl RedisLeasesBuilder {
    pub(super) fn new(url: Secret) -> Self {
        Self { url, connect_timeout: Duration::from_secs(1), response_timeout: Duration::from_millis(500) }
    }

    /// How long a new connection may take, its greeting included. Default 1 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may take to answer one command. Default 500 ms.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<RedisLeases, ConfigError> {
        let mut faults = Faults::default();
        for (field, timeout) in
            [("connect_timeout", self.connect_timeout), ("response_timeout", self.response_timeout)]
        {
            faults.check(!timeout.is_zero(), field, timeout, "must not be zero");
        }
        let link = Link::new(&self.url, self.connect_timeout, self.response_timeout);
        if link.is_none() {
            let scheme = self.url.expose().split_once("://").map_or("none", |(scheme, _)| scheme);
            let known = ["redis", "rediss", "redis+unix", "unix", "valkey", "valkeys"].contains(&scheme);
            faults.add(
                "url",
                if known { scheme } else { "none that is known" },
                "must be redis://[user:password@]host[:port][/database]; rediss:// needs the `redis` crate built with TLS",
            );
        }
        faults.finish()?;
        Ok(RedisLeases::new(link.expect("its absence is a fault")))
    }
}

/// The address may hold a password.
impl fmt::Debug for RedisLeasesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLeasesBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}
