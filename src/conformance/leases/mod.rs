//! The contract of [`LeaseStore`].

mod bench;
mod locks;
mod records;

use self::bench::Bench;
use super::{
    LeaseFixture, Report,
    run::{self, Test, suite},
};
use crate::store::LeaseStore;

/// The tests of the suite, once.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_lease_store_suite {
    ([$($then:tt)+] $($args:tt)*) => {
        $($then)+! {
            $($args)*;
            records {
                r101_what_is_put_is_there_until_it_is_removed
                r101_values_are_bytes_of_any_length
                r101_clearing_a_namespace_touches_no_other_and_no_lock
                r101_of_many_writers_at_once_one_wins
                r102_nothing_outlives_the_life_it_was_given
                r102_a_write_begins_a_new_life
                r102_a_write_happens_where_what_is_expected_is_there
                r102_a_removal_happens_where_what_is_expected_is_there
                r115_equal_names_elsewhere_are_other_keys
            }
            locks {
                r207_a_lock_is_one_owners
                r207_of_many_owners_at_once_one_gets_the_lock
                r207_a_lock_that_overran_is_anothers_and_is_left_alone
                r207_a_lock_that_is_renewed_lasts
                r207_fences_rise
            }
        }
    };
}

/// See the module docs of `conformance`.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_lease_store_tests {
    ($make:expr) => {
        $crate::__portcullis_lease_store_suite! { [$crate::__portcullis_conformance_tests] leases, $make }
    };
}

impl run::Bench for Bench {
    type Store = dyn LeaseStore;

    const TESTS: &'static [Test<Self>] = __portcullis_lease_store_suite! { [suite] Bench };

    fn new(fixture: LeaseFixture) -> Self {
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
    F: Future<Output = LeaseFixture> + Send + 'static,
{
    run::run::<Bench, F>(make).await
}

/// Runs the test of this name.
///
/// # Panics
/// If it fails, or if there is none of this name.
pub async fn check<F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = LeaseFixture> + Send + 'static,
{
    run::check::<Bench, F>(name, make).await;
}
