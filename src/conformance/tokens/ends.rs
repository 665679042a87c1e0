//! Ending logins, and taking them away.

use std::time::Duration;

use super::bench::{Bench, HOUR, shown};
use crate::{
    clock::Timestamp,
    event::RevokeReason,
    identity::Subject,
    store::{Data, Keep, Purge, Revocation, SubjectRevocation},
    text::TokenId,
    token::IssueOptions,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn ada() -> Subject {
    Subject::local("ada")
}

fn sorted(mut ids: Vec<TokenId>) -> Vec<TokenId> {
    ids.sort();
    ids
}

/// None of them happens.
async fn nothing_is_written(bench: &Bench, id: &TokenId, generation: u32) {
    let Bench { one, drafts, .. } = bench;
    assert!(!one.rotate(id, drafts.rotation(generation)).await.unwrap());
    assert!(!one.grace_hit(id, generation, 100).await.unwrap());
    one.confirm(id, generation, bench.after(HOUR)).wait().await.unwrap();
    let mut touch = drafts.touch(generation);
    (touch.seen_before, touch.wipe_nonce) = (bench.after(100 * DAY), true);
    assert!(!one.touch(id, touch).wait().await.unwrap());
    assert!(!one.rekey(id, drafts.rekey(generation)).await.unwrap());
    for version in [0, 1] {
        assert!(!one.save_data(id, version, Data::new(&1).unwrap()).await.unwrap());
    }
    assert!(!one.set_label(id, Some("late".into())).await.unwrap());
    assert!(!one.revoke(id, bench.ended()).await.unwrap());
}

pub(super) async fn r060_a_login_ends_once_and_its_reason_stays(bench: &Bench) {
    let (login, other) = (bench.login("ada").await, bench.login("ada").await);
    assert!(bench.one.revoke(&login.id(), bench.ended()).await.unwrap());
    let reuse = Revocation::new(bench.after(2 * HOUR), RevokeReason::Reuse);
    assert!(!bench.two.revoke(&login.id(), reuse).await.unwrap());
    let after = bench.found(&login.id()).await;
    assert_eq!(after.revoked(), Some(bench.ended()));
    assert_eq!((after.access_expires(), after.last_seen()), (login.record.access_expires(), bench.now));
    assert!(!bench.lives(&login).await && bench.lives(&other).await);
    assert!(!bench.one.revoke(&bench.draft("ada").await.id(), reuse).await.unwrap());
    for reason in [
        RevokeReason::Inactive,
        RevokeReason::Superseded,
        RevokeReason::CredentialsChanged,
        RevokeReason::Everyone,
    ] {
        let login = bench.login("bob").await;
        assert!(bench.one.revoke(&login.id(), Revocation::new(bench.now, reason)).await.unwrap());
        assert_eq!(bench.found(&login.id()).await.revoked(), Some(Revocation::new(bench.now, reason)));
    }
}

pub(super) async fn r060_nothing_is_written_to_a_login_that_has_ended(bench: &Bench) {
    let id = bench.login("ada").await.id();
    assert!(bench.one.revoke(&id, bench.ended()).await.unwrap());
    let before = shown(&*bench.found(&id).await);
    nothing_is_written(bench, &id, 0).await;
    assert_eq!(shown(&*bench.found(&id).await), before);
}

pub(super) async fn r060_nothing_but_insert_makes_a_record(bench: &Bench) {
    let login = bench.login("ada").await;
    let unknown = bench.draft("ada").await.id();
    nothing_is_written(bench, &unknown, 0).await;
    assert!(bench.look(&unknown).await.is_none());
    assert_eq!(bench.purge(bench.after(100 * DAY), 10).await, [login.id()]);
    nothing_is_written(bench, &login.id(), 0).await;
    for keep in [
        Keep::Nothing,
        Keep::Untouched(login.id()),
        Keep::Rekeyed(login.id(), Box::new(bench.drafts.rekey(0))),
    ] {
        let rekeyed = matches!(keep, Keep::Rekeyed(..));
        let revocation = SubjectRevocation::new(bench.ended(), keep);
        let ended = bench.one.revoke_subject(&ada(), revocation).await.unwrap();
        assert_eq!(ended, (!rekeyed).then(Vec::new));
    }
    assert_eq!(bench.one.revoke_everyone(bench.ended()).await.unwrap(), 0);
    assert_eq!(bench.one.wipe_nonces(bench.after(100 * DAY)).await.unwrap(), 0);
    assert!(bench.look(&login.id()).await.is_none() && bench.ids().await.is_empty());
    // Who is forgotten begins anew.
    let again = bench.login("ada").await;
    assert!(bench.lives(&again).await);
}

pub(super) async fn r060_a_subjects_logins_end_together_and_its_epoch_rises(bench: &Bench) {
    let logins = [bench.login("ada").await, bench.login("ada").await, bench.login("ada").await];
    let other = bench.login("bob").await;
    let foreign = bench.drafts.login(Subject::of("https://idp.test", "ada"), IssueOptions::default()).await;
    bench.one.insert(foreign.record.clone(), bench.insertion()).await.unwrap();
    let before = bench.epoch(&logins[0].id()).await.unwrap();
    let early = Revocation::new(bench.now, RevokeReason::Reuse);
    assert!(bench.one.revoke(&logins[0].id(), early).await.unwrap());
    let all = || SubjectRevocation::new(bench.ended(), Keep::Nothing);
    let ended = bench.one.revoke_subject(&ada(), all()).await.unwrap().unwrap();
    assert_eq!(sorted(ended), sorted(vec![logins[1].id(), logins[2].id()]), "those that this call ended");
    for (login, revocation) in logins.iter().zip([early, bench.ended(), bench.ended()]) {
        assert_eq!(bench.found(&login.id()).await.revoked(), Some(revocation));
        assert_eq!(bench.epoch(&login.id()).await, Some(before.next()));
        assert!(!bench.lives(login).await);
    }
    for login in [&other, &foreign] {
        assert!(bench.lives(login).await);
        assert_eq!(bench.epoch(&login.id()).await, Some(before));
    }
    assert_eq!(bench.two.revoke_subject(&ada(), all()).await.unwrap(), Some(Vec::new()));
    assert_eq!(bench.one.revoke_subject(&Subject::local("eve"), all()).await.unwrap(), Some(Vec::new()));
    assert!(bench.lives(&bench.login("ada").await).await, "a new login has the new epoch");
}

pub(super) async fn r060_one_login_can_be_kept_as_it_is_or_with_new_secrets(bench: &Bench) {
    let (kept, other) = (bench.login("ada").await, bench.login("ada").await);
    let before = bench.epoch(&kept.id()).await.unwrap();
    let keep = |keep| SubjectRevocation::new(bench.ended(), keep);
    let ended = bench.one.revoke_subject(&ada(), keep(Keep::Untouched(kept.id()))).await.unwrap();
    assert_eq!(ended, Some(vec![other.id()]));
    assert!(bench.lives(&kept).await && !bench.lives(&other).await);
    assert_eq!(bench.epoch(&kept.id()).await, Some(before), "as it was");
    assert_eq!(shown(&*bench.found(&kept.id()).await), shown(&kept.record));

    let other = bench.login("ada").await;
    let rekey = bench.drafts.rekey(0);
    let rekeyed = keep(Keep::Rekeyed(kept.id(), Box::new(rekey.clone())));
    assert_eq!(bench.one.revoke_subject(&ada(), rekeyed).await.unwrap(), Some(vec![other.id()]));
    let after = bench.found(&kept.id()).await;
    assert_eq!((after.generation(), after.revoked()), (1, None));
    assert_eq!(after.access_expires(), rekey.access_expires);
    assert_eq!(bench.epoch(&kept.id()).await, Some(before.next()));
    assert!(!bench.lives(&kept).await && !bench.lives(&other).await, "old secrets, and an ended login");
    // It has the new epoch: a rotation needs that.
    assert!(bench.one.rotate(&kept.id(), bench.drafts.rotation(1)).await.unwrap());

    // A login that is not there is nobody to be kept.
    let unknown = bench.draft("ada").await.id();
    let ended = bench.one.revoke_subject(&ada(), keep(Keep::Untouched(unknown))).await.unwrap();
    assert_eq!(ended, Some(vec![kept.id()]));
}

pub(super) async fn r060_a_rekey_that_comes_too_late_ends_nothing(bench: &Bench) {
    let (kept, other, ended) = (bench.login("ada").await, bench.login("ada").await, bench.login("ada").await);
    let bobs = bench.login("bob").await;
    bench.one.revoke(&ended.id(), bench.ended()).await.unwrap();
    let before = bench.epoch(&kept.id()).await;
    for (id, generation) in [(kept.id(), 1), (ended.id(), 0), (bobs.id(), 0)] {
        let keep = Keep::Rekeyed(id, Box::new(bench.drafts.rekey(generation)));
        let revocation = SubjectRevocation::new(bench.ended(), keep);
        assert_eq!(bench.one.revoke_subject(&ada(), revocation).await.unwrap(), None);
        for login in [&kept, &other, &bobs] {
            assert!(bench.lives(login).await);
            assert_eq!(shown(&*bench.found(&login.id()).await), shown(&login.record));
        }
        assert_eq!(bench.epoch(&kept.id()).await, before);
    }
}

/// Writes that carry secrets, between the end of a subject's logins and the read before it.
pub(super) async fn r060_a_raised_epoch_stops_what_was_read_before(bench: &Bench) {
    let (kept, other) = (bench.login("ada").await, bench.login("ada").await);
    let rekey = Keep::Rekeyed(kept.id(), Box::new(bench.drafts.rekey(0)));
    let (rotation, late) = (bench.drafts.rotation(0), bench.drafts.rekey(0));
    bench.one.revoke_subject(&ada(), SubjectRevocation::new(bench.ended(), rekey)).await.unwrap();
    for id in [kept.id(), other.id()] {
        let before = shown(&*bench.found(&id).await);
        assert!(!bench.two.rotate(&id, rotation.clone()).await.unwrap());
        assert!(!bench.two.rekey(&id, late.clone()).await.unwrap());
        assert_eq!(shown(&*bench.found(&id).await), before);
    }
}

pub(super) async fn r060_everyone_ends_and_may_come_back(bench: &Bench) {
    let everyone = Revocation::new(bench.after(HOUR), RevokeReason::Everyone);
    assert_eq!(bench.one.revoke_everyone(everyone).await.unwrap(), 0);
    let logins = [bench.login("ada").await, bench.login("ada").await, bench.login("bob").await];
    assert!(bench.one.revoke(&logins[1].id(), bench.ended()).await.unwrap());
    let before = bench.epoch(&logins[2].id()).await.unwrap();
    assert_eq!(bench.one.revoke_everyone(everyone).await.unwrap(), 2, "who had not ended before");
    for (login, revocation) in logins.iter().zip([everyone, bench.ended(), everyone]) {
        assert_eq!(bench.found(&login.id()).await.revoked(), Some(revocation));
        assert_ne!(bench.epoch(&login.id()).await, Some(before));
        assert!(!bench.lives(login).await);
    }
    for user in ["ada", "bob", "eve"] {
        assert!(bench.lives(&bench.login(user).await).await);
    }
}

pub(super) async fn r060_purging_takes_what_is_past_both_lives_in_batches(bench: &Bench) {
    let short = IssueOptions::default().access_ttl(Some(HOUR)).refresh_ttl(None);
    let endless = IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let insert = async |user: &str, options: &IssueOptions| {
        let login = bench.drafts.login(Subject::local(user), options.clone()).await;
        bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
        login.id()
    };
    let hour = insert("ada", &short).await;
    let week = insert("ada", &IssueOptions::default()).await;
    let never = insert("ada", &endless).await;
    let bobs = insert("bob", &short).await;
    let revoked = insert("bob", &endless).await;
    let at = Revocation::new(bench.after(2 * HOUR), RevokeReason::Logout);
    assert!(bench.one.revoke(&revoked, at).await.unwrap());

    let milli = Duration::from_millis(1);
    assert!(bench.purge(bench.after(HOUR - milli), 10).await.is_empty(), "not before its end");
    let adas = Purge::new(Some(ada()), bench.after(2 * HOUR), 10);
    let purged = bench.one.purge(&adas).await.unwrap();
    assert_eq!(purged.iter().map(|record| record.id()).collect::<Vec<_>>(), [hour]);
    assert_eq!(bench.purge(bench.after(HOUR), 10).await, [bobs], "at its end, to the millisecond");
    assert!(bench.look(&hour).await.is_none() && bench.look(&bobs).await.is_none());
    assert!(bench.purge(bench.after(2 * HOUR - milli), 10).await.is_empty());
    assert_eq!(bench.purge(bench.after(2 * HOUR), 10).await, [revoked], "from its revocation on");
    assert!(bench.purge(bench.after(7 * DAY - milli), 10).await.is_empty(), "the refresh token lives");
    assert_eq!(bench.purge(bench.after(7 * DAY), 10).await, [week]);
    assert!(bench.purge(Timestamp::from_millis(i64::MAX - 1), 10).await.is_empty());
    assert_eq!(bench.ids().await, [never]);

    let mut many = Vec::new();
    for _ in 0..25 {
        many.push(insert("eve", &short).await);
    }
    let mut purged = Vec::new();
    for expected in [10, 10, 5, 0] {
        let batch = bench.purge(bench.after(DAY), 10).await;
        assert_eq!(batch.len(), expected);
        purged.extend(batch);
    }
    assert_eq!(sorted(purged), sorted(many), "each once");
    assert_eq!(bench.ids().await, [never]);
}
