//! Connections that are shared, and how a step is taken on one of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, TryStreamExt, future::Shared};
use tokio::{
    runtime::Handle,
    sync::{OnceCell, Semaphore},
    time,
};
use tokio_postgres::{Client, Error, Row, Statement};

use super::{
    connect::{Opener, Task},
    failure::{Failure, Undone},
    sql::{Sql, Texts},
    value::Value,
};
use crate::{maybe_ready::BoxFuture, store::StoreError};

/// How often a step is asked for that the server has undone because of others.
const ATTEMPTS: usize = 4;

/// A few connections to one server that are made when they are needed, and again when they broke.
pub(super) struct Link {
    lanes: Box<[Lane]>,
    /// Where each connection takes one step at a time: as many may be on their way as there are connections.
    exclusive: Option<Semaphore>,
    opener: Opener,
    texts: Arc<Texts>,
    limit: Duration,
}

/// How the connections of a [`Link`] are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Steps follow one another without waiting for answers.
    Pipelined,
    /// One step at a time: it may have to wait for a lock, and nobody else's shall wait with it.
    Exclusive,
}

/// Whether a step that failed with its connection may be taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Twice is the same as once.
    Harmless,
    /// The second time would be judged by what the first has done.
    Never,
}

/// The place of one connection.
struct Lane {
    current: ArcSwap<Attempt>,
    on_their_way: AtomicUsize,
}

/// A connection, or the attempt to make one, which all share who wait for it.
struct Attempt(Shared<BoxFuture<Result<Arc<Connection>, Failure>>>);

/// One connection with the statements that it knows.
struct Connection {
    client: Client,
    known: Box<[OnceCell<Statement>]>,
    texts: Arc<Texts>,
    _reading: Task,
}

/// Counts a step on its way.
struct OnItsWay<'a>(&'a AtomicUsize);

// ===== impl Link =====

impl Link {
    pub(super) fn new(opener: Opener, texts: Arc<Texts>, count: usize, uses: Use, limit: Duration) -> Self {
        let lane = |_| Lane {
            current: ArcSwap::from_pointee(Attempt::new(&opener, &texts, limit)),
            on_their_way: AtomicUsize::new(0),
        };
        let lanes = (0..count.max(1)).map(lane).collect();
        let exclusive = (uses == Use::Exclusive).then(|| Semaphore::new(count.max(1)));
        Self { lanes, exclusive, opener, texts, limit }
    }

    /// Takes a step. A connection that broke while nobody used it, as with a server that was started anew, costs no
    /// error if that was seen before the step was sent, or if the step may be taken again.
    ///
    /// Waiting for a turn, connecting and all attempts together take at most twice the limit of one step.
    pub(super) async fn ask(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        again: Again,
    ) -> Result<Vec<Row>, StoreError> {
        // The client panics where there is none.
        Handle::try_current().map_err(StoreError::unavailable)?;
        let asking = self.ask_until_done(sql, values, again);
        time::timeout(2 * self.limit, asking).await.unwrap_or_else(|_elapsed| Err(Failure::Timeout.into()))
    }

    async fn ask_until_done(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        again: Again,
    ) -> Result<Vec<Row>, StoreError> {
        let _turn = match &self.exclusive {
            Some(turns) => Some(self.in_time(turns.acquire()).await?.expect("it is never closed")),
            None => None,
        };
        let (lane, _counted) = self.idlest();
        for attempt_left in (0..ATTEMPTS).rev() {
            let mut attempt = lane.current.load_full();
            if attempt.has_failed() {
                attempt = self.replace(lane, &attempt);
            }
            let used_before = attempt.is_done();
            let connection = match attempt.connection().await {
                Ok(connection) => connection,
                Err(failure) => {
                    self.replace(lane, &attempt);
                    return Err(failure.into());
                }
            };
            if connection.client.is_closed() && attempt_left > 0 {
                self.replace(lane, &attempt);
                continue;
            }
            let failure = match self.in_time(connection.take(sql, values)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => Failure::of(&error),
                Err(failure) => {
                    // A server that stands still, or one that knows nothing of the connection: neither is waited for.
                    self.replace(lane, &attempt);
                    return Err(failure.into());
                }
            };
            if failure.is_lost() {
                self.replace(lane, &attempt);
            }
            let undone = matches!(failure, Failure::Undone(Undone::Deadlock | Undone::Statement));
            let broke_idle = failure.is_lost() && used_before && again == Again::Harmless;
            if !(undone || broke_idle) || attempt_left == 0 {
                return Err(failure.into());
            }
        }
        Err(Failure::Connection.into())
    }

    /// The number of rows.
    pub(super) async fn count(
        &self,
        sql: Sql,
        values: &[Value<'_>],
        again: Again,
    ) -> Result<usize, StoreError> {
        self.ask(sql, values, again).await.map(|rows| rows.len())
    }

    async fn in_time<T>(&self, step: impl Future<Output = T>) -> Result<T, Failure> {
        time::timeout(self.limit, step).await.map_err(|_elapsed| Failure::Timeout)
    }

    /// The first of those with the fewest steps on their way: where little is asked, one connection is enough.
    fn idlest(&self) -> (&Lane, OnItsWay<'_>) {
        loop {
            let busy = self.lanes.iter().map(|lane| (lane.on_their_way.load(Ordering::Relaxed), lane));
            let (count, lane) = busy.min_by_key(|(count, _)| *count).expect("there is at least one");
            // Somebody may have taken it meanwhile: of exclusive ones nobody takes the same.
            if let Some(counted) = OnItsWay::on(lane, count) {
                return (lane, counted);
            }
        }
    }

    /// The next step makes a new connection, unless somebody has seen to that.
    fn replace(&self, lane: &Lane, attempt: &Arc<Attempt>) -> Arc<Attempt> {
        let next = Attempt::new(&self.opener, &self.texts, self.limit);
        lane.current.compare_and_swap(attempt, Arc::new(next));
        lane.current.load_full()
    }
}

// ===== impl Attempt =====

impl Attempt {
    /// Nothing is done before somebody waits.
    fn new(opener: &Opener, texts: &Arc<Texts>, limit: Duration) -> Self {
        let (opener, texts) = (opener.clone(), Arc::clone(texts));
        let opening: BoxFuture<_> = Box::pin(async move {
            // A task, so that it goes on when those who wait are dropped: its limit would else be over for the next.
            // The server gives up first: then the connection lives on, and nothing that nobody waits for is done on it.
            let task = tokio::spawn(async move { opener.open(limit / 4 * 3).await });
            let _ends = Task::new(&task);
            let (client, reading) = task.await.unwrap_or(Err(Failure::Connection))?;
            let known = (0..Sql::COUNT).map(|_| OnceCell::new()).collect();
            Ok(Arc::new(Connection { client, known, texts, _reading: reading }))
        });
        Self(opening.shared())
    }

    fn is_done(&self) -> bool {
        self.0.peek().is_some()
    }

    /// Whether it has failed already. Nobody may have been there to see it, and that may be long ago.
    fn has_failed(&self) -> bool {
        match self.0.peek() {
            Some(end) => end.is_err(),
            None => self.0.clone().now_or_never().is_some_and(|end| end.is_err()),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>, Failure> {
        match self.0.peek() {
            Some(done) => done.clone(),
            None => self.0.clone().await,
        }
    }
}

// ===== impl Connection =====

impl Connection {
    async fn take(&self, sql: Sql, values: &[Value<'_>]) -> Result<Vec<Row>, Error> {
        let cell = &self.known[sql as usize];
        let statement = match cell.get() {
            Some(statement) => statement,
            None => cell.get_or_try_init(|| self.client.prepare(self.texts.of(sql))).await?,
        };
        self.client.query_raw(statement, values).await?.try_collect().await
    }
}

// ===== impl OnItsWay =====

impl<'a> OnItsWay<'a> {
    /// `None` if there are no longer so many before it.
    fn on(lane: &'a Lane, count: usize) -> Option<Self> {
        let taken =
            lane.on_their_way.compare_exchange(count, count + 1, Ordering::Relaxed, Ordering::Relaxed);
        taken.is_ok().then(|| Self(&lane.on_their_way))
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
