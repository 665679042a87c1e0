//! Issuing, verifying and revoking opaque tokens.

use std::{collections::HashSet, sync::Arc};

use portcullis::{
    TokenPolicy, TokenService,
    credential::{Channel, Credential},
    error::BoxError,
    event::RevokeReason,
    identity::Subject,
    keyring::{Key, KeyRing},
    maybe_ready::MaybeReady,
    problem::Reason,
    store::HashAlgorithm,
    token::{IssueOptions, Issued, RefreshRequest},
    verify::{Attempt, Refusal, UserLookup, Verify},
};

use crate::support::{Mode, fixture, fixture_with, invalid, refresh_text, secs};

#[tokio::test]
async fn r016_an_issue_gives_both_texts_and_the_record_and_shows_none_of_it() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let (access, refresh) = (issued.access().expose(), refresh_text(&issued));
    assert!(access.starts_with("pc_a") && refresh.starts_with("pc_r"));
    assert_eq!(issued.record().subject(), &Subject::local("ada"));
    assert_eq!(issued.expires_in(), Some(secs(24 * 3600)));
    assert_eq!(issued.refresh_expires_in(), Some(secs(7 * 24 * 3600)));

    let shown = format!("{issued:?} {:?} {:?}", issued.record(), issued.access());
    // The id is public; what follows it is not.
    let secret = &access[4 + 17..];
    assert!(!shown.contains(secret) && !shown.contains(&refresh[4 + 17..]));
    for start in (0..secret.len() - 8).step_by(8) {
        assert!(!shown.contains(&secret[start..start + 8]), "{shown}");
    }
}

#[tokio::test]
async fn r016_no_refresh_life_gives_no_refresh_token() {
    let policy = TokenPolicy::builder().refresh_ttl(None).build().unwrap();
    let issued = fixture_with(policy).login("ada").await;
    assert!(issued.refresh().is_none() && issued.refresh_expires_in().is_none());
    assert_eq!(issued.record().refresh_expires(), None);
}

#[tokio::test]
async fn r017_header_and_cookie_issues_differ_in_the_channel_alone() {
    let fixture = fixture();
    let (header, cookie) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    assert_eq!((header.record().channel(), cookie.record().channel()), (Channel::Header, Channel::Cookie));
    assert_eq!(header.record().subject(), cookie.record().subject());
    assert_eq!(header.record().access_expires(), cookie.record().access_expires());
    assert_eq!(header.record().refresh_expires(), cookie.record().refresh_expires());
    assert_eq!(header.access().expose().len(), cookie.access().expose().len());
}

#[tokio::test]
async fn r020_the_record_tells_the_whole_story() {
    let fixture = fixture();
    let mut context = serde_json::Map::new();
    context.insert("device".to_owned(), "phone".into());
    let options = IssueOptions::default().tenant("red").client("app").context(context);
    let issued = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let start = fixture.time.now();
    let record = issued.record();
    assert_eq!(record.tenant(), Some("red"));
    assert_eq!(record.context().get("device"), Some("phone".into()));
    assert_eq!(record.context().get("other"), None);
    assert_eq!((record.created(), record.refreshed()), (start, start));
    assert_eq!(record.refresh_expires(), Some(start.plus(secs(7 * 24 * 3600))));
    assert_eq!(record.revoked(), None);

    let end = record.access_expires();
    assert_eq!(end, start.plus(secs(24 * 3600)));
    assert!(!record.is_expired(portcullis::clock::Timestamp::from_millis(end.as_millis() - 1)));
    assert!(record.is_expired(end));

    fixture.time.advance(secs(60));
    let request = RefreshRequest::new(issued.refresh().unwrap().expose(), Channel::Header);
    let next = fixture.tokens.refresh(request.with_tenant("red").with_client("app")).await.unwrap();
    assert_eq!(next.record().id(), record.id());
    assert_eq!(next.record().created(), start);
    assert_eq!(next.record().refreshed(), fixture.time.now());
    assert_eq!(next.record().context().get("device"), Some("phone".into()));

    fixture.tokens.revoke(&record.id()).await.unwrap();
    let revoked = fixture.store.record(&record.id()).await.revoked().expect("revoked");
    assert_eq!(revoked.at(), fixture.time.now());
}

#[tokio::test]
async fn r027_manual_verification_gives_the_record_or_none() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let text = issued.access().expose();
        let verified = fixture.tokens.verify(text, Some(Channel::Header)).await.unwrap();
        assert_eq!(verified.identity().id(), "ada");
        assert_eq!(verified.record().unwrap().id(), issued.record().id());
        assert_eq!(verified.evidence().record(), Some(issued.record().id()));

        let wrong_channel = fixture.tokens.verify(text, Some(Channel::Cookie)).await;
        assert_eq!(invalid(wrong_channel).map(|_| ()), Err(Reason::WrongChannel));
        assert_eq!(fixture.verify("nonsense").await, Err(Reason::Malformed));
        let elsewhere = crate::support::fixture();
        let foreign = elsewhere.login("ada").await;
        assert_eq!(fixture.verify(foreign.access().expose()).await, Err(Reason::UnknownRecord));

        fixture.time.advance(secs(24 * 3600) - std::time::Duration::from_millis(1));
        fixture.verify(text).await.unwrap();
        fixture.time.advance(std::time::Duration::from_millis(1));
        assert_eq!(fixture.verify(text).await, Err(Reason::Expired));

        let other = fixture.login("ada").await;
        fixture.tokens.revoke(&other.record().id()).await.unwrap();
        assert_eq!(fixture.verify(other.access().expose()).await, Err(Reason::Revoked));
    }
}

#[tokio::test]
async fn r027_a_store_that_is_down_is_not_an_invalid_token() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    for mode in [Mode::Down, Mode::DownLater] {
        fixture.store.set(mode);
        let found = fixture.tokens.verify(issued.access().expose(), None).await;
        assert!(matches!(found, Err(Refusal::Unavailable(_))), "{found:?}");
    }
    fixture.store.set(Mode::Now);
    fixture.verify(issued.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r047_revoking_ends_access_and_refresh_and_may_be_repeated() {
    let fixture = fixture();
    let (one, two) = (fixture.login("ada").await, fixture.login("ada").await);
    for _ in 0..2 {
        fixture.tokens.revoke(&one.record().id()).await.unwrap();
    }
    assert_eq!(fixture.verify(one.access().expose()).await, Err(Reason::Revoked));
    assert_eq!(fixture.refresh(&refresh_text(&one)).await.map(|_| ()), Err(Reason::Revoked));
    fixture.verify(two.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r048_revoking_a_subject_ends_all_its_logins_and_nobody_elses() {
    let fixture = fixture();
    let (one, two) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let (other, foreign) = (
        fixture.login("bob").await,
        fixture
            .tokens
            .issue_for_header(Subject::of("https://idp.test", "ada"), IssueOptions::default())
            .await
            .unwrap(),
    );
    assert_eq!(fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap(), 2);
    assert!(fixture.verify(one.access().expose()).await.is_err());
    assert!(fixture.verify(two.access().expose()).await.is_err());
    fixture.verify(other.access().expose()).await.unwrap();
    fixture.verify(foreign.access().expose()).await.unwrap();
    let again = fixture.login("ada").await;
    fixture.verify(again.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r020_the_record_says_why_it_was_revoked() {
    let fixture = fixture();
    let why = async |issued: &Issued| {
        fixture.store.record(&issued.record().id()).await.revoked().map(|end| end.reason())
    };
    let (out, all) = (fixture.login("ada").await, fixture.login("bob").await);
    assert_eq!(why(&out).await, None);
    fixture.tokens.revoke(&out.record().id()).await.unwrap();
    fixture.tokens.revoke_subject(&Subject::local("bob")).await.unwrap();
    assert_eq!((why(&out).await, why(&all).await), (Some(RevokeReason::Logout), Some(RevokeReason::Logout)));

    let reused = fixture.login("ada").await;
    let next = fixture.refresh(&refresh_text(&reused)).await.unwrap();
    fixture.verify(next.access().expose()).await.unwrap();
    fixture.time.advance(secs(60));
    assert!(fixture.refresh(&refresh_text(&reused)).await.is_err());
    assert_eq!(why(&reused).await, Some(RevokeReason::Reuse));

    let gone = fixture.login("gone").await;
    let (tokens, text) = (fixture.tokens.clone().users(Users { later: false }), refresh_text(&gone));
    assert!(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await.is_err());
    assert_eq!(why(&gone).await, Some(RevokeReason::Inactive));
}

#[tokio::test]
async fn r007_the_tenant_must_match_whether_or_not_the_store_is_slow() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        for issued_for in [None, Some("red")] {
            let options = issued_for
                .map_or_else(IssueOptions::default, |tenant| IssueOptions::default().tenant(tenant));
            let issued = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
            for tenant in [None, Some("red"), Some("blue"), Some("")] {
                let credential = Credential::header(issued.access().expose(), "Bearer");
                let mut attempt = Attempt::new(credential, fixture.time.now());
                if let Some(tenant) = tenant {
                    attempt = attempt.with_tenant(tenant);
                }
                let found = Verify::verify(&fixture.tokens, &attempt).wait().await;
                assert_eq!(found.is_ok(), tenant == issued_for, "{mode:?} {issued_for:?} as {tenant:?}");
            }
        }
    }
}

/// Through the service itself: every id and every secret is drawn anew.
#[tokio::test]
async fn r013_no_two_logins_or_rotations_share_a_text() {
    let fixture = fixture();
    let (mut ids, mut parts) = (HashSet::new(), HashSet::new());
    for _ in 0..2_000 {
        let login = fixture.login("ada").await;
        let next = fixture.refresh(&refresh_text(&login)).await.unwrap();
        assert!(ids.insert(login.record().id()));
        for issued in [&login, &next] {
            let (access, refresh) = (issued.access().expose(), refresh_text(issued));
            assert!(parts.insert(access[21..64].to_owned()), "an access secret came twice");
            assert!(parts.insert(refresh[27..70].to_owned()), "a refresh secret came twice");
            assert!(parts.insert(refresh[70..92].to_owned()), "a tag came twice");
        }
    }
}

/// The epoch alone ends a login, marked or not; and a subject that has lost its epoch has lost its logins.
#[tokio::test]
async fn r048_a_login_of_another_epoch_is_dead() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    for mode in [Mode::NextEpoch, Mode::NoEpoch] {
        fixture.store.set(mode);
        assert_eq!(fixture.verify(issued.access().expose()).await, Err(Reason::EpochChanged), "{mode:?}");
        let refused = fixture.refresh(&refresh_text(&issued)).await;
        assert_eq!(refused.map(|_| ()), Err(Reason::EpochChanged), "{mode:?}");
    }
    fixture.store.set(Mode::Now);
    fixture.verify(issued.access().expose()).await.unwrap();
    assert_eq!(fixture.store.record(&issued.record().id()).await.revoked(), None);
}

/// Users by id; `gone` is inactive, `broken` cannot be looked up.
struct Users {
    later: bool,
}

impl UserLookup for Users {
    type User = String;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<String>>, BoxError>> {
        let answer = match subject.id() {
            "gone" => Ok(None),
            "broken" => Err(BoxError::from("no database")),
            id => Ok(Some(Arc::new(id.to_uppercase()))),
        };
        if !self.later {
            return MaybeReady::Now(answer);
        }
        MaybeReady::later(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

#[tokio::test]
async fn r028_the_user_is_looked_up_and_inactive_ones_are_refused_everywhere() {
    for (later, mode) in [(false, Mode::Now), (true, Mode::Now), (false, Mode::Later), (true, Mode::Later)] {
        let fixture = fixture();
        fixture.store.set(mode);
        let tokens = fixture.tokens.clone().users(Users { later });
        let (ada, gone, broken) =
            (fixture.login("ada").await, fixture.login("gone").await, fixture.login("broken").await);
        assert_eq!(tokens.verify(ada.access().expose(), None).await.unwrap().identity().as_str(), "ADA");
        let refused = tokens.verify(gone.access().expose(), None).await;
        assert_eq!(invalid(refused).map(|_| ()), Err(Reason::InactiveUser));
        let unknown = tokens.verify(broken.access().expose(), None).await;
        assert!(matches!(unknown, Err(Refusal::Unavailable(_))));

        // A failed look-up revokes nothing; an inactive user's login ends.
        let refresh = refresh_text(&broken);
        let unknown = tokens.refresh(RefreshRequest::new(&refresh, Channel::Header)).await;
        assert!(matches!(unknown, Err(Refusal::Unavailable(_))));
        assert_eq!(fixture.store.record(&broken.record().id()).await.revoked(), None);
        let refresh = refresh_text(&gone);
        let refused = tokens.refresh(RefreshRequest::new(&refresh, Channel::Header)).await;
        assert_eq!(invalid(refused).map(|_| ()), Err(Reason::InactiveUser));
        assert!(fixture.store.record(&gone.record().id()).await.revoked().is_some());
    }
}

#[tokio::test]
async fn r015_every_hash_verifies_and_changing_it_logs_nobody_out() {
    let fixture = fixture();
    let mut logins = Vec::new();
    for hash in [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
        let policy = TokenPolicy::builder().hash(hash).build().unwrap();
        let tokens = TokenService::new(fixture.store.clone(), policy).clock(fixture.time.clock());
        logins.push(tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap());
        for login in &logins {
            tokens.verify(login.access().expose(), None).await.unwrap();
        }
    }
    for login in &logins {
        let next = fixture.refresh(&refresh_text(login)).await.unwrap();
        fixture.verify(next.access().expose()).await.unwrap();
    }
}

#[tokio::test]
async fn a_pepper_key_is_rolled_out_promoted_and_retired() {
    let fixture = fixture();
    let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
    let with = |ring: KeyRing| fixture.tokens.clone().pepper(ring);
    let issue = |tokens: TokenService| async move {
        tokens.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap()
    };
    let plain = fixture.login("ada").await;
    let peppered = issue(with(KeyRing::new(old.clone()))).await;
    let text = peppered.access().expose();

    // No ring, or one that has never heard of the key: could not check, and an event.
    assert!(matches!(fixture.tokens.verify(text, None).await, Err(Refusal::Unavailable(_))));
    let stranger = with(KeyRing::new(new.clone()));
    assert!(matches!(stranger.verify(text, None).await, Err(Refusal::Unavailable(_))));
    assert_eq!(fixture.events.count("unknown_key"), 2);

    // Promoted: both kinds verify, a refresh moves to the new key, and its repeat still works.
    let promoted = with(KeyRing::new(new.clone()).verify_only(old.clone()));
    promoted.verify(text, None).await.unwrap();
    promoted.verify(plain.access().expose(), None).await.unwrap();
    let refresh = refresh_text(&peppered);
    let next = promoted.refresh(RefreshRequest::new(&refresh, Channel::Header)).await.unwrap();
    let repeat = promoted.refresh(RefreshRequest::new(&refresh, Channel::Header)).await.unwrap();
    assert_eq!(next.access().expose(), repeat.access().expose());

    // Retired: what still names it is invalid, the rest lives.
    let retired = with(KeyRing::new(new).retire(old.id()));
    let left_behind = issue(with(KeyRing::new(old))).await;
    let refused = retired.verify(left_behind.access().expose(), None).await;
    assert_eq!(invalid(refused).map(|_| ()), Err(Reason::RetiredKey));
    retired.verify(next.access().expose(), None).await.unwrap();
}

#[test]
fn r053_a_policy_names_all_its_faults_at_once() {
    let error = TokenPolicy::builder()
        .brand("Not A Brand")
        .access_ttl(Some(secs(10)))
        .refresh_ttl(Some(secs(5)))
        .absolute(Some(secs(3)))
        .grace(secs(301))
        .unconfirmed(secs(24 * 3600 + 1))
        .build()
        .unwrap_err();
    let fields: Vec<&str> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["brand", "access_ttl", "access_ttl", "refresh_ttl", "grace", "unconfirmed"]);
    for ttl in [std::time::Duration::ZERO, std::time::Duration::from_micros(1)] {
        assert!(TokenPolicy::builder().access_ttl(Some(ttl)).build().is_err());
    }
    assert!(TokenPolicy::builder().access_ttl(None).build().is_err());
    assert!(TokenPolicy::builder().access_ttl(None).refresh_ttl(None).absolute(None).build().is_ok());
}

/// No other spelling, no weaker hash, and none of those whose length is for the asking.
#[cfg(feature = "config")]
#[test]
fn r015_a_hash_is_chosen_by_one_spelling_and_nothing_else_is_one() {
    use portcullis::{TokenPolicy, settings::Settings};

    let build =
        |hash: &str| TokenPolicy::builder().settings(Settings::from_vars("", [("HASH", hash)])).build();
    for hash in ["sha256", "sha384", "sha512"] {
        let policy = build(hash).unwrap();
        assert!(policy.describe().lines().any(|line| line == ("hash", hash)));
    }
    for hash in
        ["SHA256", "Sha256", "sha-256", "sha256 ", "sha1", "md5", "shake_128", "shake_256", "blake2b", ""]
    {
        let error = build(hash).unwrap_err();
        let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
        assert_eq!(fields, ["hash"], "{hash:?}");
    }
}
