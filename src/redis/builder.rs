//! Where the server is, and how long it is waited for.

use std::{fmt, time::Duration};

use super::{RedisStore, link::Link};
use crate::{
    error::{ConfigError, Faults},
    secret::Secret,
};

/// Makes a [`RedisStore`].
#[must_use]
pub struct RedisStoreBuilder {
    url: Secret,
    prefix: String,
    connect_timeout: Duration,
    response_timeout: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: Secret) -> Self {
        Self {
            url,
            prefix: "portcullis".to_owned(),
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_millis(500),
        }
    }

    /// What the keys of this store begin with, in braces: stores with other prefixes on the same server know nothing of
    /// each other. Default `portcullis`. Shared tokens have their own
    /// [namespaces](crate::store::LeaseNamespace), whatever the prefix.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
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
    pub fn build(self) -> Result<RedisStore, ConfigError> {
        let mut faults = Faults::default();
        for (field, timeout) in
            [("connect_timeout", self.connect_timeout), ("response_timeout", self.response_timeout)]
        {
            faults.check(!timeout.is_zero(), field, timeout, "must not be zero");
        }
        faults.check(
            is_prefix(&self.prefix),
            "prefix",
            &self.prefix,
            "must be 1 to 64 of the characters a-z, A-Z, 0-9, `_`, `-` and `.`",
        );
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
        Ok(RedisStore::new(link.expect("its absence is a fault"), &self.prefix))
    }
}

/// Nothing of it means anything in a pattern or ends the hash tag.
fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// The address may hold a password.
impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("response_timeout", &self.response_timeout)
            .finish_non_exhaustive()
    }
}
