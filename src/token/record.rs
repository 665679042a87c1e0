//! The login record behind an identity.

use std::{error::Error, fmt};

use crate::{identity::Auth, store::LoginRecord, verify::Verified};

/// The caller did not come with an opaque token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoRecord;

impl<I> Auth<I> {
    /// The login, if the credential was an opaque token.
    ///
    /// # Errors
    /// [`NoRecord`] for every other kind of credential.
    pub fn record(&self) -> Result<&LoginRecord, NoRecord> {
        self.details::<LoginRecord>().ok_or(NoRecord)
    }
}

impl<I> Verified<I> {
    /// The login, if the credential was an opaque token.
    ///
    /// # Errors
    /// [`NoRecord`] for every other kind of credential.
    pub fn record(&self) -> Result<&LoginRecord, NoRecord> {
        self.details::<LoginRecord>().ok_or(NoRecord)
    }
}

impl fmt::Display for NoRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credential is no opaque token")
    }
}

impl Error for NoRecord {}
