//! Rate limits for attempts: a login, a refresh, a second factor.
//!
//! 1. Attempts are counted, not failures: a limit that learns of a failure afterwards lets a parallel flood
//!    through. Whoever names an unknown user is counted like everybody else.
//! 2. Two buckets: one for each client address, one for each address and identifier. The address is charged
//!    first; what it refuses does not charge the identifier.
//! 3. A neighbour cannot use up the identifier of somebody at another address: the identifier's bucket belongs
//!    to the address. Only where no address is known do all share one bucket for each identifier.
//! 4. "Too many" and "could not check" stay apart, and neither lets the attempt through.
//!
//! Put it in front of whatever costs or reveals something, and answer with the [`Rejection`] it converts to:
//!
//! ```
//! use portcullis::{
//!     problem::{Rejection, RejectionKind},
//!     store::MemoryCounters,
//!     throttle::{Throttle, ThrottlePolicy},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let throttle = Throttle::new(MemoryCounters::new(), ThrottlePolicy::default());
//! let client = Some([192, 0, 2, 7].into());
//! for _ in 0..5 {
//!     assert!(throttle.admit("login", client, Some("ada")).await.is_ok());
//! }
//! let refused = throttle.admit("login", client, Some("Ada")).await.map_err(Rejection::from);
//! let rejection = refused.unwrap_err();
//! assert_eq!(rejection.kind(), RejectionKind::TooManyRequests);
//! assert!(rejection.answer().headers().contains_key("retry-after"));
//! # }
//! ```
//!
//! [`Rejection`]: crate::problem::Rejection

mod error;
mod policy;
mod refreshes;
mod service;

pub use error::Throttled;
pub use policy::{ThrottlePolicy, ThrottlePolicyBuilder};
pub use service::Throttle;

#[cfg(test)]
mod tests;
