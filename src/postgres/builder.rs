//! Where the server is, how it is talked to, and how long it is waited for.

use std::{fmt, sync::Arc, time::Duration};

use tokio_postgres::{
    Config, NoTls, Socket,
    config::{Host, SslMode, TargetSessionAttrs},
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{
    connect::{Connect, Opener, Tls},
    schema::Schema,
    sql::{PostgresNotify, Texts},
    store::PostgresStore,
};
use crate::{
    error::{ConfigError, Faults},
    secret::Secret,
};

/// Makes a [`PostgresStore`].
#[must_use]
pub struct PostgresStoreBuilder {
    url: Secret,
    connect: Arc<dyn Connect>,
    has_tls: bool,
    prefix: String,
    connect_timeout: Duration,
    step_timeout: Duration,
    bulk_timeout: Duration,
    notify: PostgresNotify,
    connections: usize,
}

impl PostgresStoreBuilder {
    pub(super) fn new(url: Secret) -> Self {
        Self {
            url,
            connect: Arc::new(Tls(NoTls)),
            has_tls: false,
            prefix: "portcullis".to_owned(),
            connect_timeout: Duration::from_secs(2),
            step_timeout: Duration::from_secs(2),
            bulk_timeout: Duration::from_secs(60),
            notify: PostgresNotify::default(),
            connections: 4,
        }
    }

    pub(super) fn with_tls<T>(url: Secret, connector: T) -> Self
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { connect: Arc::new(Tls(connector)), has_tls: true, ..Self::new(url) }
    }

    /// With what the names of tables, indexes, functions and of the channel of notifications begin: 1–32 of `a`–`z`,
    /// `0`–`9` and `_`, the first of them a letter. Default `portcullis`. The schema is the first of the connection's
    /// `search_path`, which the address can set (`options=-csearch_path%3Dauth`).
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a new connection may take, its greeting included. Default 2 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one step may take. Default 2 s. The server is told to give up after three quarters of it, so that what
    /// nobody waits for is not done. With the wait for a connection, and where a step has to be taken again, it is
    /// twice as long at most.
    pub fn step_timeout(mut self, timeout: Duration) -> Self {
        self.step_timeout = timeout;
        self
    }

    /// [`step_timeout`](Self::step_timeout) for steps that may pass over many rows: the purges, the end of everyone's
    /// logins, the removal of a namespace. Default 60 s.
    pub fn bulk_timeout(mut self, timeout: Duration) -> Self {
        self.bulk_timeout = timeout;
        self
    }

    /// Whether changes are told to who listens by [`PostgresStore::changes`]. Default [`PostgresNotify::Changes`].
    ///
    /// `NOTIFY` takes a lock of the whole server when a transaction commits, so commits that notify follow one another.
    /// Look-ups, uses, and the first use of a new pair do not notify; where thousands of changes a second are made and
    /// nobody listens, turn it off.
    pub fn notify(mut self, notify: PostgresNotify) -> Self {
        self.notify = notify;
        self
    }

    /// How many connections there are at most for each of three uses: look-ups, changes of one row, and steps that may
    /// wait for a lock. Default 4. There are two more for purges and the end of everyone's logins, and one for each
    /// feed of changes. They are made when they are needed.
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// Checks the settings. Nothing is sent.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<PostgresStore, ConfigError> {
        let mut faults = Faults::default();
        for (field, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("step_timeout", self.step_timeout),
            ("bulk_timeout", self.bulk_timeout),
        ] {
            let fits = timeout >= Duration::from_millis(10) && timeout <= Duration::from_secs(86_400);
            faults.check(fits, field, timeout, "must be from 10 ms to one day");
        }
        faults.check(
            (1..=64).contains(&self.connections),
            "connections",
            self.connections,
            "must be 1 to 64",
        );
        let schema = Schema::new(&self.prefix);
        let rule = "must be 1-32 of a-z, 0-9 and _, the first of them a letter";
        faults.check(schema.is_some(), "prefix", &self.prefix, rule);
        // The parser's own error would quote the address.
        let config = self.url.expose().parse::<Config>().ok().filter(|config| !config.get_hosts().is_empty());
        if config.is_none() {
            let rule = "must be postgres://user:password@host[:port]/database, or `host=... user=...`";
            faults.add("url", "not shown", rule);
        }
        let requires_tls = config.as_ref().is_some_and(|config| config.get_ssl_mode() == SslMode::Require);
        if requires_tls && !self.has_tls {
            faults.add("url", "sslmode=require", "needs a connector: `PostgresStore::builder_with_tls`");
        }
        faults.finish()?;
        let (schema, config) =
            (schema.expect("its absence is a fault"), config.expect("its absence is a fault"));
        let texts = Texts::new(&schema, self.notify);
        let opener = Opener {
            config: Arc::new(completed(config, self.has_tls, self.connect_timeout)),
            connect: self.connect,
            schema: Arc::new(schema),
            limit: self.connect_timeout,
        };
        Ok(PostgresStore::new(
            opener,
            Arc::new(texts),
            self.connections,
            self.step_timeout,
            self.bulk_timeout,
        ))
    }
}

/// What the address leaves open.
fn completed(mut config: Config, has_tls: bool, connect_timeout: Duration) -> Config {
    let is_remote = config.get_hosts().iter().any(|host| matches!(host, Host::Tcp(_)));
    if has_tls && is_remote && config.get_ssl_mode() == SslMode::Prefer {
        // Who hands over a connector wants it used: "prefer" lets whoever is in between decide.
        config.ssl_mode(SslMode::Require);
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        // Of several hosts, the primary.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    if config.get_application_name().is_none() {
        config.application_name("portcullis");
    }
    if config.get_connect_timeout().is_none() {
        // One host that does not answer leaves time for the others.
        let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(1).max(1);
        config.connect_timeout(connect_timeout / hosts);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(10));
    }
    if config.get_keepalives() && config.get_keepalives_interval().is_none() {
        config.keepalives_idle(Duration::from_secs(10));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
    }
    config
}

/// The address may hold a password.
impl fmt::Debug for PostgresStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("prefix", &self.prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("step_timeout", &self.step_timeout)
            .field("bulk_timeout", &self.bulk_timeout)
            .field("notify", &self.notify)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str, has_tls: bool) -> SslMode {
        completed(url.parse().unwrap(), has_tls, Duration::from_secs(2)).get_ssl_mode()
    }

    /// Who is in between could else say that the server knows no TLS.
    #[test]
    fn r060_a_connector_is_used_unless_the_address_says_otherwise() {
        assert_eq!(mode("postgres://u@db.test/x", true), SslMode::Require);
        assert_eq!(mode("postgres://u@db.test/x?sslmode=prefer", true), SslMode::Require);
        assert_eq!(mode("postgres://u@db.test/x?sslmode=disable", true), SslMode::Disable);
        assert_eq!(mode("host=/run/postgresql user=u", true), SslMode::Prefer, "a socket has no TLS");
        assert_eq!(mode("postgres://u@db.test/x", false), SslMode::Prefer);
    }

    #[test]
    fn r060_what_the_address_leaves_open_is_for_a_primary_that_may_go_away() {
        let config = "postgres://u@one.test,two.test/x".parse().unwrap();
        let config = completed(config, false, Duration::from_secs(2));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(1)), "each");
        assert_eq!(config.get_tcp_user_timeout(), Some(&Duration::from_secs(10)));
        assert_eq!(config.get_keepalives_idle(), Duration::from_secs(10));
        let own = "host=a user=u connect_timeout=7 tcp_user_timeout=9 application_name=own".parse().unwrap();
        let own = completed(own, false, Duration::from_secs(2));
        assert_eq!(own.get_connect_timeout(), Some(&Duration::from_secs(7)));
        assert_eq!(own.get_tcp_user_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(own.get_application_name(), Some("own"));
    }
}
