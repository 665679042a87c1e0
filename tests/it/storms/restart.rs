//! A process that ends, and another one that goes on with the same store and without any key.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use portcullis::problem::Reason;

use super::{
    journal::{self, Journal, Pair},
    sites::{Address, Engine, Site, lives, login, refresh, service, verify},
};
use crate::sqlite::Folder;

/// Where the store is and where the journal, for a started process.
const TASK: &str = "PORTCULLIS_TEST_RESTART";

/// No test by itself: what each process does before it ends.
#[test]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let (address, path) = task.split_once('\n').unwrap();
    let (store, path) = (Address::parse(address).open(), PathBuf::from(path));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (node, journal) = (service(&store), Journal::append_to(&path));
        for (id, known) in journal::read(&path) {
            let newest = known.pairs.last().unwrap();
            assert_eq!(verify(&node, &newest.access).await, Ok(()));
            let next = Pair::of(&refresh(&node, &newest.refresh).await.unwrap());
            journal.pair(&id, &next);
            assert_eq!(verify(&node, &next.access).await, Ok(()));
            assert!(verify(&node, &newest.access).await.is_err());
        }
        for _ in 0..3 {
            let issued = login(&node, "ada").await;
            journal.pair(&issued.record().id(), &Pair::of(&issued));
        }
    });
}

fn run(address: &Address, journal: &Path) {
    let done = Command::new(env::current_exe().unwrap())
        .args(["--exact", "storms::restart::child", "--nocapture", "--test-threads=1"])
        .env(TASK, format!("{}\n{}", address.to_text(), journal.display()))
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(done.success());
}

async fn tokens_outlive_every_process(engine: Engine) {
    let (site, folder) = (Site::on(engine).await, Folder::new());
    let path = folder.file().with_file_name("journal");
    let address = site.address.as_ref().expect("a store for many processes");
    for _ in 0..3 {
        run(address, &path);
    }
    let all = journal::read(&path);
    assert_eq!(all.len(), 9);
    let node = service(&address.open());
    for (id, known) in &all {
        let (newest, older) = known.pairs.split_last().unwrap();
        assert_eq!(verify(&node, &newest.access).await, Ok(()));
        let next = refresh(&node, &newest.refresh).await.unwrap();
        assert!(lives(&node, &next).await);
        // The theft of a token is found out by a process that has never seen it.
        if let [oldest, _] = older {
            assert_eq!(refresh(&node, &oldest.refresh).await.map(|_| ()), Err(Reason::Reuse));
            assert!(!lives(&node, &next).await);
        }
        assert_eq!(site.record(id).await.revoked().is_some(), older.len() == 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r201_tokens_outlive_every_process_without_a_key_on_sqlite() {
    tokens_outlive_every_process(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r201_tokens_outlive_every_process_without_a_key_on_postgres() {
    tokens_outlive_every_process(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r201_tokens_outlive_every_process_without_a_key_on_redis() {
    tokens_outlive_every_process(Engine::Redis).await;
}
