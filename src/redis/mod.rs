//! Stores on Redis 7 or Valkey, for any number of machines.
//!
//! 1. Every step is one command or one script, on one key, so that it is atomic on a cluster's shard, too.
//! 2. Time is the server's.
//! 3. One connection, made when it is first needed, carries everything. When it breaks or stands still, it is given
//!    up, and the next step makes another.
//! 4. Errors name what failed. They hold neither address nor password, and nothing of what was kept.

mod builder;
mod leases;
mod link;
mod scripts;

pub use builder::RedisLeasesBuilder;
pub use leases::RedisLeases;
