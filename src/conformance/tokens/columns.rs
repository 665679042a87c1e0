//! What the columns hold, and which of them each write writes.

use std::{fmt::Debug, sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use serde_json::json;

use super::{
    bench::{Bench, HOUR},
    drafts::{bytes, digest},
};
use crate::{
    clock::{ManualClock, Timestamp},
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    keyring::{Key, KeyId, KeyRing},
    random,
    scope::Scope,
    secret::SecretBytes,
    store::{
        Context, Data, Digest, Epoch, HashAlgorithm, HashBytes, Keep, Life, ListQuery, LoginColumns,
        LoginRecord, Revocation, SubjectRevocation, TokenStore,
    },
    text::TokenId,
    token::{IssueOptions, RefreshRequest, TokenPolicy, TokenService},
};

const MINUTE: Duration = Duration::from_secs(60);

/// A login with something in every column, at odd moments, of the epoch that [`Bench::insertion`] gives.
fn full(bench: &Bench) -> LoginColumns {
    let odd = |hours: u32, millis: u64| bench.after(hours * HOUR).plus(Duration::from_millis(millis));
    LoginColumns {
        id: fresh_id(),
        subject: Arc::new(Subject::of("https://idp.test/\u{e9}", "ada' --\0\u{1f980}")),
        channel: Channel::Cookie,
        browser_session: true,
        tenant: Some("red \u{e9}\0%".into()),
        client: Some("app\0\u{1f4bb}".into()),
        key_thumbprint: Some("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".into()),
        scope: Some(Arc::new(Scope::parse("read write").unwrap())),
        label: Some("Ada's \u{1f4f1}\0".into()),
        context: Context::from_json(r#"{"ip": "192.0.2.7", "b": 1.0,  "a": "\u0000\ud83e\udd80"}"#).unwrap(),
        data: Data::from_json(r#"{ "cart": [1, 2.50, null], "a": "\u0000" }"#).unwrap(),
        version: 12,
        access: Digest::new(Some(KeyId::from_bytes([0, 1, 2, 255])), HashBytes::Sha512([0xfe; 64])),
        refresh: Some(Digest::new(None, HashBytes::Sha384([0; 48]))),
        previous: Some(digest()),
        nonce: Some(bytes()),
        lineage: bytes(),
        generation: 41,
        rotated_at: odd(1, 3),
        confirmed_at: odd(1, 7),
        grace_hits: 5,
        created: odd(0, 1),
        last_seen: odd(1, 9),
        access_ttl: Life::from_millis(3_600_001),
        refresh_ttl: Life::from_millis(86_400_003),
        access_expires: odd(2, 11),
        refresh_expires: odd(48, 13),
        absolute_expires: odd(9_000, 17),
        epoch: Epoch::from_number(7),
        revoked: None,
    }
}

fn fresh_id() -> TokenId {
    TokenId::from_random(&random::bytes().unwrap())
}

/// Every column by its name. Nothing is left out: a new column does not compile here.
fn shown(columns: &LoginColumns) -> Vec<(&'static str, String)> {
    fn hex(digest: &Digest) -> String {
        HEXLOWER.encode(&digest.to_bytes())
    }
    fn debug(value: impl Debug) -> String {
        format!("{value:?}")
    }
    let key = |bytes: &SecretBytes| HEXLOWER.encode(bytes.expose());
    let LoginColumns {
        id,
        subject,
        channel,
        browser_session,
        tenant,
        client,
        key_thumbprint,
        scope,
        label,
        context,
        data,
        version,
        access,
        refresh,
        previous,
        nonce,
        lineage,
        generation,
        rotated_at,
        confirmed_at,
        grace_hits,
        created,
        last_seen,
        access_ttl,
        refresh_ttl,
        access_expires,
        refresh_expires,
        absolute_expires,
        epoch,
        revoked,
    } = columns;
    vec![
        ("id", debug(id)),
        ("subject", debug(subject)),
        ("channel", debug(channel)),
        ("browser_session", debug(browser_session)),
        ("tenant", debug(tenant)),
        ("client", debug(client)),
        ("key_thumbprint", debug(key_thumbprint)),
        ("scope", debug(scope.as_ref().map(|scope| scope.to_string()))),
        ("label", debug(label)),
        ("context", context.as_json().to_owned()),
        ("data", debug(data.as_json())),
        ("version", debug(version)),
        ("access", hex(access)),
        ("refresh", debug(refresh.as_ref().map(hex))),
        ("previous", debug(previous.as_ref().map(hex))),
        ("nonce", debug(nonce.as_ref().map(key))),
        ("lineage", key(lineage)),
        ("generation", debug(generation)),
        ("rotated_at", debug(rotated_at)),
        ("confirmed_at", debug(confirmed_at)),
        ("grace_hits", debug(grace_hits)),
        ("created", debug(created)),
        ("last_seen", debug(last_seen)),
        ("access_ttl", debug(access_ttl)),
        ("refresh_ttl", debug(refresh_ttl)),
        ("access_expires", debug(access_expires)),
        ("refresh_expires", debug(refresh_expires)),
        ("absolute_expires", debug(absolute_expires)),
        ("epoch", debug(epoch)),
        ("revoked", debug(revoked)),
    ]
}

/// Each column is the other's.
#[track_caller]
pub(super) fn assert_same(found: &LoginRecord, expected: &LoginColumns, after: &str) {
    for (found, expected) in shown(&LoginColumns::from(found)).iter().zip(shown(expected)) {
        assert!(found.1 == expected.1, "{} {after}: {:.200} for {:.200}", found.0, found.1, expected.1);
    }
}

/// Whether each column is the other's.
pub(super) fn is_same(found: &LoginRecord, expected: &LoginColumns) -> bool {
    shown(&LoginColumns::from(found)) == shown(expected)
}

async fn insert(bench: &Bench, columns: &LoginColumns) {
    bench.one.insert(columns.clone().into(), bench.insertion()).await.unwrap();
    assert_same(&*bench.found(&columns.id).await, columns, "after insert");
}

pub(super) async fn r060_every_column_comes_back_as_it_was(bench: &Bench) {
    insert(bench, &full(bench)).await;
    // Nothing that could be left out.
    let (id, subject) = (fresh_id(), Subject::local("ada"));
    let bare = LoginColumns::new(id, subject, Channel::Header, digest(), bytes(), bench.now);
    insert(bench, &LoginColumns { epoch: Epoch::from_number(7), ..bare }).await;
    // The ends of the numbers.
    let mut large = LoginColumns { id: fresh_id(), ..full(bench) };
    (large.version, large.generation, large.grace_hits) = (u64::MAX, u32::MAX, u32::MAX);
    (large.access_ttl, large.refresh_ttl) = (Life::FOREVER, Life::from_millis(0));
    (large.access_expires, large.refresh_expires) = (Timestamp::NEVER, Timestamp::NEVER);
    (large.absolute_expires, large.confirmed_at) = (Timestamp::NEVER, Timestamp::NEVER);
    insert(bench, &large).await;
    // Texts that are there and empty are not texts that are missing.
    let mut empty = LoginColumns { id: fresh_id(), ..full(bench) };
    empty.subject = Arc::new(Subject::local(""));
    let none: Option<Arc<str>> = Some("".into());
    (empty.tenant, empty.client, empty.key_thumbprint, empty.label) =
        (none.clone(), none.clone(), none.clone(), none);
    (empty.data, empty.context) = (Data::from_json("null").unwrap(), Context::default());
    insert(bench, &empty).await;
    for reason in [
        RevokeReason::Logout,
        RevokeReason::Reuse,
        RevokeReason::Inactive,
        RevokeReason::Superseded,
        RevokeReason::CredentialsChanged,
        RevokeReason::Everyone,
    ] {
        let mut revoked = LoginColumns { id: fresh_id(), ..full(bench) };
        revoked.revoked = Some(Revocation::new(bench.after(HOUR).plus(Duration::from_millis(1)), reason));
        insert(bench, &revoked).await;
    }
}

pub(super) async fn r060_any_text_is_kept_and_found(bench: &Bench) {
    let long = "\u{1f980}".repeat(25_000);
    let texts = ["", "\0", "a\0b", "a\0", "a", "A", "' or 1=1; --", "%_\\*?", "\u{e9}", "e\u{301}", &long];
    let mut ids = Vec::new();
    for text in texts {
        for subject in [Subject::local(text), Subject::of(text, "ada"), Subject::anonymous(text)] {
            let mut columns = LoginColumns { id: fresh_id(), subject: Arc::new(subject), ..full(bench) };
            let text: Option<Arc<str>> = Some(text.into());
            (columns.tenant, columns.client) = (text.clone(), text.clone());
            (columns.key_thumbprint, columns.label) = (text.clone(), text);
            insert(bench, &columns).await;
            ids.push((columns.id, columns.subject));
        }
    }
    // No two of them are one subject, whatever an engine compares texts by.
    for (id, subject) in &ids {
        let query = ListQuery::new(Some(Subject::clone(subject)), 10);
        let found = bench.two.list(&query).await.unwrap();
        assert_eq!(found.iter().map(|found| found.record.id()).collect::<Vec<_>>(), [*id], "{subject:.50?}");
    }
    for (place, (id, subject)) in ids.iter().enumerate() {
        let all = SubjectRevocation::new(bench.ended(), Keep::Nothing);
        assert_eq!(bench.one.revoke_subject(subject, all).await.unwrap(), Some(vec![*id]));
        let text = texts[place / 3];
        let label = Some(text.into());
        assert!(!bench.one.set_label(id, label).await.unwrap());
    }
}

pub(super) async fn r060_ids_that_differ_in_case_are_two(bench: &Bench) {
    let [lower, upper] = ["abcdefghijklmnopq", "ABCDEFGHIJKLMNOPQ"].map(|id| TokenId::parse(id).unwrap());
    let mut columns = LoginColumns { id: lower, ..full(bench) };
    insert(bench, &columns).await;
    assert!(bench.look(&upper).await.is_none());
    assert!(!bench.one.revoke(&upper, bench.ended()).await.unwrap());
    columns.id = upper;
    insert(bench, &columns).await;
    assert_eq!(bench.ids().await, [upper, lower], "in the order of their bytes");
    assert!(bench.one.revoke(&upper, bench.ended()).await.unwrap());
    assert_eq!(bench.found(&lower).await.revoked(), None);
}

pub(super) async fn r060_context_and_data_of_any_size_fit(bench: &Bench) {
    let mut columns = full(bench);
    let text = |length: usize| "\u{1f980}\0".repeat(length / 10) + &"x".repeat(length % 10);
    // A NUL is six characters in JSON.
    columns.context = Context::new(&json!({ "a": text(8 * 1024 - 8) })).unwrap();
    columns.data = Data::new(&text(64 * 1024 - 2)).unwrap();
    assert_eq!((columns.context.as_json().len(), columns.data.as_json().unwrap().len()), (8_192, 65_536));
    insert(bench, &columns).await;
    for value in [json!(null), json!(text(64 * 1024 - 2)), json!(1.5e-7), json!({"\0": [[[[]]]]})] {
        let data = Data::new(&value).unwrap();
        assert!(bench.one.save_data(&columns.id, columns.version, data.clone()).await.unwrap());
        (columns.version, columns.data) = (columns.version + 1, data);
        assert_same(&*bench.found(&columns.id).await, &columns, "after save_data");
    }
}

pub(super) async fn r060_digests_of_every_kind_are_kept(bench: &Bench) {
    let key = Some(KeyId::from_bytes([0, 1, 2, 255]));
    for key in [None, key] {
        for hash in [HashBytes::Sha256([7; 32]), HashBytes::Sha384([0; 48]), HashBytes::Sha512([255; 64])] {
            let digest = Digest::new(key, hash);
            let mut columns = LoginColumns { id: fresh_id(), ..full(bench) };
            (columns.access, columns.refresh) = (digest.clone(), Some(digest.clone()));
            columns.previous = Some(digest.clone());
            insert(bench, &columns).await;
            let mut touch = bench.drafts.touch(columns.generation);
            (touch.access, touch.seen_before) = (Some(digest), columns.last_seen);
            assert!(bench.one.touch(&columns.id, touch).wait().await.unwrap());
        }
    }
    // And by those who use them.
    let ring = KeyRing::new(Key::generate().unwrap());
    for hash in HashAlgorithm::ALL {
        let service = |store: &Arc<dyn TokenStore>| {
            let policy = TokenPolicy::builder().hash(hash).build().unwrap();
            let service = TokenService::over(Arc::clone(store), policy).pepper(ring.clone());
            service.clock(ManualClock::new(bench.now).clock())
        };
        let (one, two) = (service(&bench.one), service(&bench.two));
        let first = one.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        two.verify(first.access().expose(), None).await.unwrap();
        let request = RefreshRequest::new(first.refresh().unwrap().expose(), Channel::Header);
        let second = two.refresh(request).await.unwrap();
        let again = one.refresh(request).await.unwrap();
        assert_eq!(again.access(), second.access());
        one.verify(second.access().expose(), None).await.unwrap();
        assert!(one.verify(first.access().expose(), None).await.is_err());
    }
}

/// One write of each kind after the other, and all columns after each.
pub(super) async fn r060_each_write_writes_its_columns_and_no_others(bench: &Bench) {
    let Bench { one, drafts, .. } = bench;
    let mut login = full(bench);
    let id = login.id;
    insert(bench, &login).await;
    let check = async |login: &LoginColumns, after| assert_same(&*bench.found(&id).await, login, after);

    let mut touch = drafts.touch(41);
    (touch.seen_before, touch.now) = (login.last_seen, bench.after(HOUR + MINUTE));
    touch.access_expires = Some(bench.after(HOUR));
    assert!(one.touch(&id, touch.clone()).wait().await.unwrap());
    // The end of the access token would have moved back.
    login.last_seen = touch.now;
    login.refresh_expires = touch.refresh_expires.unwrap();
    check(&login, "after touch").await;

    (touch.seen_before, touch.now) = (login.last_seen, bench.after(HOUR + 2 * MINUTE));
    (touch.access, touch.wipe_nonce) = (Some(digest()), true);
    touch.access_expires = Some(Timestamp::NEVER);
    touch.refresh_expires = None;
    assert!(one.touch(&id, touch.clone()).wait().await.unwrap());
    (login.last_seen, login.access, login.nonce) = (touch.now, touch.access.unwrap(), None);
    login.access_expires = Timestamp::NEVER;
    check(&login, "after touch with a digest").await;

    one.confirm(&id, 41, bench.after(9 * HOUR)).wait().await.unwrap();
    check(&login, "after a second confirm").await;
    assert!(one.grace_hit(&id, 41, 6).await.unwrap());
    login.grace_hits = 6;
    check(&login, "after grace_hit").await;

    let rotation = drafts.rotation(41);
    assert!(one.rotate(&id, rotation.clone()).await.unwrap());
    (login.generation, login.grace_hits) = (42, 0);
    login.previous = login.refresh.replace(rotation.refresh);
    (login.access, login.nonce) = (rotation.access, Some(rotation.nonce));
    (login.rotated_at, login.confirmed_at) = (rotation.now, Timestamp::NEVER);
    login.access_expires = rotation.access_expires;
    login.refresh_expires = login.refresh_expires.max(rotation.refresh_expires);
    check(&login, "after rotate").await;

    one.confirm(&id, 42, bench.after(2 * HOUR)).wait().await.unwrap();
    login.confirmed_at = bench.after(2 * HOUR);
    check(&login, "after confirm").await;
    assert_eq!(one.wipe_nonces(bench.after(3 * HOUR)).await.unwrap(), 1);
    login.nonce = None;
    check(&login, "after wipe_nonces").await;

    let data = Data::new(&json!([1, "x"])).unwrap();
    assert!(one.save_data(&id, 12, data.clone()).await.unwrap());
    (login.version, login.data) = (13, data);
    check(&login, "after save_data").await;
    assert!(one.set_label(&id, None).await.unwrap());
    login.label = None;
    check(&login, "after set_label").await;

    let rekeyed = |login: &mut LoginColumns, rekey: crate::store::Rekey| {
        login.generation = rekey.generation + 1;
        (login.access, login.refresh, login.lineage) = (rekey.access, rekey.refresh, rekey.lineage);
        (login.previous, login.nonce, login.grace_hits) = (None, None, 0);
        (login.rotated_at, login.confirmed_at) = (rekey.now, rekey.now);
        login.last_seen = login.last_seen.max(rekey.now);
        (login.access_expires, login.refresh_expires) = (rekey.access_expires, rekey.refresh_expires);
    };
    let mut rekey = drafts.rekey(42);
    rekey.now = bench.after(5 * HOUR);
    assert!(one.rekey(&id, rekey.clone()).await.unwrap());
    rekeyed(&mut login, rekey);
    check(&login, "after rekey").await;

    let mut rekey = drafts.rekey(43);
    rekey.refresh = None;
    let keep = Keep::Rekeyed(id, Box::new(rekey.clone()));
    let ended = one.revoke_subject(&login.subject, SubjectRevocation::new(bench.ended(), keep)).await;
    assert_eq!(ended.unwrap(), Some(Vec::new()));
    rekeyed(&mut login, rekey);
    login.epoch = Epoch::from_number(8);
    check(&login, "after revoke_subject").await;

    assert!(one.revoke(&id, bench.ended()).await.unwrap());
    login.revoked = Some(bench.ended());
    check(&login, "after revoke").await;
}

/// Whatever moves ends meets one that is later than all.
pub(super) async fn r060_never_stays_never(bench: &Bench) {
    let mut login = full(bench);
    (login.access_expires, login.refresh_expires) = (Timestamp::NEVER, Timestamp::NEVER);
    login.absolute_expires = Timestamp::NEVER;
    let id = login.id;
    insert(bench, &login).await;
    let ends = async || {
        let found = LoginColumns::from(&*bench.found(&id).await);
        [found.access_expires, found.refresh_expires, found.absolute_expires]
    };
    let never = [Timestamp::NEVER; 3];
    for seen_before in [login.last_seen, bench.after(HOUR)] {
        let mut touch = bench.drafts.touch(41);
        touch.seen_before = seen_before;
        assert!(bench.one.touch(&id, touch).wait().await.unwrap());
        assert_eq!(ends().await, never, "after touch");
    }
    let mut rotation = bench.drafts.rotation(41);
    rotation.access_expires = Timestamp::NEVER;
    assert!(bench.one.rotate(&id, rotation).await.unwrap());
    assert_eq!(ends().await, never, "after rotate");
    let mut rekey = bench.drafts.rekey(42);
    (rekey.access_expires, rekey.refresh_expires) = (Timestamp::NEVER, Timestamp::NEVER);
    assert!(bench.one.rekey(&id, rekey).await.unwrap());
    assert_eq!(ends().await, never, "after rekey");
    assert!(bench.purge(Timestamp::from_millis(i64::MAX - 1), 10).await.is_empty());
    let seen = bench.found(&id).await;
    assert!(seen.is_live(bench.after(1_000_000 * HOUR)));
}
