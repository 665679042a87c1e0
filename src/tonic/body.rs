//! tonic's body, in both doors.

use bytes::Bytes;
use http_body_util::Full;
use tonic::body::Body;

use crate::{
    outbound::{Rebox, Teed},
    problem::ReplyBody,
};

impl Rebox for Body {
    fn rebox(body: Teed<Self>) -> Self {
        Self::new(body)
    }
}

/// Refusals are HTTP answers. gRPC clients read the call's status from the answer's: `UNAUTHENTICATED` from a 401.
impl ReplyBody for Body {
    fn reply(bytes: Bytes) -> Self {
        Self::new(Full::new(bytes))
    }
}
