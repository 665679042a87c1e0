//! The port between the outbound layer and whatever has tokens, and credentials that need no fetching.
//!
//! 1. A [`Lease`] is a finished header value and the generation of the token in it.
//! 2. A provider that holds a fresh token answers at once, without a lock; otherwise it waits for one fetch
//!    that all callers share.
//! 3. After a 401 the layer asks for something newer than the lease that was rejected, never for "a refresh".
//! 4. [`ApiKey`], [`Basic`], [`StaticBearer`] and functions are providers without anything newer: a 401 for them
//!    is the answer.
//! 5. [`FirstOf`] and [`AllOf`] put providers together. After a 401, that member is asked for something newer whose
//!    credential was sent.
//! 6. A [`Recorder`] is told what becomes of tokens.
//!
//! ```
//! use portcullis::{TokenInjectLayer, provider::{AllOf, ApiKey, StaticBearer}};
//!
//! let both = AllOf::of(ApiKey::header("x-api-key", "k-123")?).and(StaticBearer::new("t-456")?).build()?;
//! let layer = TokenInjectLayer::new(both).allow_origin("https://api.example.com").build()?;
//! # let _ = layer;
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

mod all_of;
mod api_key;
mod ask;
mod basic;
mod bearer;
mod error;
mod first_of;
mod function;
mod joint;
mod lease;
mod port;
mod recorder;

pub use all_of::{AllOf, AllOfBuilder};
pub use api_key::ApiKey;
pub use ask::Ask;
pub(crate) use ask::TokenRequest;
pub use basic::Basic;
pub use bearer::StaticBearer;
pub use error::{TokenError, TokenErrorKind, TokenErrorSide};
pub use first_of::FirstOf;
pub use function::{AsyncProviderFn, ProviderFn, provider_async_fn, provider_fn};
pub use lease::Lease;
pub use port::TokenProvider;
pub use recorder::{FetchKind, LeaseOutcome, Recorder, RejectedBy, TokenEvent};

pub use crate::oauth_error::OAuthErrorCode;

pub(crate) use recorder::{Hook, Recorders};
