//! Correlation ids: one name for a request in the logs of everybody who handles it.
//!
//! 1. Every request that goes out has one id in its header, `x-request-id` unless another is configured.
//! 2. An id that the request brings in that header is kept, else one in its extensions, else a new one is made: a
//!    random UUID (RFC 9562 §5.4).
//! 3. An id is 1 to 128 characters of `A-Z a-z 0-9 - . _ ~ + / = : @`. A header with anything else, or two of them,
//!    is replaced: what others wrote must not become a line in a log, or a header of its own.
//! 4. The id is in the extensions of the request, for the layers inside, and of the response, for the caller.
//!
//! Put it outside of a retry layer, so that all attempts have the same id, and outside of the layer that makes spans, so
//! that a span can name it. [The order of a client's layers](crate::docs::client_layers) has its own page.
//!
//! ```
//! use http::{Request, Response};
//! use portcullis::correlation::{CorrelationId, CorrelationLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let api = service_fn(async |request: Request<()>| {
//!     assert!(request.headers().contains_key("x-request-id"));
//!     Ok::<_, std::convert::Infallible>(Response::new(()))
//! });
//! let client = ServiceBuilder::new().layer(CorrelationLayer::new()).service(api);
//!
//! let mut request = Request::new(());
//! // The id of the request that we are serving, so that both are found together.
//! request.extensions_mut().insert(CorrelationId::new("order-17").expect("sane"));
//! let response = client.oneshot(request).await?;
//! assert_eq!(response.extensions().get::<CorrelationId>().expect("always there").as_str(), "order-17");
//! # Ok(())
//! # }
//! ```

mod future;
mod id;
mod layer;
mod service;

pub use future::ResponseFuture;
pub use id::CorrelationId;
pub use layer::CorrelationLayer;
pub use service::Correlate;
