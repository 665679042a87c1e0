//! reqwest: its client below the layers, and the token layer among its middlewares.
//!
//! 1. reqwest sits below our layers and follows redirects itself. It takes `Authorization` and `Cookie` off at the first
//!    step to another origin and has them back at the second, and it leaves headers of other names on at every step. So
//!    credentials go only where redirects are off, or known to stay.
//! 2. An answer says who has given it ([`FinalUri`](crate::outbound::FinalUri)).
//! 3. Bodies of bytes stay what they are; only streams are wrapped to be read along.
//! 4. Errors of ours, and their causes, show no URL.

mod answer;
mod error;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod rebox;
mod redirects;
mod service;

pub use error::ReqwestError;
#[cfg(feature = "reqwest-middleware")]
pub use middleware::TokenMiddleware;
pub use redirects::same_origin_redirects;
pub use service::{ReqwestFuture, ReqwestService};
