//! Why the engine did not do what it was asked.

use std::fmt;

use rusqlite::{Error, ErrorCode};

use crate::store::{StoreError, StoreErrorKind};

/// A class, and no text of the engine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// There are no tables.
    NoTables,
    /// The tables are those of an earlier version.
    OlderTables,
    /// The tables are those of a later version.
    NewerTables,
    /// Another process holds the write lock.
    Busy,
    /// The disk is full, or the file has reached its bound.
    Full,
    /// The file is no database, or not any more.
    Damaged,
    /// The file was removed or replaced while it was in use.
    Gone,
    /// The file system has no shared memory, such as one on a network.
    NoWal,
    /// Anything else, by the engine's extended code; zero if it was not the engine itself.
    Engine(i32),
    /// No answer in time.
    TimedOut,
    /// As many steps wait as may.
    Crowded,
    /// A thread could not be started, or has ended.
    Thread,
    /// There is no tokio runtime, which measures the time.
    NoRuntime,
}

/// Why a step ends without its value.
#[derive(Debug)]
pub(super) enum Stop {
    /// The engine failed.
    Engine(Failure),
    /// The step's own answer is an error: nothing of it was or will be written.
    Answer(StoreError),
}

// ===== impl Failure =====

impl Failure {
    fn of(error: &Error) -> Self {
        let (Error::SqliteFailure(error, ..) | Error::SqlInputError { error, .. }) = error else {
            return Self::Engine(0);
        };
        match error.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Damaged,
            _ => Self::Engine(error.extended_code),
        }
    }

    /// Whether the connection is as good as before.
    pub(super) fn leaves_connection(self) -> bool {
        matches!(self, Self::Busy | Self::Full)
    }

    /// Whether each of several steps may do better alone.
    pub(super) fn may_be_ones(self) -> bool {
        matches!(self, Self::Full | Self::Damaged | Self::Engine(_))
    }
}

impl From<Failure> for StoreError {
    /// A full disk is [`StoreErrorKind::Full`]: it may help to purge.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Full => Self::new(StoreErrorKind::Full),
            other => Self::unavailable(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTables => "the file or its tables are missing: `migrate` makes them",
            Self::OlderTables => {
                "the tables are those of an earlier version: `migrate` brings them up to date"
            }
            Self::NewerTables => "the tables are those of a later version of portcullis",
            Self::Busy => "another process holds the write lock",
            Self::Full => "the disk is full",
            Self::Damaged => "the file is damaged, or no database",
            Self::Gone => "the file was removed or replaced while it was in use",
            Self::NoWal => "the file system does not allow for WAL mode",
            Self::Engine(code) => return write!(f, "the engine failed ({code})"),
            Self::TimedOut => "no answer in time",
            Self::Crowded => "too many steps wait already",
            Self::Thread => "a thread could not be started, or has ended",
            Self::NoRuntime => "there is no tokio runtime",
        })
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of(&error)
    }
}

// ===== impl Stop =====

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Engine(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Engine(error.into())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Answer(error)
    }
}

impl From<Stop> for StoreError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Engine(failure) => failure.into(),
            Stop::Answer(error) => error,
        }
    }
}
