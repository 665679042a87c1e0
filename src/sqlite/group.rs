//! Steps that are committed together. Everything here blocks.

use tokio::sync::oneshot;

use super::{
    failure::{Failure, Stop},
    link::{Db, Link},
    schema,
};
use crate::store::StoreError;

/// How many steps share one commit.
pub(super) const GROUP_MAX: usize = 256;

/// What the writing thread is asked for.
pub(super) enum Work {
    /// A step within a transaction.
    Step(Box<dyn Step>),
    /// The tables.
    Migrate(oneshot::Sender<Result<(), StoreError>>),
}

/// A step, and who waits for its answer.
pub(super) trait Step: Send {
    /// Whether somebody still waits.
    fn is_wanted(&self) -> bool;
    /// Writes. May be called again if nothing of what it wrote has stayed.
    fn take(&mut self, db: &Db) -> Result<(), Option<Failure>>;
    /// Tells the outcome, or why there is none.
    fn answer(self: Box<Self>, failure: Option<Failure>);
}

/// A closure as a step.
struct Closure<T, F> {
    step: F,
    outcome: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

/// The step for this closure, and where its answer comes.
pub(super) fn step<T, F>(step: F) -> (Work, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnMut(&Db) -> Result<T, Stop> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    (Work::Step(Box::new(Closure { step, outcome: None, answer })), answered)
}

impl<T, F> Step for Closure<T, F>
where
    T: Send,
    F: FnMut(&Db) -> Result<T, Stop> + Send,
{
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn take(&mut self, db: &Db) -> Result<(), Option<Failure>> {
        match (self.step)(db) {
            Ok(value) => {
                self.outcome = Some(Ok(value));
                Ok(())
            }
            Err(Stop::Answer(error)) => {
                self.outcome = Some(Err(error));
                Err(None)
            }
            Err(Stop::Engine(failure)) => Err(Some(failure)),
        }
    }

    fn answer(self: Box<Self>, failure: Option<Failure>) {
        let outcome = match failure {
            Some(failure) => Err(failure.into()),
            None => self.outcome.unwrap_or_else(|| Err(Failure::Thread.into())),
        };
        // Who has left meanwhile does not want to know.
        let _left = self.answer.send(outcome);
    }
}

/// Does what was taken from the queue, in order.
pub(super) fn work(link: &mut Link, jobs: Vec<Work>) {
    let mut steps = Vec::with_capacity(jobs.len());
    for job in jobs {
        match job {
            Work::Step(step) => steps.push(step),
            Work::Migrate(answer) => {
                commit(link, std::mem::take(&mut steps));
                let outcome = schema::migrate(link.settings());
                let _left = answer.send(outcome.map_err(StoreError::from));
            }
        }
    }
    commit(link, steps);
}

/// Takes steps in one transaction, or each in one of its own where one of them has spoilt it for the others.
fn commit(link: &mut Link, mut steps: Vec<Box<dyn Step>>) {
    steps.retain(|step| step.is_wanted());
    if steps.is_empty() {
        return;
    }
    let failure = attempt(link, &mut steps).err();
    if steps.len() > 1 && failure.is_some_and(Failure::may_be_ones) {
        for mut step in steps {
            let failure = attempt(link, std::slice::from_mut(&mut step)).err();
            step.answer(failure);
        }
        return;
    }
    for step in steps {
        step.answer(failure);
    }
}

/// All of it is committed, but for steps that answered with an error; or nothing is.
fn attempt(link: &mut Link, steps: &mut [Box<dyn Step>]) -> Result<(), Failure> {
    let outcome = link.db().and_then(|db| {
        db.prepare_cached("begin immediate")?.execute([])?;
        let outcome = take_all(db, steps);
        if outcome.is_err() && !db.is_autocommit() {
            db.prepare_cached("rollback")?.execute([])?;
        }
        outcome
    });
    if let Err(failure) = outcome {
        link.failed(failure);
    }
    outcome
}

fn take_all(db: &Db, steps: &mut [Box<dyn Step>]) -> Result<(), Failure> {
    for step in steps {
        db.prepare_cached("savepoint step")?.execute([])?;
        if let Err(failure) = step.take(db) {
            if let Some(failure) = failure {
                return Err(failure);
            }
            db.prepare_cached("rollback to step")?.execute([])?;
        }
        db.prepare_cached("release step")?.execute([])?;
    }
    db.prepare_cached("commit")?.execute([])?;
    Ok(())
}
