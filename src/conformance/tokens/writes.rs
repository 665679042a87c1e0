//! The conditional writes.

use std::time::Duration;

use serde_json::json;

use super::{
    bench::{Bench, HOUR, shown},
    drafts::Login,
};
use crate::{
    clock::Timestamp,
    credential::Channel,
    identity::Subject,
    store::Data,
    token::{IssueOptions, RefreshRequest},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A login without any end.
async fn endless(bench: &Bench) -> Login {
    let options = IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let login = bench.drafts.login(Subject::local("ada"), options).await;
    bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
    login
}

/// A login whose ends nothing cuts.
async fn open_ended(bench: &Bench) -> Login {
    let options = IssueOptions::default().absolute(None);
    let login = bench.drafts.login(Subject::local("ada"), options).await;
    bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
    login
}

pub(super) async fn r060_a_rotation_needs_the_generation_that_was_read(bench: &Bench) {
    let (login, other) = (open_ended(bench).await, bench.login("ada").await);
    let id = login.id();
    for wrong in [1, u32::MAX] {
        assert!(!bench.one.rotate(&id, bench.drafts.rotation(wrong)).await.unwrap());
        assert_eq!(shown(&*bench.found(&id).await), shown(&login.record));
    }
    let rotation = bench.drafts.rotation(0);
    assert!(bench.one.rotate(&id, rotation.clone()).await.unwrap());
    let after = bench.found(&id).await;
    assert_eq!((after.generation(), after.refreshed()), (1, bench.after(HOUR)));
    assert_eq!(after.last_seen(), bench.after(HOUR));
    assert_eq!(after.access_expires(), rotation.access_expires);
    assert_eq!(after.refresh_expires(), Some(rotation.refresh_expires));
    assert_eq!((after.created(), after.version()), (bench.now, 0));
    assert!(!bench.lives(&login).await, "the old access token is dead");
    assert!(!bench.two.rotate(&id, rotation).await.unwrap(), "the same once more");
    assert!(bench.two.rotate(&id, bench.drafts.rotation(1)).await.unwrap());
    assert_eq!(bench.found(&id).await.generation(), 2);
    assert_eq!(shown(&*bench.found(&other.id()).await), shown(&other.record));
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.rotate(&unknown, bench.drafts.rotation(0)).await.unwrap());
}

pub(super) async fn r060_no_rotation_moves_a_refresh_end_back(bench: &Bench) {
    let login = open_ended(bench).await;
    let mut rotation = bench.drafts.rotation(0);
    rotation.refresh_expires = bench.after(HOUR);
    rotation.access_expires = bench.after(HOUR);
    rotation.now = bench.now.minus(HOUR);
    assert!(bench.one.rotate(&login.id(), rotation).await.unwrap());
    let after = bench.found(&login.id()).await;
    assert_eq!(after.refresh_expires(), login.record.refresh_expires());
    assert_eq!(after.access_expires(), bench.after(HOUR), "the new token's own");
    assert_eq!(after.last_seen(), bench.now, "nor is it seen earlier than it was");
    let mut never = bench.drafts.rotation(1);
    (never.refresh_expires, never.access_expires) = (Timestamp::NEVER, Timestamp::NEVER);
    assert!(bench.one.rotate(&login.id(), never).await.unwrap());
    assert!(bench.one.rotate(&login.id(), bench.drafts.rotation(2)).await.unwrap());
    assert_eq!(bench.found(&login.id()).await.refresh_expires(), Some(Timestamp::NEVER));
}

pub(super) async fn r060_repeats_are_counted_up_to_their_cap(bench: &Bench) {
    let id = bench.login("ada").await.id();
    let hit = async |generation, cap| bench.one.grace_hit(&id, generation, cap).await.unwrap();
    assert!(!hit(1, 100).await && !hit(0, 0).await);
    for _ in 0..3 {
        assert!(hit(0, 3).await);
    }
    assert!(!hit(0, 3).await);
    assert!(hit(0, 4).await, "none was counted beyond the cap");
    assert!(bench.one.rotate(&id, bench.drafts.rotation(0)).await.unwrap());
    assert!(!hit(0, 100).await, "of another generation");
    for _ in 0..3 {
        assert!(hit(1, 3).await, "a rotation counts anew");
    }
    assert!(!hit(1, 3).await);
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.grace_hit(&unknown, 0, 100).await.unwrap());
}

/// Seen by what may be wiped: the nonce of a pair that was first used before a moment, and rotated before it.
pub(super) async fn r060_the_first_use_of_a_pair_is_noted_once(bench: &Bench) {
    let id = bench.login("ada").await.id();
    let confirm = async |generation, minutes: u64| {
        let moment = bench.after(HOUR + Duration::from_secs(60 * minutes));
        bench.one.confirm(&id, generation, moment).wait().await.unwrap();
    };
    let wipe = async |minutes: u64| {
        bench.two.wipe_nonces(bench.after(HOUR + Duration::from_secs(60 * minutes))).await.unwrap()
    };
    assert_eq!(wipe(600).await, 0, "a login that was never refreshed has none");
    assert!(bench.one.rotate(&id, bench.drafts.rotation(0)).await.unwrap());
    assert_eq!(wipe(600).await, 0, "nobody has used the pair");
    confirm(0, 5).await;
    confirm(2, 5).await;
    assert_eq!(wipe(600).await, 0, "of other generations");
    confirm(1, 10).await;
    confirm(1, 5).await;
    confirm(1, 20).await;
    assert_eq!((wipe(6).await, wipe(10).await), (0, 0), "the first moment stays");
    assert_eq!((wipe(11).await, wipe(11).await), (1, 0));
    assert!(bench.one.rotate(&id, bench.drafts.rotation(1)).await.unwrap());
    assert_eq!(wipe(600).await, 0, "a rotation awaits a first use anew");
    bench.one.confirm(&bench.draft("ada").await.id(), 0, bench.now).wait().await.unwrap();
}

pub(super) async fn r060_a_touch_is_due_or_nothing_happens(bench: &Bench) {
    let login = open_ended(bench).await;
    let id = login.id();
    let touch = async |touch| bench.one.touch(&id, touch).wait().await.unwrap();
    let mut early = bench.drafts.touch(0);
    early.seen_before = bench.now.minus(Duration::from_millis(1));
    assert!(!touch(early).await, "seen since");
    assert!(!touch(bench.drafts.touch(1)).await, "another generation");
    assert_eq!(shown(&*bench.found(&id).await), shown(&login.record));
    let due = bench.drafts.touch(0);
    assert!(touch(due.clone()).await);
    let after = bench.found(&id).await;
    assert_eq!((after.last_seen(), after.generation()), (bench.after(HOUR), 0));
    assert_eq!(Some(after.access_expires()), due.access_expires);
    assert_eq!(after.refresh_expires(), due.refresh_expires);
    assert_eq!((after.refreshed(), after.version()), (bench.now, 0));
    assert!(!touch(due).await, "once for each use");
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.touch(&unknown, bench.drafts.touch(0)).wait().await.unwrap());
}

pub(super) async fn r060_no_touch_moves_an_end_back(bench: &Bench) {
    for login in [open_ended(bench).await, endless(bench).await] {
        let (id, ends) = (login.id(), (login.record.access_expires(), login.record.refresh_expires()));
        for shorter in [true, false] {
            let mut touch = bench.drafts.touch(0);
            touch.seen_before = bench.after(2 * HOUR);
            (touch.access_expires, touch.refresh_expires) =
                if shorter { (Some(bench.now), Some(bench.now)) } else { (None, None) };
            assert!(bench.one.touch(&id, touch).wait().await.unwrap());
            let after = bench.found(&id).await;
            assert_eq!((after.access_expires(), after.refresh_expires()), ends);
        }
    }
}

pub(super) async fn r060_a_rekey_begins_anew(bench: &Bench) {
    let login = bench.login("ada").await;
    let id = login.id();
    assert!(!bench.one.rekey(&id, bench.drafts.rekey(1)).await.unwrap());
    assert_eq!(shown(&*bench.found(&id).await), shown(&login.record));
    assert!(bench.one.rotate(&id, bench.drafts.rotation(0)).await.unwrap());
    assert!(bench.one.grace_hit(&id, 1, 1).await.unwrap());
    let rekey = bench.drafts.rekey(1);
    assert!(bench.one.rekey(&id, rekey.clone()).await.unwrap());
    let after = bench.found(&id).await;
    assert_eq!((after.generation(), after.refreshed()), (2, bench.after(HOUR)));
    assert_eq!(after.access_expires(), rekey.access_expires, "shorter, if that is what it gives");
    assert_eq!(after.refresh_expires(), Some(rekey.refresh_expires));
    assert_eq!((after.created(), after.absolute_expires()), (bench.now, login.record.absolute_expires()));
    assert_eq!(bench.one.wipe_nonces(bench.after(DAY)).await.unwrap(), 0, "nothing is left to repeat with");
    assert!(bench.one.grace_hit(&id, 2, 1).await.unwrap(), "repeats count anew");
    assert!(!bench.two.rekey(&id, rekey).await.unwrap(), "the same once more");
    let mut without = bench.drafts.rekey(2);
    without.refresh = None;
    assert!(bench.one.rekey(&id, without).await.unwrap());
    assert_eq!(bench.found(&id).await.refresh_expires(), None);
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.rekey(&unknown, bench.drafts.rekey(0)).await.unwrap());
}

pub(super) async fn r060_data_is_replaced_where_its_version_is_the_one_that_was_read(bench: &Bench) {
    let (login, other) = (bench.login("ada").await, bench.login("ada").await);
    let id = login.id();
    let save = async |version, value: &serde_json::Value| {
        bench.one.save_data(&id, version, Data::new(value).unwrap()).await.unwrap()
    };
    let (first, second) = (json!({"n": 1, "text": "\u{1f980} '\"\0"}), json!([1, [2, null]]));
    assert!(!save(1, &first).await && !save(u64::MAX, &first).await);
    assert_eq!(shown(&*bench.found(&id).await), shown(&login.record));
    assert!(save(0, &first).await);
    let after = bench.found(&id).await;
    assert_eq!(
        (after.version(), after.data().parse::<serde_json::Value>().unwrap()),
        (1, Some(first.clone()))
    );
    assert_eq!((after.last_seen(), after.generation()), (bench.now, 0));
    assert!(!save(0, &second).await, "somebody was faster");
    assert!(save(1, &second).await);
    assert!(bench.one.save_data(&id, 2, Data::default()).await.unwrap());
    let after = bench.found(&id).await;
    assert_eq!((after.version(), after.data().is_none()), (3, true));
    // Other writes leave it alone, and it them.
    assert!(save(3, &first).await);
    assert!(bench.one.rotate(&id, bench.drafts.rotation(0)).await.unwrap());
    assert!(save(4, &second).await, "a rotation is no other version");
    let after = bench.found(&id).await;
    assert_eq!((after.version(), after.generation()), (5, 1));
    assert_eq!(shown(&*bench.found(&other.id()).await), shown(&other.record));
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.save_data(&unknown, 0, Data::default()).await.unwrap());
}

pub(super) async fn r060_a_label_is_a_label_and_nothing_else(bench: &Bench) {
    let login = bench.login("ada").await;
    let id = login.id();
    for label in [Some("laptop \u{1f4bb}"), Some(""), None] {
        assert!(bench.one.set_label(&id, label.map(Into::into)).await.unwrap());
        assert_eq!(bench.found(&id).await.label(), label);
    }
    assert_eq!(shown(&*bench.found(&id).await), shown(&login.record), "as it was");
    let unknown = bench.draft("ada").await.id();
    assert!(!bench.one.set_label(&unknown, Some("x".into())).await.unwrap());
}

/// What no column shows: digests, the previous one, nonce and lineage come back as they were written.
pub(super) async fn r060_tokens_work_over_it_through_a_whole_life(bench: &Bench) {
    let tokens = &bench.tokens;
    let login = bench.login("ada").await;
    let refresh = async |text: &str| tokens.refresh(RefreshRequest::new(text, Channel::Header)).await;
    let text = |issued: &crate::token::Issued| issued.refresh().unwrap().expose().to_owned();
    let first = text(&login.issued);
    let second = refresh(&first).await.unwrap();
    let repeated = refresh(&first).await.unwrap();
    assert_eq!((repeated.access(), repeated.refresh()), (second.access(), second.refresh()));
    assert!(!bench.lives(&login).await);
    tokens.verify(second.access().expose(), None).await.unwrap();
    let rekeyed = tokens.rekey(&login.id()).await.unwrap();
    assert!(tokens.verify(second.access().expose(), None).await.is_err());
    assert!(refresh(&text(&second)).await.is_err());
    tokens.verify(rekeyed.access().expose(), None).await.unwrap();
    let third = refresh(&text(&rekeyed)).await.unwrap();
    let fourth = refresh(&text(&third)).await.unwrap();
    // Two behind: proven, and the end of the login.
    assert!(refresh(&text(&rekeyed)).await.is_err());
    assert!(tokens.verify(fourth.access().expose(), None).await.is_err());
    assert!(bench.found(&login.id()).await.revoked().is_some());
}
