//! Processes that make the tables at the same time.

use std::{
    env,
    process::{Command, Stdio},
};

use portcullis::store::{ListQuery, TokenStore};

use super::sites::{Address, lives, login, service};
use crate::{servers::SharedPostgres, sqlite::Folder};

/// Where the store is, for a started process.
const TASK: &str = "PORTCULLIS_TEST_MIGRATION";
const PROCESSES: usize = 4;

/// No test by itself: what each process does as it starts.
#[test]
fn child() {
    let Ok(address) = env::var(TASK) else { return };
    let address = Address::parse(&address);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        address.make_tables().await;
        let node = service(&address.open());
        let issued = login(&node, "ada").await;
        assert!(lives(&node, &issued).await);
    });
}

/// All of them are started before one of them is waited for.
fn migrate_at_once(address: &Address) {
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "storms::migrations::child", "--nocapture", "--test-threads=1"])
            .env(TASK, address.to_text())
            .stdout(Stdio::null())
            .spawn();
        processes.push(process.unwrap());
    }
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
}

async fn all_have_logged_in(address: &Address) {
    let logins = address.open().list(&ListQuery::new(None, 100)).await.unwrap();
    assert_eq!(logins.len(), PROCESSES);
}

#[tokio::test]
async fn r023_processes_that_migrate_at_once_all_succeed_on_sqlite() {
    let folder = Folder::new();
    let address = Address::of_file(&folder);
    migrate_at_once(&address);
    all_have_logged_in(&address).await;
}

#[tokio::test]
async fn r023_processes_that_migrate_at_once_all_succeed_on_postgres() {
    let server = SharedPostgres::get();
    let address = Address::Postgres(server.database().url().to_owned());
    migrate_at_once(&address);
    all_have_logged_in(&address).await;
}
