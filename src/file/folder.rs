//! The folder of one namespace, and the steps that are taken in it. Everything here blocks.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::entry::{Held, Kept, Life, life_of_lease, life_of_lock};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseWrite, LockOwner,
        LockState,
    },
};

/// How often the steps' own lock is tried, and how long it is waited between: a step takes some milliseconds, so
/// whoever holds it for five seconds stands still.
const TRIES: usize = 1000;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// A lock's file stays this much longer than the lock, so that the next fence is higher.
const FENCE_KEPT: Duration = Duration::from_secs(86_400);

/// One namespace's folder.
pub(super) struct Folder(PathBuf);

/// Held while a step is taken. The operating system lets it go with the file, also when the process is killed.
pub(super) struct Step<'a> {
    folder: &'a Folder,
    /// When it was its turn.
    now: Timestamp,
    _mutex: File,
}

/// The files of one key are named by a hash: every name is legal and as long as any other, also where a file
/// system knows no lower case.
fn name(text: &str, extension: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    format!("{}{extension}", data_encoding::HEXLOWER.encode(&hash[..16]))
}

// ===== impl Folder =====

impl Folder {
    pub(super) fn new(root: &Path, namespace: &LeaseNamespace) -> Self {
        Self(root.join(name(namespace.as_str(), "")))
    }

    /// Without the steps' lock: a file is there whole or not at all.
    pub(super) fn get(&self, key: &LeaseKey, now: Timestamp) -> io::Result<Option<FoundLease>> {
        let kept = self.record(key)?.filter(|kept| !kept.life.is_over(now));
        Ok(kept.map(|kept| kept.found(now)))
    }

    /// Makes the folder where there is none, and waits for its lock.
    pub(super) fn step(&self, clock: &Clock) -> io::Result<Step<'_>> {
        let root = self.0.parent().unwrap_or(Path::new("."));
        access::make_folder(root)?;
        access::refuse_if_others_write(root)?;
        access::make_folder(&self.0)?;
        access::keep_private(&self.0, access::FOLDER)?;
        let mutex = access::open().read(true).write(true).create(true).open(self.0.join("mutex"))?;
        for _ in 0..TRIES {
            match mutex.try_lock() {
                Ok(()) => return Ok(Step { folder: self, now: clock.now(), _mutex: mutex }),
                Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_TRIES),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(ErrorKind::TimedOut.into())
    }

    fn record(&self, key: &LeaseKey) -> io::Result<Option<Kept>> {
        let Some(bytes) = read(&self.lease_path(key))? else { return Ok(None) };
        let kept = Kept::from_bytes(key, &bytes);
        if kept.is_none() {
            tracing::warn!(key = key.as_str(), "a file is no shared token of its key: passed over");
        }
        Ok(kept)
    }

    fn held(&self, key: &LeaseKey) -> io::Result<Option<Held>> {
        Ok(read(&self.lock_path(key))?.and_then(|bytes| Held::from_bytes(key, &bytes)))
    }

    fn lease_path(&self, key: &LeaseKey) -> PathBuf {
        self.0.join(name(key.as_str(), ".lease"))
    }

    fn lock_path(&self, key: &LeaseKey) -> PathBuf {
        self.0.join(name(key.as_str(), ".lock"))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        // There is one writer at a time, so one name is enough, and what a killed one has left is overwritten.
        let fresh = path.with_extension("tmp");
        let mut file = access::open().write(true).create(true).truncate(true).open(&fresh)?;
        access::keep_private(&fresh, access::FILE)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        self.sync()
    }

    /// A name in a folder is on the disk when the folder is.
    fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.0)?.sync_all() } else { Ok(()) }
    }
}

// ===== impl Step =====

impl Step<'_> {
    pub(super) fn put(
        &self,
        key: &LeaseKey,
        record: LeaseRecord,
        ttl: Duration,
        expect: Expect,
    ) -> io::Result<LeaseWrite> {
        if !self.is_as_expected(key, expect)? {
            return Ok(LeaseWrite::Changed);
        }
        let kept = Kept { record, life: Life::begin(self.now, ttl) };
        self.folder.replace(&self.folder.lease_path(key), &kept.to_bytes(key))?;
        Ok(LeaseWrite::Done)
    }

    pub(super) fn delete(&self, key: &LeaseKey, expect: Expect) -> io::Result<LeaseWrite> {
        if !self.is_as_expected(key, expect)? {
            return Ok(LeaseWrite::Changed);
        }
        if remove(&self.folder.lease_path(key))? {
            self.folder.sync()?;
        }
        Ok(LeaseWrite::Done)
    }

    pub(super) fn clear(&self) -> io::Result<()> {
        self.remove_where("lease", |_| true)?;
        self.folder.sync()
    }

    /// Removes what has ended, and what killed writers have left.
    pub(super) fn sweep(&self) -> io::Result<()> {
        self.remove_where("tmp", |_| true)?;
        self.remove_where("lease", |bytes| life_of_lease(bytes).is_some_and(|life| life.is_over(self.now)))?;
        self.remove_where("lock", |bytes| {
            life_of_lock(bytes).is_some_and(|life| life.is_over_since(self.now, FENCE_KEPT))
        })
    }

    pub(super) fn lock(
        &self,
        key: &LeaseKey,
        owner: LockOwner,
        ttl: Duration,
    ) -> io::Result<Option<LeaseLock>> {
        let held = self.folder.held(key)?;
        let lock = match held {
            Some(held) if !held.life.is_over(self.now) && *held.lock.owner() != owner => {
                if held.life.is_stretched(self.now) {
                    // Else it would be held until the clock is there again.
                    self.hold(key, held.lock, held.life.again(self.now))?;
                }
                return Ok(None);
            }
            Some(held) if !held.life.is_over(self.now) => held.lock,
            // The clock alone would do, unless it is set back.
            held => {
                let last = held.map_or(0, |held| held.lock.fence());
                let clock = u64::try_from(self.now.as_millis()).unwrap_or(0);
                LeaseLock::new(owner, clock.max(last.saturating_add(1)))
            }
        };
        self.hold(key, lock, Life::begin(self.now, ttl))?;
        Ok(Some(lock))
    }

    pub(super) fn renew(&self, key: &LeaseKey, lock: LeaseLock, ttl: Duration) -> io::Result<LockState> {
        if !self.is_held(key, lock)? {
            return Ok(LockState::Lost);
        }
        self.hold(key, lock, Life::begin(self.now, ttl))?;
        Ok(LockState::Held)
    }

    pub(super) fn unlock(&self, key: &LeaseKey, lock: LeaseLock) -> io::Result<LockState> {
        if !self.is_held(key, lock)? {
            return Ok(LockState::Lost);
        }
        // It stays for its fence, and is over.
        let over = Life::begin(self.now.minus(Duration::from_millis(1)), Duration::ZERO);
        self.hold(key, lock, over)?;
        Ok(LockState::Held)
    }

    fn is_as_expected(&self, key: &LeaseKey, expect: Expect) -> io::Result<bool> {
        let there = match expect {
            Expect::Anything => return Ok(true),
            Expect::Absent | Expect::Version(_) => self.folder.get(key, self.now)?,
        };
        let there = there.map(|found| found.record().version());
        Ok(match expect {
            Expect::Version(version) => there == Some(version),
            _ => there.is_none(),
        })
    }

    fn is_held(&self, key: &LeaseKey, lock: LeaseLock) -> io::Result<bool> {
        let held = self.folder.held(key)?;
        Ok(held.is_some_and(|held| held.lock == lock && !held.life.is_over(self.now)))
    }

    fn hold(&self, key: &LeaseKey, lock: LeaseLock, life: Life) -> io::Result<()> {
        self.folder.replace(&self.folder.lock_path(key), &Held { lock, life }.to_bytes(key))
    }

    fn remove_where(&self, extension: &str, gone: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder.0)? {
            let path = entry?.path();
            let fits = path.extension().is_some_and(|found| found == extension);
            if fits && read(&path)?.is_some_and(|bytes| gone(&bytes)) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::read(path) {
        Ok(bytes) => {
            access::keep_private(path, access::FILE)?;
            Ok(Some(Zeroizing::new(bytes)))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there was anything.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Who may read: the owner, and nobody else.
#[cfg(unix)]
mod access {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};

    use super::{ErrorKind, OpenOptions, Path, fs, io};

    pub(super) const FILE: u32 = 0o600;
    pub(super) const FOLDER: u32 = 0o700;
    const OTHERS: u32 = 0o077;
    const OTHERS_WRITE: u32 = 0o022;
    /// In such a folder only the owner of a file can replace it.
    const STICKY: u32 = 0o1000;

    pub(super) fn open() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.mode(FILE);
        options
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(FOLDER).create(path)
    }

    /// Takes rights away that others have. If it is another user's, this fails, and nothing is kept there.
    pub(super) fn keep_private(path: &Path, mode: u32) -> io::Result<()> {
        let permissions = match fs::metadata(path) {
            Ok(metadata) => metadata.permissions(),
            // Replaced or removed meanwhile; the successor is looked at by who reads it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if permissions.mode() & OTHERS == 0 {
            return Ok(());
        }
        tracing::warn!("others had a right to shared tokens: taken away");
        fs::set_permissions(path, PermissionsExt::from_mode(mode))
    }

    pub(super) fn refuse_if_others_write(path: &Path) -> io::Result<()> {
        let mode = fs::metadata(path)?.permissions().mode();
        if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(io::Error::new(ErrorKind::PermissionDenied, "others may write to the folder"));
        }
        Ok(())
    }
}

/// Elsewhere the folder that the application names decides who may read.
#[cfg(not(unix))]
mod access {
    use super::{OpenOptions, Path, fs, io};

    pub(super) const FILE: u32 = 0;
    pub(super) const FOLDER: u32 = 0;

    pub(super) fn open() -> OpenOptions {
        OpenOptions::new()
    }

    pub(super) fn make_folder(path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    pub(super) fn keep_private(_: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn refuse_if_others_write(_: &Path) -> io::Result<()> {
        Ok(())
    }
}
