//! Tokens that are fetched: named steps that build on one another.
//!
//! 1. A step fetches one token, perhaps with the tokens of earlier steps. The last step's token is the one that
//!    requests carry.
//! 2. A fresh token is handed out without a lock and without I/O. Otherwise one fetch serves all who wait; dropping
//!    one of them, or all, does not stop it. A failure is not kept.
//! 3. A fresh token needs no earlier step: those are fetched only where a later step has to be.
//! 4. Fetches run on the tokio runtime that polls the first request for them. It must have its timer enabled
//!    (`enable_time`), else that poll panics.

mod answer;
mod builder;
mod fetch;
mod fetch_body;
mod fetch_header;
mod fetch_http;
mod flight;
mod graph;
mod parts;
mod provider;
mod shared;
mod slot;
mod step;
mod token;

pub use answer::Lifetime;
pub use builder::TokenPipelineBuilder;
pub use fetch::{Fetch, TokenFetcher};
pub use fetch_body::{BodyTokenFetcher, FromBody};
pub use fetch_header::{FromHeader, HeaderTokenFetcher};
pub use fetch_http::{HttpTokenFetcher, ReadToken};
pub use parts::TokenPipeline;
pub use provider::PipelineProvider;
pub use shared::{ExchangeError, SharedLeases, SharedLeasesBuilder, SharedToken, Want};
pub use token::AccessToken;
