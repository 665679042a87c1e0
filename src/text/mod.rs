//! The text form of tokens, and the one encoding of everything that is hashed.
//!
//! 1. A token is ASCII letters, digits and `_`: legal in a header, a cookie and a URL, and selected by a double
//!    click.
//! 2. Every part has a fixed width, so that parsing is arithmetic on positions.
//! 3. Only the generation is ever decoded. Ids, secrets, tags and checks are compared as text, so no number has
//!    two texts.
//!
//! ```text
//! access   brand "_a" id(17) secret(43) check(6)
//! refresh  brand "_r" id(17) generation(6) secret(43) tag(22) check(6)
//! ```

mod base62;
mod canonical;
mod form;
mod grammar;

pub use form::{Brand, TokenId};

#[cfg(test)]
pub(crate) use form::with_check;

pub(crate) use canonical::Canonical;
pub(crate) use form::{
    AccessText, RefreshText, SecretChars, TagChars, compose_access, compose_refresh, encode_secret,
    encode_tag, is_access, parse_access, parse_refresh,
};
pub(crate) use grammar::{is_tchar, is_visible};
