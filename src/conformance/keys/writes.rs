//! Adding keys, finding and changing them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::Barrier;

use super::bench::{Bench, HOUR, shown};
use crate::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    keyring::KeyId,
    scope::Scope,
    store::{Context, Digest, HashBytes, KeyRecord, KeyStore, KeyUpdate, Revocation, StoreErrorKind},
    text::TokenId,
};

const MILLI: Duration = Duration::from_millis(1);

/// One of everything that a column can hold.
fn full(bench: &Bench) -> KeyRecord {
    let mut record = bench.draft("");
    record.owner = Arc::new(Subject::of("https://idp.test/\u{e9}", "ada' --\0\u{1f980}"));
    record.kind = "pk_\0\u{1f511}' --".into();
    record.tenant = Some("red \u{e9}\0%".into());
    record.scope = Some(Arc::new(Scope::parse("read write").unwrap()));
    record.label = Some("CI's key \u{1f4f1}\0".into());
    record.context = Context::new(&json!({"tier": "gold\0", "ips": ["192.0.2.7"], "n": 1.5})).unwrap();
    record.version = u64::MAX - 7;
    record.digest = Digest::new(Some(KeyId::from_bytes([0, 1, 2, 255])), HashBytes::Sha512([0xfe; 64]));
    record.created = bench.now.minus(HOUR);
    record.last_used = bench.now.minus(MILLI);
    record.expires = bench.after(HOUR);
    record
}

pub(super) async fn r060_a_key_is_found_as_it_was_inserted(bench: &Bench) {
    let mut revoked = full(bench);
    revoked.id = bench.draft("").id;
    revoked.revoked = Some(Revocation::new(bench.now, RevokeReason::CredentialsChanged));
    let mut long = bench.draft(&"\u{1f980}".repeat(25_000));
    long.tenant = Some(String::new().into());
    long.label = Some("x".repeat(100_000).into());
    long.context = Context::new(&json!({"x": "y".repeat(8 * 1024 - 9)})).unwrap();
    long.digest = Digest::new(None, HashBytes::Sha384([1; 48]));
    for record in [bench.draft("ada"), full(bench), revoked, long] {
        assert!(bench.look(&record.id).await.is_none());
        bench.insert(record.clone()).await;
        assert_eq!(shown(&*bench.found(&record.id).await), shown(&record));
    }
}

pub(super) async fn r060_the_id_of_a_key_is_taken_once_and_for_all(bench: &Bench) {
    let first = bench.key("ada").await;
    let mut second = bench.draft("bob");
    second.id = first.id;
    for ended in [false, true] {
        if ended {
            assert!(bench.one.revoke_key(&first.id, bench.ended()).await.unwrap());
        }
        let before = shown(&*bench.found(&first.id).await);
        let refused = bench.two.insert_key(second.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Conflict);
        assert_eq!(shown(&*bench.found(&first.id).await), before);
    }
}

pub(super) async fn r060_ids_of_keys_that_differ_in_case_are_two(bench: &Bench) {
    let [lower, upper] = ["abcdefghijklmnopq", "ABCDEFGHIJKLMNOPQ"].map(|id| TokenId::parse(id).unwrap());
    let mut record = bench.draft("ada");
    record.id = lower;
    bench.insert(record.clone()).await;
    assert!(bench.look(&upper).await.is_none());
    assert!(!bench.one.revoke_key(&upper, bench.ended()).await.unwrap());
    record.id = upper;
    bench.insert(record).await;
    assert!(bench.one.revoke_key(&upper, bench.ended()).await.unwrap());
    assert_eq!(bench.found(&lower).await.revoked, None);
}

pub(super) async fn r060_a_use_is_noted_where_it_is_due(bench: &Bench) {
    let (record, other) = (bench.key("ada").await, bench.key("ada").await);
    let note =
        async |seen_before, now| bench.one.note_key_use(&record.id, seen_before, now).wait().await.unwrap();
    let later = bench.after(HOUR);
    assert!(!note(bench.now.minus(MILLI), later).await, "used since");
    assert_eq!(shown(&*bench.found(&record.id).await), shown(&record));
    assert!(note(bench.now, later).await);
    let after = bench.found(&record.id).await;
    assert_eq!((after.last_used, after.version), (later, 0));
    let mut expected = record.clone();
    expected.last_used = later;
    assert_eq!(shown(&after), shown(&expected), "and nothing else");
    assert!(!note(bench.now, bench.after(2 * HOUR)).await, "once for each interval");
    assert!(note(later, bench.after(2 * HOUR)).await);
    assert_eq!(shown(&*bench.found(&other.id).await), shown(&other));
}

pub(super) async fn r060_a_change_of_a_key_needs_the_version_that_was_read(bench: &Bench) {
    let record = bench.key("ada").await;
    let update = async |update| bench.one.update_key(&record.id, update).await.unwrap();
    let mut first = KeyUpdate::of(&record);
    first.label = Some("CI \u{1f4bb}\0".into());
    first.scope = Some(Arc::new(Scope::parse("read").unwrap()));
    first.context = Context::new(&json!({"tier": 1})).unwrap();
    first.expires = bench.after(HOUR);
    for wrong in [1, u64::MAX] {
        let mut late = first.clone();
        late.version = wrong;
        assert!(!update(late).await);
        assert_eq!(shown(&*bench.found(&record.id).await), shown(&record));
    }
    assert!(update(first.clone()).await);
    let mut expected = record.clone();
    (expected.version, expected.label, expected.scope) = (1, first.label.clone(), first.scope.clone());
    (expected.context, expected.expires) = (first.context.clone(), first.expires);
    assert_eq!(shown(&*bench.found(&record.id).await), shown(&expected), "these columns and no others");
    assert!(!update(first).await, "somebody was faster");
    // A key's end may go either way, and what there was may go.
    let mut second = KeyUpdate::of(&expected);
    (second.label, second.scope, second.context) = (None, None, Context::default());
    second.expires = Timestamp::NEVER;
    assert!(update(second).await);
    let mut expected = record.clone();
    expected.version = 2;
    assert_eq!(shown(&*bench.found(&record.id).await), shown(&expected));
    // A use is no other version.
    assert!(bench.one.note_key_use(&record.id, bench.now, bench.after(HOUR)).wait().await.unwrap());
    assert!(update(KeyUpdate::of(&expected)).await);
    assert_eq!(bench.found(&record.id).await.last_used, bench.after(HOUR));
}

/// Fifty at once, on both handles; how many say that it was they.
async fn at_once<F>(bench: &Bench, job: impl Fn(usize, Arc<dyn KeyStore>) -> F) -> Vec<usize>
where
    F: Future<Output = bool> + Send + 'static,
{
    let start = Arc::new(Barrier::new(50));
    let tasks = (0..50).map(|number| {
        let (job, start) = (job(number, bench.handle(number)), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            job.await
        })
    });
    let results = join_all(tasks.collect::<Vec<_>>()).await;
    let won = results.into_iter().enumerate().filter(|(_, won)| *won.as_ref().unwrap());
    won.map(|(number, _)| number).collect()
}

pub(super) async fn r060_of_fifty_changes_of_a_key_at_once_one_wins(bench: &Bench) {
    let id = bench.key("ada").await.id;
    for version in 0..5 {
        let before = KeyUpdate::of(&*bench.found(&id).await);
        let won = at_once(bench, |number, store| {
            let mut update = before.clone();
            update.label = Some(number.to_string().into());
            async move { store.update_key(&id, update).await.unwrap() }
        });
        let won = won.await;
        assert_eq!(won.len(), 1);
        let after = bench.found(&id).await;
        assert_eq!((after.version, after.label.as_deref()), (version + 1, Some(&*won[0].to_string())));
    }
}

pub(super) async fn r060_of_fifty_notes_of_a_use_at_once_one_writes(bench: &Bench) {
    let id = bench.key("ada").await.id;
    let (before, now) = (bench.now, bench.after(HOUR));
    let won =
        at_once(bench, |_, store| async move { store.note_key_use(&id, before, now).wait().await.unwrap() });
    assert_eq!(won.await.len(), 1);
}
