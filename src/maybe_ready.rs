//! An answer that is there already, or a future that will have it.
//!
//! What is asked on every request answers [`MaybeReady::Now`] from memory, through a trait object, without
//! allocating a future.

use std::{fmt, future::Future, pin::Pin};

/// A boxed future that owns what it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Either the answer or a future of it.
#[must_use]
#[allow(clippy::exhaustive_enums)] // there is no third way
pub enum MaybeReady<T> {
    /// The answer: nothing had to be waited for.
    Now(T),
    /// The answer needs I/O.
    Later(BoxFuture<T>),
}

impl<T> MaybeReady<T> {
    /// Boxes a future.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Waits for the answer.
    ///
    /// # Cancel safety
    /// Dropping the future drops the inner one; whether that loses work is the inner one's affair.
    pub async fn wait(self) -> T {
        match self {
            Self::Now(answer) => answer,
            Self::Later(future) => future.await,
        }
    }
}

impl<T> fmt::Debug for MaybeReady<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Now(_) => "Now(..)",
            Self::Later(_) => "Later(..)",
        })
    }
}
