//! The contract of [`OnceStore`].

mod bench;
mod values;

use self::bench::Bench;
use super::{
    OnceFixture, Report,
    run::{self, Test, suite},
};
use crate::store::OnceStore;

/// The tests of the suite, once.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_once_store_suite {
    ([$($then:tt)+] $($args:tt)*) => {
        $($then)+! {
            $($args)*;
            values {
                r060_a_value_is_taken_once
                r060_a_value_that_is_there_is_not_replaced
                r060_a_value_is_gone_from_its_exact_end_on
                r060_a_value_without_an_end_stays
                r060_values_are_any_bytes_up_to_their_bound
                r060_keys_of_other_purposes_and_parts_are_other_values
                r060_of_fifty_consumers_at_once_one_gets_the_value
                r060_of_fifty_marks_at_once_one_is_first
                r060_a_value_is_taken_by_one_while_others_put_it_again
                r060_ended_values_are_purged_in_batches
            }
        }
    };
}

/// See the module docs of `conformance`.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_once_store_tests {
    ($make:expr) => {
        $crate::__portcullis_once_store_suite! { [$crate::__portcullis_conformance_tests] once, $make }
    };
}

impl run::Bench for Bench {
    type Store = dyn OnceStore;

    const TESTS: &'static [Test<Self>] = __portcullis_once_store_suite! { [suite] Bench };

    fn new(fixture: OnceFixture) -> Self {
        Self::over(fixture)
    }
}

/// The names of the tests.
pub fn names() -> Vec<&'static str> {
    run::names::<Bench>()
}

/// Runs the whole suite, each test on an empty store that `make` makes for it.
pub async fn run<F>(make: impl Fn() -> F) -> Report
where
    F: Future<Output = OnceFixture> + Send + 'static,
{
    run::run::<Bench, F>(make).await
}

/// Runs the test of this name.
///
/// # Panics
/// If it fails, or if there is none of this name.
pub async fn check<F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = OnceFixture> + Send + 'static,
{
    run::check::<Bench, F>(name, make).await;
}
