//! Lists of logins, and the ways to end one, some, or all of them.

use std::{collections::HashSet, sync::Arc};

use portcullis::{
    TokenPolicy,
    credential::Channel,
    identity::Subject,
    problem::Reason,
    store::{LiveLimit, LoginRecord},
    text::TokenId,
    token::{IssueOptions, Issued, LoginQuery, LoginState},
    verify::Refusal,
};

use crate::support::{Fixture, Mode, fixture, fixture_with, refresh_text, secs};

const DAY: u64 = 24 * 3600;

fn ada() -> Subject {
    Subject::local("ada")
}

async fn alive(fixture: &Fixture, login: &Issued) -> bool {
    fixture.verify(login.access().expose()).await.is_ok()
}

async fn ids(fixture: &Fixture, query: LoginQuery) -> HashSet<TokenId> {
    let page = fixture.tokens.logins(query).await.unwrap();
    assert!(page.next.is_none());
    assert!(page.logins.is_sorted_by_key(|login| login.id()));
    page.logins.iter().map(|login| login.id()).collect()
}

fn set<'a>(logins: impl IntoIterator<Item = &'a Issued>) -> HashSet<TokenId> {
    logins.into_iter().map(|login| login.record().id()).collect()
}

#[tokio::test]
async fn r209_a_user_lists_names_and_ends_devices() {
    let fixture = fixture();
    let phone = fixture.tokens.issue_for_header(ada(), IssueOptions::default().label("phone")).await.unwrap();
    fixture.time.advance(secs(60));
    let laptop = fixture.cookie_login("ada").await;
    let stranger = fixture.login("eve").await;
    assert_eq!(ids(&fixture, LoginQuery::of(ada())).await, set([&phone, &laptop]));

    let label = async |login: &Issued, text: Option<&str>| {
        fixture.tokens.set_label(&ada(), &login.record().id(), text).await
    };
    assert!(label(&laptop, Some("laptop")).await.unwrap());
    let listed = fixture.tokens.logins(LoginQuery::of(ada())).await.unwrap().logins;
    let mut shown: Vec<_> = listed.iter().map(|login| (login.created(), login.label().unwrap())).collect();
    shown.sort_unstable();
    let start = phone.record().created();
    assert_eq!(shown, [(start, "phone"), (start.plus(secs(60)), "laptop")]);
    assert!(label(&laptop, None).await.unwrap());
    assert_eq!(fixture.store.record(&laptop.record().id()).await.label(), None);

    // Others' devices are neither named nor ended.
    let before = fixture.store.record(&stranger.record().id()).await;
    assert!(!label(&stranger, Some("mine")).await.unwrap());
    assert!(!fixture.tokens.revoke_of(&ada(), &stranger.record().id()).await.unwrap());
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&stranger.record().id()).await));
    for bad in ["", "a\nb", &"x".repeat(257)] {
        assert!(label(&laptop, Some(bad)).await.is_err());
    }
    assert!(label(&laptop, Some(&"x".repeat(256))).await.unwrap());

    assert!(fixture.tokens.revoke_of(&ada(), &phone.record().id()).await.unwrap());
    assert!(!alive(&fixture, &phone).await && alive(&fixture, &laptop).await);
    assert!(!label(&phone, Some("ended")).await.unwrap());
    assert_eq!(ids(&fixture, LoginQuery::of(ada())).await, set([&laptop]));
}

#[tokio::test]
async fn r049_each_list_holds_what_its_name_says() {
    let fixture = fixture();
    let forever = || IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let short = || IssueOptions::default().refresh_ttl(None);
    let issue = async |options| fixture.tokens.issue_for_header(ada(), options).await.unwrap();
    let (refreshable, expired, endless) =
        (issue(IssueOptions::default()).await, issue(short()).await, issue(forever()).await);
    let (revoked, revoked_expired) = (issue(forever()).await, issue(short()).await);
    fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
    fixture.tokens.revoke(&revoked_expired.record().id()).await.unwrap();
    let bob = fixture.login("bob").await;
    fixture.time.advance(secs(DAY - 60));
    let active = fixture.login("ada").await;

    let of = |state| LoginQuery::of(ada()).state(state);
    // One millisecond before the day is over, and at the very moment: no login falls between two lists.
    for (at_end, millis) in [(false, 59_999), (true, 1)] {
        fixture.time.advance(std::time::Duration::from_millis(millis));
        let ended: &[&Issued] = &[&refreshable, &expired];
        let still =
            |list: &[&Issued]| set(list.iter().copied().chain(ended.iter().copied().filter(|_| !at_end)));
        assert_eq!(ids(&fixture, of(LoginState::Active)).await, still(&[&endless, &active]));
        assert_eq!(ids(&fixture, of(LoginState::Refreshable)).await, set([&refreshable, &active]));
        let live = if at_end { set([&endless, &active, &refreshable]) } else { still(&[&endless, &active]) };
        assert_eq!(ids(&fixture, of(LoginState::Live)).await, live);
        assert_eq!(ids(&fixture, LoginQuery::of(ada())).await, live);
        let over = if at_end { set([&expired]) } else { HashSet::new() };
        assert_eq!(ids(&fixture, of(LoginState::Expired)).await, over);
        assert_eq!(ids(&fixture, of(LoginState::Revoked)).await, set([&revoked, &revoked_expired]));
        let all = set([&refreshable, &expired, &endless, &revoked, &revoked_expired, &active]);
        assert_eq!(ids(&fixture, of(LoginState::Any)).await, all);
        let everyone = all.union(&set([&bob])).copied().collect();
        assert_eq!(ids(&fixture, LoginQuery::everyone().state(LoginState::Any)).await, everyone);
        // What a list calls active verifies, and nothing else does.
        for login in [&refreshable, &expired, &endless, &revoked, &revoked_expired, &active] {
            let listed = ids(&fixture, of(LoginState::Active)).await.contains(&login.record().id());
            assert_eq!(listed, alive(&fixture, login).await);
        }
    }
    assert!(ids(&fixture, LoginQuery::of(Subject::local("nobody"))).await.is_empty());
    fixture.store.set(Mode::Down);
    assert!(fixture.tokens.logins(LoginQuery::of(ada())).await.is_err());
}

#[tokio::test]
async fn r049_pages_hold_every_login_once() {
    let fixture = fixture();
    let mut expected = HashSet::new();
    for number in 0..700 {
        let login = fixture.login(if number % 2 == 0 { "ada" } else { "bob" }).await;
        if number % 7 == 0 {
            fixture.tokens.revoke(&login.record().id()).await.unwrap();
        } else {
            expected.insert(login.record().id());
        }
    }
    for limit in [0, 1, 99, 256, 600, 5_000] {
        let (mut seen, mut query) = (Vec::<Arc<LoginRecord>>::new(), LoginQuery::everyone().limit(limit));
        loop {
            let page = fixture.tokens.logins(query.clone()).await.unwrap();
            assert!(page.logins.len() <= limit.clamp(1, 1_000));
            seen.extend(page.logins);
            let Some(next) = page.next else { break };
            query = query.after(next);
        }
        assert_eq!(seen.len(), expected.len());
        assert_eq!(seen.iter().map(|login| login.id()).collect::<HashSet<_>>(), expected, "limit {limit}");
        assert!(seen.is_sorted_by_key(|login| login.id()));
    }
}

// ===== ending =====

#[tokio::test]
async fn r048_others_end_and_the_kept_one_goes_on_as_it_is() {
    let fixture = fixture();
    let (keep, other, cookie) =
        (fixture.login("ada").await, fixture.login("ada").await, fixture.cookie_login("ada").await);
    let bob = fixture.login("bob").await;
    let before = fixture.store.record(&keep.record().id()).await;
    assert_eq!(fixture.tokens.revoke_others(&ada(), &keep.record().id()).await.unwrap(), 2);
    assert!(!alive(&fixture, &other).await && !alive(&fixture, &cookie).await);
    assert!(alive(&fixture, &keep).await && alive(&fixture, &bob).await);
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&keep.record().id()).await));
    assert_eq!(fixture.tokens.revoke_others(&ada(), &keep.record().id()).await.unwrap(), 0);
    fixture.refresh(&refresh_text(&keep)).await.unwrap();
    // The id of somebody else's login keeps nothing.
    assert_eq!(fixture.tokens.revoke_others(&ada(), &bob.record().id()).await.unwrap(), 1);
    assert!(!alive(&fixture, &keep).await && alive(&fixture, &bob).await);
}

#[tokio::test]
async fn r048_the_logins_of_nobody_and_of_no_known_browser_are_none() {
    let fixture = fixture();
    let login = fixture.login("ada").await;
    for subject in [Subject::anonymous("ada"), Subject::local("nobody"), Subject::of("https://x.test", "ada")]
    {
        assert_eq!(fixture.tokens.revoke_subject(&subject).await.unwrap(), 0);
        assert_eq!(fixture.tokens.revoke_others(&subject, &login.record().id()).await.unwrap(), 0);
    }
    assert!(alive(&fixture, &login).await);
    assert_eq!(fixture.events.count("authn_token_revoked"), 0);
}

#[tokio::test]
async fn r048_everyones_logins_end_and_those_issued_afterwards_live() {
    let fixture = fixture();
    let mut logins = Vec::new();
    for number in 0..3_000 {
        logins.push(fixture.login(&format!("user-{}", number % 1_000)).await);
    }
    let revoked = fixture.login("user-0").await;
    fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
    assert_eq!(fixture.tokens.revoke_everyone().await.unwrap(), 3_000);
    let fresh = [fixture.login("user-0").await, fixture.login("new").await];
    for login in &logins {
        assert_eq!(fixture.verify(login.access().expose()).await, Err(Reason::Revoked));
        assert_eq!(fixture.refresh(&refresh_text(login)).await.map(|_| ()), Err(Reason::Revoked));
    }
    for login in &fresh {
        assert!(alive(&fixture, login).await);
        fixture.refresh(&refresh_text(login)).await.unwrap();
    }
    let live = fixture.tokens.logins(LoginQuery::everyone().limit(1_000)).await.unwrap().logins;
    assert_eq!(live.len(), 2);
}

/// Logins arrive while everybody's end is being marked: each is ended as a whole or lives as a whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r048_logins_during_everyones_end_live_or_die_as_a_whole() {
    let fixture = Arc::new(fixture());
    for number in 0..3_000 {
        fixture.login(&format!("user-{number}")).await;
    }
    let arriving: Vec<_> = (0..3)
        .map(|task| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                let mut logins = Vec::new();
                for number in 0..300 {
                    let user = Subject::local(format!("user-{}", number * 7 + task));
                    logins
                        .push(fixture.tokens.issue_for_header(user, IssueOptions::default()).await.unwrap());
                    tokio::task::yield_now().await;
                }
                logins
            })
        })
        .collect();
    fixture.tokens.revoke_everyone().await.unwrap();
    for task in arriving {
        for login in task.await.unwrap() {
            let lives = alive(&fixture, &login).await;
            let marked = fixture.store.record(&login.record().id()).await.revoked().is_some();
            assert_eq!(lives, !marked);
            assert_eq!(fixture.refresh(&refresh_text(&login)).await.is_ok(), lives);
        }
    }
}

#[tokio::test]
async fn r047_a_logout_needs_the_secret_and_works_after_the_end() {
    let fixture = fixture();
    let (login, cookie) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let before = fixture.store.record(&login.record().id()).await;
    let out = |text: String, channel| {
        let tokens = fixture.tokens.clone();
        async move { tokens.logout(&text, channel).await.unwrap() }
    };
    let text = login.access().expose().to_owned();
    let other = fixture.login("eve").await;
    // Her id with a secret of mine: a well-formed text whose check fits is made inside the crate's own tests.
    for forged in [
        String::new(),
        "pc_a".to_owned(),
        format!("{}{}", &text[..21], &other.access().expose()[21..]),
        format!("{}{}", &refresh_text(&login)[..21], &refresh_text(&other)[21..]),
    ] {
        assert!(!out(forged, Channel::Header).await);
    }
    assert!(!out(text.clone(), Channel::Cookie).await, "it came on the other channel");
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&login.record().id()).await));

    fixture.time.advance(secs(2 * DAY));
    assert_eq!(fixture.verify(&text).await, Err(Reason::Expired));
    assert!(out(text.clone(), Channel::Header).await);
    assert_eq!(fixture.refresh(&refresh_text(&login)).await.map(|_| ()), Err(Reason::Revoked));
    assert!(out(text, Channel::Header).await, "and may be repeated");
    assert!(fixture.store.record(&cookie.record().id()).await.revoked().is_none());

    fixture.store.set(Mode::Down);
    let unknown = fixture.tokens.logout(cookie.access().expose(), Channel::Cookie).await;
    assert!(matches!(unknown, Err(Refusal::Unavailable(_))));
}

#[tokio::test]
async fn r047_a_login_ends_on_every_node_and_for_every_way_in() {
    let fixture = fixture_with(TokenPolicy::default());
    let node = portcullis::TokenService::new(fixture.store.clone(), TokenPolicy::default())
        .clock(fixture.time.clock());
    let first = fixture.login("ada").await;
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    fixture.tokens.revoke(&first.record().id()).await.unwrap();
    assert!(node.verify(second.access().expose(), None).await.is_err());
    // The repeat of a lost answer is refused as well, and is no reuse.
    assert_eq!(fixture.refresh(&refresh_text(&first)).await.map(|_| ()), Err(Reason::Revoked));
    assert_eq!(fixture.refresh(&refresh_text(&second)).await.map(|_| ()), Err(Reason::Revoked));
    assert!(fixture.events.incidents().is_empty());
}

/// What a request costs does not grow with what its user has left behind.
#[tokio::test]
async fn r049_a_request_looks_at_one_record_however_many_have_ended() {
    let fixture = fixture();
    for _ in 0..500 {
        let login = fixture.login("ada").await;
        fixture.tokens.revoke(&login.record().id()).await.unwrap();
    }
    let login = fixture.login("ada").await;
    let (finds, writes, len) = (fixture.store.finds(), fixture.store.writes(), fixture.store.memory.len());
    fixture.verify(login.access().expose()).await.unwrap();
    assert_eq!((fixture.store.finds() - finds, fixture.store.writes() - writes), (1, 0));
    assert_eq!(fixture.store.memory.len(), len);
}

/// A subject is one user over all tenants; where tenants number their users alike, the issuer is the tenant.
#[tokio::test]
async fn sec_i08_devices_and_their_ends_go_by_the_subject_and_tenants_with_numbers_of_their_own_are_issuers()
{
    let subject = |issuer: Option<&str>| match issuer {
        None => Subject::local("7"),
        Some(issuer) => Subject::of(issuer, "7"),
    };
    for (issuers, apart) in [
        ([None, None], false),
        ([Some("https://idp.example"), Some("https://idp.example")], false),
        ([Some("https://red.example"), Some("https://blue.example")], true),
    ] {
        let fixture = fixture();
        let issue = async |at: usize| {
            let options = IssueOptions::default().tenant(["red", "blue"][at]);
            fixture.tokens.issue_for_header(subject(issuers[at]), options).await.unwrap()
        };
        let (red, blue) = (issue(0).await, issue(1).await);
        let red_subject = subject(issuers[0]);
        let devices = fixture.tokens.logins(LoginQuery::of(red_subject.clone())).await.unwrap().logins;
        assert_eq!(devices.len(), if apart { 1 } else { 2 }, "{issuers:?}");
        let blue_id = blue.record().id();
        let named = fixture.tokens.set_label(&red_subject, &blue_id, Some("mine")).await.unwrap();
        assert_eq!(named, !apart);
        let ended = fixture.tokens.revoke_subject(&red_subject).await.unwrap();
        assert_eq!(ended, if apart { 1 } else { 2 });
        assert!(fixture.store.record(&red.record().id()).await.revoked().is_some());
        assert_eq!(fixture.store.record(&blue_id).await.revoked().is_none(), apart, "{issuers:?}");
    }
    // So does a single login.
    let fixture = fixture_with(TokenPolicy::builder().limit(LiveLimit::EndOldest(1)).build().unwrap());
    let issue =
        async |subject: Subject| fixture.tokens.issue_for_header(subject, IssueOptions::default()).await;
    let red = issue(Subject::of("https://red.example", "7")).await.unwrap();
    let blue = issue(Subject::of("https://blue.example", "7")).await.unwrap();
    assert!(alive(&fixture, &red).await && alive(&fixture, &blue).await);
    issue(Subject::of("https://red.example", "7")).await.unwrap();
    assert!(!alive(&fixture, &red).await && alive(&fixture, &blue).await);
}
