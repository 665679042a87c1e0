//! Who is calling, and what proves it.
//!
//! A layer leaves exactly one thing in the request's extensions, an [`AuthContext`]. It has no type parameter,
//! so that a guard, a logger and a handler read the same one; [`Auth<I>`] is the typed view of it.

mod auth;
pub(crate) mod caller;
mod context;
mod evidence;
mod proof;
mod site;
mod subject;

pub use auth::Auth;
pub use context::AuthContext;
pub use evidence::{Ended, Evidence};
pub use proof::Details;
pub use subject::{Issuer, Subject};

pub(crate) use proof::Proof;
pub(crate) use site::{Site, Watch};
