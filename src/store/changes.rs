//! How a node learns what others have changed.

use async_trait::async_trait;

use crate::text::TokenId;

/// What may be different in a store since it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// This login.
    Login(TokenId),
    /// Anything: messages may have been missed, or everything has changed.
    Anything,
}

/// Tells of changes that any node has made to the logins of a store, soon after they were made.
///
/// Whoever keeps copies of logins forgets them by it, as [`CachedStore`](super::CachedStore) does. A feed is no promise: messages may be lost with a connection.
/// So it says [`Change::Anything`] whenever it has begun to listen, at first and after each loss of its connection, and
/// who listens to it bounds the age of what it keeps as well.
#[async_trait]
pub trait ChangeFeed: Send + 'static {
    /// Waits for the next change. A feed has no end and no error: without a connection it waits, and tries again with a
    /// growing pause.
    ///
    /// # Cancel safety
    /// A dropped future loses no change that the next call would not tell of.
    async fn next(&mut self) -> Change;
}
