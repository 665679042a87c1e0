//! Steps whose future is dropped.

use std::{pin::pin, time::Duration};

use futures_util::future;

use super::{
    bench::{Bench, HOUR},
    columns::is_same,
};
use crate::{
    clock::Timestamp,
    identity::Subject,
    store::{Keep, LiveLimit, LoginColumns, SubjectRevocation},
    token::IssueOptions,
};

/// Within this time a step that was dropped is done, if it is ever.
const SETTLES: u32 = 500;

/// Drops the future in this round's moment, if it has not ended by then.
async fn dropped(step: impl Future, round: u64) {
    let patience = async {
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(round % 4)).await;
        }
    };
    future::select(pin!(step), pin!(patience)).await;
}

pub(super) async fn r060_a_dropped_write_is_whole_or_not_made(bench: &Bench) {
    let mut logins = Vec::new();
    for round in 0..40 {
        let login = bench.login("ada").await;
        let before = LoginColumns::from(&*bench.found(&login.id()).await);
        let mut after = before.clone();
        let rotation = bench.drafts.rotation(0);
        after.previous = after.refresh.replace(rotation.refresh.clone());
        (after.access, after.nonce) = (rotation.access.clone(), Some(rotation.nonce.clone()));
        (after.generation, after.grace_hits) = (1, 0);
        (after.rotated_at, after.confirmed_at) = (rotation.now, Timestamp::NEVER);
        after.last_seen = rotation.now;
        (after.access_expires, after.refresh_expires) = (rotation.access_expires, rotation.refresh_expires);
        dropped(bench.one.rotate(&login.id(), rotation), round).await;
        logins.push((login.id(), before, after));
    }
    for (id, before, after) in logins {
        let found = bench.found(&id).await;
        assert!(is_same(&found, &before) || is_same(&found, &after), "half of a rotation");
        // The handle works on.
        assert!(bench.one.set_label(&id, Some("x".into())).await.unwrap());
    }
}

/// A login that ends others is there with them ended, or neither.
pub(super) async fn r060_a_dropped_login_is_whole_or_not_made(bench: &Bench) {
    for round in 0..40 {
        let subject = Subject::local(format!("user {round}"));
        let old = bench.drafts.login(subject.clone(), IssueOptions::default()).await;
        bench.one.insert(old.record.clone(), bench.insertion()).await.unwrap();
        let new = bench.drafts.login(subject, IssueOptions::default()).await;
        let insertion = bench.limited(LiveLimit::EndOldest(1));
        dropped(bench.one.insert(new.record.clone(), insertion), round).await;
        // Two reads are no single moment: the step may come between them, once.
        let mut settled = false;
        for _ in 0..SETTLES {
            let there = bench.look(&new.id()).await.is_some();
            settled = there == bench.found(&old.id()).await.revoked().is_some();
            if settled {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(settled, "half of a login in round {round}");
    }
}

pub(super) async fn r060_a_dropped_end_of_a_subject_is_whole_or_not_made(bench: &Bench) {
    for round in 0..40 {
        let subject = Subject::local(format!("user {round}"));
        let mut logins = Vec::new();
        for _ in 0..5 {
            let login = bench.drafts.login(subject.clone(), IssueOptions::default()).await;
            bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
            logins.push(login);
        }
        let before = bench.epoch(&logins[0].id()).await;
        let all = SubjectRevocation::new(bench.ended(), Keep::Nothing);
        dropped(bench.one.revoke_subject(&subject, all), round).await;
        let mut settled = false;
        for _ in 0..SETTLES {
            let raised = usize::from(bench.epoch(&logins[0].id()).await != before);
            let mut ended = 0;
            for login in &logins {
                ended += usize::from(bench.found(&login.id()).await.revoked().is_some());
            }
            settled = ended == raised * logins.len();
            if settled {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(settled, "half of an end in round {round}");
        let next = bench.drafts.login(subject, IssueOptions::default()).await;
        bench.one.insert(next.record.clone(), bench.insertion()).await.unwrap();
        assert!(bench.lives(&next).await && bench.found(&next.id()).await.is_live(bench.after(HOUR)));
    }
}
