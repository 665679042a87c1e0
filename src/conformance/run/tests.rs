use std::sync::Arc;

use super::*;

/// What the tests of a suite can come to.
struct Made;

mod part {
    use super::*;

    pub(super) async fn passes(_: &Made) {
        tokio::task::yield_now().await;
    }

    pub(super) async fn fails(_: &Made) {
        assert!(std::hint::black_box(false), "as planted");
    }

    pub(super) async fn fails_with_a_number(_: &Made) {
        assert_eq!(std::hint::black_box(1), 2, "as planted");
    }

    pub(super) async fn hangs(_: &Made) {
        std::future::pending().await
    }

    pub(super) async fn lacks(_: &Made) -> Result<(), Lacking> {
        Err(Lacking("a dump"))
    }
}

impl Bench for Made {
    type Store = str;

    const TESTS: &'static [Test<Self>] =
        suite!(Made; part { passes fails fails_with_a_number hangs } part { lacks });

    fn new(_fixture: Fixture<str>) -> Self {
        Self
    }
}

async fn empty() -> Fixture<str> {
    let store: Arc<str> = "".into();
    Fixture::new(Arc::clone(&store), store)
}

#[tokio::test(start_paused = true)]
async fn r213_a_report_names_what_failed_hung_or_was_skipped() {
    let report = run::<Made, _>(empty).await;
    assert_eq!(report.failed(), ["fails", "fails_with_a_number", "hangs"]);
    let verdicts: Vec<_> = report.outcomes().iter().map(Outcome::verdict).collect();
    assert_eq!(*verdicts[0], Verdict::Passed);
    assert_eq!(*verdicts[1], Verdict::Failed("as planted".to_owned()));
    assert!(matches!(verdicts[2], Verdict::Failed(reason) if reason.contains("as planted")));
    assert_eq!(*verdicts[3], Verdict::Failed("not done after 120s".to_owned()));
    assert_eq!(*verdicts[4], Verdict::Skipped("a dump"));
    assert_eq!(names::<Made>(), ["passes", "fails", "fails_with_a_number", "hangs", "lacks"]);
    let shown = report.to_string();
    assert!(shown.contains("passed   passes\nFAILED   fails: as planted\n"), "{shown}");
    assert!(shown.ends_with("skipped  lacks: a dump\n"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn r213_a_fixture_that_cannot_be_made_fails_the_tests_that_wanted_it() {
    let report = run::<Made, _>(async || panic!("no engine")).await;
    assert_eq!(report.failed().len(), 5);
    assert_eq!(*report.outcomes()[0].verdict(), Verdict::Failed("no engine".to_owned()));
}

#[tokio::test]
#[should_panic(expected = "FAILED   fails: as planted")]
async fn r213_a_report_with_a_failure_is_no_pass() {
    let outcome = Outcome::new("fails", Verdict::Failed("as planted".to_owned()));
    Report::new(vec![outcome]).assert_passed();
}

#[tokio::test]
#[should_panic(expected = "fails: as planted")]
async fn r213_one_test_fails_under_its_name() {
    check::<Made, _>("passes", empty).await;
    check::<Made, _>("lacks", empty).await;
    check::<Made, _>("fails", empty).await;
}

#[tokio::test]
#[should_panic(expected = "a name of the suite")]
async fn r213_a_name_that_is_none_is_no_pass() {
    check::<Made, _>("nobody", empty).await;
}
