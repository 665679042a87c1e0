//! How a request body can be sent a second time, without changing its type.

mod record;
mod simple;
mod tee;
mod teed;

use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Body;

pub use simple::{Cloned, EmptyOnly, Never};
pub use tee::Tee;
pub use teed::Teed;

/// Decides whether and how a request can be repeated after a 401.
pub trait Replay<B>: Clone + Send + Sync + 'static {
    /// What is kept of the body.
    type Saved: Send + 'static;

    /// Whether [`save`](Self::save) would keep anything of this body. It is asked before there is a token: a
    /// request that cannot be repeated wants one with some life left.
    fn can_save(&self, body: &B) -> bool;

    /// What to keep, before the body is sent; `None` if this request cannot be repeated. It is not called where
    /// no repeat can follow.
    fn save(&self, body: &mut B) -> Option<Self::Saved>;

    /// Whether what was kept is of no use any more, whatever happens: then nobody waits for a newer token.
    fn is_lost(&self, saved: &Self::Saved) -> bool;

    /// Pending while what was kept is still being sent, if that may end soon: the layer waits for it, for no longer than
    /// 250 ms. By default it is ready.
    fn poll_back(&self, saved: &mut Self::Saved, cx: &mut Context<'_>) -> Poll<()> {
        let _ = (saved, cx);
        Poll::Ready(())
    }

    /// The body once more, or `None` if it is lost, or still being sent.
    fn restore(&self, saved: Self::Saved) -> Option<B>;
}

/// Bodies that can hold a body of another type with the same data and error, so that [`Tee`] can read along
/// without changing the type that services see. Boxed bodies can.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold another body, so `Tee` cannot read along",
    note = "`Tee` is for boxed bodies; use `Cloned` for bodies that can be cloned"
)]
pub trait Rebox: Body<Data = Bytes> + Default + Send + Unpin + Sized + 'static {
    /// The same frames, as a body of this type.
    fn rebox(body: Teed<Self>) -> Self;

    /// A second handle of a body that is in memory whole, both without a copy of its bytes. Then nobody reads along,
    /// and the body stays what it is. By default there is none.
    fn twin(&mut self) -> Option<Self> {
        None
    }
}

impl<E: 'static> Rebox for http_body_util::combinators::UnsyncBoxBody<Bytes, E> {
    fn rebox(body: Teed<Self>) -> Self {
        Self::new(body)
    }
}

impl<E: 'static> Rebox for http_body_util::combinators::BoxBody<Bytes, E> {
    fn rebox(body: Teed<Self>) -> Self {
        Self::new(body)
    }
}

/// What [`Tee`] keeps of a request.
pub struct TeeSaved<B>(tee::Saved<B>);

impl<B> fmt::Debug for TeeSaved<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TeeSaved(..)")
    }
}

#[cfg(test)]
mod tests;
