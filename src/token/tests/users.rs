//! The memory of users: which look-up counts, and how many users it holds.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::{
    error::BoxError,
    maybe_ready::MaybeReady,
    token::users::{CAPACITY, remembering},
    verify::UserLookup,
};

type Answer = Option<&'static str>;

/// Gives the answers that are put in, each when it is there; without any, "reader" at once.
#[derive(Clone, Default)]
struct Answers {
    slow: Arc<Mutex<Vec<oneshot::Receiver<Answer>>>>,
    asked: Arc<AtomicUsize>,
}

impl UserLookup for Answers {
    type User = &'static str;

    fn find(&self, _: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<&'static str>>, BoxError>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.slow.lock().unwrap().pop() {
            None => MaybeReady::Now(Ok(Some(Arc::new("reader")))),
            Some(slow) => MaybeReady::later(async move { Ok(slow.await.unwrap().map(Arc::new)) }),
        }
    }
}

impl Answers {
    /// What the next look-up will wait for.
    fn slow(&self) -> oneshot::Sender<Answer> {
        let (sender, receiver) = oneshot::channel();
        self.slow.lock().unwrap().push(receiver);
        sender
    }
}

/// Two look-ups, the first to begin being the first or the second to answer, that found different things: what is
/// remembered afterwards, if anything.
async fn remembered(first: Answer, second: Answer, first_answers_last: bool) -> Answer {
    let (answers, time) = (Answers::default(), ManualClock::new(Timestamp::from_millis(0)));
    let age = Duration::from_secs(60);
    let (users, fresh) = remembering(Arc::new(answers.clone()) as _, age, time.clock());
    let ada = Arc::new(Subject::local("ada"));
    let gate = answers.slow();
    let one = fresh.find(&ada);
    time.advance(Duration::from_secs(1));
    let other_gate = answers.slow();
    let other = fresh.find(&ada);
    time.advance(Duration::from_secs(1));
    let (one, other) = (
        async {
            gate.send(first).unwrap();
            one.wait().await.unwrap();
        },
        async {
            other_gate.send(second).unwrap();
            other.wait().await.unwrap();
        },
    );
    if first_answers_last {
        other.await;
        one.await;
    } else {
        one.await;
        time.advance(Duration::from_secs(1));
        other.await;
    }
    let asked = answers.asked.load(Ordering::SeqCst);
    let found = users.find(&ada).wait().await.unwrap().map(|user| *user);
    found.filter(|_| answers.asked.load(Ordering::SeqCst) == asked)
}

/// Of two users the one whose look-up began later; and nobody, whenever a look-up that found none has answered after
/// the other one began.
#[tokio::test]
async fn sec_i09_the_look_up_that_began_last_is_remembered_and_none_outlives_the_users_end() {
    for (first, second, first_answers_last, expected) in [
        (Some("old"), Some("new"), false, Some("new")),
        (Some("old"), Some("new"), true, Some("new")),
        (Some("old"), None, false, None),
        (Some("old"), None, true, None),
        // It answered while the other one was on its way: which of them is right nobody knows.
        (None, Some("new"), false, None),
        (None, Some("new"), true, None),
    ] {
        let remembered = remembered(first, second, first_answers_last).await;
        assert_eq!(remembered, expected, "{first:?} {second:?} {first_answers_last}");
    }
}

#[tokio::test]
async fn sec_i09_the_memory_is_bounded_and_makes_room_with_time() {
    let (answers, time) = (Answers::default(), ManualClock::new(Timestamp::from_millis(0)));
    let age = Duration::from_secs(60);
    let (users, _) = remembering(Arc::new(answers.clone()) as _, age, time.clock());
    let subject = |number: usize| Arc::new(Subject::local(format!("user-{number}")));
    let asked = || answers.asked.load(Ordering::SeqCst);
    let found = async |number: usize| {
        let before = asked();
        users.find(&subject(number)).wait().await.unwrap().unwrap();
        asked() == before
    };
    for number in 0..CAPACITY {
        assert!(!found(number).await);
    }
    for _ in 0..3 {
        assert!(!found(CAPACITY).await, "there is no room");
    }
    assert!(found(0).await && found(CAPACITY - 1).await);
    time.advance(age);
    // As many look-ups as it holds users, and those that are too old are gone.
    for number in CAPACITY..2 * CAPACITY {
        found(number).await;
    }
    assert!(found(2 * CAPACITY - 1).await);
}
