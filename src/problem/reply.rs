//! How an answer of ours becomes an answer of the host.

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Either, Full, combinators};

use super::Rejection;

/// A response body that can hold bytes of ours. Implement it for a body type of your own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold an answer of `AuthLayer`",
    note = "implement `portcullis::problem::ReplyBody` for your body type, or give the layer a maker of answers with `.reject_with(…)`"
)]
pub trait ReplyBody {
    /// The bytes as a body.
    fn reply(bytes: Bytes) -> Self;
}

/// Makes the whole answer to a refused request; `answer` is the one that would be given by default.
///
/// Closures `Fn(&Rejection, Response<Bytes>) -> Response<B>` are makers too. See the docs of `.reject_with(…)`
/// on the layer's builder.
pub trait MakeReply<B>: Send + Sync + 'static {
    /// Turns the default answer into the one to send.
    fn make(&self, rejection: &Rejection, answer: Response<Bytes>) -> Response<B>;
}

/// The default maker: the problem body as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProblemReply;

impl<B: ReplyBody> MakeReply<B> for ProblemReply {
    fn make(&self, _rejection: &Rejection, answer: Response<Bytes>) -> Response<B> {
        answer.map(B::reply)
    }
}

impl<B, F> MakeReply<B> for F
where
    F: Fn(&Rejection, Response<Bytes>) -> Response<B> + Send + Sync + 'static,
{
    fn make(&self, rejection: &Rejection, answer: Response<Bytes>) -> Response<B> {
        self(rejection, answer)
    }
}

// ===== bodies of the field =====

impl ReplyBody for Bytes {
    fn reply(bytes: Bytes) -> Self {
        bytes
    }
}

impl ReplyBody for Vec<u8> {
    fn reply(bytes: Bytes) -> Self {
        bytes.into()
    }
}

impl ReplyBody for String {
    fn reply(bytes: Bytes) -> Self {
        Self::from_utf8_lossy(&bytes).into_owned()
    }
}

impl ReplyBody for Full<Bytes> {
    fn reply(bytes: Bytes) -> Self {
        Self::new(bytes)
    }
}

impl<E: 'static> ReplyBody for combinators::BoxBody<Bytes, E> {
    fn reply(bytes: Bytes) -> Self {
        Full::new(bytes).map_err(|never| match never {}).boxed()
    }
}

impl<E: 'static> ReplyBody for combinators::UnsyncBoxBody<Bytes, E> {
    fn reply(bytes: Bytes) -> Self {
        Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
    }
}

/// For a stack that answers with a body of its own on one side already.
impl<L, R: ReplyBody> ReplyBody for Either<L, R> {
    fn reply(bytes: Bytes) -> Self {
        Self::Right(R::reply(bytes))
    }
}
