//! A store that somebody else wrote, in the public suite of the stores.
//!
//! `cargo run` runs every test of the contract of [`TokenStore`](portcullis::store::TokenStore) over a store on sqlx, each on
//! a file of its own, and ends with 1 if one fails.

mod row;
mod store;

use std::{env, fs, path::PathBuf, process::ExitCode, sync::Arc};

use portcullis::{
    conformance::{TokenFixture, Verdict, tokens},
    store::LockOwner,
};

use store::SqlxStore;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = LockOwner::generate()
            .expect("the system gives random bytes")
            .as_bytes()
            .map(|byte| format!("{byte:02x}"));
        let path = env::temp_dir().join(format!("portcullis-sqlx-{}", name.concat()));
        fs::create_dir(&path).expect("the folder for temporary files can be written");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Two handles of one empty file, as two processes have them, and what is in the file and beside it.
async fn empty() -> TokenFixture {
    let folder = Folder::new();
    let file = folder.0.join("logins.db");
    let open = async || Arc::new(SqlxStore::open(&file).await.expect("the file can be opened"));
    let (one, two) = (open().await, open().await);
    let path = folder.0.clone();
    TokenFixture::new(one, two).keep(folder).dump(move || {
        let files = fs::read_dir(&path).expect("the folder is there");
        let bytes =
            files.flat_map(|file| fs::read(file.expect("so is the file").path()).expect("and can be read"));
        std::future::ready(bytes.collect())
    })
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let report = tokens::run(empty).await;
    print!("{report}");
    // What was not tested is not passed.
    let all = report.outcomes().iter().all(|outcome| *outcome.verdict() == Verdict::Passed);
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
