//! Where the file is, and how long it is waited for.

use std::{fmt, path::PathBuf, time::Duration};

use super::{
    link::{Flush, Settings},
    sql::{DEFAULT_PREFIX, Sql},
    store::SqliteStore,
};
use crate::{
    clock::Clock,
    error::{ConfigError, Faults},
};

/// Smaller than this, not even the tables have room.
const SIZE_MIN: u64 = 1024 * 1024;

/// More threads than this only wait for one another.
const READERS_MAX: usize = 64;

/// Makes a [`SqliteStore`].
#[must_use]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    prefix: String,
    busy_timeout: Duration,
    step_timeout: Duration,
    readers: usize,
    flush: Flush,
    max_bytes: Option<u64>,
    clock: Clock,
}

impl SqliteStoreBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            prefix: DEFAULT_PREFIX.to_owned(),
            busy_timeout: Duration::from_secs(1),
            step_timeout: Duration::from_secs(2),
            readers: 4,
            flush: Flush::Full,
            max_bytes: None,
            clock: Clock::default(),
        }
    }

    /// What the names of its tables and indexes begin with; an underscore follows. Default `portcullis`. Stores of different
    /// prefixes in one file know nothing of each other.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a write waits for another process that writes. Default 1 s.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How long a step may take, its waiting included; then it is
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable). Must be longer than
    /// [`busy_timeout`](Self::busy_timeout). Default 2 s.
    pub fn step_timeout(mut self, timeout: Duration) -> Self {
        self.step_timeout = timeout;
        self
    }

    /// How many threads and connections may read at once. Default 4. Each is started when those before it are busy.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Commits are not waited for on the disk (`synchronous = NORMAL`). They are several times faster, and still outlive
    /// `kill -9`, but **a loss of power or a crash of the system takes back the last of them**, acknowledged or not: a
    /// login that was revoked a moment before may live again, and the tokens of a refresh are unknown. Nothing is torn.
    /// Default: each commit is on the disk when it is acknowledged (`FULL`).
    pub fn synchronous_normal(mut self) -> Self {
        self.flush = Flush::Normal;
        self
    }

    /// How large the file may become, in bytes, at least one MiB; without the write-ahead log, which is beside it. From
    /// fifteen sixteenths of it on, what is new is refused with [`Full`](crate::store::StoreErrorKind::Full); the rest is
    /// for the ends, changes and removal of what is there. Each process that writes to the file goes by its own bound.
    /// Default: as large as the disk.
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// The clock by which shared tokens and their locks end. Everything else is told the time. For tests.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Nothing is opened.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<SqliteStore, ConfigError> {
        let mut faults = Faults::default();
        // Absolute, because the engine takes `:memory:`, the empty name and `file:` for something else than files.
        let path = std::path::absolute(&self.path);
        faults.check(path.is_ok(), "path", &self.path, "must name a file");
        faults.check(
            is_prefix(&self.prefix),
            "prefix",
            &self.prefix,
            "must be 1 to 32 of a-z, 0-9 and _, begin with a letter, and not be `sqlite`",
        );
        faults.check(!self.step_timeout.is_zero(), "step_timeout", self.step_timeout, "must not be zero");
        faults.check(
            self.busy_timeout < self.step_timeout,
            "busy_timeout",
            self.busy_timeout,
            "must be shorter than step_timeout",
        );
        let readers = (1..=READERS_MAX).contains(&self.readers);
        faults.check(readers, "readers", self.readers, "must be 1 to 64");
        let large = self.max_bytes.is_none_or(|bytes| bytes >= SIZE_MIN);
        faults.check(large, "max_size", self.max_bytes, "must be 1 MiB or more");
        faults.finish()?;
        let settings = Settings {
            path: path.expect("its absence is a fault"),
            sql: Sql::new(&self.prefix),
            busy_timeout: self.busy_timeout,
            step_timeout: self.step_timeout,
            flush: self.flush,
            max_bytes: self.max_bytes,
            clock: self.clock,
        };
        Ok(SqliteStore::new(settings, self.readers))
    }
}

impl fmt::Debug for SqliteStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStoreBuilder")
            .field("path", &self.path)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// The engine keeps names that begin with `sqlite_` for itself, and compares names without case.
fn is_prefix(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(allowed)
        && text != "sqlite"
        && !text.starts_with("sqlite_")
}
