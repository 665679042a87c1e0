//! Refusals as axum responses.

use axum_core::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::problem::{ProblemReply, Rejection, ReplyBody};

impl ReplyBody for Body {
    fn reply(bytes: Bytes) -> Self {
        Self::from(bytes)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.respond(&ProblemReply)
    }
}
