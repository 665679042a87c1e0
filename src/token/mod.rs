//! Opaque tokens: issue, verify, refresh, revoke.
//!
//! 1. A login is one [`LoginRecord`](crate::store::LoginRecord), however often it is refreshed; the store holds
//!    digests only.
//! 2. A refresh derives the next pair from the presented token and a nonce kept in the record, so a lost answer
//!    can be repeated.
//! 3. A used refresh token that comes back when no honest client would still repeat it revokes its login.
//! 4. Invalid and "could not check" stay apart everywhere, and an invalid token changes nothing.
//! 5. A use is noted once in a while, beside the request; where the policy says so, it extends the token, never
//!    past the absolute end and never back.
//! 6. A limit of live logins is exact, because it is held in the step that adds the login.
//! 7. A change of privileges or credentials gives the login new secrets, and makes the old ones powerless.
//!
//! What this defends against is written in [the security notes](crate::docs::security).
//!
//! ```
//! use portcullis::{
//!     credential::Channel,
//!     identity::Subject,
//!     store::MemoryStore,
//!     token::{IssueOptions, RefreshRequest, TokenPolicy, TokenService},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
//! let login = tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await?;
//!
//! let caller = tokens.verify(login.access().expose(), Some(Channel::Header)).await?;
//! assert_eq!(caller.identity().id(), "ada");
//!
//! let refresh = login.refresh().ok_or("the default policy gives refresh tokens")?;
//! let next = tokens.refresh(RefreshRequest::new(refresh.expose(), Channel::Header)).await?;
//! assert!(tokens.verify(login.access().expose(), None).await.is_err());
//! assert!(tokens.verify(next.access().expose(), None).await.is_ok());
//! # Ok(())
//! # }
//! ```
//!
//! With its own brand and shorter lifetimes:
//!
//! ```
//! use std::time::Duration;
//! use portcullis::token::TokenPolicy;
//!
//! let policy = TokenPolicy::builder()
//!     .brand("acme")
//!     .access_ttl(Some(Duration::from_secs(15 * 60)))
//!     .build()?;
//! # let _ = policy;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

mod background;
mod caller;
mod data;
mod issue;
mod issued;
mod judge;
mod lifetimes;
mod logins;
mod options;
mod pepper;
mod policy;
mod purge;
mod ratchet;
mod record;
mod refresh;
mod rekey;
mod renew;
mod request;
mod revoke;
mod service;
mod session;
mod touch;
mod users;
mod verify;
mod watch;

pub use data::DataError;
pub use issue::{IssueError, IssueErrorKind};
pub use issued::Issued;
pub use logins::{LoginPage, LoginQuery, LoginState};
pub use options::IssueOptions;
pub use policy::{Sliding, TokenPolicy, TokenPolicyBuilder, TouchMode};
pub use record::NoRecord;
pub use request::RefreshRequest;
pub use service::TokenService;

pub(crate) use caller::{IP_ADDRESS, USER_AGENT};
pub(crate) use session::Standing;

#[cfg(test)]
mod tests;
