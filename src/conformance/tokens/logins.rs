//! Adding logins, and finding them.

use serde_json::json;

use super::bench::{Bench, HOUR, shown};
use crate::{
    event::RevokeReason,
    identity::Subject,
    scope::Scope,
    store::{Epoch, ListQuery, LiveLimit, StoreErrorKind},
    token::IssueOptions,
};

pub(super) async fn r060_what_is_inserted_is_found_as_it_was(bench: &Bench) {
    let full = IssueOptions::default()
        .tenant("red \u{e9}\0%")
        .client("app")
        .key_thumbprint("thumb")
        .scope(Scope::parse("read write").unwrap())
        .label("Ada's \u{1f4f1}")
        .context_of(&json!({"ip": "192.0.2.7", "n": 1.5}))
        .data(&json!({"cart": [1, 2, null]}))
        .browser_session();
    let endless = IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    for (subject, options) in [
        (Subject::local("ada"), IssueOptions::default()),
        (Subject::of("https://idp.test/\u{e9}", "ada' --"), full),
        (Subject::local(""), endless),
    ] {
        let login = bench.drafts.login(subject, options).await;
        assert!(bench.look(&login.id()).await.is_none());
        let inserted = bench.one.insert(login.record.clone(), bench.insertion()).await.unwrap();
        assert_eq!(shown(&inserted.record), shown(&login.record));
        assert!(inserted.ended.is_empty() && !inserted.replaced);
        assert_eq!(shown(&*bench.found(&login.id()).await), shown(&login.record));
        assert_eq!(bench.epoch(&login.id()).await, Some(Epoch::from_number(7)));
    }
    // The digests and the key of its lineage, too.
    let login = bench.login("bob").await;
    assert!(bench.lives(&login).await);
    assert!(!bench.lives(&bench.draft("bob").await).await, "never inserted");
}

pub(super) async fn r060_a_subject_has_one_epoch_from_its_first_login_on(bench: &Bench) {
    let first = bench.login("ada").await;
    let mut later = bench.insertion();
    later.first_epoch = Epoch::from_number(u64::MAX);
    let second = bench.draft("ada").await;
    bench.one.insert(second.record.clone(), later.clone()).await.unwrap();
    // The same name of another issuer is somebody else.
    let foreign = bench.drafts.login(Subject::of("https://idp.test", "ada"), IssueOptions::default()).await;
    bench.one.insert(foreign.record.clone(), later).await.unwrap();
    for login in [&first, &second] {
        assert_eq!(bench.epoch(&login.id()).await, Some(Epoch::from_number(7)));
    }
    assert_eq!(bench.epoch(&foreign.id()).await, Some(Epoch::from_number(u64::MAX)), "all of 64 bits");
    for login in [&first, &second, &foreign] {
        assert!(bench.lives(login).await);
    }
}

pub(super) async fn r060_an_id_is_taken_once_and_for_all(bench: &Bench) {
    let (login, other) = (bench.login("ada").await, bench.login("ada").await);
    let mut again = bench.insertion();
    again.replaces = Some(other.id());
    for ended in [false, true] {
        if ended {
            assert!(bench.one.revoke(&login.id(), bench.ended()).await.unwrap());
        }
        let before = shown(&*bench.found(&login.id()).await);
        let refused = bench.two.insert(login.record.clone(), again.clone()).await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Conflict);
        assert_eq!(shown(&*bench.found(&login.id()).await), before);
        assert!(bench.lives(&other).await, "nothing was changed");
    }
}

pub(super) async fn r060_a_login_may_end_another_in_the_same_step(bench: &Bench) {
    let old = bench.drafts.login(Subject::anonymous("guest"), IssueOptions::default()).await;
    bench.one.insert(old.record.clone(), bench.insertion()).await.unwrap();
    let mut insertion = bench.limited(LiveLimit::Refuse(1));
    insertion.replaces = Some(old.id());
    insertion.now = bench.after(HOUR);
    let inserted = bench.one.insert(bench.draft("ada").await.record, insertion.clone()).await.unwrap();
    assert!(inserted.replaced && inserted.ended.is_empty());
    let revoked = bench.found(&old.id()).await.revoked().unwrap();
    assert_eq!((revoked.at(), revoked.reason()), (bench.after(HOUR), RevokeReason::Superseded));

    // Of somebody else, once more, and one that was never there.
    insertion.limit = LiveLimit::Unlimited;
    let again = bench.one.insert(bench.draft("bob").await.record, insertion.clone()).await.unwrap();
    assert!(!again.replaced, "it had ended already");
    insertion.replaces = Some(bench.draft("nobody").await.id());
    let unknown = bench.one.insert(bench.draft("bob").await.record, insertion).await.unwrap();
    assert!(!unknown.replaced);
    assert_eq!(bench.found(&old.id()).await.revoked(), Some(revoked));

    // The one that is replaced makes room for the one that comes.
    let only = inserted.record.id();
    let mut full = bench.limited(LiveLimit::Refuse(1));
    let refused = bench.one.insert(bench.draft("ada").await.record, full.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
    full.replaces = Some(only);
    assert!(bench.one.insert(bench.draft("ada").await.record, full).await.unwrap().replaced);
}

pub(super) async fn r060_a_limit_counts_live_logins_and_ends_the_oldest(bench: &Bench) {
    let insert = async |user: &str, limit| bench.one.insert(bench.draft(user).await.record, limit).await;
    let mut logins = Vec::new();
    for age in [3, 1, 2] {
        bench.drafts.time().set(bench.now.minus(age * HOUR));
        logins.push(bench.login("ada").await);
    }
    bench.drafts.time().set(bench.now);
    bench.login("bob").await;
    let refused = insert("ada", bench.limited(LiveLimit::Refuse(3))).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
    assert_eq!(bench.ids().await.len(), 4, "nothing was added");
    for login in &logins {
        assert!(bench.lives(login).await);
    }
    // One that has ended takes no place, and neither does one of which time has ended all tokens.
    bench.one.revoke(&logins[1].id(), bench.ended()).await.unwrap();
    insert("ada", bench.limited(LiveLimit::Refuse(3))).await.unwrap();
    let mut late = bench.limited(LiveLimit::Refuse(1));
    late.now = bench.after(8 * 24 * HOUR);
    late.purge_before = bench.now;
    insert("ada", late).await.unwrap();

    // The oldest go, and no more than have to: of four that live, those of three and of two hours ago.
    let ended = insert("ada", bench.limited(LiveLimit::EndOldest(3))).await.unwrap().ended;
    assert_eq!(sorted(ended), sorted(vec![logins[0].id(), logins[2].id()]));
    for login in [&logins[0], &logins[2]] {
        let revoked = bench.found(&login.id()).await.revoked().unwrap();
        assert_eq!((revoked.at(), revoked.reason()), (bench.now, RevokeReason::Superseded));
    }
}

/// A login that is refused removes nothing, and what one that is not removes is told, no more and no less.
pub(super) async fn r060_a_refused_login_leaves_what_has_ended(bench: &Bench) {
    let (live, over, foreign) =
        (bench.login("ada").await, bench.login("ada").await, bench.login("bob").await);
    for ended in [&over, &foreign] {
        bench.one.revoke(&ended.id(), bench.ended()).await.unwrap();
    }
    let before = bench.ids().await;
    let insert = async |limit| {
        let mut insertion = bench.limited(limit);
        (insertion.now, insertion.purge_before) = (bench.after(2 * HOUR), bench.after(2 * HOUR));
        bench.one.insert(bench.draft("ada").await.record, insertion).await
    };
    let refused = insert(LiveLimit::Refuse(1)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::LimitReached);
    assert_eq!(bench.ids().await, before, "nothing was changed");

    for limit in [LiveLimit::Refuse(2), LiveLimit::EndOldest(2), LiveLimit::Unlimited] {
        let before = bench.ids().await;
        let inserted = insert(limit).await.unwrap();
        let after = bench.ids().await;
        let gone: Vec<_> = before.into_iter().filter(|id| !after.contains(id)).collect();
        assert!(inserted.purged.iter().all(|record| record.revoked().is_some()));
        assert_eq!(sorted(inserted.purged.iter().map(|record| record.id()).collect()), gone, "{limit:?}");
        assert!(after.contains(&live.id()), "it has ended at most");
    }
}

fn sorted(mut ids: Vec<crate::text::TokenId>) -> Vec<crate::text::TokenId> {
    ids.sort();
    ids
}

pub(super) async fn r060_lists_go_by_id_page_by_page(bench: &Bench) {
    assert!(bench.ids().await.is_empty());
    let (mut all, mut adas) = (Vec::new(), Vec::new());
    for number in 0..25_usize {
        let user = if number.is_multiple_of(3) { "ada" } else { "bob" };
        let id = bench.login(user).await.id();
        if number.is_multiple_of(2) {
            bench.one.revoke(&id, bench.ended()).await.unwrap();
        }
        if user == "ada" {
            adas.push(id);
        }
        all.push(id);
    }
    let pages = async |subject: Option<Subject>| {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let mut query = ListQuery::new(subject.clone(), 4);
            query.after = after;
            let page = bench.two.list(&query).await.unwrap();
            assert!(page.len() <= 4 && page.iter().all(|found| found.epoch.is_some()));
            ids.extend(page.iter().map(|found| found.record.id()));
            after = ids.last().copied();
            if page.len() < 4 {
                return ids;
            }
        }
    };
    assert_eq!(pages(None).await, sorted(all));
    assert_eq!(pages(Some(Subject::local("ada"))).await, sorted(adas));
    assert!(pages(Some(Subject::of("https://idp.test", "ada"))).await.is_empty());
    assert!(bench.one.list(&ListQuery::new(None, 0)).await.unwrap().is_empty());
}
