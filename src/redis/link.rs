//! The one connection, and what its errors come to.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures_util::{FutureExt, future::Shared};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{runtime::Handle, task::AbortHandle, time};

use crate::{
    maybe_ready::BoxFuture,
    secret::Secret,
    store::{StoreError, StoreErrorKind},
};

/// How often a script that was loaded may be gone before it is used.
const EMPTIED_MAX: usize = 8;

/// A connection to one server that is made when it is needed, and again when it broke.
///
/// The client's own manager of connections tries for seconds before it reports that a server is down, keeps a
/// connection on which nothing is answered, and needs a runtime to be made; a token's fetch shall not wait for that.
pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    connect: Duration,
    response: Duration,
    current: ArcSwap<Attempt>,
}

/// A connection, or the attempt to make one. All who wait for it share its end, so that a server that stands still is
/// not connected to by each of them.
struct Attempt(Shared<BoxFuture<Result<MultiplexedConnection, Failure>>>);

/// A task that ends with this.
struct Task(AbortHandle);

/// What the server is asked to do in one step.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// These commands, one after the other.
    Commands(&'a Pipeline),
    /// This script.
    Script(&'a ScriptInvocation<'a>),
}

/// Whether a step that failed with its connection may be taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Twice is the same as once.
    Harmless,
    /// The second time would be judged by what the first has done.
    Never,
}

/// Why the server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// There is no connection, or it broke.
    Connection,
    /// No answer in time.
    Timeout,
    /// The server's own error; only its code, the text behind it may quote what was sent.
    Refused(String),
    /// An answer to something else.
    Answer,
}

// ===== impl Link =====

impl Link {
    /// `None` if the address is none. The reason would quote it.
    pub(super) fn new(url: &Secret, connect: Duration, response: Duration) -> Option<Self> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(response));
        let client = Client::open(url.expose()).ok()?;
        let current = ArcSwap::from_pointee(Attempt::new(&client, &config, connect));
        Some(Self { client, config, connect, response, current })
    }

    /// Takes a step on the connection. One that broke while nobody used it, as with a server that was started
    /// anew, costs no error if the step may be taken again.
    pub(super) async fn ask<T: FromRedisValue>(&self, step: Step<'_>, again: Again) -> Result<T, StoreError> {
        // The client panics where there is none.
        Handle::try_current().map_err(StoreError::unavailable)?;
        let mut emptied = 0;
        loop {
            let mut attempt = self.current.load_full();
            if attempt.has_failed() {
                attempt = self.replace(&attempt);
            }
            let used_before = attempt.is_done();
            let connection = match attempt.connection().await {
                Ok(connection) => connection,
                Err(failure) => {
                    self.replace(&attempt);
                    return Err(StoreError::unavailable(failure));
                }
            };
            let error = match step.take(connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Somebody has emptied the server's scripts between their loading and their use: nothing was done.
            if is_unknown_script(&error) && emptied < EMPTIED_MAX {
                emptied += 1;
                continue;
            }
            if is_lost(&error) {
                self.replace(&attempt);
                if used_before && again == Again::Harmless && !error.is_timeout() {
                    continue;
                }
            }
            return Err(unavailable(&error));
        }
    }

    /// A connection that hears what is said on this channel, once this has returned.
    pub(super) async fn subscribe(&self, channel: &str) -> Result<PubSub, StoreError> {
        let subscribed = async {
            let mut connection = self.client.get_async_pubsub().await?;
            connection.subscribe(channel).await?;
            Ok(connection)
        };
        let in_time = time::timeout(self.connect + self.response, subscribed).await;
        in_time
            .map_err(|_elapsed| StoreError::unavailable(Failure::Timeout))?
            .map_err(|error| unavailable(&error))
    }

    /// Whether there is somebody at the other end.
    pub(super) async fn answers(&self, connection: &mut PubSub) -> bool {
        let answer = time::timeout(self.response, connection.ping::<redis::Value>()).await;
        answer.is_ok_and(|answer| answer.is_ok())
    }

    /// The next attempt, which somebody else may have put there already.
    fn replace(&self, attempt: &Arc<Attempt>) -> Arc<Attempt> {
        let next = Arc::new(Attempt::new(&self.client, &self.config, self.connect));
        self.current.compare_and_swap(attempt, next);
        self.current.load_full()
    }
}

// ===== impl Attempt =====

impl Attempt {
    /// Nothing is done before somebody waits.
    fn new(client: &Client, config: &AsyncConnectionConfig, limit: Duration) -> Self {
        let (client, config) = (client.clone(), config.clone());
        let making: BoxFuture<_> = Box::pin(async move {
            // A task, so that it goes on when those who wait are dropped: its limit would else be over for the next.
            let connecting =
                async move { client.get_multiplexed_async_connection_with_config(&config).await };
            let task = tokio::spawn(time::timeout(limit, connecting));
            let _ends = Task(task.abort_handle());
            match task.await {
                Ok(Ok(made)) => made.map_err(|error| Failure::of(&error)),
                Ok(Err(_elapsed)) => Err(Failure::Timeout),
                Err(_ended) => Err(Failure::Connection),
            }
        });
        Self(making.shared())
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

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        match self.0.peek() {
            Some(end) => end.clone(),
            None => self.0.clone().await,
        }
    }
}

// ===== impl Task =====

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Nothing more is to be expected of the connection. A late answer would be dropped, and one that never comes may
/// mean a connection of which the other side knows nothing. A primary that has become a replica is none any more: the
/// address may lead to the new one.
fn is_lost(error: &RedisError) -> bool {
    let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
    demoted || error.is_io_error() || error.is_unrecoverable_error()
}

fn unavailable(error: &RedisError) -> StoreError {
    match Failure::of(error) {
        // `maxmemory` is reached and nothing may be evicted.
        Failure::Refused(code) if code == "OOM" => StoreError::new(StoreErrorKind::Full),
        failure => StoreError::unavailable(failure),
    }
}

fn is_code(text: &str) -> bool {
    text.len() <= 24 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

// ===== impl Step =====

impl Step<'_> {
    async fn take<T: FromRedisValue>(self, mut connection: MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::Commands(commands) => commands.query_async(&mut connection).await,
            Self::Script(script) => script.invoke_async(&mut connection).await,
        }
    }
}

// ===== impl Failure =====

impl Failure {
    fn of(error: &RedisError) -> Self {
        match error.kind() {
            _ if error.is_timeout() => Self::Timeout,
            ErrorKind::Server(_) | ErrorKind::Extension if error.code().is_some() => {
                let code = error.code().filter(|code| is_code(code));
                Self::Refused(code.unwrap_or("ERR").to_owned())
            }
            _ if is_lost(error) => Self::Connection,
            _ => Self::Answer,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str("no connection to the server"),
            Self::Timeout => f.write_str("the server did not answer in time"),
            Self::Refused(code) => write!(f, "the server refused ({code})"),
            Self::Answer => f.write_str("the server's answer was not understood"),
        }
    }
}

impl std::error::Error for Failure {}
