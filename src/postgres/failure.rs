//! What the client's errors come to.

use std::{fmt, io};

use tokio_postgres::{Error, error::SqlState};

use crate::store::{StoreError, StoreErrorKind};

/// A limit of live logins is reached: the code that the function of the schema raises.
const LIMIT_REACHED: &str = "PC001";

/// Why the server did not do what it was asked. Of its own errors the code alone is kept: the text behind it may quote
/// what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is no connection, or it broke.
    Connection,
    /// No answer in time, or none that the server could give in time.
    Timeout,
    /// The tables are not there, or older than this version.
    NoSchema,
    /// The tables are those of a version that this one cannot work with.
    NewerSchema,
    /// It was undone, because others stood in its way: it may be asked for again.
    Undone(Undone),
    /// The kinds of errors that callers tell apart.
    Kind(StoreErrorKind),
    /// The server's own error.
    Refused(String),
    /// An answer to something else.
    Answer,
}

/// What has undone a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// Others, who waited for it while it waited for them.
    Deadlock,
    /// The session has forgotten the statement, or it fits no longer.
    Statement,
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        let Some(code) = error.code() else {
            let is_io =
                std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<io::Error>);
            return if error.is_closed() || is_io { Self::Connection } else { Self::Answer };
        };
        match code.code() {
            LIMIT_REACHED => return Self::Kind(StoreErrorKind::LimitReached),
            // A class of their own: the connection has ended, or a standby has taken the primary's place.
            code if code.starts_with("08") || code.starts_with("57P") => return Self::Connection,
            _ => {}
        }
        match *code {
            SqlState::READ_ONLY_SQL_TRANSACTION => Self::Connection,
            SqlState::QUERY_CANCELED | SqlState::LOCK_NOT_AVAILABLE => Self::Timeout,
            SqlState::UNDEFINED_TABLE
            | SqlState::UNDEFINED_FUNCTION
            | SqlState::UNDEFINED_COLUMN
            | SqlState::INVALID_SCHEMA_NAME => Self::NoSchema,
            SqlState::T_R_DEADLOCK_DETECTED | SqlState::T_R_SERIALIZATION_FAILURE => {
                Self::Undone(Undone::Deadlock)
            }
            SqlState::INVALID_SQL_STATEMENT_NAME | SqlState::FEATURE_NOT_SUPPORTED => {
                Self::Undone(Undone::Statement)
            }
            SqlState::UNIQUE_VIOLATION => Self::Kind(StoreErrorKind::Conflict),
            SqlState::DISK_FULL => Self::Kind(StoreErrorKind::Full),
            ref code => Self::Refused(code.code().to_owned()),
        }
    }

    /// Whether nothing more is to be expected of the connection.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Connection | Self::Answer | Self::Undone(Undone::Statement))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Kind(kind) => Self::new(kind),
            other => Self::unavailable(other),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("no connection to the server"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::NoSchema => f.write_str("the tables are missing or too old: call `PostgresStore::migrate`"),
            Self::NewerSchema => f.write_str("the tables are those of a newer version"),
            Self::Undone(_) => f.write_str("the server has undone it, because others stood in its way"),
            Self::Kind(_) => f.write_str("the server refused"),
            Self::Refused(code) => write!(f, "the server refused ({code})"),
            Self::Answer => f.write_str("the server's answer was not understood"),
        }
    }
}

impl std::error::Error for Failure {}
