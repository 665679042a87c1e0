//! How a connection is made, over whatever the application's connector makes of a socket.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use tokio::{
    task::{AbortHandle, JoinHandle},
    time,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error, SimpleQueryMessage, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{failure::Failure, schema::Schema};
use crate::maybe_ready::BoxFuture;

/// What the server says on a connection, which lives for as long as somebody reads it.
pub(super) type Messages = Pin<Box<dyn Stream<Item = Result<AsyncMessage, Error>> + Send>>;

/// Makes sockets into connections: the connector with its type erased.
pub(super) trait Connect: Send + Sync {
    fn connect(&self, config: Arc<Config>) -> BoxFuture<Result<(Client, Messages), Error>>;
}

/// A connector of the application's.
pub(super) struct Tls<T>(pub(super) T);

/// Everything that a new connection is made with.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) config: Arc<Config>,
    pub(super) connect: Arc<dyn Connect>,
    pub(super) schema: Arc<Schema>,
    /// How long it may take, the greeting included.
    pub(super) limit: Duration,
}

/// A task that ends with this.
pub(super) struct Task(AbortHandle);

// ===== impl Tls =====

impl<T> Connect for Tls<T>
where
    T: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect(&self, config: Arc<Config>) -> BoxFuture<Result<(Client, Messages), Error>> {
        let connector = self.0.clone();
        Box::pin(async move {
            let (client, mut connection) = config.connect(connector).await?;
            let mut ended = false;
            let messages = stream::poll_fn(move |cx| {
                if ended {
                    return std::task::Poll::Ready(None);
                }
                let message = connection.poll_message(cx);
                ended = matches!(message, std::task::Poll::Ready(None | Some(Err(_))));
                message
            });
            Ok((client, Box::pin(messages) as Messages))
        })
    }
}

// ===== impl Opener =====

impl Opener {
    /// A connection whose tables are those that this version knows, read by a task, on which no statement takes longer
    /// than `statement`.
    pub(super) async fn open(&self, statement: Duration) -> Result<(Client, Task), Failure> {
        let opening = async {
            let (client, reading) = self.greet().await?;
            let setup = format!("{}; {}", settings(statement), self.schema.version_query());
            let answer = client.simple_query(&setup).await.map_err(|error| Failure::of(&error))?;
            let row = answer.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            let number = |at| row.and_then(|row| row.try_get(at).ok().flatten()?.parse().ok());
            Schema::check(number(0), number(1))?;
            Ok((client, reading))
        };
        self.in_time(opening).await
    }

    /// A connection for the migrations: whatever the tables are, and without a limit on the server.
    pub(super) async fn open_unchecked(&self) -> Result<(Client, Task), Failure> {
        self.in_time(async {
            let (client, reading) = self.greet().await?;
            let setup = settings(Duration::ZERO);
            client.batch_execute(&setup).await.map_err(|error| Failure::of(&error))?;
            Ok((client, reading))
        })
        .await
    }

    async fn greet(&self) -> Result<(Client, Task), Failure> {
        let connected = self.connect.connect(Arc::clone(&self.config)).await;
        let (client, mut messages) = connected.map_err(|error| Failure::of(&error))?;
        let task = tokio::spawn(async move { while let Some(Ok(_)) = messages.next().await {} });
        Ok((client, Task::new(&task)))
    }

    async fn in_time<T>(&self, opening: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        time::timeout(self.limit, opening).await.unwrap_or(Err(Failure::Timeout))
    }
}

/// What a session is told before all else, whatever the server's defaults are.
///
/// A plan is made once for all parameters: it has to be one by index, whatever the tables held when it was made.
fn settings(statement: Duration) -> String {
    format!(
        "set statement_timeout = {}; set lock_timeout = 0; set idle_in_transaction_session_timeout = 60000; \
         set default_transaction_isolation = 'read committed'; set client_min_messages = error; \
         set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off",
        statement.as_millis(),
    )
}

// ===== impl Task =====

impl Task {
    pub(super) fn new<T>(task: &JoinHandle<T>) -> Self {
        Self(task.abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
