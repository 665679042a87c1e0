//! One connection, opened when it is needed, and again when it has failed. Everything here blocks.

use std::{ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use rusqlite::{Connection, OpenFlags};

use super::{
    failure::{Failure, Stop},
    file::Identity,
    schema,
    sql::Sql,
};
use crate::{
    clock::{Clock, Timestamp},
    store::{StoreError, StoreErrorKind},
};

/// More statements than there are, so that none is prepared twice.
const STATEMENTS: usize = 96;

/// What `wal_autocheckpoint` leaves behind is cut to this many bytes.
const WAL_KEPT: i64 = 64 * 1024 * 1024;

/// All that the threads of a handle know.
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) sql: Sql,
    pub(super) busy_timeout: Duration,
    pub(super) step_timeout: Duration,
    pub(super) flush: Flush,
    pub(super) max_bytes: Option<u64>,
    pub(super) clock: Clock,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flush {
    Full,
    Normal,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// An open connection with the statements to use on it.
pub(super) struct Db {
    connection: Connection,
    settings: Arc<Settings>,
    file: Identity,
    /// With so many pages in use, nothing new is taken.
    pages_max: Option<i64>,
}

/// A connection that may not be there yet, or any more.
pub(super) struct Link {
    settings: Arc<Settings>,
    access: Access,
    db: Option<Db>,
}

// ===== impl Db =====

impl Db {
    pub(super) fn open(settings: &Arc<Settings>, access: Access) -> Result<Self, Failure> {
        // Before and after it is opened: a file that was replaced meanwhile is noticed with the first step.
        let file = Identity::of(&settings.path).ok_or(Failure::NoTables)?;
        // Each connection stays on its thread. Those that read may write, too, as far as the files are concerned: whichever
        // is the last to close puts the log away.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&settings.path, flags)?;
        connection.busy_timeout(settings.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch("pragma trusted_schema = off; pragma temp_store = memory;")?;
        let mut db = Self { connection, settings: Arc::clone(settings), file, pages_max: None };
        match access {
            Access::Read => db.execute_batch("pragma query_only = on")?,
            Access::Write => db.prepare_to_write()?,
        }
        Ok(db)
    }

    fn prepare_to_write(&mut self) -> Result<(), Failure> {
        let flush = match self.settings.flush {
            Flush::Full => "full",
            Flush::Normal => "normal",
        };
        // On macOS only a full `fsync` reaches the disk. What is deleted is overwritten where that costs no writes.
        self.execute_batch(&format!(
            "pragma synchronous = {flush}; pragma fullfsync = on; pragma checkpoint_fullfsync = on;
             pragma foreign_keys = on; pragma secure_delete = fast; pragma journal_size_limit = {WAL_KEPT};"
        ))?;
        if let Some(bytes) = self.settings.max_bytes {
            let page: i64 = self.query_row("pragma page_size", [], |row| row.get(0))?;
            let pages = i64::try_from(bytes / page.max(1).unsigned_abs()).unwrap_or(i64::MAX);
            self.execute_batch(&format!("pragma max_page_count = {pages}"))?;
            self.pages_max = Some(pages - pages / 16);
        }
        Ok(())
    }

    pub(super) fn sql(&self) -> &Sql {
        &self.settings.sql
    }

    /// By the machine's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.settings.clock.now()
    }

    /// Refuses what is new where the file is nearly as large as it may become: else nothing could be ended any more.
    fn check_room(&self) -> Result<(), Stop> {
        let Some(pages_max) = self.pages_max else { return Ok(()) };
        let number = |pragma| self.prepare_cached(pragma)?.query_row([], |row| row.get::<_, i64>(0));
        let in_use = number("pragma page_count")? - number("pragma freelist_count")?;
        if in_use < pages_max { Ok(()) } else { Err(StoreError::new(StoreErrorKind::Full).into()) }
    }

    /// Where there is no room, what has ended goes first, a batch at a time, until there is some or nothing more goes. If
    /// the step is refused in the end, all of it is as it was.
    pub(super) fn make_room(&self, mut sweep: impl FnMut() -> Result<bool, Stop>) -> Result<(), Stop> {
        while let Err(full) = self.check_room() {
            if !sweep()? {
                return Err(full);
            }
        }
        Ok(())
    }

    /// What is written to a file without a name is lost.
    fn is_there(&self) -> bool {
        Identity::of(&self.settings.path) == Some(self.file)
    }
}

impl Deref for Db {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

// ===== impl Link =====

impl Link {
    pub(super) fn new(settings: Arc<Settings>, access: Access) -> Self {
        Self { settings, access, db: None }
    }

    pub(super) fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// The connection to a file that has the tables.
    pub(super) fn db(&mut self) -> Result<&Db, Failure> {
        if self.db.as_ref().is_some_and(|db| !db.is_there()) {
            self.db = None;
            return Err(Failure::Gone);
        }
        if self.db.is_none() {
            let db = Db::open(&self.settings, self.access)?;
            schema::check(&db)?;
            self.db = Some(db);
        }
        self.db.as_ref().ok_or(Failure::Thread)
    }

    /// Takes a step that changes nothing.
    pub(super) fn read<T>(&mut self, step: impl FnOnce(&Db) -> Result<T, Stop>) -> Result<T, Stop> {
        let outcome = self.db().map_err(Stop::from).and_then(step);
        if let Err(Stop::Engine(failure)) = &outcome {
            self.failed(*failure);
        }
        outcome
    }

    /// The next step opens a new connection if this one may not be as good as before.
    pub(super) fn failed(&mut self, failure: Failure) {
        if !failure.leaves_connection() {
            self.db = None;
        }
    }
}
