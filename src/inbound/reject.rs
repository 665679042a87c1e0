//! The request is answered here.

use http::Response;

use crate::problem::{MakeReply, Rejection};

/// Logs the refusal and makes the answer.
pub(super) fn reject<B>(rejection: Rejection, maker: &impl MakeReply<B>) -> Response<B> {
    tracing::debug!(kind = rejection.kind().code(), reason = ?rejection.reason(), "request refused");
    rejection.respond(maker)
}
