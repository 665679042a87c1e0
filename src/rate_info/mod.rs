//! What a server says about its rate limits, read from the headers of its answers.
//!
//! Three families are read, and nothing is enforced:
//!
//! 1. `RateLimit` and `RateLimit-Policy`, several quotas with a name each (the IETF draft
//!    `draft-ietf-httpapi-ratelimit-headers`, since its eighth version), and the one quota of the version before
//!    (`limit=100, remaining=50, reset=5`).
//! 2. `X-RateLimit-Limit`, `-Remaining` and `-Reset`, and the same with `RateLimit-` and `X-Rate-Limit-`: one quota. They
//!    are read where the first family is not there. `-Reset` has no agreed meaning: below 1 000 000 000 it is a number of
//!    seconds from now, from there on a moment in seconds of Unix time, from 100 000 000 000 on in milliseconds. A
//!    fraction is dropped.
//! 3. `Retry-After`, as seconds or as a date. The draft has it take precedence over every reset.
//!
//! What cannot be read is as if it were not there, and so is what is too much: more than 16 quotas, or more than 4 KiB of
//! one header. Spans are cut at a year. All of it is the server's word: it may be wrong, and it promises nothing.
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use portcullis::rate_info::{RateInfo, RateInfoLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), http::Error> {
//! let api = service_fn(async |_: Request<()>| {
//!     Response::builder()
//!         .header("ratelimit-policy", r#""burst";q=100;w=60, "daily";q=5000;w=86400"#)
//!         .header("ratelimit", r#""burst";r=7;t=21"#)
//!         .body(())
//! });
//! let client = ServiceBuilder::new().layer(RateInfoLayer::new()).service(api);
//!
//! let response = client.oneshot(Request::new(())).await?;
//! let info = response.extensions().get::<RateInfo>().expect("the headers are there");
//! let burst = info.tightest().expect("one has a count");
//! assert_eq!((burst.name(), burst.remaining(), burst.limit()), (Some("burst"), Some(7), Some(100)));
//! assert_eq!(burst.reset_after(), Some(Duration::from_secs(21)));
//! # Ok(())
//! # }
//! ```

mod future;
mod info;
mod layer;
mod read;
mod service;
mod structured;

pub use future::ResponseFuture;
pub use info::{Quota, RateInfo};
pub use layer::RateInfoLayer;
pub use service::ReadRateInfo;

#[cfg(test)]
mod tests;
