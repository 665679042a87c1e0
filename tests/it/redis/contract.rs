//! The contracts, on Redis and on Valkey.

/// The same for each: two handles with a prefix of their own, each on its connection.
macro_rules! contracts {
    ($module:ident, $program:expr) => {
        mod $module {
            use std::sync::Arc;

            use portcullis::conformance::{
                CounterFixture, LeaseFixture, TokenFixture, counter_store_tests, lease_store_tests,
                token_store_tests,
            };

            use crate::{redis::handles, servers::SharedServer};

            async fn logins() -> TokenFixture {
                let server = SharedServer::of($program);
                let [one, two] = handles(&server);
                TokenFixture::new(Arc::new(one), Arc::new(two)).keep(server)
            }

            async fn counters() -> CounterFixture {
                let server = SharedServer::of($program);
                let [one, two] = handles(&server);
                CounterFixture::new(Arc::new(one), Arc::new(two)).keep(server)
            }

            async fn leases() -> LeaseFixture {
                let server = SharedServer::of($program);
                let [one, two] = handles(&server);
                LeaseFixture::new(Arc::new(one), Arc::new(two)).keep(server)
            }

            token_store_tests!(logins);
            counter_store_tests!(counters);
            lease_store_tests!(leases);
        }
    };
}

contracts!(on_redis, crate::servers::Program::Redis);
contracts!(on_valkey, crate::servers::Program::Valkey);
