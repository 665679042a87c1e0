//! With which token requests go out: a layer that attaches tokens.
//!
//! 1. A request to an origin that is not allowed passes untouched, without a token.
//! 2. A fresh token is attached without a lock and without I/O. Otherwise one fetch serves all who wait;
//!    dropping one of them, or all, does not stop it.
//! 3. An answer of 401 makes the provider get something newer than the lease that was rejected. The request is
//!    repeated at most once, and only if that succeeds, the new token differs, and the body can be sent again;
//!    otherwise the 401 is the answer.
//! 4. A token that cannot be had is an error. The request is not sent without it.
//! 5. Redirects are followed outside the layer, or not at all: a client below it that follows them would carry
//!    a token in a header of your own to wherever the answer points.
//! 6. Fetches run on the tokio runtime that polls the first request for them. It must have its timer enabled (`enable_time`),
//!    else that poll panics.
//!
//! ```no_run
//! use std::time::Duration;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use portcullis::{
//!     TokenInjectLayer, TokenPipeline,
//!     http_client::HttpClient,
//!     pipeline::BodyTokenFetcher,
//! };
//! use tower::{ServiceBuilder, service_fn};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let client = service_fn(|_: Request<Full<Bytes>>| async { Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::new()))) });
//! let pipeline = TokenPipeline::builder("myapp")
//!     .http(HttpClient::new(client))
//!     .step(
//!         BodyTokenFetcher::post("app", "https://auth.example.com/v1/app/token")
//!             .form([("client_id", "me"), ("client_secret", "…")])
//!             .ttl(Duration::from_secs(3600)),
//!     )
//!     .step(
//!         BodyTokenFetcher::post("user", "https://auth.example.com/v1/user/token")
//!             .json(serde_json::json!({ "user": "ada" }))
//!             .header_from("x-app-token", "app"),
//!     )
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(TokenInjectLayer::new(pipeline.provider()).allow_origin("https://api.example.com").build()?)
//!     .service(client);
//! # let _ = service;
//! # Ok(())
//! # }
//! ```

mod again;
mod attempt;
mod budget;
mod builder;
mod drain;
mod error;
mod final_uri;
mod first;
mod future;
mod layer;
mod options;
mod outcome;
mod ready;
mod refresh_retry;
mod replay;
mod rules;
mod service;
mod verdict;

pub use budget::RepeatBudget;
pub use builder::TokenInjectLayerBuilder;
pub use error::InjectError;
pub use final_uri::FinalUri;
pub use future::ResponseFuture;
pub use layer::TokenInjectLayer;
pub use options::{ExistingHeader, InjectOptions};
pub use outcome::AuthOutcome;
pub use refresh_retry::RefreshRetry;
pub use replay::{Cloned, EmptyOnly, Never, Rebox, Replay, Tee, TeeSaved, Teed};
pub use service::TokenInject;
