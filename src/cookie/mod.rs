//! One place that names, writes, reads and clears a cookie, so that the four never differ.
//!
//! [`CookieSettings::new("token")`](CookieSettings::new) means `__Host-token; Path=/; Secure; HttpOnly;
//! SameSite=Lax`, in all four.
//!
//! [`lint`] judges a `Set-Cookie` that something else writes, and rewrites it:
//!
//! ```
//! use portcullis::cookie::{Finding, lint};
//!
//! let audit = lint("session_id=3f9c; Max-Age=86400; Path=/");
//! assert!(audit.findings().contains(&Finding::MissingHttpOnly));
//! assert_eq!(
//!     audit.fixed().unwrap().expose(),
//!     "__Host-session_id=3f9c; Max-Age=28800; Path=/; Secure; HttpOnly; SameSite=Lax"
//! );
//! ```

mod error;
mod finding;
mod lint;
mod parse;
mod read;
mod settings;
mod write;

#[cfg(test)]
mod tests;

pub use error::CookieError;
pub use finding::Finding;
pub use lint::{Audit, lint};
pub use settings::{CookieSettings, SameSite};
