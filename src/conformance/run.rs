//! Runs the tests of a suite.

use std::{any::Any, pin::Pin, time::Duration};

use tokio::time::timeout;

use super::{
    fixture::Fixture,
    report::{Outcome, Report, Verdict},
};

/// Far more than any test takes on the slowest engine.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// One test, by its name.
pub(super) struct Test<B> {
    pub(super) name: &'static str,
    pub(super) run: for<'a> fn(&'a B) -> Running<'a>,
}

/// A test that runs. It says what it lacks, if it cannot.
pub(super) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Lacking>> + Send + 'a>>;

/// What the fixture does not have.
pub(super) struct Lacking(pub(super) &'static str);

/// What a test function may return.
pub(super) trait Ending {
    fn ending(self) -> Result<(), Lacking>;
}

/// What a suite makes of a fixture.
pub(super) trait Bench: Send + Sync + Sized + 'static {
    type Store: ?Sized + Send + Sync + 'static;

    const TESTS: &'static [Test<Self>];

    fn new(fixture: Fixture<Self::Store>) -> Self;
}

impl Ending for () {
    fn ending(self) -> Result<(), Lacking> {
        Ok(())
    }
}

impl Ending for Result<(), Lacking> {
    fn ending(self) -> Self {
        self
    }
}

pub(super) fn names<B: Bench>() -> Vec<&'static str> {
    B::TESTS.iter().map(|test| test.name).collect()
}

/// All of them, one after the other.
pub(super) async fn run<B: Bench, F>(make: impl Fn() -> F) -> Report
where
    F: Future<Output = Fixture<B::Store>> + Send + 'static,
{
    let mut outcomes = Vec::new();
    for test in B::TESTS {
        outcomes.push(Outcome::new(test.name, one::<B, F>(test, make()).await));
    }
    Report::new(outcomes)
}

/// The one of this name.
pub(super) async fn check<B: Bench, F>(name: &str, make: impl Fn() -> F)
where
    F: Future<Output = Fixture<B::Store>> + Send + 'static,
{
    let test = B::TESTS.iter().find(|test| test.name == name).expect("a name of the suite");
    if let Verdict::Failed(reason) = one::<B, F>(test, make()).await {
        panic!("{name}: {reason}");
    }
}

async fn one<B: Bench, F>(test: &'static Test<B>, making: F) -> Verdict
where
    F: Future<Output = Fixture<B::Store>> + Send + 'static,
{
    let mut task = tokio::spawn(async move {
        let bench = B::new(making.await);
        (test.run)(&bench).await
    });
    match timeout(TIME_LIMIT, &mut task).await {
        Ok(Ok(Ok(()))) => Verdict::Passed,
        Ok(Ok(Err(Lacking(what)))) => Verdict::Skipped(what),
        Ok(Err(error)) => Verdict::Failed(match error.try_into_panic() {
            Ok(panic) => text(&*panic),
            Err(error) => error.to_string(),
        }),
        Err(_elapsed) => {
            task.abort();
            Verdict::Failed(format!("not done after {TIME_LIMIT:?}"))
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// The list of a suite, once: by it the suite has its functions, and whoever uses it one test each.
macro_rules! suite {
    ($bench:ty; $($part:ident { $($name:ident)* })*) => {
        &[$($($crate::conformance::run::Test::<$bench> {
            name: stringify!($name),
            run: |bench| Box::pin(async move {
                $crate::conformance::run::Ending::ending($part::$name(bench).await)
            }),
        },)*)*]
    };
}

/// One `#[tokio::test]` for each name of a list. Hidden: what the macros for the ports expand to.
#[doc(hidden)]
#[macro_export]
macro_rules! __portcullis_conformance_tests {
    ($suite:ident, $make:expr; $($part:ident { $($name:ident)* })*) => {
        $($(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$suite::check(stringify!($name), $make).await;
            }
        )*)*
    };
}

pub(super) use suite;

#[cfg(test)]
mod tests;
