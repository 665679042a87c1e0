//! With which token requests go out: a layer that attaches tokens.
//!
//! 1. No rule, no token: a request to an origin that is not allowed, for an excluded path, or with a header of its own
//!    passes untouched. [`InjectOptions`] in a request's extensions demand a token or forbid it; they open no origin.
//! 2. A fresh token is attached without a lock and without I/O. Otherwise one fetch serves all who wait;
//!    dropping one of them, or all, does not stop it.
//! 3. An answer rejects the token if it is a 401, the [status of a gRPC answer](crate::docs::client_layers#grpc) that
//!    says the same in its headers, or a status that was [added](TokenInjectLayerBuilder::also_refresh_on), unless its
//!    challenge names another reason: what a token's scope does not reach, no newer token reaches.
//! 4. A rejection makes the provider get something newer than the lease that was rejected. The request is repeated at
//!    most once, and only if that succeeds, the new token differs, and the body can be sent again ([`Replay`]);
//!    otherwise the rejection is the answer. [`AuthOutcome`] in its extensions says what has happened.
//! 5. A token that cannot be had is an error. The request is not sent without it.
//! 6. Redirects are followed outside the layer, or not at all: a client below it that follows them would carry
//!    a token in a header of your own to wherever the answer points. Of such a client, an answer from another origin
//!    ([`FinalUri`]) is no word about the token.
//! 7. Fetches run on the tokio runtime that polls the first request for them. It must have its timer enabled
//!    (`enable_time`), else that poll panics, and so does a repeat.
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
#[cfg(feature = "reqwest-middleware")]
mod borrowed;
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
mod patience;
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
