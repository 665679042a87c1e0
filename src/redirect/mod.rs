//! Sending a browser to the login page, and back to where it wanted to go.
//!
//! 1. Only a navigation is redirected: a page that a person opens. A script, a client of an API or a WebSocket gets
//!    the 401 that it can act on.
//! 2. The login page gets the path and query of the request as a parameter, `next` unless named otherwise.
//! 3. After the login the application asks [`safe_next`] before it follows that parameter. Whoever can send a person
//!    a link can write anything into it: followed unchecked, it turns the login page into a redirect to anywhere
//!    (RFC 9700 §4.11).
//!
//! ```
//! use portcullis::redirect::{safe_next, safe_next_in};
//!
//! assert_eq!(safe_next("/orders?page=2"), Some("/orders?page=2"));
//! assert_eq!(safe_next("//evil.test"), None);
//! assert_eq!(safe_next("/%5cevil.test").unwrap_or("/"), "/");
//! let origins = ["https://shop.example.com"];
//! assert!(safe_next_in("https://shop.example.com/cart", &origins).is_some());
//! assert!(safe_next_in("https://shop.example.com@evil.test/", &origins).is_none());
//! ```

mod navigation;
mod next;
mod policy;

pub(crate) use navigation::is_navigation;
pub use next::{safe_next, safe_next_in};
pub use policy::RedirectPolicy;

#[cfg(test)]
mod tests;
