//! The handle, and the way from a future to the threads that may block.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::{runtime::Handle, sync::oneshot, time};

use super::{
    builder::SqliteStoreBuilder,
    failure::{Failure, Stop},
    group::{self, GROUP_MAX, Work},
    link::{Access, Db, Link, Settings},
    queue::Queue,
};
use crate::store::StoreError;

/// How many steps may wait for a thread. More than callers have any use for, and few enough to be worked off within the
/// limit of a step.
const WAITING_MAX: usize = 1024;

/// Keeps logins, API keys, one-time values, counters and shared tokens in one file, for the processes of one machine.
/// Clones share it, its connections and its threads.
///
/// What was acknowledged is on the disk: it outlives `kill -9` and a loss of power. The file belongs on a local disk;
/// network file systems have neither the locks nor the shared memory that it takes. It is made for its owner alone
/// (mode 0600), in WAL mode, so there are two more files beside it while it is open; a copy takes all three, or
/// `VACUUM INTO`.
///
/// Nothing is opened before it is needed, and the tables are made by [`migrate`](Self::migrate) only: without them every
/// step is [`Unavailable`](crate::store::StoreErrorKind::Unavailable), and the cause says so. One thread writes, some read;
/// they are started with the first steps and end when the last clone is dropped. Every step needs a tokio runtime with its
/// timer.
///
/// It has no bound of its own but [`max_size`](SqliteStoreBuilder::max_size). A full disk is
/// [`Full`](crate::store::StoreErrorKind::Full), for every write; nothing is half written then, and as soon as there is room
/// it works again. Call [`TokenService::purge`](crate::TokenService::purge): what has ended stays until then.
/// Lives of shared tokens and of their locks go by the machine's clock; a clock that is set back prolongs what is there, by
/// no more than its whole life.
///
/// What it keeps of tokens are digests. Shared tokens are sealed by whoever hands them over (`SharedLeases::sealed`, under
/// the feature `seal`).
///
/// ```
/// use portcullis::{SqliteStore, TokenPolicy, TokenService, identity::Subject, token::IssueOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("portcullis-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let store = SqliteStore::builder(folder.join("logins.db")).build()?;
/// store.migrate().await?;
/// let tokens = TokenService::new(store, TokenPolicy::default());
/// let issued = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await?;
/// assert!(tokens.verify(issued.access().expose(), None).await.is_ok());
/// # drop(tokens);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    writer: Arc<Queue<Work>>,
    readers: Arc<Queue<Read>>,
}

/// A read, which tells its outcome by itself.
type Read = Box<dyn FnOnce(&mut Link) + Send>;

/// Whether a step waits for a place in a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Awaited,
    /// The step may as well be left out: it is asked for again.
    AtOnce,
}

// ===== impl SqliteStore =====

impl SqliteStore {
    /// A store in this file.
    pub fn builder(path: impl Into<PathBuf>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.into())
    }

    pub(super) fn new(settings: Settings, readers: usize) -> Self {
        Self(Arc::new(Shared {
            settings: Arc::new(settings),
            writer: Queue::new(1, WAITING_MAX),
            readers: Queue::new(readers, WAITING_MAX),
        }))
    }

    /// Makes the file and its tables, or brings tables of an earlier version up to date, in one transaction. The folder has
    /// to be there. Any number of processes may do so at once, and as often as they like.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be made or written to, is no database, is on a file system without WAL mode, or has
    /// tables of a later version; nothing was changed then.
    ///
    /// # Cancel safety
    /// A dropped future has made all tables or none.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        // A change of many rows may take its time.
        self.send(Work::Migrate(answer), Place::Awaited).await?;
        answered.await.map_err(|_ended| Failure::Thread)?
    }

    /// Takes a step that changes nothing, on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Db) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let read = move |link: &mut Link| {
            if !answer.is_closed() {
                let _left = answer.send(link.read(step).map_err(StoreError::from));
            }
        };
        self.within_limit(async {
            let readers = &self.0.readers;
            let room = readers.room().await?;
            let settings = Arc::clone(&self.0.settings);
            readers.push(Box::new(read), room, move || {
                let mut link = Link::new(Arc::clone(&settings), Access::Read);
                move |queue: &Queue<Read>| {
                    let jobs = queue.take(1);
                    let goes_on = !jobs.is_empty();
                    jobs.into_iter().for_each(|job| job(&mut link));
                    goes_on
                }
            })?;
            answered.await.map_err(|_ended| Failure::Thread)?
        })
        .await
    }

    /// Takes a step of the writing thread. It is told of when it is on the disk.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        place: Place,
        step: impl FnMut(&Db) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (work, answered) = group::step(step);
        self.within_limit(async {
            self.send(work, place).await?;
            answered.await.map_err(|_ended| Failure::Thread)?
        })
        .await
    }

    async fn send(&self, work: Work, place: Place) -> Result<(), StoreError> {
        let writer = &self.0.writer;
        let room = match place {
            Place::Awaited => writer.room().await?,
            Place::AtOnce => writer.try_room()?,
        };
        let settings = Arc::clone(&self.0.settings);
        writer.push(work, room, move || {
            let mut link = Link::new(Arc::clone(&settings), Access::Write);
            move |queue: &Queue<Work>| {
                let jobs = queue.take(GROUP_MAX);
                let goes_on = !jobs.is_empty();
                group::work(&mut link, jobs);
                goes_on
            }
        })?;
        Ok(())
    }

    async fn within_limit<T>(
        &self,
        step: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        Handle::try_current().map_err(|_none| Failure::NoRuntime)?;
        let limit = self.0.settings.step_timeout;
        time::timeout(limit, step).await.unwrap_or_else(|_elapsed| Err(Failure::TimedOut.into()))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.settings.path).finish_non_exhaustive()
    }
}

// ===== impl Shared =====

impl Drop for Shared {
    /// The threads do what was asked for, close the file and end.
    fn drop(&mut self) {
        self.writer.close();
        self.readers.close();
    }
}
