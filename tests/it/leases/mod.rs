//! Tokens that several processes share: every store keeps the same contract, and what is special to each.

pub(crate) mod conformance;
mod endpoint;
mod faulty;
mod files;
mod memory;
mod pipelines;
mod processes;
#[cfg(feature = "redis")]
mod redis;
mod renewal;
mod seals;

use std::time::Duration;

use portcullis::clock::{Clock, Monotonic};

/// How long something takes.
pub(crate) struct Watch<'a>(&'a Clock, Monotonic);

impl<'a> Watch<'a> {
    pub(crate) fn on(clock: &'a Clock) -> Self {
        Self(clock, clock.monotonic())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.monotonic().since(self.1)
    }
}

/// Runs every function of the contract on a store, as one test each.
macro_rules! conforms {
    ($bench:expr) => {
        $crate::leases::conforms! {
            $bench;
            r101_what_is_put_is_there_until_it_is_removed
            r101_values_are_bytes_of_any_length
            r101_clearing_a_namespace_touches_no_other_and_no_lock
            r101_of_many_writers_at_once_one_wins
            r102_nothing_outlives_the_life_it_was_given
            r102_a_write_begins_a_new_life
            r102_a_write_happens_where_what_is_expected_is_there
            r102_a_removal_happens_where_what_is_expected_is_there
            r115_equal_names_elsewhere_are_other_keys
            r207_a_lock_is_one_owners
            r207_of_many_owners_at_once_one_gets_the_lock
            r207_a_lock_that_overran_is_anothers_and_is_left_alone
            r207_a_lock_that_is_renewed_lasts
            r207_fences_rise
        }
    };
    ($bench:expr; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::leases::conformance::$name(&$bench).await;
            }
        )*
    };
}

pub(crate) use conforms;
