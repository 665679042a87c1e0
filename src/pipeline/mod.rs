//! Tokens that are fetched: named steps that build on one another.
//!
//! 1. A step fetches one token, perhaps with the tokens of earlier steps. The last step's token is the one that
//!    requests carry.
//! 2. A fresh token is handed out without a lock and without I/O. Otherwise one fetch serves all who wait; dropping
//!    one of them, or all, does not stop it.
//! 3. A fresh token needs no earlier step: those are fetched only where a later step has to be.
//! 4. In the last part of its life a token is still handed out at once, and one fetch in the background gets the
//!    next. If that fails the present token stays, and the endpoint is asked again after 1 s to 5 s, later up to
//!    30 s, or when its `Retry-After` says.
//! 5. Without a token, all who wait share one failure. The first one is not kept: who asks next tries again. From
//!    the second in a row on, everybody gets the last failure for half a second to 5 s, or as long as the
//!    endpoint's `Retry-After` says, up to an hour. No failure is kept for longer, also where it looks final.
//! 6. A token that was refused is not handed out again, nor is what was made from it.
//! 7. Fetches run on the tokio runtime that polls the first request for them. It must have its timer enabled
//!    (`enable_time`), else they fail. They end with the last handle to the pipeline.

mod answer;
mod attempt;
mod backoff;
mod blame;
mod builder;
mod epoch;
mod fetch;
mod fetch_body;
mod fetch_header;
mod fetch_http;
mod flight;
mod graph;
mod handle;
mod land;
mod parts;
mod provider;
mod renewal;
mod slot;
mod step;
mod token;
mod token_pipeline;
mod window;

pub use answer::Lifetime;
pub use builder::TokenPipelineBuilder;
pub use epoch::UnknownStep;
pub use fetch::{Fetch, TokenFetcher};
pub use fetch_body::{BodyTokenFetcher, FromBody};
pub use fetch_header::{FromHeader, HeaderTokenFetcher};
pub use fetch_http::{HttpTokenFetcher, ReadToken};
pub use provider::PipelineProvider;
pub use token::AccessToken;
pub use token_pipeline::TokenPipeline;
