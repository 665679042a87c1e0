//! A whole service whose store is down, comes back, stands still or breaks off, over real servers: what it answers
//! meanwhile, and that it needs no restart afterwards.

mod answers;
mod clocks;
mod copies;
mod cuts;
#[cfg(feature = "sqlite")]
mod files;
mod losses;
mod places;
mod stalls;
mod starts;

/// These tests, each on a server of its own of each kind.
macro_rules! on_each_server {
    ($($test:ident)*) => {
        $crate::outages::on_server!(redis, Redis, $($test)*);
        $crate::outages::on_server!(postgres, Postgres, $($test)*);
    };
}

macro_rules! on_server {
    ($module:ident, $engine:ident, $($test:ident)*) => {
        mod $module {
            use crate::outages::places::{Engine, Place};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(Place::on(Engine::$engine).await).await;
                }
            )*
        }
    };
}

use {on_each_server, on_server};
