//! Ready-made fetchers.
//!
//! 1. Over HTTP: [`BodyTokenFetcher`] and [`HeaderTokenFetcher`] for endpoints of any kind, [`ClientCredentials`],
//!    [`PasswordGrant`] and [`RefreshTokenGrant`] for those of OAuth 2.0. They are one generic type,
//!    [`HttpTokenFetcher`], with one set of setters.
//! 2. On this machine: [`StaticToken`], [`FileToken`] and [`TokenFn`].

mod answer;
mod body;
mod client_auth;
mod file;
mod fixed;
mod function;
mod grant;
mod header;
mod over_http;
mod request;

pub use body::{BodyTokenFetcher, FromBody};
pub use client_auth::ClientAuth;
pub use file::FileToken;
pub use fixed::StaticToken;
pub use function::TokenFn;
pub use grant::{
    ByRefreshToken, ClientCredentials, ForClient, ForUser, Grant, GrantKind, PasswordGrant, RefreshTokenGrant,
};
pub use header::{FromHeader, HeaderTokenFetcher};
pub use over_http::{HttpTokenFetcher, Manner};
