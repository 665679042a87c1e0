//! The store in one file: the contracts, the file, and what may happen to it.

mod contract;
mod faults;
mod kept;
mod killed;
mod tables;
mod threads;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use portcullis::{
    SqliteStore, TokenPolicy, TokenService,
    identity::Subject,
    store::{LockOwner, StoreError, StoreErrorKind},
    token::{IssueOptions, Issued},
};

/// A folder with one database, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat();
        let path = std::env::temp_dir().join(format!("portcullis-{name}"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("kept.db")
    }

    /// The file, and those that the engine has beside it.
    fn files(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        // The engine removes the log with the last connection.
        self.files().iter().flat_map(|file| fs::read(file).unwrap_or_default()).collect()
    }

    /// A handle, as a process has one. The tables may not be there yet.
    fn store(&self) -> SqliteStore {
        // Two cores that run many tests at once are slow to answer.
        let builder = SqliteStore::builder(self.file()).step_timeout(Duration::from_secs(60));
        builder.busy_timeout(Duration::from_secs(30)).build().unwrap()
    }

    /// A handle of a file with its tables.
    async fn open(&self) -> SqliteStore {
        let store = self.store();
        store.migrate().await.unwrap();
        store
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Somebody else who has opened the file.
fn stranger(path: &Path) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
}

fn service(store: &SqliteStore) -> TokenService {
    TokenService::new(store.clone(), TokenPolicy::default())
}

async fn login(tokens: &TokenService, user: &str) -> Issued {
    tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
}

/// The error and its causes, as a log shows them.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause} {cause:?}"));
        next = cause.source();
    }
    text
}

/// Names the kind of failure, and nothing of where or with what.
#[track_caller]
fn check_unavailable(error: &StoreError, cause: &str) {
    let shown = shown(error);
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{shown}");
    assert!(shown.contains(cause), "{shown}");
    for told in ["kept.db", "portcullis_", "select", "update"] {
        assert!(!shown.contains(told), "{told} in {shown}");
    }
}
