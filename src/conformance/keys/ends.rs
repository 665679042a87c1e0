//! Ending keys, and taking them away.

use std::{sync::Arc, time::Duration};

use tokio::sync::Barrier;

use super::bench::{Bench, HOUR, shown};
use crate::{
    clock::Timestamp,
    event::RevokeReason,
    store::{KeyUpdate, Revocation},
    text::TokenId,
};

const MILLI: Duration = Duration::from_millis(1);

pub(super) async fn r060_a_key_ends_once_and_its_reason_stays(bench: &Bench) {
    for reason in [RevokeReason::Logout, RevokeReason::Inactive, RevokeReason::Everyone] {
        let (record, other) = (bench.key("ada").await, bench.key("ada").await);
        let first = Revocation::new(bench.after(HOUR), reason);
        assert!(bench.one.revoke_key(&record.id, first).await.unwrap());
        let late = Revocation::new(bench.after(2 * HOUR), RevokeReason::Reuse);
        assert!(!bench.two.revoke_key(&record.id, late).await.unwrap());
        let mut expected = record.clone();
        expected.revoked = Some(first);
        assert_eq!(shown(&*bench.found(&record.id).await), shown(&expected));
        assert_eq!(shown(&*bench.found(&other.id).await), shown(&other));
    }
}

/// None of them happens.
async fn nothing_is_written(bench: &Bench, id: &TokenId) {
    for version in [0, 1] {
        let mut update = KeyUpdate::of(&bench.draft("ada"));
        update.version = version;
        assert!(!bench.one.update_key(id, update).await.unwrap());
    }
    let (before, now) = (bench.after(100 * HOUR), bench.after(HOUR));
    assert!(!bench.one.note_key_use(id, before, now).wait().await.unwrap());
    assert!(!bench.one.revoke_key(id, bench.ended()).await.unwrap());
}

pub(super) async fn r060_nothing_is_written_to_a_key_that_was_revoked(bench: &Bench) {
    let id = bench.key("ada").await.id;
    assert!(bench.one.revoke_key(&id, bench.ended()).await.unwrap());
    let before = shown(&*bench.found(&id).await);
    nothing_is_written(bench, &id).await;
    assert_eq!(shown(&*bench.found(&id).await), before);
}

pub(super) async fn r060_nothing_but_insert_makes_a_key(bench: &Bench) {
    let unknown = bench.draft("ada").id;
    nothing_is_written(bench, &unknown).await;
    assert!(bench.look(&unknown).await.is_none());
    let mut record = bench.draft("ada");
    record.expires = bench.after(HOUR);
    bench.insert(record.clone()).await;
    assert_eq!(bench.one.purge_keys(bench.after(HOUR), 10).await.unwrap().len(), 1);
    nothing_is_written(bench, &record.id).await;
    assert!(bench.look(&record.id).await.is_none());
    bench.insert(record).await;
}

pub(super) async fn r060_what_meets_the_revocation_of_a_key_ends_revoked(bench: &Bench) {
    for round in 0..50 {
        let record = bench.key("ada").await;
        let (id, ended, now) = (record.id, bench.ended(), bench.now);
        let start = Arc::new(Barrier::new(3));
        let (one, two, waits) = (bench.handle(round), bench.handle(round / 2), Arc::clone(&start));
        let update = KeyUpdate::of(&record);
        let updating = tokio::spawn(async move {
            waits.wait().await;
            one.update_key(&id, update).await.unwrap()
        });
        let waits = Arc::clone(&start);
        let noting = tokio::spawn(async move {
            waits.wait().await;
            two.note_key_use(&id, now, now.plus(HOUR)).wait().await.unwrap()
        });
        start.wait().await;
        assert!(bench.handle(round + 1).revoke_key(&id, ended).await.unwrap());
        let (updated, noted) = (updating.await.unwrap(), noting.await.unwrap());
        let after = bench.found(&id).await;
        assert_eq!(after.revoked, Some(ended), "round {round}");
        assert_eq!(after.version, u64::from(updated));
        assert_eq!(after.last_used == now.plus(HOUR), noted);
    }
}

pub(super) async fn r060_ended_keys_are_purged_in_batches_from_the_exact_moment_on(bench: &Bench) {
    let insert = async |expires| {
        let mut record = bench.draft("ada");
        record.expires = expires;
        bench.insert(record).await
    };
    let never = insert(Timestamp::NEVER).await;
    let hour = insert(bench.after(HOUR)).await;
    let moved = insert(bench.after(HOUR)).await;
    let mut update = KeyUpdate::of(&moved);
    update.expires = bench.after(3 * HOUR);
    assert!(bench.one.update_key(&moved.id, update).await.unwrap());
    let revoked = insert(Timestamp::NEVER).await;
    let at = Revocation::new(bench.after(2 * HOUR), RevokeReason::Logout);
    assert!(bench.one.revoke_key(&revoked.id, at).await.unwrap());
    let purge = async |before| {
        let purged = bench.one.purge_keys(before, 10).await.unwrap();
        purged.iter().map(|record| record.id).collect::<Vec<_>>()
    };
    assert!(purge(bench.after(HOUR - MILLI)).await.is_empty());
    assert_eq!(purge(bench.after(HOUR)).await, [hour.id], "at its end, to the millisecond");
    assert!(purge(bench.after(2 * HOUR - MILLI)).await.is_empty());
    assert_eq!(purge(bench.after(2 * HOUR)).await, [revoked.id], "from its revocation on");
    assert!(purge(bench.after(3 * HOUR - MILLI)).await.is_empty());
    assert_eq!(purge(bench.after(3 * HOUR)).await, [moved.id], "at the end that it was given");
    assert!(purge(Timestamp::from_millis(i64::MAX - 1)).await.is_empty());
    assert!(purge(Timestamp::NEVER).await.is_empty(), "what never ends has not ended even then");
    assert!(bench.look(&hour.id).await.is_none() && bench.look(&never.id).await.is_some());

    let mut all = Vec::new();
    for _ in 0..25 {
        all.push(insert(bench.after(HOUR)).await.id);
    }
    let mut purged = Vec::new();
    for expected in [10, 10, 5, 0] {
        let batch = purge(bench.after(HOUR)).await;
        assert_eq!(batch.len(), expected);
        purged.extend(batch);
    }
    purged.sort();
    all.sort();
    assert_eq!(purged, all, "each once");
}
