//! The changes that others make.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, future::poll_fn};
use std::task::{Context, Poll, ready};
use tokio::time::{self, Sleep};
use tokio_postgres::{AsyncMessage, Client};

use super::connect::{Messages, Opener};
use crate::{
    maybe_ready::BoxFuture,
    random,
    store::{Change, ChangeFeed},
    text::TokenId,
};

/// The first pause after a connection was lost or could not be made; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest: who listens knows of a server that is back within this.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the server is asked for a sign of life: a connection that was lost without a word is silent, too.
const BEAT: Duration = Duration::from_secs(5);

/// Tells of changes of logins, by `LISTEN` over a connection of its own. Made by
/// [`PostgresStore::changes`](super::PostgresStore::changes).
///
/// There is no task behind it: it makes its connection, and reads it, while [`next`](ChangeFeed::next) is waited for. So
/// wait for it all the time; the server keeps what was not read yet, and for all who listen.
pub struct PostgresChanges {
    opener: Opener,
    /// How long the server may take for a sign of life.
    limit: Duration,
    state: State,
    pause: Duration,
}

/// Kept between calls, so that a call that is dropped loses nothing.
enum State {
    Connecting(BoxFuture<Option<Listening>>),
    Listening(Listening),
    Waiting(Pin<Box<Sleep>>),
}

struct Listening {
    client: Arc<Client>,
    messages: Messages,
    next_beat: Pin<Box<Sleep>>,
    /// Whether there was a sign of life, once it is known.
    beat: Option<BoxFuture<bool>>,
}

// ===== impl PostgresChanges =====

impl PostgresChanges {
    pub(super) fn new(opener: Opener, limit: Duration) -> Self {
        let state = State::Connecting(Box::pin(listen(opener.clone())));
        Self { opener, limit, state, pause: PAUSE }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Change> {
        loop {
            self.state = match &mut self.state {
                State::Connecting(connecting) => match ready!(connecting.as_mut().poll(cx)) {
                    Some(listening) => {
                        self.pause = PAUSE;
                        self.state = State::Listening(listening);
                        return Poll::Ready(Change::Anything);
                    }
                    None => State::Waiting(Box::pin(time::sleep(self.next_pause()))),
                },
                State::Listening(listening) => match ready!(listening.poll_change(cx, self.limit)) {
                    Some(change) => return Poll::Ready(change),
                    // At once: it is the first attempt after a connection that was good.
                    None => State::Connecting(Box::pin(listen(self.opener.clone()))),
                },
                State::Waiting(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    State::Connecting(Box::pin(listen(self.opener.clone())))
                }
            };
        }
    }

    /// With jitter, so that the processes that lost one server do not come back to it together.
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause.mul_f64(0.5 + random::fraction() / 2.0);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        pause
    }
}

#[async_trait]
impl ChangeFeed for PostgresChanges {
    async fn next(&mut self) -> Change {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl fmt::Debug for PostgresChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresChanges").finish_non_exhaustive()
    }
}

/// A connection that listens; `None` if there is none to be had in time.
async fn listen(opener: Opener) -> Option<Listening> {
    let listening = async {
        let (client, mut messages) = opener.connect.connect(Arc::clone(&opener.config)).await.ok()?;
        let statement = format!("listen {}", opener.schema.channel());
        let mut listening = Box::pin(client.batch_execute(&statement));
        // Nothing is told before the answer.
        let answer = poll_fn(|cx| {
            while let Poll::Ready(message) = messages.poll_next_unpin(cx) {
                if !matches!(message, Some(Ok(_))) {
                    return Poll::Ready(None);
                }
            }
            listening.poll_unpin(cx).map(Result::ok)
        });
        answer.await?;
        drop(listening);
        let next_beat = Box::pin(time::sleep(BEAT));
        Some(Listening { client: Arc::new(client), messages, next_beat, beat: None })
    };
    time::timeout(opener.limit, listening).await.ok().flatten()
}

// ===== impl Listening =====

impl Listening {
    /// `None` if the connection is lost.
    fn poll_change(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<Option<Change>> {
        loop {
            // This also drives what the client sends, and its answers.
            while let Poll::Ready(message) = self.messages.poll_next_unpin(cx) {
                match message {
                    Some(Ok(AsyncMessage::Notification(told))) => {
                        let change = TokenId::parse(told.payload()).map_or(Change::Anything, Change::Login);
                        return Poll::Ready(Some(change));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Poll::Ready(None),
                }
            }
            match &mut self.beat {
                Some(beat) => {
                    if !ready!(beat.as_mut().poll(cx)) {
                        return Poll::Ready(None);
                    }
                    self.beat = None;
                    self.next_beat = Box::pin(time::sleep(BEAT));
                }
                None => {
                    ready!(self.next_beat.as_mut().poll(cx));
                    let client = Arc::clone(&self.client);
                    self.beat = Some(Box::pin(async move {
                        let asked = client.batch_execute("select 1");
                        time::timeout(limit, asked).await.is_ok_and(|answer| answer.is_ok())
                    }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostgresStore;

    #[tokio::test]
    async fn r203_pauses_grow_up_to_seconds() {
        let mut feed = PostgresStore::builder("postgres://u@localhost/x").build().unwrap().changes();
        let pauses: Vec<Duration> = (0..20).map(|_| feed.next_pause()).collect();
        assert!(pauses[0] <= PAUSE && pauses[19] >= PAUSE_MAX / 2, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX && *pause >= PAUSE / 2), "{pauses:?}");
    }
}
