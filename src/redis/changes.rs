//! What others have changed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{Msg, aio::PubSub};
use tokio::time;

use super::link::Link;
use crate::{
    random,
    store::{Change, ChangeFeed, StoreError},
    text::TokenId,
};

/// A connection on which nothing has come for so long is asked whether it still stands.
const QUIET: Duration = Duration::from_secs(2);
/// The first pause after a connection that broke or was not made.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest, so that a server that is back is heard within five seconds.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The characters of one id in a message.
const ID_WIDTH: usize = 17;

/// Listens on a connection of its own.
pub(super) struct RedisChanges {
    link: Arc<Link>,
    channel: String,
    connection: Option<PubSub>,
    /// Heard, and not told yet.
    heard: VecDeque<Change>,
    pause: Duration,
}

impl RedisChanges {
    pub(super) fn new(link: Arc<Link>, channel: String) -> Self {
        Self { link, channel, connection: None, heard: VecDeque::new(), pause: Duration::ZERO }
    }

    fn lost(&mut self) {
        self.connection = None;
        self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
    }

    /// Whether the connection is made; what is said from then on is heard.
    async fn connect(&mut self) -> Result<PubSub, StoreError> {
        // All nodes that have lost the same server shall not come back at once.
        time::sleep(self.pause.mul_f64(0.5 + random::fraction() / 2.0)).await;
        self.link.subscribe(&self.channel).await
    }
}

#[async_trait]
impl ChangeFeed for RedisChanges {
    async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.heard.pop_front() {
                return change;
            }
            let Some(connection) = &mut self.connection else {
                match self.connect().await {
                    Ok(connection) => {
                        self.connection = Some(connection);
                        return Change::Anything;
                    }
                    Err(_tried_again) => self.lost(),
                }
                continue;
            };
            let message = time::timeout(QUIET, connection.on_message().next()).await;
            match message {
                Ok(Some(message)) => {
                    self.pause = Duration::ZERO;
                    read(&message, &mut self.heard);
                }
                Ok(None) => self.lost(),
                Err(_quiet) if self.link.answers(connection).await => self.pause = Duration::ZERO,
                Err(_dead) => self.lost(),
            }
        }
    }
}

/// A message is `*`, or ids one after the other.
fn read(message: &Msg, heard: &mut VecDeque<Change>) {
    let bytes = message.get_payload_bytes();
    let ids = bytes.chunks(ID_WIDTH).map(|id| std::str::from_utf8(id).ok().and_then(TokenId::parse));
    match ids.collect::<Option<Vec<_>>>() {
        Some(ids) => heard.extend(ids.into_iter().map(Change::Login)),
        None => heard.push_back(Change::Anything),
    }
}
