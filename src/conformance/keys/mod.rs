//! The contract of [`KeyStore`].

mod bench;
mod ends;
mod lists;
mod writes;

use self::bench::Bench;
use super::{
    KeyFixture, Report,
    run::{self, Test, suite},
};
use crate::store::KeyStore;

/// The tests of the suite, once.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_key_store_suite {
    ([$($then:tt)+] $($args:tt)*) => {
        $($then)+! {
            $($args)*;
            writes {
                r060_a_key_is_found_as_it_was_inserted
                r060_the_id_of_a_key_is_taken_once_and_for_all
                r060_ids_of_keys_that_differ_in_case_are_two
                r060_a_use_is_noted_where_it_is_due
                r060_a_change_of_a_key_needs_the_version_that_was_read
                r060_of_fifty_changes_of_a_key_at_once_one_wins
                r060_of_fifty_notes_of_a_use_at_once_one_writes
            }
            ends {
                r060_a_key_ends_once_and_its_reason_stays
                r060_nothing_is_written_to_a_key_that_was_revoked
                r060_nothing_but_insert_makes_a_key
                r060_what_meets_the_revocation_of_a_key_ends_revoked
                r060_ended_keys_are_purged_in_batches_from_the_exact_moment_on
            }
            lists {
                r060_keys_are_listed_by_id_page_by_page
                r060_keys_are_listed_by_when_they_were_made
            }
        }
    };
}

/// See the module docs of `conformance`.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_key_store_tests {
    ($make:expr) => {
        $crate::__portcullis_key_store_suite! { [$crate::__portcullis_conformance_tests] keys, $make }
    };
}

impl run::Bench for Bench {
    type Store = dyn KeyStore;

    const TESTS: &'static [Test<Self>] = __portcullis_key_store_suite! { [suite] Bench };

    fn new(fixture: KeyFixture) -> Self {
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
    F: Future<Output = KeyFixture> + Send + 'static,
{
    run::run::<Bench, F>(make).await
}

/// Runs the test of this name.
///
/// # Panics
/// If it fails, or if there is none of this name.
pub async fn check<F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = KeyFixture> + Send + 'static,
{
    run::check::<Bench, F>(name, make).await;
}
