//! What must hold however the operations meet.

use std::time::Duration;

use futures_util::FutureExt;
use portcullis::{
    TokenPolicy,
    credential::Channel,
    event::RevokeReason,
    problem::Reason,
    store::{LiveLimit, TokenStore},
    token::{IssueOptions, LoginQuery, RefreshRequest, TouchMode},
    verify::Refusal,
};

use super::{Operation, Outcome, Run, ada, every_order, pair, policy};
use crate::support::refresh_text;

/// The current refresh token.
const REFRESH: Operation = Operation("refresh", |world| {
    Box::pin(async move {
        let text = refresh_text(&world.current);
        pair(world.stepped.refresh(RefreshRequest::new(&text, Channel::Header)).await)
    })
});

/// Its predecessor, within the window.
const REPEAT: Operation = Operation("repeat", |world| {
    Box::pin(async move {
        let text = refresh_text(&world.first);
        pair(world.stepped.refresh(RefreshRequest::new(&text, Channel::Header)).await)
    })
});

/// A request whose touch is due and written before its answer.
const VERIFY: Operation = Operation("verify", |world| {
    Box::pin(async move {
        match world.stepped.verify(world.current.access().expose(), None).await {
            Ok(_) => Outcome::Valid,
            Err(Refusal::Invalid(reason)) => Outcome::Refused(reason),
            Err(Refusal::Unavailable(_)) => Outcome::CouldNotCheck,
        }
    })
});

/// The confirmation that a request left to be written.
const CONFIRM: Operation = Operation("confirm", |world| {
    Box::pin(async move {
        // The step is that of this look; the confirmation comes with it.
        world.stepped.logins(LoginQuery::of(ada())).await.unwrap();
        let generation = world.current.record().generation();
        world.memory.confirm(&world.id(), generation, world.time.now()).wait().await.unwrap();
        Outcome::Done
    })
});

const REKEY: Operation =
    Operation("rekey", |world| Box::pin(async move { pair(world.stepped.rekey(&world.id()).await) }));

const CHANGE_CREDENTIALS: Operation = Operation("change credentials", |world| {
    Box::pin(async move { pair(world.stepped.change_credentials(&world.id()).await) })
});

const UPDATE: Operation = Operation("update", |world| {
    Box::pin(async move {
        let add = |count: Option<u64>| count.unwrap_or(0) + 1;
        Outcome::Saved(world.stepped.update_data(&world.id(), add).await.unwrap())
    })
});

/// With the version that was read before all this began.
const SAVE: Operation = Operation("save", |world| {
    Box::pin(async move { Outcome::Saved(world.stepped.save_data(&world.id(), 0, &1).await.unwrap()) })
});

const NAME: Operation = Operation("name", |world| {
    Box::pin(async move {
        world.stepped.set_label(&ada(), &world.id(), Some("phone")).await.unwrap();
        Outcome::Done
    })
});

const REVOKE: Operation = Operation("revoke", |world| {
    Box::pin(async move {
        world.stepped.revoke(&world.id()).await.unwrap();
        Outcome::Done
    })
});

const REVOKE_SUBJECT: Operation = Operation("revoke subject", |world| {
    Box::pin(async move {
        world.stepped.revoke_subject(&ada()).await.unwrap();
        Outcome::Done
    })
});

const REVOKE_EVERYONE: Operation = Operation("revoke everyone", |world| {
    Box::pin(async move {
        world.stepped.revoke_everyone().await.unwrap();
        Outcome::Done
    })
});

const LOGIN: Operation = Operation("login", |world| {
    Box::pin(async move {
        match world.stepped.issue_for_header(ada(), IssueOptions::default()).await {
            Ok(issued) => Outcome::Pair(Box::new(issued)),
            Err(error) => panic!("{error:?}"),
        }
    })
});

/// Operations that leave the login alive.
const HONEST: [Operation; 9] =
    [REFRESH, REPEAT, VERIFY, CONFIRM, REKEY, CHANGE_CREDENTIALS, UPDATE, SAVE, NAME];
const ENDS: [Operation; 3] = [REVOKE, REVOKE_SUBJECT, REVOKE_EVERYONE];

/// All choices of up to three of these, an operation twice or thrice included.
fn up_to_three(operations: &[Operation]) -> Vec<Vec<Operation>> {
    let mut sets = Vec::new();
    for (one, first) in operations.iter().enumerate() {
        sets.push(vec![*first]);
        for (two, second) in operations.iter().enumerate().skip(one) {
            sets.push(vec![*first, *second]);
            for third in operations.iter().skip(two) {
                sets.push(vec![*first, *second, *third]);
            }
        }
    }
    sets
}

fn saves(run: &Run) -> u64 {
    run.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Saved(true))).count() as u64
}

/// Nothing honest ends the login, and it has one living pair.
fn lives(run: &Run) {
    let record = run.world.record();
    assert_eq!(record.revoked(), None);
    assert_eq!(run.living(), 1, "one pair is valid, and somebody has it");
    assert_eq!((record.version(), record.data().parse().unwrap()), (saves(run), Some(saves(run))));
    for outcome in &run.outcomes {
        // A rekey leaves the old texts powerless; a login changed twice while it is looked at is asked to come again.
        if let Outcome::Refused(reason) = outcome {
            let powerless = matches!(reason, Reason::WrongTag | Reason::WrongSecret | Reason::LostRace);
            assert!(powerless, "{reason:?}");
        }
    }
}

/// Whatever came before or after, it has ended, and no pair works.
fn has_ended(run: &Run) {
    assert!(run.world.record().revoked().is_some());
    assert_eq!(run.living(), 0);
    assert_eq!(run.world.record().version(), saves(run));
}

#[test]
fn r036_whatever_meets_leaves_one_living_pair() {
    let policy = policy();
    let mut orders = 0;
    for operations in up_to_three(&HONEST) {
        // A reuse is judged as one where the repeat comes after two rotations; that is no honest meeting.
        let with = |name: &str| operations.iter().any(|operation| operation.0 == name);
        if with(REPEAT.0) && with(REFRESH.0) {
            continue;
        }
        for confirmed in [false, true] {
            orders += every_order(&policy, confirmed, &operations, lives);
        }
    }
    assert!(orders > 5_000, "{orders}");
}

#[test]
fn r047_whatever_meets_an_end_is_ended() {
    let policy = policy();
    let mut orders = 0;
    for end in ENDS {
        for operations in up_to_three(&HONEST).into_iter().filter(|operations| operations.len() < 3) {
            let operations: Vec<_> = operations.into_iter().chain([end]).collect();
            for confirmed in [false, true] {
                orders += every_order(&policy, confirmed, &operations, has_ended);
            }
        }
    }
    assert!(orders > 3_000, "{orders}");
}

#[test]
fn r048_a_login_that_meets_the_end_of_its_subject_lives_or_dies_as_a_whole() {
    for end in [REVOKE_SUBJECT, REVOKE_EVERYONE, CHANGE_CREDENTIALS] {
        for other in [REFRESH, VERIFY, REKEY] {
            every_order(&policy(), true, &[LOGIN, end, other], |run| {
                let Outcome::Pair(issued) = &run.outcomes[0] else { panic!("a login") };
                let id = issued.record().id();
                let found = run.world.memory.find(&id).wait().now_or_never();
                let marked = found.unwrap().unwrap().unwrap().record.revoked().is_some();
                assert_eq!(run.world.verifies(issued), !marked);
            });
        }
    }
}

#[test]
fn r022_a_single_login_that_meets_anything_is_the_only_one_left() {
    let single = TokenPolicy::builder()
        .sliding_with_refresh()
        .touch_mode(TouchMode::Inline)
        .touch_every(Some(Duration::ZERO))
        .limit(LiveLimit::EndOldest(1))
        .keep_for_audit(Duration::MAX)
        .build()
        .unwrap();
    for operation in HONEST {
        every_order(&single, true, &[LOGIN, operation], has_ended);
        every_order(&single, true, &[LOGIN, operation, operation], has_ended);
        every_order(&single, true, &[LOGIN, LOGIN, operation], |run| {
            has_ended(run);
            let given = run.outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Pair(issued) if issued.record().id() != run.world.id() => Some(issued),
                _ => None,
            });
            assert_eq!(given.filter(|issued| run.world.verifies(issued)).count(), 1);
        });
    }
}

/// Whoever repeats after the rotation proves an ancestor, and the login ends; never is there a second pair.
#[test]
fn r037_a_repeat_that_meets_a_rotation_gives_no_second_pair() {
    for confirmed in [false, true] {
        let mut orders = 0;
        for others in [&[][..], &[VERIFY], &[REFRESH], &[UPDATE]] {
            let operations: Vec<_> = [REPEAT, REFRESH].into_iter().chain(others.iter().copied()).collect();
            orders += every_order(&policy(), confirmed, &operations, |run| {
                let ended = run.world.record().revoked().map(|end| end.reason());
                assert!(matches!(ended, None | Some(RevokeReason::Reuse)));
                assert_eq!(run.living(), usize::from(ended.is_none()));
                assert_eq!(ended.is_some(), matches!(run.outcomes[0], Outcome::Refused(Reason::Reuse)));
            });
        }
        assert!(orders > 50, "{orders}");
    }
}

/// The scheduler itself: how often it lets two and three operations meet.
#[test]
fn every_order_is_taken_once() {
    assert_eq!(every_order(&policy(), true, &[REVOKE, REVOKE], |_| {}), 2);
    assert_eq!(every_order(&policy(), true, &[NAME, NAME], |_| {}), 6);
    assert_eq!(every_order(&policy(), true, &[CONFIRM, CONFIRM, NAME], |_| {}), 12);
    assert_eq!(every_order(&policy(), true, &[NAME, NAME, NAME], |_| {}), 90);
}
