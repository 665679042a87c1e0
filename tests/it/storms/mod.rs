//! Token services over every store at once: many processes, servers that are killed, copies that are told of changes,
//! and tabs on a bad network. The contracts of single steps are in the public suite.

mod clients;
mod clocks;
mod journal;
mod killed;
mod losses;
mod migrations;
mod pushes;
mod races;
mod rekeys;
mod restart;
mod sites;
mod tabs;

/// These tests, each with a [`Site`](sites::Site) of its own on each engine.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        $crate::storms::on_engine!(memory, Memory, $($test)*);
        $crate::storms::on_engine!(sqlite, Sqlite, $($test)*);
        $crate::storms::on_engine!(postgres, Postgres, $($test)*);
        $crate::storms::on_engine!(redis, Redis, $($test)*);
        $crate::storms::on_engine!(valkey, Valkey, $($test)*);
    };
}

macro_rules! on_engine {
    ($module:ident, $engine:ident, $($test:ident)*) => {
        mod $module {
            use crate::storms::sites::{Engine, Site};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::$test(&Site::on(Engine::$engine).await).await;
                }
            )*
        }
    };
}

use {on_each_engine, on_engine};
