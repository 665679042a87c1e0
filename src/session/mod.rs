//! Sessions: logins on a cookie, with data that belongs to the browser.
//!
//! 1. A session is a login like any other, on the cookie channel and without a refresh token: its end slides while
//!    it is used, and never past the absolute end. The cookie carries 256 random bits, the store their digest.
//! 2. [`Sessions`] issues and ends them. It verifies cookies for [`AuthLayer`](crate::AuthLayer), and gives
//!    [`SessionLayer`] what it needs.
//! 3. [`SessionLayer`] hands a [`Session`] to handlers. A handler that does not use it costs no look-up; a visitor for
//!    whom nothing is stored gets no cookie and no record.
//! 4. A login always makes a new record and a new cookie value, and ends the session that the browser came with in
//!    the same step. What a request presents is never adopted.
//! 5. Changes of data are kept by key and saved once, with the response, by comparing versions: parallel requests lose
//!    nothing, and a request that outlasts a logout brings nothing back.
//!
//! Behind an `AuthLayer` that reads the same cookie, the session is the login that the layer has verified: nothing is
//! looked up twice, and every request counts as use. Alone, only requests that touch the session count, and a
//! cross-site request is refused when it touches the session ([`csrf`](crate::csrf)).
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response, header::SET_COOKIE};
//! use http_body_util::Full;
//! use portcullis::{
//!     MemoryStore,
//!     identity::Subject,
//!     session::{Session, SessionError, SessionLayer, SessionPolicy, Sessions},
//!     token::IssueOptions,
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! async fn visits(session: Session) -> Result<u32, SessionError> {
//!     session.login(Subject::local("ada"), IssueOptions::default()).await?;
//!     session.update("visits", |seen: Option<u32>| seen.unwrap_or(0) + 1).await
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = Sessions::new(MemoryStore::new(), SessionPolicy::default());
//! let service = SessionLayer::new(&sessions).layer(service_fn(|request: Request<Full<Bytes>>| async move {
//!     let session = request.extensions().get::<Session>().cloned().expect("the layer's extension");
//!     let answer = visits(session).await.map_or_else(|why| why.to_string(), |seen| seen.to_string());
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer)))
//! }));
//!
//! let answer = service.oneshot(Request::new(Full::default())).await?;
//! let cookie = answer.headers()[SET_COOKIE].to_str()?;
//! assert!(cookie.starts_with("__Host-session=pcs_a"));
//! assert!(cookie.ends_with("; Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax"));
//! # Ok(())
//! # }
//! ```
//!
//! Both layers, a shorter life, and a name of one's own:
//!
//! ```
//! use std::time::Duration;
//! use portcullis::{AuthLayer, MemoryStore, session::{SessionLayer, SessionPolicy, Sessions}};
//! use tower::ServiceBuilder;
//!
//! let policy = SessionPolicy::saas().idle(Duration::from_secs(30 * 60)).cookie("sid").build()?;
//! let sessions = Sessions::new(MemoryStore::new(), policy);
//! let layers = ServiceBuilder::new()
//!     .layer(AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie()).build()?)
//!     .layer(SessionLayer::new(&sessions));
//! # let _ = layers;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```
//!
//! What the layer decides about a cookie is told to the reporter of the sessions, once for each request and only where a
//! handler asks for its session; behind an `AuthLayer` that reads the cookie, that one tells it. A cookie that proves no
//! session is told, and the request goes on as nobody's.
//!
//! The policy of the sessions is in force in [`SessionLayer`] and in [`Session`]. An `AuthLayer` and the
//! [ready services](crate::flow) for login and logout are made on their own, and have to be told:
//!
//! | of the policy | to whom | how |
//! |---|---|---|
//! | the cookie | layer, login, logout | [`Sessions::cookie`] |
//! | from where a request may come | layer, login, logout | [`Sessions::csrf`] |
//! | `clear_site_data` | logout | [`clear_site_data`](crate::flow::LogoutServiceBuilder::clear_site_data), which leaves the cookies out |
//!
//! Lifetimes, limits and all else belong to the logins behind the sessions, and go along with [`Sessions::tokens`].
//! How the client's address is found is no part of the policy: the layers and services have a `client_ip` each.
//!
//! ```
//! use async_trait::async_trait;
//! use axum::{Router, routing::get};
//! use portcullis::{
//!     Auth, AuthLayer, MemoryStore,
//!     error::BoxError,
//!     flow::{Accounts, LoginService, LogoutService},
//!     identity::Subject,
//!     secret::Secret,
//!     session::{Session, SessionLayer, SessionPolicy, Sessions},
//! };
//!
//! # struct Users;
//! # #[async_trait]
//! # impl Accounts for Users {
//! #     type Account = u64;
//! #     async fn find(&self, identifier: &str, _tenant: Option<&str>) -> Result<Option<u64>, BoxError> {
//! #         Ok((identifier == "ada").then_some(1))
//! #     }
//! #     async fn check(&self, _account: Option<&u64>, password: &Secret) -> Result<bool, BoxError> {
//! #         Ok(*password == Secret::from("correct horse"))
//! #     }
//! #     fn is_active(&self, _account: &u64) -> bool {
//! #         true
//! #     }
//! #     fn subject(&self, account: &u64) -> Subject {
//! #         Subject::local(account.to_string())
//! #     }
//! # }
//! async fn visits(_auth: Auth<Subject>, session: Session) -> String {
//!     match session.update("visits", |seen: Option<u32>| seen.unwrap_or(0) + 1).await {
//!         Ok(seen) => seen.to_string(),
//!         Err(why) => why.to_string(),
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = Sessions::new(MemoryStore::new(), SessionPolicy::default());
//! let (tokens, cookie, csrf) = (sessions.tokens(), sessions.cookie(), sessions.csrf());
//! let layer = AuthLayer::new(sessions.clone()).without_header().cookie(cookie.clone()).csrf(csrf.clone());
//! let login = LoginService::new(tokens.clone(), Users).cookie(cookie.clone()).csrf(csrf.clone());
//! let logout = LogoutService::new(tokens.clone()).cookie(cookie).csrf(csrf);
//! let app: Router = Router::new()
//!     .route("/visits", get(visits))
//!     .layer(SessionLayer::new(&sessions))
//!     .layer(layer.build()?)
//!     // `Users` are the application's accounts. What comes after the layers is not behind them.
//!     .route_service("/login", login.build()?)
//!     .route_service("/logout", logout.build()?);
//! # let _ = app;
//! # Ok(())
//! # }
//! ```

mod acts;
mod changes;
mod error;
mod future;
mod handle;
mod layer;
mod policy;
mod save;
mod service;
mod sessions;
mod settle;
mod state;
mod told;

pub use error::{SessionError, SessionErrorKind};
pub use future::ResponseFuture;
pub use handle::Session;
pub use layer::SessionLayer;
pub use policy::{SessionPolicy, SessionPolicyBuilder};
pub use service::SessionService;
pub use sessions::Sessions;

#[cfg(test)]
mod tests;
