//! In files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use portcullis::{
    FileLeases,
    clock::ManualClock,
    conformance::{LeaseFixture, lease_store_tests},
    store::{Expect, LeaseKey, LeaseNamespace, LeaseStore, LeaseWrite, LockOwner},
};

use super::record;
use crate::support::{START, secs};

/// A folder of its own for each test, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let name = LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat();
        let path = std::env::temp_dir().join(format!("portcullis-{name}"));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Every file below.
    fn files(&self) -> Vec<PathBuf> {
        let mut open = vec![self.0.clone()];
        let mut found = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { open.push(path) } else { found.push(path) }
            }
        }
        found
    }

    /// The bytes of every file.
    pub(crate) fn contents(&self) -> Vec<u8> {
        self.files().iter().flat_map(|file| fs::read(file).unwrap()).collect()
    }

    fn file(&self, extension: &str) -> PathBuf {
        let fits = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
        self.files().into_iter().find(fits).expect("there is one")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn namespace() -> LeaseNamespace {
    LeaseNamespace::new("shop").unwrap()
}

fn key() -> LeaseKey {
    LeaseKey::new(&namespace(), "crm", "user")
}

/// Two stores that know nothing of each other but the folder.
async fn empty() -> LeaseFixture {
    let (folder, time) = (Folder::new(), ManualClock::new(START));
    let open = || Arc::new(FileLeases::with_clock(folder.path(), time.clock()));
    let (one, two) = (open(), open());
    let fixture = LeaseFixture::new(one, two).keep(folder);
    fixture.passing(move |span| {
        time.advance(span);
        std::future::ready(())
    })
}

lease_store_tests!(empty);

async fn put(store: &FileLeases, number: u64, ttl: Duration) {
    put_at(store, &key(), number, ttl).await;
}

async fn put_at(store: &FileLeases, key: &LeaseKey, number: u64, ttl: Duration) {
    let put = store.put(key, &record(number), ttl, Expect::Anything).await.unwrap();
    assert_eq!(put, LeaseWrite::Done);
}

#[cfg(unix)]
mod rights {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[tokio::test]
    async fn r102_files_are_their_owners_alone_and_wider_rights_are_taken_away() {
        let folder = Folder::new();
        let store = FileLeases::new(folder.path().join("made/on/demand"));
        put(&store, 1, secs(60)).await;
        store.lock(&key(), &LockOwner::generate().unwrap(), secs(60)).await.unwrap();
        let files = folder.files();
        assert_eq!(files.len(), 3, "a token, a lock, and the steps' own: {files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600));
        let inside = files[0].parent().unwrap();
        assert_eq!((mode(inside), mode(inside.parent().unwrap())), (0o700, 0o700));

        set_mode(&folder.file("lease"), 0o644);
        assert!(store.get(&key()).await.unwrap().is_some());
        assert_eq!(mode(&folder.file("lease")), 0o600);
        set_mode(inside, 0o755);
        put(&store, 2, secs(60)).await;
        assert_eq!(mode(inside), 0o700);
        // What a killed writer has left.
        let left = inside.join(folder.file("lease").file_stem().unwrap()).with_extension("tmp");
        fs::write(&left, "planted").unwrap();
        set_mode(&left, 0o666);
        put(&store, 3, secs(60)).await;
        assert_eq!((mode(&folder.file("lease")), left.exists()), (0o600, false));
    }

    #[tokio::test]
    async fn r102_nothing_is_kept_where_others_may_write() {
        let folder = Folder::new();
        set_mode(folder.path(), 0o777);
        let store = FileLeases::new(folder.path());
        store.put(&key(), &record(1), secs(60), Expect::Anything).await.unwrap_err();
        assert!(folder.files().is_empty());
        set_mode(folder.path(), 0o1777);
        put(&store, 1, secs(60)).await;
    }
}

#[tokio::test]
async fn r102_what_is_damaged_is_no_token_and_can_be_replaced() {
    let folder = Folder::new();
    let store = FileLeases::new(folder.path());
    put(&store, 1, secs(60)).await;
    let whole = fs::read(folder.file("lease")).unwrap();
    for damaged in [&b""[..], b"junk", &whole[..whole.len() - 1], &[&whole[..], b"x"].concat()] {
        fs::write(folder.file("lease"), damaged).unwrap();
        assert!(store.get(&key()).await.unwrap().is_none());
    }
    assert_eq!(store.put(&key(), &record(2), secs(60), Expect::Absent).await.unwrap(), LeaseWrite::Done);
    // Another key's file under this name.
    let other = LeaseKey::new(&namespace(), "crm", "app");
    let put_other = async |number, ttl| put_at(&store, &other, number, ttl).await;
    let mine = folder.file("lease");
    let bytes = fs::read(&mine).unwrap();
    fs::remove_file(&mine).unwrap();
    put_other(3, secs(60)).await;
    fs::write(folder.file("lease"), bytes).unwrap();
    assert!(store.get(&other).await.unwrap().is_none());
}

#[tokio::test]
async fn r102_what_has_ended_is_removed_from_the_disk() {
    let (folder, time) = (Folder::new(), ManualClock::new(START));
    let store = FileLeases::with_clock(folder.path(), time.clock());
    let (other, owner) = (LeaseKey::new(&namespace(), "crm", "app"), LockOwner::generate().unwrap());
    let put_other = async |number, ttl| put_at(&store, &other, number, ttl).await;
    put(&store, 1, secs(60)).await;
    store.lock(&key(), &owner, secs(60)).await.unwrap();
    let before = folder.file("lease");
    time.advance(secs(61));
    put_other(2, secs(100_000)).await;
    assert!(!before.exists() && folder.file("lock").exists(), "the fence is kept for a day");
    time.advance(secs(90_000));
    put_other(3, secs(100_000)).await;
    assert_eq!(folder.files().len(), 2, "a token and the steps' own: {:?}", folder.files());
}

#[tokio::test]
async fn r207_a_clock_that_is_set_back_holds_no_lock_for_ever() {
    let (folder, time) = (Folder::new(), ManualClock::new(START));
    let store = FileLeases::with_clock(folder.path(), time.clock());
    let (holder, next) = (LockOwner::generate().unwrap(), LockOwner::generate().unwrap());
    let held = store.lock(&key(), &holder, secs(30)).await.unwrap().unwrap();
    put(&store, 1, secs(30)).await;
    time.set(START.minus(secs(86_400)));
    assert!(store.lock(&key(), &next, secs(30)).await.unwrap().is_none(), "still held");
    assert_eq!(store.get(&key()).await.unwrap().unwrap().remaining(), secs(30), "no longer than told");
    time.advance(secs(30));
    let taken = store.lock(&key(), &next, secs(30)).await.unwrap().expect("it has ended");
    assert!(taken.fence() > held.fence());
}

/// The lock of a step is the operating system's: somebody else who holds it is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r207_steps_of_two_processes_come_one_after_the_other() {
    let folder = Folder::new();
    let store = FileLeases::new(folder.path());
    put(&store, 1, secs(60)).await;
    let mutex = folder.files().into_iter().find(|path| path.ends_with("mutex")).unwrap();
    let other = fs::File::open(mutex).unwrap();
    other.lock().unwrap();
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.put(&key(), &record(2), secs(60), Expect::Anything).await }
    });
    for _ in 0..20 {
        // Readers do not wait, and see what is there.
        assert_eq!(store.get(&key()).await.unwrap().unwrap().record().version().get(), 1);
    }
    assert!(!waiting.is_finished());
    other.unlock().unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), LeaseWrite::Done);
    assert_eq!(store.get(&key()).await.unwrap().unwrap().record().version().get(), 2);
}
