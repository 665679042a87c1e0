//! The one connection, and what its errors come to.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult,
    ScriptInvocation, ServerErrorKind,
    aio::{MultiplexedConnection, PubSub},
};
use tokio::{runtime::Handle, sync::OnceCell, time};

use crate::{
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
    /// The cell is replaced with the connection: who asks while one is made waits for the same.
    current: ArcSwap<OnceCell<MultiplexedConnection>>,
}

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
        Some(Self { client, config, connect, response, current: ArcSwap::from_pointee(OnceCell::new()) })
    }

    /// Takes a step on the connection. One that broke while nobody used it, as with a server that was started
    /// anew, costs no error if the step may be taken again.
    pub(super) async fn ask<T: FromRedisValue>(&self, step: Step<'_>, again: Again) -> Result<T, StoreError> {
        // The client panics where there is none.
        Handle::try_current().map_err(StoreError::unavailable)?;
        let mut emptied = 0;
        loop {
            let cell = self.current.load_full();
            let used_before = cell.initialized();
            let connection = match cell.get() {
                Some(connection) => connection,
                None => self.connection(&cell).await?,
            };
            let error = match step.take(connection.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Somebody has emptied the server's scripts between their loading and their use: nothing was done.
            if is_unknown_script(&error) && emptied < EMPTIED_MAX {
                emptied += 1;
                continue;
            }
            if is_lost(&error) {
                self.current.compare_and_swap(&cell, Arc::new(OnceCell::new()));
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

    async fn connection<'a>(
        &self,
        cell: &'a OnceCell<MultiplexedConnection>,
    ) -> Result<&'a MultiplexedConnection, StoreError> {
        let connect = || self.client.get_multiplexed_async_connection_with_config(&self.config);
        // Who waits for another's attempt, which fails, makes one of its own; together they take no longer.
        time::timeout(self.connect, cell.get_or_try_init(connect))
            .await
            .map_err(|_elapsed| StoreError::unavailable(Failure::Timeout))?
            .map_err(|error| unavailable(&error))
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
    let failure = match error.kind() {
        _ if error.is_timeout() => Failure::Timeout,
        ErrorKind::Server(_) | ErrorKind::Extension if error.code().is_some() => match error.code() {
            // `maxmemory` is reached and nothing may be evicted.
            Some("OOM") => return StoreError::new(StoreErrorKind::Full),
            code => Failure::Refused(code.filter(|code| is_code(code)).unwrap_or("ERR").to_owned()),
        },
        _ if is_lost(error) => Failure::Connection,
        _ => Failure::Answer,
    };
    StoreError::unavailable(failure)
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
