//! What happens at the same moment.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::{
    bench::{Bench, HOUR},
    drafts::Login,
};
use crate::{
    identity::Subject,
    maybe_ready::BoxFuture,
    store::{Data, Keep, LiveLimit, StoreErrorKind, SubjectRevocation, TokenStore},
    token::IssueOptions,
};

/// All at once, on both handles, each on a task of its own.
async fn at_once<T, F>(
    bench: &Bench,
    jobs: Vec<impl FnOnce(Arc<dyn TokenStore>) -> F + Send + 'static>,
) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let start = Arc::new(Barrier::new(jobs.len()));
    let tasks = jobs.into_iter().enumerate().map(|(number, job)| {
        let (store, start) = (bench.handle(number), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            job(store).await
        })
    });
    join_all(tasks.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect()
}

fn won(results: &[bool]) -> usize {
    results.iter().filter(|won| **won).count()
}

pub(super) async fn r060_of_fifty_rotations_at_once_one_wins(bench: &Bench) {
    let id = bench.login("ada").await.id();
    for generation in 0..5 {
        let mut jobs = Vec::new();
        for number in 0..50_u64 {
            let mut rotation = bench.drafts.rotation(generation);
            // To know whose it was.
            rotation.access_expires = bench.after(HOUR).plus(std::time::Duration::from_millis(number));
            jobs.push(
                move |store: Arc<dyn TokenStore>| async move { store.rotate(&id, rotation).await.unwrap() },
            );
        }
        let results = at_once(bench, jobs).await;
        assert_eq!(won(&results), 1);
        let winner = u64::try_from(results.iter().position(|won| *won).unwrap()).unwrap();
        let after = bench.found(&id).await;
        assert_eq!(after.generation(), generation + 1);
        let end = bench.after(HOUR).plus(std::time::Duration::from_millis(winner));
        assert_eq!(after.access_expires(), end, "the winner's, whole");
    }
}

pub(super) async fn r060_of_fifty_changes_of_data_at_once_one_wins(bench: &Bench) {
    let id = bench.login("ada").await.id();
    for version in 0..5 {
        let jobs = (0..50_usize).map(|number| {
            move |store: Arc<dyn TokenStore>| async move {
                store.save_data(&id, version, Data::new(&number).unwrap()).await.unwrap()
            }
        });
        let results = at_once(bench, jobs.collect()).await;
        assert_eq!(won(&results), 1);
        let after = bench.found(&id).await;
        assert_eq!(after.version(), version + 1);
        assert_eq!(after.data().parse::<usize>().unwrap(), results.iter().position(|won| *won));
    }
}

pub(super) async fn r060_fifty_repeats_at_once_stay_below_the_cap(bench: &Bench) {
    let id = bench.login("ada").await.id();
    let jobs = (0..50)
        .map(|_| move |store: Arc<dyn TokenStore>| async move { store.grace_hit(&id, 0, 10).await.unwrap() });
    assert_eq!(won(&at_once(bench, jobs.collect()).await), 10);
}

pub(super) async fn r060_of_fifty_touches_at_once_one_writes(bench: &Bench) {
    let id = bench.login("ada").await.id();
    let touch = bench.drafts.touch(0);
    let jobs = (0..50).map(|_| {
        let touch = touch.clone();
        move |store: Arc<dyn TokenStore>| async move { store.touch(&id, touch).wait().await.unwrap() }
    });
    assert_eq!(won(&at_once(bench, jobs.collect()).await), 1);
}

/// What became of a hundred logins at once: those that were let in, and the logins that ended for them.
async fn hundred(bench: &Bench, limit: LiveLimit) -> (Vec<Login>, Vec<crate::text::TokenId>) {
    let mut logins = Vec::new();
    for _ in 0..100 {
        logins.push(bench.draft("ada").await);
    }
    let jobs = logins.iter().map(|login| {
        let (record, insertion) = (login.record.clone(), bench.limited(limit));
        move |store: Arc<dyn TokenStore>| async move { store.insert(record, insertion).await }
    });
    let (mut entered, mut ended) = (Vec::new(), Vec::new());
    for (login, result) in logins.iter().zip(at_once(bench, jobs.collect()).await) {
        match result {
            Ok(inserted) => {
                entered.push(login.clone());
                ended.extend(inserted.ended);
            }
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::LimitReached),
        }
    }
    (entered, ended)
}

async fn living(bench: &Bench, logins: &[Login]) -> usize {
    let mut living = 0;
    for login in logins {
        living += usize::from(bench.lives(login).await);
    }
    living
}

pub(super) async fn r060_a_hundred_logins_at_once_keep_to_the_limit(bench: &Bench) {
    let other = bench.login("bob").await;
    let (entered, ended) = hundred(bench, LiveLimit::Refuse(3)).await;
    assert_eq!((entered.len(), ended.len()), (3, 0));
    assert_eq!(living(bench, &entered).await, 3);
    assert_eq!(bench.ids().await.len(), 4, "nothing is left of the others");
    assert!(bench.lives(&other).await);
}

pub(super) async fn r060_a_hundred_logins_at_once_end_the_oldest_exactly(bench: &Bench) {
    let other = bench.login("bob").await;
    let (entered, mut ended) = hundred(bench, LiveLimit::EndOldest(3)).await;
    assert_eq!(entered.len(), 100);
    assert_eq!(living(bench, &entered).await, 3);
    ended.sort();
    ended.dedup();
    assert_eq!(ended.len(), 97, "each is told of once");
    assert!(bench.lives(&other).await);
}

pub(super) async fn r060_of_many_ends_at_once_one_is_told(bench: &Bench) {
    for subject in [false, true] {
        let id = bench.login("ada").await.id();
        let revocation = bench.ended();
        let jobs = (0..50_usize).map(|number| {
            move |store: Arc<dyn TokenStore>| async move {
                if subject && number.is_multiple_of(5) {
                    let all = SubjectRevocation::new(revocation, Keep::Nothing);
                    let ended = store.revoke_subject(&Subject::local("ada"), all).await.unwrap();
                    return ended.unwrap().contains(&id);
                }
                store.revoke(&id, revocation).await.unwrap()
            }
        });
        assert_eq!(won(&at_once(bench, jobs.collect()).await), 1);
    }
}

/// A rotation, a touch, a rekey, a change of data and a label against the end of the login.
pub(super) async fn r060_what_meets_a_revocation_ends_revoked(bench: &Bench) {
    for round in 0..100 {
        let id = bench.login("ada").await.id();
        let (rotation, rekey) = (bench.drafts.rotation(0), bench.drafts.rekey(0));
        let (touch, revocation) = (bench.drafts.touch(0), bench.ended());
        type Job = Box<dyn FnOnce(Arc<dyn TokenStore>) -> BoxFuture<bool> + Send>;
        let mut jobs: Vec<Job> = vec![
            Box::new(move |store| Box::pin(async move { store.rotate(&id, rotation).await.unwrap() })),
            Box::new(move |store| Box::pin(async move { store.rekey(&id, rekey).await.unwrap() })),
            Box::new(move |store| Box::pin(async move { store.touch(&id, touch).wait().await.unwrap() })),
            Box::new(move |store| {
                Box::pin(async move { store.save_data(&id, 0, Data::new(&1).unwrap()).await.unwrap() })
            }),
            Box::new(move |store| {
                Box::pin(async move { store.set_label(&id, Some("x".into())).await.unwrap() })
            }),
            Box::new(move |store| Box::pin(async move { store.revoke(&id, revocation).await.unwrap() })),
        ];
        // Each on either handle, and in either half of the queue.
        jobs.rotate_left(round % 6);
        let revoked_at = (5 + 6 - round % 6) % 6;
        let results = at_once(bench, jobs).await;
        assert!(results[revoked_at], "nothing else ends it");
        let after = bench.found(&id).await;
        assert_eq!(after.revoked(), Some(revocation), "round {round}");
        let place = |job: usize| (job + 6 - round % 6) % 6;
        let renewed = usize::from(results[place(0)]) + usize::from(results[place(1)]);
        assert!(renewed <= 1, "one of a generation");
        assert_eq!(after.generation() as usize, renewed);
        assert_eq!(after.version(), u64::from(results[place(3)]));
        assert_eq!(after.label(), results[place(4)].then_some("x"));
    }
}

/// A login that begins while all of its subject's end is either one of them, or one of those after.
pub(super) async fn r060_no_login_slips_through_the_end_of_its_subject(bench: &Bench) {
    for round in 0..100 {
        let subject = Subject::local(format!("user {round}"));
        let first = bench.drafts.login(subject.clone(), IssueOptions::default()).await;
        bench.one.insert(first.record.clone(), bench.insertion()).await.unwrap();
        let login = bench.drafts.login(subject.clone(), IssueOptions::default()).await;
        let before = bench.epoch(&first.id()).await.unwrap();
        let (record, insertion) = (login.record.clone(), bench.insertion());
        let all = SubjectRevocation::new(bench.ended(), Keep::Nothing);
        let start = Arc::new(Barrier::new(2));
        let (one, two, waits) = (bench.handle(round), bench.handle(round + 1), Arc::clone(&start));
        let inserting = tokio::spawn(async move {
            waits.wait().await;
            one.insert(record, insertion).await.unwrap();
        });
        start.wait().await;
        let ended = two.revoke_subject(&subject, all).await.unwrap().unwrap();
        inserting.await.unwrap();
        assert!(ended.contains(&first.id()) && !bench.lives(&first).await);
        let revoked = bench.found(&login.id()).await.revoked().is_some();
        assert_eq!(ended.contains(&login.id()), revoked, "round {round}");
        assert_eq!(bench.lives(&login).await, !revoked, "round {round}");
        assert_eq!(bench.epoch(&login.id()).await, Some(before.next()));
    }
}

/// New secrets bring the subject's epoch with them: asked for between the end of the epochs and that of the logins, they
/// would bring a login back.
pub(super) async fn r060_no_rekey_slips_through_the_end_of_everyone(bench: &Bench) {
    let mut ids = Vec::new();
    for _ in 0..50 {
        let logins = (0..50).map(|number| bench.login(["ada", "bob"][number % 2]));
        ids.extend(join_all(logins).await.iter().map(Login::id));
    }
    let (ids, rekey) = (Arc::new(ids), bench.drafts.rekey(0));
    let start = Arc::new(Barrier::new(3));
    let rekeying: Vec<_> = (0..2)
        .map(|number| {
            let (store, ids, rekey) = (bench.handle(number), Arc::clone(&ids), rekey.clone());
            let start = Arc::clone(&start);
            tokio::spawn(async move {
                start.wait().await;
                // From either end.
                for place in 0..ids.len() {
                    let place = if number == 0 { place } else { ids.len() - 1 - place };
                    store.rekey(&ids[place], rekey.clone()).await.unwrap();
                }
            })
        })
        .collect();
    start.wait().await;
    bench.one.revoke_everyone(bench.ended()).await.unwrap();
    for task in rekeying {
        task.await.unwrap();
    }
    for some in ids.chunks(50) {
        for found in join_all(some.iter().map(|id| bench.found(id))).await {
            assert_eq!(found.revoked(), Some(bench.ended()));
        }
    }
}
