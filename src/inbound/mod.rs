//! Who may come in: a layer for any `Service<http::Request<B>>`.
//!
//! 1. **Extract.** The layer looks in its sources, in the order of the configuration. A scheme, header or
//!    cookie name of ours decides that a credential is ours; the first source that presents one decides, also
//!    when it turns out invalid. Cookie names are tried until one verifies.
//! 2. **Verify.** Exactly one authenticator recognises the text and verifies it. A text that nobody recognises
//!    is an invalid credential.
//! 3. **Admit.** The request goes on with one [`AuthContext`](crate::identity::AuthContext) in its extensions.
//! 4. **Reject.** Absent (401), malformed (400), invalid (401), cross-site (403) and "could not check" (503)
//!    are answered by the layer itself; the inner service is not called, and its error type stays as it is.
//! 5. **Settle.** Answers to cookie credentials become `private`, unless the handler set `Cache-Control`; they,
//!    and every answer of an optional layer, get `Vary`.
//!
//! What a known caller may do is asked by a [`GuardLayer`], a [`Policy`] or a [`Permission`]; [`IdentityHeaders`]
//! tell an application behind the layer who is calling.
//!
//! ```
//! use http::{Request, Response, header::AUTHORIZATION};
//! use portcullis::{
//!     AuthLayer,
//!     identity::{AuthContext, Subject},
//!     store::MemoryStore,
//!     token::{IssueOptions, TokenPolicy, TokenService},
//! };
//! use tower::{Layer, Service, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! let layer = AuthLayer::new(tokens.clone()).build()?;
//! let mut service = layer.layer(service_fn(|request: Request<String>| async move {
//!     let caller = request.extensions().get::<AuthContext>().and_then(|context| context.auth::<Subject>().ok().flatten());
//!     Ok::<_, std::convert::Infallible>(Response::new(caller.map(|caller| caller.user().id().to_owned()).unwrap_or_default()))
//! }));
//!
//! let token = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await?;
//! let request = Request::builder().header(AUTHORIZATION, format!("Bearer {}", token.access().expose())).body(String::new())?;
//! assert_eq!(service.ready().await?.call(request).await?.body(), "ada");
//! assert_eq!(service.ready().await?.call(Request::new(String::new())).await?.status(), 401);
//! # Ok(())
//! # }
//! ```
//!
//! Cookies beside the header, anonymous visitors welcome, answers of your own:
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use portcullis::{AuthLayer, problem::Rejection, store::MemoryStore, token::{TokenPolicy, TokenService}};
//!
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! let layer = AuthLayer::new(tokens)
//!     .schemes(["Bearer"])
//!     .cookie("token")
//!     .optional()
//!     .realm("orders")
//!     .reject_with(|_why: &Rejection, answer: Response<Bytes>| answer.map(|_| String::from("come back with a token")))
//!     .build()?;
//! # let _ = layer;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

mod admit;
mod extract;
mod future;
mod guard;
mod identity_headers;
mod layer;
mod reject;
mod service;
mod settle;
mod verify;

pub use future::ResponseFuture;
pub use guard::{
    AnswerFuture, Any, Denied, GuardLayer, GuardLayerBuilder, GuardService, Not, Permission, Policy,
};
pub use identity_headers::{IdentityHeaders, IdentityHeadersBuilder, IdentityHeadersService};
pub use layer::{AuthLayer, AuthLayerBuilder};
pub use service::AuthService;
