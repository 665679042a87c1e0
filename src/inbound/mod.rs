//! Who may come in: a layer for any `Service<http::Request<B>>`.
//!
//! 1. **Exempt.** Excluded paths and, where allowed, CORS preflights go on as anonymous; nothing is read.
//! 2. **Extract.** The layer looks in its sources, in the order of the configuration. A scheme, header or
//!    cookie name of ours decides that a credential is ours; the first source that presents one decides, also
//!    when it turns out invalid. Cookie names are tried until one verifies. A session that belongs to nobody
//!    counts as absent.
//! 3. **Verify.** A cookie is believed only on a request that the user meant (see [`csrf`](crate::csrf)).
//!    Exactly one authenticator recognises the text and verifies it, for the tenant of the request. A text that
//!    nobody recognises is an invalid credential.
//! 4. **Renew.** Where the use has extended the credential, the hook of renewals is called, and a cookie is
//!    remembered for the answer. Then the hook of all valid credentials is called. A [hook](AuthHook) may put
//!    another identity in place, or refuse.
//! 5. **Admit.** The request goes on with one [`AuthContext`](crate::identity::AuthContext) in its extensions.
//! 6. **Reject.** Absent (401), malformed (400), invalid (401), cross-site (403), refused by a hook, and "could
//!    not check" (503) are answered by the layer itself; the inner service is not called, and its error type
//!    stays as it is. By choice, a person who opens a page is sent to a login instead of a 401.
//! 7. **Settle.** A renewed cookie goes out with its new `Max-Age`, if nothing has replaced it meanwhile; such an
//!    answer is `no-store`. Other answers to cookie credentials become `private`, unless the handler set
//!    `Cache-Control`; they, and every answer of an optional layer, get `Vary`.
//!
//! Each request that presents a credential, or needs one and has none, is one [event](crate::event): success and
//! absence at `DEBUG`.
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
//! Cookies beside the header, pages with a login, tenants, proxies, and a last word of the application:
//!
//! ```
//! use portcullis::{
//!     AuthLayer,
//!     client_ip::ClientIpPolicy,
//!     csrf::CsrfPolicy,
//!     event::Reporter,
//!     identity::Subject,
//!     maybe_ready::MaybeReady,
//!     problem::{Reason, Rejection, RejectionKind},
//!     redirect::RedirectPolicy,
//!     store::MemoryStore,
//!     token::{TokenPolicy, TokenService},
//!     verify::{Attempt, Verified},
//! };
//!
//! let reporter = Reporter::default();
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default()).reporter(reporter.clone());
//! let layer = AuthLayer::new(tokens)
//!     .schemes(["Bearer"])
//!     .cookie("token")
//!     .csrf(CsrfPolicy::new().allow_origin("https://app.example.com"))
//!     .exclude(["/login", "/health", "/static/**"])
//!     .redirect_to(RedirectPolicy::to("/login"))
//!     .tenant(|head| head.headers().get("host")?.to_str().ok()?.strip_suffix(".example.com").map(str::to_owned))
//!     .client_ip(ClientIpPolicy::peer().trust("10.0.0.0/8"))
//!     .on_auth(|verified: Verified<Subject>, _: &Attempt<'_>| {
//!         let banned = verified.identity().id() == "mallory";
//!         let refusal = Rejection::new(RejectionKind::InvalidToken, Reason::Other);
//!         MaybeReady::Now(if banned { Err(refusal) } else { Ok(verified) })
//!     })
//!     .reporter(reporter)
//!     .realm("orders")
//!     .build()?;
//! # let _ = layer;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```
//!
//! Guests welcome, answers of your own:
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use portcullis::{AuthLayer, problem::Rejection, store::MemoryStore, token::{TokenPolicy, TokenService}};
//!
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! let layer = AuthLayer::new(tokens)
//!     .optional()
//!     .reject_with(|_why: &Rejection, answer: Response<Bytes>| answer.map(|_| String::from("come back with a token")))
//!     .build()?;
//! # let _ = layer;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

mod admit;
mod build;
mod builder;
mod described;
mod door;
mod exempt;
mod extract;
mod future;
mod guard;
mod head;
mod hook;
mod identity_headers;
mod layer;
mod reject;
mod renew;
mod service;
mod settle;
mod verify;

pub use builder::AuthLayerBuilder;
pub use future::ResponseFuture;
pub use guard::{
    AnswerFuture, Any, Denied, GuardLayer, GuardLayerBuilder, GuardService, Not, Permission, Policy,
};
pub use head::RequestHead;
pub use hook::AuthHook;
pub use identity_headers::{IdentityHeaders, IdentityHeadersBuilder, IdentityHeadersService};
pub use layer::AuthLayer;
pub use service::AuthService;
