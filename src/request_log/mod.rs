//! One line in the log for each request and one for its answer, without their secrets.
//!
//! 1. Both are `tracing` events at `DEBUG` with the target `portcullis::request_log`: method, URI and headers of the
//!    request; status, headers and milliseconds of the answer. Where nobody listens, nothing is formatted.
//! 2. URIs and headers go through a [`Redaction`]; names of your own add to the built-in ones. Values
//!    of headers are shown for harmless names only.
//! 3. Bodies are not logged, and of an error only that there was one: its text is somebody else's.
//!
//! The layer fits on either side: around a server's service, or around a client. Inside a
//! [`TokenInjectLayer`](crate::TokenInjectLayer) it sees the token's header, and hides it.
//!
//! ```
//! use portcullis::{redact::Redaction, request_log::RequestLogLayer};
//!
//! let layer = RequestLogLayer::new(Redaction::new().and_names(["X-Customer"]));
//! # let _ = layer;
//! ```

mod future;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use layer::RequestLogLayer;
pub use service::RequestLog;

#[cfg(doc)]
use crate::redact::Redaction;
