//! A circuit breaker: requests to an origin in trouble fail at once, instead of waiting for it and adding to its load.
//!
//! 1. Every origin (scheme, host and port) has a circuit of its own. Closed, it lets every request through.
//! 2. It opens after 5 failures in a row. While it is open, nothing is sent: a request fails with [`CircuitOpen`], which
//!    says when the next one may be sent.
//! 3. After 30 s it is half open and lets 1 request through at a time, as a probe. A probe that fails opens it again; 2
//!    that succeed, one after the other, close it.
//! 4. A failure is an error of the service inside, or an answer with a status of 5xx. Everything else shows that the
//!    origin works, 429 too. A token that cannot be had says nothing about the origin, and counts as neither.
//! 5. A request that is dropped counts as neither, and a probe gives its place back. So does one that is out for longer
//!    than the circuit would be open.
//! 6. An answer to a request from before the last change counts no more.
//!
//! What is judged is the head of an answer. A body that breaks off is nobody's failure, and so is an origin that never
//! answers: put a timeout **inside** of this layer, one outside drops the request. The layer's place among the others is
//! on [its own page](crate::docs::client_layers).
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use portcullis::circuit::{CircuitBreakerLayer, CircuitOpen, CircuitState};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let broken = service_fn(async |_: Request<()>| {
//!     Response::builder().status(StatusCode::BAD_GATEWAY).body(())
//! });
//! let circuits = CircuitBreakerLayer::builder().failures(2).build()?;
//! let client = ServiceBuilder::new().layer(circuits.clone()).service(broken);
//! let get = || Request::get("https://api.example.com/").body(()).expect("a request");
//!
//! for _ in 0..2 {
//!     let response = client.clone().oneshot(get()).await.map_err(|error| error.to_string())?;
//!     assert_eq!(response.status(), 502);
//! }
//! assert_eq!(circuits.state(get().uri()), CircuitState::Open);
//! let error = client.oneshot(get()).await.expect_err("not sent");
//! assert!(error.downcast_ref::<CircuitOpen>().is_some());
//! # Ok(())
//! # }
//! ```

mod breaker;
mod error;
mod future;
mod judge;
mod layer;
mod machine;
mod origins;
mod service;

pub use error::CircuitOpen;
pub use future::ResponseFuture;
pub use judge::Verdict;
pub use layer::{CircuitBreakerLayer, CircuitBreakerLayerBuilder};
pub use machine::CircuitState;
pub use service::CircuitBreaker;

#[cfg(test)]
mod tests;
