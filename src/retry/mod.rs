//! Requests that are sent again after a failure that may pass. Under the feature `retry`.
//!
//! 1. **What is repeated**: requests with an idempotent method (GET, HEAD, OPTIONS, TRACE, PUT and DELETE, RFC 9110
//!    §9.2.2), and others where the layer or the request itself asks for it ([`Repeat`]). A body must be empty, or be
//!    copied by a [`CopyBody`] of the layer; a request whose body cannot be copied is sent once.
//! 2. **After what**: a status of 408, 429, 500, 502, 503 or 504, and an error that [`is_transient`], which certificates
//!    and handshakes of TLS are not. Never after a 401: the same token would be refused again, and a new one is
//!    [`outbound`](crate::outbound)'s to get. Both count for themselves: each attempt may get a new token once.
//! 3. **How often**: 3 times, as long as there is a budget. The one by default lets a fifth of all requests be repeated,
//!    and ten in every second, so that an outage is not made worse by everybody who repeats.
//! 4. **How long it waits**: 1 s, doubled with every attempt, up to 60 s. Of that, a random half to the whole, drawn for
//!    every wait. Where an answer says `Retry-After`, in seconds or as a date, it waits so long at least, and up to one
//!    first wait longer, for others were told the same. An answer that asks for more than 60 s is returned at once.
//! 5. **What comes back** is the last answer, untouched, or the last error, as it was: there is no error of ours.
//!
//! It sleeps on tokio's timer, which the runtime must have (`enable_time`), or the poll that sleeps panics. Nothing bounds
//! the whole but a timeout outside; one inside bounds each attempt, and its error is transient.
//! [The order of a client's layers](crate::docs::client_layers) has its own page.
//!
//! ```
//! use std::{
//!     sync::atomic::{AtomicUsize, Ordering},
//!     time::Duration,
//! };
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use portcullis::retry::{ClonedBodies, RequestRetryLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! static SENT: AtomicUsize = AtomicUsize::new(0);
//! let flaky = service_fn(async |_: Request<Full<Bytes>>| {
//!     let status = if SENT.fetch_add(1, Ordering::SeqCst) == 0 { 503 } else { 204 };
//!     Response::builder().status(status).body(())
//! });
//! let layer = RequestRetryLayer::builder()
//!     .first_wait(Duration::from_millis(2))
//!     .bodies(ClonedBodies)
//!     .build()?;
//! let client = ServiceBuilder::new().layer(layer).service(flaky);
//!
//! let request = Request::put("https://api.example.com/").body(Full::from("text"))?;
//! let response = client.oneshot(request).await.map_err(|error| error.to_string())?;
//! assert_eq!(response.status(), 204);
//! assert_eq!(SENT.load(Ordering::SeqCst), 2);
//! # Ok(())
//! # }
//! ```

mod backoff;
mod body;
mod boxed;
mod future;
mod layer;
mod policy;
mod rules;
mod service;
mod transient;

pub use body::{ClonedBodies, CopyBody, EmptyBodies};
pub use future::ResponseFuture;
pub use layer::{RequestRetryLayer, RequestRetryLayerBuilder};
pub use rules::Repeat;
pub use service::RequestRetry;
/// How much may be repeated; from `tower`.
pub use tower::retry::budget::{Budget, TpsBudget};
pub use transient::is_transient;
