//! Stores on Redis 7 or Valkey, for any number of machines.
//!
//! 1. Every step is one command or one script, so that it is atomic. All keys but those of shared tokens have one hash
//!    tag, so that they are in one slot.
//! 2. No step but the insertion makes a record: each looks for it first, in the same script.
//! 3. The time of logins, API keys, one-time values and counters is the caller's, that of shared tokens the server's.
//! 4. One connection, made when it is first needed, carries everything. When it breaks or stands still, it is given
//!    up, and the next step makes another.
//! 5. Errors name what failed. They hold neither address nor password, and nothing of what was kept.

mod api_key_fields;
mod api_keys;
mod builder;
mod changes;
mod counters;
mod fields;
mod leases;
mod link;
mod login_fields;
mod logins;
mod once;
mod scripts;
mod store;

pub use builder::RedisStoreBuilder;
pub use store::RedisStore;
