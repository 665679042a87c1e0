//! The contracts, on Redis and on Valkey.

/// The same for each: two handles with a prefix of their own, each on its connection, and all that is under it.
macro_rules! contracts {
    ($module:ident, $program:expr) => {
        mod $module {
            use std::sync::Arc;

            use portcullis::conformance::{
                CounterFixture, KeyFixture, LeaseFixture, OnceFixture, TokenFixture, counter_store_tests,
                key_store_tests, lease_store_tests, once_store_tests, token_store_tests,
            };

            use crate::{
                redis::{contents, handles},
                servers::SharedServer,
            };

            macro_rules! fixture {
                ($fixture:ident) => {{
                    let server = SharedServer::of($program);
                    let url = server.url().to_owned();
                    let ([one, two], prefix) = handles(&server);
                    $fixture::new(Arc::new(one), Arc::new(two))
                        .keep(server)
                        .dump(move || contents(url.clone(), prefix.clone()))
                }};
            }

            async fn logins() -> TokenFixture {
                fixture!(TokenFixture)
            }

            async fn keys() -> KeyFixture {
                fixture!(KeyFixture)
            }

            async fn once() -> OnceFixture {
                fixture!(OnceFixture)
            }

            async fn counters() -> CounterFixture {
                fixture!(CounterFixture)
            }

            async fn leases() -> LeaseFixture {
                fixture!(LeaseFixture)
            }

            token_store_tests!(logins);
            key_store_tests!(keys);
            once_store_tests!(once);
            counter_store_tests!(counters);
            lease_store_tests!(leases);
        }
    };
}

contracts!(on_redis, crate::servers::Program::Redis);
contracts!(on_valkey, crate::servers::Program::Valkey);
