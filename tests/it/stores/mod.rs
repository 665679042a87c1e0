//! The contracts of the stores of logins and of counters, for any store: only the bench differs.

mod bench;
mod cached;
mod counters;
mod drafts;
mod ends;
mod logins;
mod memory;
mod races;
mod writes;

/// Runs every function of the contract of `TokenStore`, as one test each, on a bench of its own.
macro_rules! keeps_logins {
    ($bench:expr) => {
        $crate::stores::conforms! {
            $bench;
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
        }
    };
}

/// The same for the contract of `CounterStore`.
macro_rules! keeps_counters {
    ($store:expr) => {
        $crate::stores::conforms! {
            $store;
            counters {
                r060_a_bucket_lets_its_count_through_and_fills_again
                r060_counters_do_not_disturb_each_other
                r060_what_is_refused_is_not_counted
                r060_a_counter_that_is_forgotten_is_full_again
                r060_a_hundred_hits_at_once_are_counted_one_by_one
            }
        }
    };
}

macro_rules! conforms {
    ($bench:expr; $($part:ident { $($name:ident)* })*) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::stores::$part::$name(&$bench).await;
            }
        )*)*
    };
}

pub(crate) use conforms;
pub(crate) use keeps_counters;
pub(crate) use keeps_logins;
