//! The suite finds the faults that are easily made, and nothing where there is none.

use std::sync::Arc;

use portcullis::{
    MemoryStore,
    conformance::{
        CounterFixture, Report, TokenFixture, Verdict, counter_store_tests, counters, token_store_tests,
        tokens,
    },
};

use super::plain::{Fault, PlainStore};

fn logins(fault: Fault) -> TokenFixture {
    let store = PlainStore::new(fault);
    TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
}

fn counting(fault: Fault) -> CounterFixture {
    let store = PlainStore::new(fault);
    CounterFixture::new(Arc::new(store.clone()), Arc::new(store))
}

/// Somebody else's store, under each test by its name.
mod passes {
    use super::*;

    token_store_tests!(async || logins(Fault::None));
    counter_store_tests!(async || counting(Fault::None));
}

#[track_caller]
fn check_failed(report: &Report, expected: &[&str]) {
    let failed = report.failed();
    for name in expected {
        assert!(failed.contains(name), "{name} has not failed, but {failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_store_of_somebody_else_passes_the_suite_of_ours() {
    let report = tokens::run(async || logins(Fault::None)).await;
    report.assert_passed();
    let names: Vec<_> = report.outcomes().iter().map(|outcome| outcome.name()).collect();
    assert_eq!(names, tokens::names());
    let skipped = report.outcomes().iter().filter(|outcome| matches!(outcome.verdict(), Verdict::Skipped(_)));
    assert_eq!(skipped.count(), 1, "it cannot be dumped");
    counters::run(async || counting(Fault::None)).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r023_the_store_in_memory_and_one_of_somebody_else_pass_the_same_tests() {
    let ours = tokens::run(async || {
        let store = MemoryStore::new();
        TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
    });
    let theirs = tokens::run(async || logins(Fault::None));
    assert_eq!(ours.await.to_string(), theirs.await.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_put_of_the_whole_record_is_found() {
    let report = tokens::run(async || logins(Fault::WholeRecord)).await;
    check_failed(
        &report,
        &["r060_what_meets_a_revocation_ends_revoked", "r060_of_fifty_changes_of_data_at_once_one_wins"],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_write_that_does_not_ask_for_a_revocation_is_found() {
    let report = tokens::run(async || logins(Fault::RevokedIsWritten)).await;
    check_failed(&report, &["r060_nothing_is_written_to_a_login_that_has_ended"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_late_touch_that_makes_a_row_is_found() {
    let report = tokens::run(async || logins(Fault::TouchMakesRows)).await;
    check_failed(&report, &["r060_nothing_but_insert_makes_a_record"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_counter_that_is_read_and_then_written_is_found() {
    let report = counters::run(async || counting(Fault::ReadThenWrite)).await;
    check_failed(&report, &["r060_a_hundred_hits_at_once_are_counted_one_by_one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_never_that_is_an_absent_value_is_found() {
    let report = tokens::run(async || logins(Fault::NullForNever)).await;
    check_failed(
        &report,
        &[
            "r060_never_stays_never",
            "r060_no_touch_moves_an_end_back",
            "r060_no_rotation_moves_a_refresh_end_back",
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_an_epoch_that_begins_at_zero_is_found() {
    let report = tokens::run(async || logins(Fault::EpochZero)).await;
    check_failed(&report, &["r060_a_subject_has_one_epoch_from_its_first_login_on"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r213_a_limit_without_the_subjects_lock_is_found() {
    let report = tokens::run(async || logins(Fault::LimitUnlocked)).await;
    check_failed(
        &report,
        &[
            "r060_a_hundred_logins_at_once_keep_to_the_limit",
            "sec_d10_a_hundred_logins_at_once_do_not_pass_a_limit",
        ],
    );
}
