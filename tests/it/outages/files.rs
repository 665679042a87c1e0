//! A file that is gone for a while, or that another process holds.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use portcullis::{SqliteStore, TokenPolicy, TokenService};

use super::places::{App, check_down, check_is, timed};
use crate::sqlite::Folder;

/// What a started process is to hold, and of which file.
const TASK: &str = "PORTCULLIS_TEST_HOLD";

/// The time for a step of a store as it is by default, and what a busy machine adds.
const LIMIT: Duration = Duration::from_secs(4);

// ===== another process =====

/// It has the file until it is told to let go.
struct Holder(Child);

#[derive(Debug, Clone, Copy)]
enum Holds {
    /// The lock of those who write.
    Writing,
    /// The whole file.
    Everything,
}

/// No test by itself: what that process does.
#[test]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let (holds, path) = task.split_once('|').unwrap();
    let file = rusqlite::Connection::open(path).unwrap();
    if holds == "Everything" {
        file.pragma_update(None, "locking_mode", "exclusive").unwrap();
    }
    file.execute_batch("begin immediate").unwrap();
    println!("\nheld");
    let _until_it_ends = std::io::stdin().read_to_end(&mut Vec::new());
    file.execute_batch("rollback").unwrap();
}

impl Holder {
    fn of(path: &Path, holds: Holds) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "outages::files::child", "--nocapture", "--test-threads=1"])
            .env(TASK, format!("{holds:?}|{}", path.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap() == "held"), "it has no lock");
        // Somebody reads the rest, or what the harness says at the end has no place to go.
        std::thread::spawn(move || said.for_each(drop));
        Self(child)
    }

    fn let_go(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

// ===== services =====

fn store(file: PathBuf) -> SqliteStore {
    SqliteStore::builder(file).build().unwrap()
}

fn app(file: PathBuf) -> App {
    App::new(TokenService::new(store(file), TokenPolicy::default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i07_a_file_that_is_gone_is_503_until_it_is_back_with_what_it_had() {
    let folder = Folder::new();
    let (place, away) = (folder.file().with_file_name("place"), folder.file().with_file_name("away"));
    let file = place.join("kept.db");
    fs::create_dir(&place).unwrap();
    store(file.clone()).migrate().await.unwrap();
    let service = app(file.clone());
    let (known, refreshed, staying, ended) = (
        service.login("ada").await,
        service.login("bob").await,
        service.login("carol").await,
        service.login("dave").await,
    );
    assert_eq!(service.log_out(&ended).await.status, 204);
    check_is(&service.me(&known).await, "ada");
    // With the log that belongs to it, at one moment.
    fs::rename(&place, &away).unwrap();
    let late = app(file);
    for service in [&service, &late, &service] {
        for login in [&known, &ended] {
            check_down(&service.me(login).await);
            check_down(&service.ask("/open", Some(login)).await);
        }
        check_down(&service.refresh(&refreshed).await);
        check_down(&service.log_out(&staying).await);
        assert!(service.tokens.revoke(&staying.record().id()).await.is_err());
        service.check_without_store().await;
    }
    assert!(!place.exists(), "nobody has made an empty one");
    fs::rename(&away, &place).unwrap();
    for service in [&service, &late] {
        service.check_works_again(&known, "ada").await;
        assert_eq!(service.me(&ended).await.status, 401);
        check_is(&service.me(&staying).await, "carol");
    }
    assert_eq!(late.log_out(&staying).await.status, 204);
    assert_eq!(service.me(&staying).await.status, 401);
    service.check_refreshed(&service.refresh(&refreshed).await, &refreshed, "bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i07_a_file_that_another_process_writes_to_for_long_is_503_for_changes_alone() {
    let folder = Folder::new();
    store(folder.file()).migrate().await.unwrap();
    let service = app(folder.file());
    let (known, staying) = (service.login("ada").await, service.login("bob").await);
    check_is(&service.me(&known).await, "ada");
    let holder = Holder::of(&folder.file(), Holds::Writing);
    let changes = async {
        let refreshes = join_all((0..20).map(|_| service.refresh(&known)));
        let logouts = join_all((0..20).map(|_| service.log_out(&staying)));
        let (refreshes, logouts) = tokio::join!(refreshes, logouts);
        refreshes.iter().chain(&logouts).for_each(check_down);
    };
    let reads = async {
        for _ in 0..20 {
            check_is(&service.me(&known).await, "ada");
            service.check_without_store().await;
        }
    };
    let ((_, changed), (_, read)) = tokio::join!(timed(changes), timed(reads));
    assert!(changed < LIMIT, "{changed:?}");
    assert!(read < LIMIT, "nobody waits to read: {read:?}");
    holder.let_go();
    check_is(&service.me(&staying).await, "bob");
    service.check_refreshed(&service.refresh(&known).await, &known, "ada").await;
    assert_eq!(service.log_out(&staying).await.status, 204);
    assert_eq!(service.me(&staying).await.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_i07_a_file_that_another_process_has_for_itself_is_503_in_time() {
    let folder = Folder::new();
    store(folder.file()).migrate().await.unwrap();
    let (known, ended) = {
        let before = app(folder.file());
        let logins = (before.login("ada").await, before.login("bob").await);
        assert_eq!(before.log_out(&logins.1).await.status, 204);
        logins
    };
    // The last to close puts the log away, which tells that nobody has the file any more.
    let log = folder.file().with_file_name("kept.db-wal");
    let closed = async {
        while log.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed).await.expect("it is closed");
    let holder = Holder::of(&folder.file(), Holds::Everything);
    let service = app(folder.file());
    let asked = join_all([&known, &ended].into_iter().cycle().take(40).map(|login| service.me(login)));
    let ((answers, took), (refresh, _)) = tokio::join!(timed(asked), timed(service.refresh(&known)));
    answers.iter().chain([&refresh]).for_each(check_down);
    assert!(took < LIMIT, "{took:?}");
    service.check_without_store().await;
    holder.let_go();
    service.check_works_again(&known, "ada").await;
    assert_eq!(service.me(&ended).await.status, 401);
    service.check_refreshed(&service.refresh(&known).await, &known, "ada").await;
}
