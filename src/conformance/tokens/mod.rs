//! The contract of [`TokenStore`].

mod bench;
mod cancels;
mod columns;
mod drafts;
mod ends;
mod golden;
mod lists;
mod logins;
mod races;
mod secrets;
mod services;
mod writes;

use self::bench::Bench;
use super::{
    Report, TokenFixture,
    run::{self, Test, suite},
};
use crate::store::TokenStore;

/// The tests of the suite, once.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_token_store_suite {
    ([$($then:tt)+] $($args:tt)*) => {
        $($then)+! {
            $($args)*;
            logins {
                r060_what_is_inserted_is_found_as_it_was
                r060_a_subject_has_one_epoch_from_its_first_login_on
                r060_an_id_is_taken_once_and_for_all
                r060_a_login_may_end_another_in_the_same_step
                r060_a_limit_counts_live_logins_and_ends_the_oldest
                r060_a_refused_login_leaves_what_has_ended
                r060_lists_go_by_id_page_by_page
            }
            writes {
                r060_a_rotation_needs_the_generation_that_was_read
                r060_no_rotation_moves_a_refresh_end_back
                r060_repeats_are_counted_up_to_their_cap
                r060_the_first_use_of_a_pair_is_noted_once
                r060_a_touch_is_due_or_nothing_happens
                r060_no_touch_moves_an_end_back
                r060_a_rekey_begins_anew
                r060_data_is_replaced_where_its_version_is_the_one_that_was_read
                r060_a_label_is_a_label_and_nothing_else
                r060_tokens_work_over_it_through_a_whole_life
            }
            ends {
                r060_a_login_ends_once_and_its_reason_stays
                r060_nothing_is_written_to_a_login_that_has_ended
                r060_nothing_but_insert_makes_a_record
                r060_a_subjects_logins_end_together_and_its_epoch_rises
                r060_one_login_can_be_kept_as_it_is_or_with_new_secrets
                r060_a_rekey_that_comes_too_late_ends_nothing
                r060_a_raised_epoch_stops_what_was_read_before
                r060_everyone_ends_and_may_come_back
                r060_purging_takes_what_is_past_both_lives_in_batches
            }
            races {
                r060_of_fifty_rotations_at_once_one_wins
                r060_of_fifty_changes_of_data_at_once_one_wins
                r060_fifty_repeats_at_once_stay_below_the_cap
                r060_of_fifty_touches_at_once_one_writes
                r060_a_hundred_logins_at_once_keep_to_the_limit
                r060_a_hundred_logins_at_once_end_the_oldest_exactly
                r060_of_many_ends_at_once_one_is_told
                r060_what_meets_a_revocation_ends_revoked
                r060_no_login_slips_through_the_end_of_its_subject
                r060_no_rekey_slips_through_the_end_of_everyone
            }
            columns {
                r060_every_column_comes_back_as_it_was
                r060_any_text_is_kept_and_found
                r060_ids_that_differ_in_case_are_two
                r060_context_and_data_of_any_size_fit
                r060_digests_of_every_kind_are_kept
                r060_each_write_writes_its_columns_and_no_others
                r060_never_stays_never
            }
            lists {
                r209_a_list_of_devices_has_each_once_while_others_come_and_go
                r060_purging_one_subject_in_batches_leaves_the_others
            }
            services {
                r036_fifty_refreshes_at_once_give_one_pair
                r036_of_fifty_strict_refreshes_at_once_one_passes
                sec_d10_a_hundred_logins_at_once_do_not_pass_a_limit
                r046_a_refresh_that_meets_a_revocation_ends_revoked
                r060_tokens_end_to_the_millisecond
                r048_a_change_of_credentials_keeps_the_current_login_alone
            }
            cancels {
                r060_a_dropped_write_is_whole_or_not_made
                r060_a_dropped_login_is_whole_or_not_made
                r060_a_dropped_end_of_a_subject_is_whole_or_not_made
            }
            golden {
                r213_logins_of_earlier_versions_work
            }
            secrets {
                sec_d02_no_secret_is_in_a_copy_of_the_engine
            }
        }
    };
}

/// See the module docs of `conformance`.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_token_store_tests {
    ($make:expr) => {
        $crate::__portcullis_token_store_suite! { [$crate::__portcullis_conformance_tests] tokens, $make }
    };
}

impl run::Bench for Bench {
    type Store = dyn TokenStore;

    const TESTS: &'static [Test<Self>] = __portcullis_token_store_suite! { [suite] Bench };

    fn new(fixture: TokenFixture) -> Self {
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
    F: Future<Output = TokenFixture> + Send + 'static,
{
    run::run::<Bench, F>(make).await
}

/// Runs the test of this name.
///
/// # Panics
/// If it fails, or if there is none of this name.
pub async fn check<F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = TokenFixture> + Send + 'static,
{
    run::check::<Bench, F>(name, make).await;
}
