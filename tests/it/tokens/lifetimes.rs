//! Lifetimes of a single login.

use std::{error::Error as _, time::Duration};

use portcullis::{
    TokenPolicy, TokenService,
    clock::Timestamp,
    error::ConfigError,
    identity::Subject,
    problem::Reason,
    store::{DATA_MAX, HashAlgorithm, LiveLimit, MemoryStore},
    token::{IssueError, IssueErrorKind, IssueOptions, Issued},
};

use super::{DAY, MILLI};
use crate::support::{Fixture, START, fixture, refresh_text, secs};

pub(super) async fn issue(fixture: &Fixture, options: IssueOptions) -> Result<Issued, IssueError> {
    fixture.tokens.issue_for_header(Subject::local("ada"), options).await
}

/// The fields that were found at fault, in order.
pub(super) fn fields(error: &IssueError) -> Vec<&'static str> {
    assert_eq!(error.kind(), IssueErrorKind::Options);
    let faults = error.source().unwrap().downcast_ref::<ConfigError>().unwrap().faults();
    faults.iter().map(|fault| fault.field()).collect()
}

#[tokio::test]
async fn r018_a_login_may_have_lifetimes_of_its_own_and_keeps_them() {
    let fixture = fixture();
    let options = || {
        IssueOptions::default()
            .access_ttl(Some(secs(60)))
            .refresh_ttl(Some(secs(300)))
            .absolute(Some(secs(900)))
    };
    let (own, other) = (issue(&fixture, options()).await.unwrap(), fixture.login("ada").await);
    assert_eq!(own.expires_in(), Some(secs(60)));
    assert_eq!(own.refresh_expires_in(), Some(secs(300)));
    assert_eq!(own.record().absolute_expires(), START.plus(secs(900)));
    assert_eq!(other.expires_in(), Some(DAY));

    fixture.time.advance(secs(60) - MILLI);
    fixture.verify(own.access().expose()).await.unwrap();
    fixture.time.advance(MILLI);
    assert_eq!(fixture.verify(own.access().expose()).await, Err(Reason::Expired));
    fixture.verify(other.access().expose()).await.unwrap();

    // A refresh starts the same lifetimes anew, cut at the same absolute end.
    let mut next = fixture.refresh(&refresh_text(&own)).await.unwrap();
    assert_eq!((next.expires_in(), next.refresh_expires_in()), (Some(secs(60)), Some(secs(300))));
    for _ in 0..3 {
        fixture.time.advance(secs(270));
        next = fixture.refresh(&refresh_text(&next)).await.unwrap();
    }
    assert_eq!((next.expires_in(), next.refresh_expires_in()), (Some(secs(30)), Some(secs(30))));
    fixture.time.advance(secs(30));
    assert_eq!(fixture.verify(next.access().expose()).await, Err(Reason::Expired));
    assert_eq!(fixture.refresh(&refresh_text(&next)).await.map(|_| ()), Err(Reason::Expired));
    fixture.verify(other.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r018_zero_is_a_fault_and_not_the_default() {
    let fixture = fixture();
    for zero in [Duration::ZERO, Duration::from_micros(999)] {
        let access = IssueOptions::default().access_ttl(Some(zero));
        assert_eq!(fields(&issue(&fixture, access).await.unwrap_err()), ["access_ttl"]);
        let refresh = IssueOptions::default().refresh_ttl(Some(zero));
        assert_eq!(fields(&issue(&fixture, refresh).await.unwrap_err()), ["refresh_ttl", "access_ttl"]);
        let absolute = IssueOptions::default().absolute(Some(zero));
        let expected = ["absolute", "access_ttl", "refresh_ttl"];
        assert_eq!(fields(&issue(&fixture, absolute).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn r018_an_access_token_must_end_before_its_refresh_token() {
    let fixture = fixture();
    for access in [secs(300), secs(301)] {
        let options = IssueOptions::default().access_ttl(Some(access)).refresh_ttl(Some(secs(300)));
        assert_eq!(fields(&issue(&fixture, options).await.unwrap_err()), ["access_ttl"]);
    }
    let options = IssueOptions::default().access_ttl(Some(secs(300) - MILLI)).refresh_ttl(Some(secs(300)));
    issue(&fixture, options).await.unwrap();
}

#[tokio::test]
async fn r018_options_name_all_their_faults_at_once_and_issue_nothing() {
    let fixture = fixture();
    let options = IssueOptions::default()
        .access_ttl(Some(20 * DAY))
        .refresh_ttl(Some(10 * DAY))
        .label("a\nb")
        .context_of(&[1, 2, 3])
        .data(&"x".repeat(DATA_MAX));
    let error = issue(&fixture, options).await.unwrap_err();
    let expected = ["access_ttl", "access_ttl", "refresh_ttl", "label", "context", "data"];
    assert_eq!(fields(&error), expected);
    assert!(fixture.store.memory.is_empty());
    assert!(fixture.events.all().is_empty());
    // What was refused is nobody's to read in a log.
    assert!(!format!("{error} {error:?}").contains("xxx"));
}

#[tokio::test]
async fn r019_a_token_without_an_end_never_ends() {
    let fixture = fixture();
    let forever = || IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let login = issue(&fixture, forever()).await.unwrap();
    assert!(login.refresh().is_none());
    assert_eq!((login.expires_in(), login.refresh_expires_in()), (None, None));
    assert_eq!(login.record().access_expires(), Timestamp::NEVER);
    fixture.time.advance(36_500 * DAY);
    let verified = fixture.tokens.verify(login.access().expose(), None).await.unwrap();
    assert_eq!(verified.evidence().expires(), Timestamp::NEVER);
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 0);
    fixture.time.set(Timestamp::from_millis(i64::MAX - 1));
    fixture.verify(login.access().expose()).await.unwrap();
    assert_eq!(fixture.tokens.purge(100).await.unwrap(), 0);

    // Under a ceiling it is a fault, not cut in silence.
    let error =
        issue(&fixture, IssueOptions::default().access_ttl(None).refresh_ttl(None)).await.unwrap_err();
    assert_eq!(fields(&error), ["access_ttl"]);
    // Nor can an access token outlive its refresh token.
    let error = issue(&fixture, IssueOptions::default().access_ttl(None).absolute(None)).await.unwrap_err();
    assert_eq!(fields(&error), ["access_ttl"]);
}

#[tokio::test]
async fn r019_without_a_ceiling_refreshes_go_on_for_years() {
    let fixture = fixture();
    let mut login = issue(&fixture, IssueOptions::default().absolute(None)).await.unwrap();
    for _ in 0..200 {
        fixture.time.advance(6 * DAY);
        login = fixture.refresh(&refresh_text(&login)).await.unwrap();
        assert_eq!((login.expires_in(), login.refresh_expires_in()), (Some(DAY), Some(7 * DAY)));
    }
    fixture.time.advance(7 * DAY);
    assert_eq!(fixture.refresh(&refresh_text(&login)).await.map(|_| ()), Err(Reason::Expired));
}

#[tokio::test]
async fn r019_a_login_without_a_refresh_token_cannot_be_refreshed() {
    let fixture = fixture();
    let login = issue(&fixture, IssueOptions::default().refresh_ttl(None)).await.unwrap();
    assert!(login.refresh().is_none() && login.refresh_expires_in().is_none());
    // The access text is no refresh text, whatever it calls itself.
    let text = login.access().expose();
    for text in [text.to_owned(), text.replacen("_a", "_r", 1)] {
        assert_eq!(fixture.refresh(&text).await.map(|_| ()), Err(Reason::Malformed));
    }
}

#[test]
fn r053_sliding_names_what_it_lacks() {
    let faults = |policy: portcullis::token::TokenPolicyBuilder| {
        let error = policy.build().unwrap_err();
        error.faults().iter().map(|fault| fault.field()).collect::<Vec<_>>()
    };
    let builder = TokenPolicy::builder;
    assert_eq!(faults(builder().sliding()), ["refresh_ttl"]);
    assert_eq!(faults(builder().refresh_ttl(None).sliding_with_refresh()), ["refresh_ttl"]);
    assert_eq!(faults(builder().refresh_ttl(None).absolute(None).sliding()), ["absolute"]);
    let endless = builder().access_ttl(None).refresh_ttl(None).absolute(None).sliding();
    assert_eq!(faults(endless), ["absolute", "access_ttl"]);
    for interval in [None, Some(12 * secs(3600) + MILLI)] {
        assert_eq!(faults(builder().refresh_ttl(None).sliding().touch_every(interval)), ["touch_every"]);
    }
    let everything = builder()
        .brand("")
        .older_brand("Ü")
        .access_ttl(None)
        .refresh_ttl(Some(Duration::ZERO))
        .absolute(Some(secs(1)))
        .sliding()
        .touch_every(None)
        .grace(secs(301))
        .unconfirmed(DAY + MILLI)
        .limit(LiveLimit::Refuse(0));
    let expected = [
        "brand",
        "brand",
        "refresh_ttl",
        "access_ttl",
        "access_ttl",
        "access_ttl",
        "refresh_ttl",
        "touch_every",
        "grace",
        "unconfirmed",
        "limit",
    ];
    assert_eq!(faults(everything), expected);
    assert_eq!(faults(builder().limit(LiveLimit::EndOldest(0))), ["limit"]);
}

/// Two services in one process: no setting of the one reaches the other.
#[tokio::test]
async fn r053_differently_configured_services_do_not_disturb_each_other() {
    let store = MemoryStore::new();
    let policy = |brand: &str, ttl, hash| {
        TokenPolicy::builder().brand(brand).access_ttl(Some(secs(ttl))).hash(hash).build().unwrap()
    };
    let one = TokenService::new(store.clone(), policy("one", 60, HashAlgorithm::Sha256));
    let two = TokenService::new(store, policy("two", 600, HashAlgorithm::Sha512));
    for _ in 0..3 {
        let (mine, yours) = tokio::join!(
            one.issue_for_header(Subject::local("ada"), IssueOptions::default()),
            two.issue_for_header(Subject::local("ada"), IssueOptions::default()),
        );
        let (mine, yours) = (mine.unwrap(), yours.unwrap());
        assert_eq!((mine.expires_in(), yours.expires_in()), (Some(secs(60)), Some(secs(600))));
        one.verify(mine.access().expose(), None).await.unwrap();
        two.verify(yours.access().expose(), None).await.unwrap();
        assert!(one.verify(yours.access().expose(), None).await.is_err(), "another brand");
        assert!(two.verify(mine.access().expose(), None).await.is_err(), "another brand");
    }
}
