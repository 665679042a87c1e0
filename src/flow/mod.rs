//! Ready services: login, refresh, logout, and the list of a user's devices.
//!
//! 1. Each service answers one request and stands alone: a tower `Service<http::Request<B>>` for any body, a
//!    `route_service` for axum, and the whole of a server for hyper. None needs another.
//! 2. None fails: whatever happens is an answer, and none of them may be cached (`no-store`). Refusals are problem
//!    bodies; see [`problem`](crate::problem).
//! 3. Bodies are `application/json` or `application/x-www-form-urlencoded`, at most 16 KiB, each field once.
//!    Fields that nobody asked for are passed over. How long a client may take to send one is the host's to limit.
//! 4. A token is read from the body, the `Authorization` header or a cookie, and never from the URL.
//! 5. A name that nobody has, a wrong password and an inactive account get the same answer for the same work.
//! 6. Where cookies are used, the request must come from a page of the same origin, the login included: there is
//!    no session yet that could be abused, but a browser could be logged in as somebody else. A login that answers
//!    in its body sets no state that another site could use, so it needs no such check.
//! 7. Login, refresh and logout check everything themselves. The others ask who is calling, and stand behind an
//!    [`AuthLayer`](crate::AuthLayer), which also checks where a request with a cookie comes from.
//!
//! ```
//! use async_trait::async_trait;
//! use axum::{Router, routing::get};
//! use portcullis::{
//!     Auth, AuthLayer, MemoryStore, TokenPolicy, TokenService,
//!     error::BoxError,
//!     flow::{Accounts, DeviceListService, LoginService, LogoutAllService, LogoutService, RefreshService},
//!     identity::Subject,
//!     secret::Secret,
//!     store::MemoryCounters,
//!     throttle::{Throttle, ThrottlePolicy},
//! };
//!
//! struct Users;
//!
//! #[async_trait]
//! impl Accounts for Users {
//!     type Account = u64; // what your database has of a user
//!
//!     async fn find(&self, identifier: &str, _tenant: Option<&str>) -> Result<Option<u64>, BoxError> {
//!         Ok((identifier == "ada").then_some(1))
//!     }
//!
//!     async fn check(&self, _account: Option<&u64>, password: &Secret) -> Result<bool, BoxError> {
//!         Ok(*password == Secret::from("correct horse")) // in truth: a slow hash, also without an account
//!     }
//!
//!     fn is_active(&self, _account: &u64) -> bool {
//!         true
//!     }
//!
//!     fn subject(&self, account: &u64) -> Subject {
//!         Subject::local(account.to_string())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! let counters = MemoryCounters::new();
//! let logins = Throttle::new(counters.clone(), ThrottlePolicy::default());
//! let refreshes = Throttle::new(counters, ThrottlePolicy::refreshes().build()?);
//! let app: Router = Router::new()
//!     .route("/me", get(async |auth: Auth<Subject>| auth.user().id().to_owned()))
//!     .route_service("/devices", DeviceListService::new(tokens.clone()))
//!     .route_service("/logout-all", LogoutAllService::new(tokens.clone()).build()?)
//!     .layer(AuthLayer::new(tokens.clone()).build()?)
//!     // What comes after the layer is not behind it.
//!     .route_service("/login", LoginService::new(tokens.clone(), Users).throttle(logins).build()?)
//!     .route_service("/refresh", RefreshService::new(tokens.clone()).throttle(refreshes).build()?)
//!     .route_service("/logout", LogoutService::new(tokens).build()?);
//! # let _ = app;
//! # Ok(())
//! # }
//! ```
//!
//! Limits and events need to know where a request comes from: the host tells it, as axum does with
//! `into_make_service_with_connect_info` and [`ClientIpPolicy::peer_from`](crate::client_ip::ClientIpPolicy::peer_from).
//!
//! For browsers, the same in cookies that no script can read. All services are told of them with the same words:
//!
//! ```
//! # use portcullis::{MemoryStore, TokenPolicy, TokenService, error::ConfigError};
//! use portcullis::flow::{LogoutService, RefreshService};
//!
//! # let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! // Below `/auth`, so that the browser sends the refresh token to both of them.
//! let refresh = RefreshService::new(tokens.clone()).cookie("token").refresh_cookie("/auth").build()?;
//! let logout = LogoutService::new(tokens).cookie("token").refresh_cookie("/auth").clear_site_data().build()?;
//! # let _ = (refresh, logout);
//! # Ok::<(), ConfigError>(())
//! ```

mod accounts;
mod answer;
mod attempt;
mod body;
mod caller;
mod common;
mod cookies;
mod device;
mod device_list;
mod device_rename;
mod device_revoke;
mod endpoint;
mod fields;
mod form;
mod login;
mod logout;
mod logout_all;
mod refresh;

pub use accounts::Accounts;
pub use device_list::DeviceListService;
pub use device_rename::DeviceRenameService;
pub use device_revoke::{DeviceRevokeService, DeviceRevokeServiceBuilder};
pub use endpoint::ResponseFuture;
pub use login::{LoginService, LoginServiceBuilder};
pub use logout::{LogoutService, LogoutServiceBuilder};
pub use logout_all::{LogoutAllService, LogoutAllServiceBuilder};
pub use refresh::{RefreshService, RefreshServiceBuilder};
