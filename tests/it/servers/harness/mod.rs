//! That the servers are what the other tests take them for.

mod postgres;
#[cfg(feature = "redis")]
mod redis;

use std::time::Duration;

const SOON: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(20);
