//! What is purged, and what is kept for those who ask later.

use std::{sync::Arc, time::Duration};

use portcullis::{
    TokenPolicy, TokenService,
    clock::Timestamp,
    credential::Channel,
    error::BoxError,
    event::RevokeReason,
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    store::{LiveLimit, TokenStore},
    text::TokenId,
    token::{IssueOptions, Issued, LoginQuery, LoginState, RefreshRequest},
    verify::UserLookup,
};

use crate::support::{Fixture, Mode, START, fixture, fixture_with, refresh_text, secs};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MILLI: Duration = Duration::from_millis(1);

async fn is_there(fixture: &Fixture, id: &TokenId) -> bool {
    fixture.store.memory.find(id).wait().await.unwrap().is_some()
}

#[tokio::test]
async fn r049_a_purge_takes_what_is_past_both_lives_and_says_how_many() {
    let fixture = fixture();
    let issue =
        async |options| fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let idle = issue(IssueOptions::default()).await;
    let short = issue(IssueOptions::default().refresh_ttl(None)).await;
    let endless = issue(IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None)).await;
    let bob = fixture.login("bob").await;

    fixture.time.advance(DAY - MILLI);
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 0);
    fixture.time.advance(MILLI);
    // The access token of the idle one has ended, too; its refresh token has not.
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 1);
    assert!(!is_there(&fixture, &short.record().id()).await && is_there(&fixture, &idle.record().id()).await);
    fixture.refresh(&refresh_text(&idle)).await.unwrap();
    fixture.time.set(START.plus(7 * DAY));
    assert_eq!(fixture.tokens.purge_subject(&Subject::local("ada"), 100).await.unwrap(), 1);
    assert!(is_there(&fixture, &bob.record().id()).await, "another user's is left");
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 1);
    assert_eq!(fixture.tokens.purge_subject(&Subject::local("nobody"), 100).await.unwrap(), 0);
    fixture.time.advance(36_500 * DAY);
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 0);
    assert!(is_there(&fixture, &endless.record().id()).await);
    assert_eq!(fixture.events.count("authn_token_delete"), 3, "purges that found something");
}

#[tokio::test]
async fn r049_a_purge_stops_at_its_limit_and_goes_on_when_called_again() {
    let fixture = fixture();
    for number in 0..25 {
        fixture.login(if number % 2 == 0 { "ada" } else { "bob" }).await;
    }
    fixture.time.advance(7 * DAY);
    let living = fixture.login("ada").await;
    assert_eq!(fixture.tokens.purge_subject(&Subject::local("bob"), 5).await.unwrap(), 5);
    let mut counts = Vec::new();
    loop {
        counts.push(fixture.tokens.purge(8).await.unwrap());
        if *counts.last().unwrap() < 8 {
            break;
        }
    }
    assert_eq!(counts, [8, 8, 4]);
    assert_eq!(fixture.store.memory.len(), 1);
    fixture.verify(living.access().expose()).await.unwrap();
}

/// A purge wipes what a repeat would be made of only where no repeat is possible any more.
#[tokio::test]
async fn r049_a_purge_takes_no_lost_answer_away() {
    let fixture = fixture();
    let (first, second) = {
        let first = fixture.login("ada").await;
        let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
        (first, second)
    };
    fixture.time.advance(secs(3600));
    fixture.tokens.purge(100).await.unwrap();
    let repeat = fixture.refresh(&refresh_text(&first)).await.unwrap();
    assert_eq!(repeat.access(), second.access());
    fixture.verify(second.access().expose()).await.unwrap();
    // The first use has opened the short window once more.
    fixture.time.advance(secs(15));
    let before = fixture.store.record(&first.record().id()).await;
    fixture.tokens.purge(100).await.unwrap();
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&first.record().id()).await), "another tab may ask");
    fixture.time.advance(secs(15) + MILLI);
    fixture.tokens.purge(100).await.unwrap();
    assert!(!Arc::ptr_eq(&before, &fixture.store.record(&first.record().id()).await), "now it is wiped");
    // The verdict needs no nonce.
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Reuse));
}

#[tokio::test]
async fn r049_a_store_that_is_down_is_an_error_and_not_an_empty_purge() {
    let fixture = fixture();
    fixture.store.set(Mode::Down);
    assert!(fixture.tokens.purge(100).await.is_err());
    assert!(fixture.tokens.purge_subject(&Subject::local("ada"), 100).await.is_err());
}

// ===== kept for audit =====

/// `gone` is inactive.
struct Users;

impl UserLookup for Users {
    type User = Subject;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
        MaybeReady::Now(Ok((subject.id() != "gone").then(|| Arc::clone(subject))))
    }
}

fn audited(keep: Duration) -> Fixture {
    fixture_with(TokenPolicy::builder().keep_for_audit(keep).build().unwrap())
}

/// Ends a login of its own in every way there is, with the reason that must rest with it.
async fn ended_in_every_way(fixture: &Fixture) -> Vec<(Issued, RevokeReason)> {
    let tokens = fixture.tokens.clone().users(Users);
    let mut ended = Vec::new();
    let mut note = |login: &Issued, reason| ended.push((login.clone(), reason));

    let one = fixture.login("one").await;
    tokens.revoke(&one.record().id()).await.unwrap();
    note(&one, RevokeReason::Logout);
    let all = fixture.login("all").await;
    tokens.revoke_subject(&Subject::local("all")).await.unwrap();
    note(&all, RevokeReason::Logout);
    let (kept, other) = (fixture.login("others").await, fixture.login("others").await);
    tokens.revoke_others(&Subject::local("others"), &kept.record().id()).await.unwrap();
    note(&other, RevokeReason::Logout);
    let out = fixture.login("out").await;
    assert!(tokens.logout(out.access().expose(), Channel::Header).await.unwrap());
    note(&out, RevokeReason::Logout);

    let (current, other) = (fixture.login("password").await, fixture.login("password").await);
    tokens.change_credentials(&current.record().id()).await.unwrap();
    note(&other, RevokeReason::CredentialsChanged);

    let gone = fixture.login("gone").await;
    let text = refresh_text(&gone);
    assert!(tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await.is_err());
    note(&gone, RevokeReason::Inactive);

    let single = TokenPolicy::builder().keep_for_audit(Duration::MAX).limit(LiveLimit::EndOldest(1));
    let single =
        TokenService::new(fixture.store.clone(), single.build().unwrap()).clock(fixture.time.clock());
    let issue =
        async || single.issue_for_header(Subject::local("single"), IssueOptions::default()).await.unwrap();
    let first = issue().await;
    issue().await;
    note(&first, RevokeReason::Superseded);
    let browser = fixture.cookie_login("browser").await;
    let options = IssueOptions::default().replaces(browser.record().id());
    tokens.issue_for_header(Subject::local("upgraded"), options).await.unwrap();
    note(&browser, RevokeReason::Superseded);

    let stolen = fixture.login("stolen").await;
    let second = fixture.refresh(&refresh_text(&stolen)).await.unwrap();
    fixture.refresh(&refresh_text(&second)).await.unwrap();
    assert_eq!(fixture.refresh(&refresh_text(&stolen)).await.map(|_| ()), Err(Reason::Reuse));
    note(&stolen, RevokeReason::Reuse);

    let everyone = fixture.login("everyone").await;
    tokens.revoke_everyone().await.unwrap();
    note(&everyone, RevokeReason::Everyone);
    ended
}

#[tokio::test]
async fn r050_every_revocation_rests_with_its_time_and_reason_and_the_original_ends() {
    let fixture = audited(Duration::MAX);
    fixture.time.advance(secs(60));
    let ended = ended_in_every_way(&fixture).await;
    assert_eq!(ended.len(), 10);
    let (now, years) = (fixture.time.now(), 36_500 * DAY);
    for purged_after in [Duration::ZERO, 7 * DAY, years] {
        fixture.time.advance(purged_after);
        fixture.tokens.purge(1_000).await.unwrap();
        for (login, reason) in &ended {
            let (issued, record) = (login.record(), fixture.store.record(&login.record().id()).await);
            let revoked = record.revoked().unwrap_or_else(|| panic!("{reason:?}"));
            assert_eq!((revoked.at(), revoked.reason()), (now, *reason));
            assert_eq!(
                (record.created(), record.absolute_expires()),
                (issued.created(), issued.absolute_expires())
            );
            assert_eq!(record.access_expires(), issued.access_expires(), "{reason:?}");
            assert_eq!(record.refresh_expires(), issued.refresh_expires(), "{reason:?}");
        }
    }
    let listed =
        fixture.tokens.logins(LoginQuery::everyone().state(LoginState::Revoked)).await.unwrap().logins;
    for (login, _) in &ended {
        assert!(listed.iter().any(|found| found.id() == login.record().id()));
    }
}

#[tokio::test]
async fn r050_what_is_kept_authenticates_nobody() {
    let fixture = audited(Duration::MAX);
    let expired = fixture.login("expired").await;
    let ended = ended_in_every_way(&fixture).await;
    let refused = async |login: &Issued| {
        let text = login.access().expose();
        assert!(fixture.verify(text).await.is_err());
        let text = refresh_text(login);
        let channel = login.record().channel();
        let refreshed = fixture.tokens.refresh(RefreshRequest::new(&text, channel)).await;
        assert!(refreshed.is_err());
        assert!(fixture.tokens.rekey(&login.record().id()).await.is_err());
    };
    for (login, _) in &ended {
        refused(login).await;
    }
    fixture.time.advance(8 * DAY);
    refused(&expired).await;
    // Nor does a clock that is set back bring any of them to life but those that time alone had ended.
    fixture.time.set(START);
    for (login, _) in &ended {
        refused(login).await;
    }
}

#[tokio::test]
async fn r050_a_revocation_is_never_written_over() {
    let fixture = audited(Duration::MAX);
    let login = fixture.login("ada").await;
    let id = login.record().id();
    fixture.tokens.revoke(&id).await.unwrap();
    let first = fixture.store.record(&id).await;
    fixture.time.advance(secs(60));
    fixture.tokens.revoke(&id).await.unwrap();
    fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    fixture.tokens.revoke_everyone().await.unwrap();
    let options = IssueOptions::default().replaces(id);
    fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    assert!(Arc::ptr_eq(&first, &fixture.store.record(&id).await));
    let told = fixture.events.all();
    let of_login = |event: &&portcullis::event::Event| {
        event.name() == "authn_token_revoked" && event.record() == Some(id)
    };
    assert_eq!(told.iter().filter(of_login).count(), 1);
}

#[tokio::test]
async fn r050_records_are_kept_for_the_span_and_no_longer() {
    let fixture = audited(30 * DAY);
    let (revoked, expired) = (fixture.login("ada").await, fixture.login("ada").await);
    fixture.time.advance(DAY);
    fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
    for (login, end) in [(&revoked, DAY), (&expired, 7 * DAY)] {
        let id = login.record().id();
        fixture.time.set(START.plus(end + 30 * DAY - MILLI));
        assert_eq!(fixture.tokens.purge(100).await.unwrap(), 0);
        // A login of the same user does not take it away either.
        fixture.login("ada").await;
        assert!(is_there(&fixture, &id).await);
        fixture.time.advance(MILLI);
        assert_eq!(fixture.tokens.purge_subject(&Subject::local("ada"), 1).await.unwrap(), 1);
        assert!(!is_there(&fixture, &id).await);
    }
    // Without the option it is gone at the next purge.
    let fixture = audited(Duration::ZERO);
    let login = fixture.login("ada").await;
    fixture.tokens.revoke(&login.record().id()).await.unwrap();
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 1);
}

/// A policy that refuses everything from before a moment: what a restored backup has forgotten stays ended.
#[tokio::test]
async fn r050_logins_from_before_a_floor_are_invalid_everywhere() {
    let fixture = fixture();
    let old = fixture.login("ada").await;
    fixture.time.advance(secs(60));
    let floor = fixture.time.now();
    let new = fixture.login("ada").await;
    let policy = TokenPolicy::builder().issued_not_before(floor).build().unwrap();
    let tokens = TokenService::new(fixture.store.clone(), policy).clock(fixture.time.clock());
    for (login, lives) in [(&old, false), (&new, true)] {
        let before = fixture.store.record(&login.record().id()).await;
        assert_eq!(tokens.verify(login.access().expose(), None).await.is_ok(), lives);
        if !lives {
            assert!(tokens.rekey(&login.record().id()).await.is_err());
            assert!(tokens.change_credentials(&login.record().id()).await.is_err());
        }
        let text = refresh_text(login);
        let refreshed = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
        assert_eq!(refreshed.is_ok(), lives);
        if !lives {
            assert!(Arc::ptr_eq(&before, &fixture.store.record(&login.record().id()).await));
        }
    }
    let early = TokenPolicy::builder().issued_not_before(Timestamp::from_millis(0)).build().unwrap();
    let early = TokenService::new(fixture.store.clone(), early).clock(fixture.time.clock());
    early.verify(old.access().expose(), None).await.unwrap();
}
