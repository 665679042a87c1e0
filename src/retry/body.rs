//! How the body of a request is kept for another attempt.

use http_body::Body;

/// Copies bodies before they are sent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot copy a body of type `{B}`",
    note = "`EmptyBodies` needs a body that is `Default`, `ClonedBodies` one that is `Clone`; write your own for others"
)]
pub trait CopyBody<B>: Clone + Send + Sync + 'static {
    /// A body that is sent like this one; `None` if there is no way to make one. The request is then sent once.
    fn copy(&self, body: &B) -> Option<B>;
}

/// Repeats requests whose body is empty. The default.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmptyBodies;

/// Repeats every request, by cloning its body: for bodies whose clones share their bytes, like `Full<Bytes>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClonedBodies;

impl<B: Body + Default> CopyBody<B> for EmptyBodies {
    fn copy(&self, body: &B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }
}

impl<B: Clone> CopyBody<B> for ClonedBodies {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}
