//! The handle.

use std::{fmt, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time};
use tokio_postgres::{
    Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{
    builder::PostgresStoreBuilder,
    connect::Opener,
    failure::Failure,
    feed::PostgresChanges,
    link::{Link, Use},
    sql::Texts,
};
use crate::{secret::Secret, store::StoreError};

/// Keeps logins, API keys, one-time values, counters and shared tokens on PostgreSQL. Clones share the connections.
///
/// Nothing is sent before the first step, so a service starts while its database is down. The tables are made by
/// [`migrate`](Self::migrate). Steps need a tokio runtime with its timer and I/O enabled.
///
/// It asks the primary, at `READ COMMITTED`, and keeps statements with its connections: in front of a pooler that gives
/// every transaction another session, that pooler has to keep track of them. `synchronous_commit` is the server's: off,
/// a crash may bring a revoked login back for as long as its tokens live.
///
/// ```no_run
/// use portcullis::{PostgresStore, TokenPolicy, TokenService};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::builder("postgres://app:secret@localhost/app").build()?;
/// store.migrate().await?;
/// let tokens: TokenService = TokenService::new(store, TokenPolicy::default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore(pub(super) Arc<Links>);

/// The connections by what they are used for.
pub(super) struct Links {
    /// What locks nothing.
    pub(super) reads: Link,
    /// What locks one row, for a moment.
    pub(super) writes: Link,
    /// What locks a subject or looks at it under its lock, and may wait for it.
    pub(super) subjects: Link,
    /// What passes over many rows.
    pub(super) bulk: Link,
    opener: Opener,
    bulk_timeout: Duration,
    step_timeout: Duration,
}

impl PostgresStore {
    /// Starts a store on the server with this address, without TLS: `postgres://user:password@host:5432/database`, or
    /// in the form `host=... user=...`. The options of either are those of
    /// [`tokio_postgres::Config`](https://docs.rs/tokio-postgres/0.7/tokio_postgres/config/struct.Config.html).
    pub fn builder(url: impl Into<Secret>) -> PostgresStoreBuilder {
        PostgresStoreBuilder::new(url.into())
    }

    /// [`builder`](Self::builder) with a TLS connector for `tokio-postgres` 0.7, such as those of
    /// `tokio-postgres-rustls` and `postgres-native-tls`. TLS is then required of every host that is not a local socket,
    /// unless the address says `sslmode=disable`.
    pub fn builder_with_tls<T>(url: impl Into<Secret>, connector: T) -> PostgresStoreBuilder
    where
        T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        T::Stream: Send + 'static,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        PostgresStoreBuilder::with_tls(url.into(), connector)
    }

    pub(super) fn new(
        opener: Opener,
        texts: Arc<Texts>,
        connections: usize,
        step_timeout: Duration,
        bulk_timeout: Duration,
    ) -> Self {
        let link = |count, uses, limit| Link::new(opener.clone(), Arc::clone(&texts), count, uses, limit);
        Self(Arc::new(Links {
            reads: link(connections, Use::Pipelined, step_timeout),
            writes: link(connections, Use::Pipelined, step_timeout),
            subjects: link(connections, Use::Exclusive, step_timeout),
            bulk: link(2, Use::Exclusive, bulk_timeout),
            opener,
            bulk_timeout,
            step_timeout,
        }))
    }

    /// Makes the tables, or brings them up to this version, in one transaction. Of several processes at once one does
    /// it and the others wait. The account needs the right to create tables and functions for this, and only for this.
    ///
    /// # Errors
    /// [`StoreError`] if the server did not answer within the [bulk
    /// timeout](super::PostgresStoreBuilder::bulk_timeout), if it refuses, and if the tables are those of a newer
    /// version. Nothing was changed then.
    ///
    /// # Cancel safety
    /// Dropped, it has migrated or it has not.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Handle::try_current().map_err(StoreError::unavailable)?;
        let migrating = self.0.opener.schema.migrate(&self.0.opener);
        let done = time::timeout(self.0.bulk_timeout, migrating).await;
        done.unwrap_or(Err(Failure::Timeout)).map_err(StoreError::from)
    }

    /// Tells of the changes that any process makes to the logins, over a connection of its own.
    pub fn changes(&self) -> PostgresChanges {
        PostgresChanges::new(self.0.opener.clone(), self.0.step_timeout)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
