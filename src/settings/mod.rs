//! Settings as text: what a policy says, and under the feature `config`, policies from files and the environment.
//!
//! 1. Every policy describes itself: one line for each setting with the value in force, defaults included, and no
//!    secret.
//! 2. The names of those lines are the keys under which the setting is read.
//! 3. Durations are written as people write them: `15m`, `7d`, `1h 30m`; `never` or `none` where there may be
//!    none. A number without a unit is a fault.
//! 4. A key that nobody knows is a fault: a misspelt setting must not leave a default in force.
//! 5. The settings of a policy inside another one have a prefix: `cookie_path`, `csrf_allow_origin`.
//! 6. Reading never fails by itself; `build()` reports every fault at once, those of the text included, under the key that
//!    was written ([`ConfigFault::key`](crate::error::ConfigFault::key)).
//!
//! ```
//! use portcullis::TokenPolicy;
//!
//! let described = TokenPolicy::default().describe().to_string();
//! assert!(described.contains("access_ttl = 24h\n"));
//! ```
//!
//! From the environment, under the feature `config`:
//!
//! ```
//! # #[cfg(feature = "config")] {
//! use portcullis::{TokenPolicy, settings::Settings};
//!
//! // Settings::from_env("PORTCULLIS_TOKEN_") reads the process's own.
//! let vars = [("PORTCULLIS_TOKEN_ACCESS_TTL", "15m"), ("PORTCULLIS_TOKEN_GRACE", "5s"), ("PATH", "/bin")];
//! let settings = Settings::from_vars("PORTCULLIS_TOKEN_", vars);
//! let policy = TokenPolicy::builder().settings(settings).build()?;
//! assert!(policy.describe().to_string().contains("access_ttl = 15m\n"));
//! # }
//! # Ok::<(), portcullis::error::ConfigError>(())
//! ```

mod description;
#[cfg(feature = "config")]
mod read;
#[cfg(feature = "config")]
mod source;

pub use description::Description;
#[cfg(feature = "config")]
pub use source::Settings;

pub(crate) use description::span;
#[cfg(feature = "config")]
pub(crate) use read::{Reader, parse_span};
#[cfg(feature = "config")]
pub(crate) use source::deserialize_builder;

#[cfg(all(test, feature = "config"))]
mod tests;
