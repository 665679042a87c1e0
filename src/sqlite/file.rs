//! The file itself: who may read it, and whether it is still the one that was opened.

use std::{fs, io, path::Path};

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

impl Identity {
    /// `None` where there is no such file.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(identity(&metadata))
    }
}

#[cfg(unix)]
fn identity(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;

    Identity(metadata.dev(), metadata.ino())
}

/// An open file cannot be removed or replaced there.
#[cfg(not(unix))]
fn identity(_metadata: &fs::Metadata) -> Identity {
    Identity(0, 0)
}

/// Makes the file if there is none, for its owner alone. The engine gives the files beside it the same rights.
pub(super) fn make(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _made_or_there => Ok(()),
    }
}
