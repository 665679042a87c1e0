//! Lists of a user's devices, and what is taken out of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::bench::{Bench, HOUR};
use crate::{
    event::RevokeReason,
    identity::Subject,
    store::{ListQuery, Purge, Revocation},
    text::TokenId,
    token::IssueOptions,
};

/// All pages of ten of a user's logins, with something done between them.
async fn pages(bench: &Bench, between: impl AsyncFn()) -> Vec<TokenId> {
    let (mut ids, mut query) = (Vec::new(), ListQuery::new(Some(Subject::local("ada")), 10));
    loop {
        let page = bench.two.list(&query).await.unwrap();
        assert!(page.len() <= 10 && page.iter().all(|found| found.epoch.is_some()));
        ids.extend(page.iter().map(|found| found.record.id()));
        query.after = ids.last().copied();
        if page.len() < 10 {
            return ids;
        }
        between().await;
    }
}

/// Each once, whatever comes and goes meanwhile.
pub(super) async fn r209_a_list_of_devices_has_each_once_while_others_come_and_go(bench: &Bench) {
    let mut staying = Vec::new();
    for _ in 0..101 {
        staying.push(bench.login("ada").await.id());
        if staying.len() % 10 == 0 {
            bench.login("bob").await;
        }
    }
    staying.sort();
    assert_eq!(pages(bench, async || {}).await, staying);

    let done = Arc::new(AtomicBool::new(false));
    let mut drafts = Vec::new();
    for _ in 0..1_000 {
        drafts.push(bench.draft("ada").await.record);
    }
    let (store, insertion, stop) = (Arc::clone(&bench.one), bench.insertion(), Arc::clone(&done));
    let ended = Revocation::new(bench.now, RevokeReason::Logout);
    let purge = Purge::new(Some(Subject::local("ada")), bench.now, 100);
    let churning = tokio::spawn(async move {
        for record in drafts {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let id = record.id();
            store.insert(record, insertion.clone()).await.unwrap();
            tokio::task::yield_now().await;
            assert!(store.revoke(&id, ended).await.unwrap());
            store.purge(&purge).await.unwrap();
        }
    });
    for _ in 0..5 {
        let ids = pages(bench, async || tokio::task::yield_now().await).await;
        assert!(ids.is_sorted_by(|one, two| one < two), "none twice");
        for id in &staying {
            assert!(ids.binary_search(id).is_ok(), "{id} is missing");
        }
    }
    done.store(true, Ordering::Relaxed);
    churning.await.unwrap();
    bench.one.purge(&Purge::new(Some(Subject::local("ada")), bench.now, 100)).await.unwrap();
    assert_eq!(pages(bench, async || {}).await, staying);
}

pub(super) async fn r060_purging_one_subject_in_batches_leaves_the_others(bench: &Bench) {
    let short = IssueOptions::default().access_ttl(Some(HOUR)).refresh_ttl(None);
    let mut adas = Vec::new();
    for user in ["ada", "ada", "ada", "ada", "ada", "ada", "bob", "ada"] {
        let login = bench.drafts.login(Subject::local(user), short.clone()).await;
        bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
        if user == "ada" {
            adas.push(login.id());
        }
    }
    let lives = bench.login("ada").await;
    let purge = async |user: &str, before| {
        let purge = Purge::new(Some(Subject::local(user)), before, 3);
        let purged = bench.one.purge(&purge).await.unwrap();
        purged.iter().map(|record| record.id()).collect::<Vec<_>>()
    };
    assert!(purge("ada", bench.after(HOUR - Duration::from_millis(1))).await.is_empty());
    assert!(purge("eve", bench.after(HOUR)).await.is_empty());
    let mut purged = Vec::new();
    for expected in [3, 3, 1, 0] {
        let batch = purge("ada", bench.after(HOUR)).await;
        assert_eq!(batch.len(), expected);
        purged.extend(batch);
    }
    purged.sort();
    adas.sort();
    assert_eq!(purged, adas, "each once");
    assert_eq!(bench.ids().await.len(), 2, "bob's and the one that lives");
    assert!(bench.lives(&lives).await);
}
