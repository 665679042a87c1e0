use std::time::Duration;

use super::*;
use crate::{
    clock::ManualClock,
    credential::Channel,
    event::RevokeReason,
    token::{IssueErrorKind, IssueOptions, RefreshRequest, TokenPolicy, TokenService},
};

fn service(capacity: usize) -> (MemoryStore, ManualClock, TokenService) {
    let store = MemoryStore::with_capacity(capacity);
    let time = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let tokens = TokenService::new(store.clone(), TokenPolicy::default()).clock(time.clock());
    (store, time, tokens)
}

async fn purge(store: &MemoryStore, before: Timestamp) -> usize {
    store.purge(&Purge::new(None, before, 10)).await.unwrap().len()
}

async fn login(tokens: &TokenService, user: &str) -> Result<TokenId, IssueErrorKind> {
    let issued = tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await;
    issued.map(|issued| issued.record().id()).map_err(|error| error.kind())
}

#[tokio::test]
async fn a_full_store_refuses_and_evicts_nobody() {
    let (store, _time, tokens) = service(2);
    let first = login(&tokens, "a").await.unwrap();
    login(&tokens, "b").await.unwrap();
    assert_eq!(login(&tokens, "c").await, Err(IssueErrorKind::Store));
    assert_eq!(store.len(), 2);
    assert!(store.find(&first).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_store_first_purges_what_has_ended() {
    let (store, time, tokens) = service(2);
    let first = login(&tokens, "a").await.unwrap();
    time.advance(Duration::from_secs(24 * 60 * 60));
    let second = login(&tokens, "b").await.unwrap();
    time.advance(Duration::from_secs(6 * 24 * 60 * 60));
    login(&tokens, "c").await.unwrap();
    assert!(store.find(&first).wait().await.unwrap().is_none());
    assert!(store.find(&second).wait().await.unwrap().is_some());
}

#[tokio::test]
async fn purging_ends_with_the_refresh_life_and_forgets_the_subject() {
    let (store, time, tokens) = service(10);
    login(&tokens, "a").await.unwrap();
    time.advance(Duration::from_secs(7 * 24 * 60 * 60) - Duration::from_millis(1));
    assert_eq!(purge(&store, time.now()).await, 0);
    time.advance(Duration::from_millis(1));
    assert_eq!(purge(&store, time.now()).await, 1);
    assert!(store.lock().is_empty());
}

#[tokio::test]
async fn revoking_a_subject_raises_its_epoch_and_leaves_others_alone() {
    let (store, time, tokens) = service(10);
    let (one, two) = (login(&tokens, "a").await.unwrap(), login(&tokens, "a").await.unwrap());
    let other = login(&tokens, "b").await.unwrap();
    let before = store.find(&one).wait().await.unwrap().unwrap().epoch.unwrap();
    let revocation = Revocation::new(time.now(), RevokeReason::Logout);
    let all = || SubjectRevocation::new(revocation, Keep::Nothing);
    let ended = store.revoke_subject(&Subject::local("a"), all()).await.unwrap();
    assert_eq!(ended.map(|ended| ended.len()), Some(2));
    for id in [one, two] {
        let found = store.find(&id).wait().await.unwrap().unwrap();
        assert_eq!(found.epoch, Some(before.next()));
        assert_eq!(found.record.revoked(), Some(revocation));
    }
    assert_eq!(store.find(&other).wait().await.unwrap().unwrap().record.revoked(), None);
    assert_eq!(store.revoke_subject(&Subject::local("nobody"), all()).await.unwrap(), Some(Vec::new()));
}

/// Else a few logins and logouts in a loop would fill the store for days.
#[tokio::test]
async fn revoked_logins_can_be_purged_at_once() {
    let (store, time, tokens) = service(3);
    for _ in 0..100 {
        let id = login(&tokens, "a").await.unwrap();
        tokens.revoke(&id).await.unwrap();
    }
    let forever = TokenPolicy::builder().access_ttl(None).refresh_ttl(None).absolute(None).build().unwrap();
    let forever = TokenService::new(store.clone(), forever).clock(time.clock());
    for _ in 0..100 {
        login(&forever, "a").await.unwrap();
        forever.revoke_subject(&Subject::local("a")).await.unwrap();
    }
    let living = login(&tokens, "b").await.unwrap();
    purge(&store, time.now()).await;
    assert_eq!(store.len(), 1);
    assert!(store.find(&living).wait().await.unwrap().is_some());
}

/// Else a loop of logins and logouts would make each login dearer than the one before.
#[tokio::test]
async fn a_login_under_a_limit_removes_what_has_ended_of_its_subject() {
    let (store, time, _) = service(1_000);
    let policy = TokenPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap();
    let tokens = TokenService::new(store.clone(), policy).clock(time.clock());
    let other = login(&tokens, "b").await.unwrap();
    tokens.revoke(&other).await.unwrap();
    for _ in 0..10 {
        let id = login(&tokens, "a").await.unwrap();
        assert_eq!(login(&tokens, "a").await, Err(IssueErrorKind::LimitReached));
        assert_eq!(store.len(), 2, "the one that lives, and somebody else's");
        tokens.revoke(&id).await.unwrap();
    }
}

#[tokio::test]
async fn a_rotation_needs_the_subjects_epoch() {
    let (store, time, tokens) = service(3);
    let id = login(&tokens, "a").await.unwrap();
    let found = store.find(&id).wait().await.unwrap().unwrap();
    store.0.rows.pin().get(&id).unwrap().subject.raise_epoch();
    assert!(!store.rotate(&id, rotation(&found.record, time.now())).await.unwrap());
}

fn rotation(record: &LoginRecord, now: Timestamp) -> Rotation {
    Rotation {
        generation: record.generation,
        access: record.access.clone(),
        refresh: record.access.clone(),
        nonce: record.lineage.clone(),
        now,
        access_expires: Timestamp::NEVER,
        refresh_expires: Timestamp::NEVER,
    }
}

/// Late writes find nothing and leave nothing.
#[tokio::test]
async fn nothing_but_insert_creates_a_record() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    let record = LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    time.advance(Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(purge(&store, time.now()).await, 1);
    let rotation = rotation(&record, time.now());
    assert!(!store.rotate(&id, rotation).await.unwrap());
    assert!(!store.grace_hit(&id, 0, 100).await.unwrap());
    store.confirm(&id, 0, time.now()).wait().await.unwrap();
    assert!(!store.revoke(&id, Revocation::new(time.now(), RevokeReason::Logout)).await.unwrap());
    assert!(store.find(&id).wait().await.unwrap().is_none() && store.is_empty());
}

#[test]
fn ids_that_differ_in_any_place_hash_apart() {
    use std::hash::BuildHasher;

    let hasher = BuildHasherDefault::<IdHasher>::default();
    let base = [b'0'; 17];
    let mut seen = std::collections::HashSet::new();
    for position in 0..17 {
        for byte in b'0'..=b'9' {
            let mut id = base;
            id[position] = byte;
            let id = TokenId::parse(std::str::from_utf8(&id).unwrap()).unwrap();
            seen.insert(hasher.hash_one(id));
        }
    }
    // All ids but the base itself, which comes once for each position.
    assert_eq!(seen.len(), 17 * 9 + 1);
}

fn rekey(record: &LoginRecord, now: Timestamp) -> Rekey {
    Rekey {
        generation: record.generation,
        access: record.access.clone(),
        refresh: record.refresh.clone(),
        lineage: record.lineage.clone(),
        now,
        access_expires: Timestamp::NEVER,
        refresh_expires: Timestamp::NEVER,
    }
}

fn touch(record: &LoginRecord, now: Timestamp) -> Touch {
    Touch {
        generation: record.generation,
        seen_before: now,
        now,
        access_expires: Some(now),
        refresh_expires: Some(now),
        access: None,
        wipe_nonce: true,
    }
}

/// The rest of them: touches, rekeys, data, labels, ends of a subject that is not there any more.
#[tokio::test]
async fn late_writes_of_any_kind_bring_nothing_back() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    let record = LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    time.advance(Duration::from_secs(8 * 24 * 60 * 60));
    assert_eq!(purge(&store, time.now()).await, 1);
    let now = time.now();
    assert!(!store.touch(&id, touch(&record, now)).wait().await.unwrap());
    assert!(!store.rekey(&id, rekey(&record, now)).await.unwrap());
    assert!(!store.save_data(&id, 0, Data::default()).await.unwrap());
    assert!(!store.set_label(&id, Some("late".into())).await.unwrap());
    let revocation = Revocation::new(now, RevokeReason::CredentialsChanged);
    let keep = Keep::Rekeyed(id, Box::new(rekey(&record, now)));
    let ended = store.revoke_subject(&Subject::local("a"), SubjectRevocation::new(revocation, keep)).await;
    assert_eq!(ended.unwrap(), None);
    assert_eq!(store.revoke_everyone(revocation).await.unwrap(), 0);
    assert_eq!(store.wipe_nonces(now).await.unwrap(), 0);
    assert!(store.find(&id).wait().await.unwrap().is_none() && store.lock().is_empty());
}

#[tokio::test]
async fn no_write_changes_a_revoked_record() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    let record = LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    tokens.revoke(&id).await.unwrap();
    let revoked = store.find(&id).wait().await.unwrap().unwrap().record;
    time.advance(Duration::from_secs(60));
    let now = time.now();
    assert!(!store.rotate(&id, rotation(&record, now)).await.unwrap());
    assert!(!store.grace_hit(&id, 0, 100).await.unwrap());
    store.confirm(&id, 0, time.now()).wait().await.unwrap();
    assert!(!store.touch(&id, touch(&record, now)).wait().await.unwrap());
    assert!(!store.rekey(&id, rekey(&record, now)).await.unwrap());
    assert!(!store.save_data(&id, 0, Data::default()).await.unwrap());
    assert!(!store.set_label(&id, Some("late".into())).await.unwrap());
    assert!(!store.revoke(&id, Revocation::new(now, RevokeReason::Reuse)).await.unwrap());
    assert!(Arc::ptr_eq(&revoked, &store.find(&id).wait().await.unwrap().unwrap().record));
}

/// "Never" is the latest of all ends, for every operation that could move one.
#[tokio::test]
async fn no_end_moves_back_and_never_stays_never() {
    let (store, time, _tokens) = service(10);
    let forever = TokenPolicy::builder().access_ttl(None).refresh_ttl(None).absolute(None).build().unwrap();
    let forever = TokenService::new(store.clone(), forever).clock(time.clock());
    let id = login(&forever, "a").await.unwrap();
    let found = async || LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    time.advance(Duration::from_secs(60));
    assert!(store.touch(&id, touch(&found().await, time.now())).wait().await.unwrap());
    assert_eq!(found().await.access_expires, Timestamp::NEVER);
    assert_eq!(found().await.refresh_expires, Timestamp::NEVER);
    assert!(store.rotate(&id, rotation(&found().await, time.now())).await.unwrap());
    assert_eq!(found().await.refresh_expires, Timestamp::NEVER);
    // A node whose clock is behind.
    let earlier = Rotation { refresh_expires: time.now(), ..rotation(&found().await, time.now()) };
    assert!(store.rotate(&id, earlier).await.unwrap());
    assert_eq!(found().await.refresh_expires, Timestamp::NEVER);
    forever.rekey(&id).await.unwrap();
    assert_eq!(found().await.access_expires, Timestamp::NEVER);
    assert_eq!(purge(&store, Timestamp::from_millis(i64::MAX - 1)).await, 0);
}

/// Between the raised epoch and the mark, a login is dead all the same: it takes nobody's place.
#[tokio::test]
async fn a_login_of_another_epoch_does_not_count_towards_a_limit() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    let one = TokenPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap();
    let one = TokenService::new(store.clone(), one).clock(time.clock());
    assert_eq!(login(&one, "a").await, Err(IssueErrorKind::LimitReached));
    store.0.rows.pin().get(&id).unwrap().subject.raise_epoch();
    login(&one, "a").await.unwrap();
    assert_eq!(login(&one, "a").await, Err(IssueErrorKind::LimitReached));
}

/// The first moment stays, and only the generation that was used is confirmed.
#[tokio::test]
async fn a_pair_is_first_used_once() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    let found = async || LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    let issued = found().await;
    assert_eq!(issued.confirmed_at, time.now(), "nobody waits for the first use of a login");
    assert!(store.rotate(&id, rotation(&issued, time.now())).await.unwrap());
    assert_eq!(found().await.confirmed_at, Timestamp::NEVER);
    time.advance(Duration::from_secs(60));
    for generation in [0, 2] {
        store.confirm(&id, generation, time.now()).wait().await.unwrap();
        assert!(!found().await.is_confirmed());
    }
    let first = time.now();
    for moment in [first, first.plus(Duration::from_secs(1)), first.minus(Duration::from_secs(1))] {
        store.confirm(&id, 1, moment).wait().await.unwrap();
        assert_eq!(found().await.confirmed_at, first);
    }
    assert_eq!(found().await.settled_at(), first);
    // Noted by a clock that is behind: nothing is settled before the rotation.
    let rotated = first.plus(Duration::from_secs(2));
    assert!(store.rotate(&id, rotation(&found().await, rotated)).await.unwrap());
    assert_eq!(found().await.settled_at(), Timestamp::NEVER);
    store.confirm(&id, 2, first).wait().await.unwrap();
    assert_eq!((found().await.confirmed_at, found().await.settled_at()), (first, rotated));
    time.advance(Duration::from_secs(60));
    assert!(store.rekey(&id, rekey(&found().await, time.now())).await.unwrap());
    assert_eq!(found().await.confirmed_at, time.now());
}

#[tokio::test]
async fn a_login_whose_end_has_moved_is_purged_after_the_new_end_and_not_before() {
    let (store, time, _tokens) = service(10);
    let day = Duration::from_secs(24 * 60 * 60);
    let policy = TokenPolicy::builder().absolute(Some(30 * day)).build().unwrap();
    let tokens = TokenService::new(store.clone(), policy).clock(time.clock());
    let issued = tokens.issue_for_header(Subject::local("a"), IssueOptions::default()).await.unwrap();
    time.advance(5 * day);
    let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
    tokens.refresh(request).await.unwrap();
    time.advance(7 * day - Duration::from_millis(1));
    assert_eq!(purge(&store, time.now()).await, 0);
    time.advance(Duration::from_millis(1));
    assert_eq!(purge(&store, time.now()).await, 1);
    assert!(store.lock().is_empty());
}

/// Whether they ran out or were revoked, before their time or after it.
#[tokio::test]
async fn what_ended_first_is_purged_first() {
    let (store, time, tokens) = service(10);
    let day = Duration::from_secs(24 * 60 * 60);
    // Each runs out after seven days.
    let ran_out = login(&tokens, "a").await.unwrap();
    time.advance(day);
    let late = login(&tokens, "b").await.unwrap();
    let early = login(&tokens, "c").await.unwrap();
    let overdue = login(&tokens, "d").await.unwrap();
    time.advance(day);
    tokens.revoke(&early).await.unwrap();
    time.advance(5 * day + day / 2);
    tokens.revoke(&late).await.unwrap();
    time.advance(2 * day);
    tokens.revoke(&overdue).await.unwrap();
    for id in [early, ran_out, late, overdue] {
        let removed = store.purge(&Purge::new(None, time.now(), 1)).await.unwrap();
        assert_eq!(removed.iter().map(|record| record.id).collect::<Vec<_>>(), [id]);
    }
    assert!(store.lock().is_empty());
}

#[tokio::test]
async fn a_login_that_is_added_revoked_can_be_purged_at_once() {
    let (store, time, tokens) = service(10);
    let id = login(&tokens, "a").await.unwrap();
    tokens.revoke(&id).await.unwrap();
    let record = LoginRecord::clone(&store.find(&id).wait().await.unwrap().unwrap().record);
    let other = MemoryStore::new();
    other.insert(record, Insertion::new(Epoch::from_number(1), time.now())).await.unwrap();
    assert_eq!(purge(&other, time.now()).await, 1);
    assert!(other.lock().is_empty());
}
