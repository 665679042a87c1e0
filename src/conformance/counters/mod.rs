//! The contract of [`CounterStore`].

mod buckets;

use self::buckets::Bench;
use super::{
    CounterFixture, Report,
    run::{self, Test, suite},
};
use crate::store::CounterStore;

/// The tests of the suite, once.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_counter_store_suite {
    ([$($then:tt)+] $($args:tt)*) => {
        $($then)+! {
            $($args)*;
            buckets {
                r060_a_bucket_lets_its_count_through_and_fills_again
                r060_counters_do_not_disturb_each_other
                r060_what_is_refused_is_not_counted
                r060_a_counter_that_is_forgotten_is_full_again
                r060_a_hundred_hits_at_once_are_counted_one_by_one
            }
        }
    };
}

/// See the module docs of `conformance`.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_counter_store_tests {
    ($make:expr) => {
        $crate::__portcullis_counter_store_suite! { [$crate::__portcullis_conformance_tests] counters, $make }
    };
}

impl run::Bench for Bench {
    type Store = dyn CounterStore;

    const TESTS: &'static [Test<Self>] = __portcullis_counter_store_suite! { [suite] Bench };

    fn new(fixture: CounterFixture) -> Self {
        Self(fixture)
    }
}

/// The names of the tests.
pub fn names() -> Vec<&'static str> {
    run::names::<Bench>()
}

/// Runs the whole suite, each test on an empty store that `make` makes for it.
pub async fn run<F>(make: impl Fn() -> F) -> Report
where
    F: Future<Output = CounterFixture> + Send + 'static,
{
    run::run::<Bench, F>(make).await
}

/// Runs the test of this name.
///
/// # Panics
/// If it fails, or if there is none of this name.
pub async fn check<F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = CounterFixture> + Send + 'static,
{
    run::check::<Bench, F>(name, make).await;
}
