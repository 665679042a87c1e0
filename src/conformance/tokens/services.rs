//! Token services over both handles, as two nodes have them.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::sync::Barrier;

use super::bench::{Bench, HOUR};
use crate::{
    clock::{Clock, ManualClock},
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    store::{LiveLimit, TokenStore},
    token::{
        IssueErrorKind, IssueOptions, Issued, RefreshRequest, TokenPolicy, TokenPolicyBuilder, TokenService,
    },
    verify::Refusal,
};

const MILLI: Duration = Duration::from_millis(1);

/// Both nodes, under this policy and one clock.
fn nodes(bench: &Bench, policy: TokenPolicyBuilder, clock: &Clock) -> [TokenService; 2] {
    let policy = policy.touch_every(None).build().unwrap();
    let node = |store: &Arc<dyn TokenStore>| {
        TokenService::over(Arc::clone(store), policy.clone()).clock(clock.clone())
    };
    [node(&bench.one), node(&bench.two)]
}

fn still(bench: &Bench) -> Clock {
    ManualClock::new(bench.now).clock()
}

async fn refresh(service: &TokenService, text: &str) -> Result<Issued, Refusal> {
    service.refresh(RefreshRequest::new(text, Channel::Header)).await
}

fn refresh_text(issued: &Issued) -> String {
    issued.refresh().unwrap().expose().to_owned()
}

async fn is_valid(service: &TokenService, issued: &Issued) -> bool {
    match service.verify(issued.access().expose(), None).await {
        Ok(_) => true,
        Err(Refusal::Invalid(_)) => false,
        Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
    }
}

/// Fifty with one token at once, over both nodes.
async fn fifty(nodes: &[TokenService; 2], text: &str) -> Vec<Result<Issued, Refusal>> {
    let start = Arc::new(Barrier::new(50));
    let tasks = (0..50).map(|number| {
        let (node, text, start) = (nodes[number % 2].clone(), text.to_owned(), Arc::clone(&start));
        tokio::spawn(async move {
            start.wait().await;
            refresh(&node, &text).await
        })
    });
    join_all(tasks.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).collect()
}

pub(super) async fn r036_fifty_refreshes_at_once_give_one_pair(bench: &Bench) {
    let nodes = nodes(bench, TokenPolicy::builder(), &still(bench));
    let mut last = nodes[0].issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    let id = last.record().id();
    for round in 1..=5 {
        let mut pairs = fifty(&nodes, &refresh_text(&last)).await.into_iter().map(Result::unwrap);
        let first = pairs.next().unwrap();
        for other in pairs {
            assert_eq!((other.access(), other.refresh()), (first.access(), first.refresh()));
        }
        assert!(is_valid(&nodes[1], &first).await && !is_valid(&nodes[0], &last).await);
        assert_eq!(bench.found(&id).await.generation(), round, "rotated once");
        last = first;
    }
    assert_eq!(bench.ids().await, [id], "one row");
}

pub(super) async fn r036_of_fifty_strict_refreshes_at_once_one_passes(bench: &Bench) {
    let nodes = nodes(bench, TokenPolicy::builder().strict(), &still(bench));
    let mut last = nodes[0].issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    for round in 1..=5 {
        let mut passed = Vec::new();
        for result in fifty(&nodes, &refresh_text(&last)).await {
            match result {
                Ok(issued) => passed.push(issued),
                Err(Refusal::Invalid(_)) => {}
                Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
            }
        }
        assert_eq!(passed.len(), 1);
        last = passed.remove(0);
        assert!(is_valid(&nodes[1], &last).await, "nobody is punished");
        assert_eq!(bench.found(&last.record().id()).await.generation(), round);
    }
}

/// A hundred at once, over both nodes; those that were let in.
async fn hundred(nodes: &[TokenService; 2], user: &str) -> Vec<Issued> {
    let start = Arc::new(Barrier::new(100));
    let tasks = (0..100).map(|number| {
        let (node, start) = (nodes[number % 2].clone(), Arc::clone(&start));
        let subject = Subject::local(user);
        tokio::spawn(async move {
            start.wait().await;
            node.issue_for_header(subject, IssueOptions::default()).await
        })
    });
    let mut entered = Vec::new();
    for result in join_all(tasks.collect::<Vec<_>>()).await {
        match result.unwrap() {
            Ok(issued) => entered.push(issued),
            Err(error) => assert_eq!(error.kind(), IssueErrorKind::LimitReached),
        }
    }
    entered
}

pub(super) async fn sec_d10_a_hundred_logins_at_once_do_not_pass_a_limit(bench: &Bench) {
    let cases = [
        ("refuse", TokenPolicy::builder().limit(LiveLimit::Refuse(5)), 5, 5),
        ("oldest", TokenPolicy::builder().limit(LiveLimit::EndOldest(5)), 100, 5),
        ("single", TokenPolicy::builder().single_login(), 100, 1),
    ];
    for (user, policy, entering, staying) in cases {
        let nodes = nodes(bench, policy, &still(bench));
        let entered = hundred(&nodes, user).await;
        assert_eq!(entered.len(), entering, "{user}");
        let mut valid = 0;
        for (number, issued) in entered.iter().enumerate() {
            valid += usize::from(is_valid(&nodes[number % 2], issued).await);
        }
        assert_eq!(valid, staying, "{user}");
    }
}

/// A refresh that meets a logout either comes first, and is ended by it, or is refused.
pub(super) async fn r046_a_refresh_that_meets_a_revocation_ends_revoked(bench: &Bench) {
    let nodes = nodes(bench, TokenPolicy::builder(), &still(bench));
    for round in 0..50 {
        let issued = nodes[0].issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
        let id = issued.record().id();
        let text = refresh_text(&issued);
        let start = Arc::new(Barrier::new(2));
        let (node, waits) = (nodes[round % 2].clone(), Arc::clone(&start));
        let same = text.clone();
        let refreshing = tokio::spawn(async move {
            waits.wait().await;
            // Some a little later.
            for _ in 0..round % 8 {
                tokio::task::yield_now().await;
            }
            refresh(&node, &same).await
        });
        start.wait().await;
        nodes[round / 2 % 2].revoke(&id).await.unwrap();
        assert!(matches!(refresh(&nodes[0], &text).await, Err(Refusal::Invalid(_))), "after the logout");
        let refreshed = refreshing.await.unwrap();
        assert!(!is_valid(&nodes[0], &issued).await && !is_valid(&nodes[1], &issued).await);
        if let Ok(refreshed) = refreshed {
            assert!(!is_valid(&nodes[0], &refreshed).await, "round {round}");
        }
        let revoked = bench.found(&id).await.revoked().unwrap();
        assert_eq!(revoked.reason(), RevokeReason::Logout);
    }
}

/// What one node has written the other reads, with moments that are no whole seconds.
pub(super) async fn r060_tokens_end_to_the_millisecond(bench: &Bench) {
    let time = ManualClock::new(bench.now.plus(7 * MILLI));
    let [one, two] = nodes(bench, TokenPolicy::builder(), &time.clock());
    let options = IssueOptions::default().access_ttl(Some(HOUR + MILLI)).refresh_ttl(Some(2 * HOUR + MILLI));
    let issued = one.issue_for_header(Subject::local("ada"), options.clone()).await.unwrap();
    let other = one.issue_for_header(Subject::local("ada"), options).await.unwrap();
    time.advance(HOUR);
    assert!(is_valid(&two, &issued).await);
    time.advance(MILLI);
    assert!(!is_valid(&two, &issued).await, "from the exact moment on");
    time.advance(HOUR - MILLI);
    let refreshed = refresh(&two, &refresh_text(&issued)).await.unwrap();
    assert!(is_valid(&one, &refreshed).await);
    time.advance(MILLI);
    assert!(matches!(refresh(&two, &refresh_text(&other)).await, Err(Refusal::Invalid(_))));
    assert!(is_valid(&one, &refreshed).await);
}

pub(super) async fn r048_a_change_of_credentials_keeps_the_current_login_alone(bench: &Bench) {
    let [one, two] = nodes(bench, TokenPolicy::builder(), &still(bench));
    let login = async || one.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    let (kept, other) = (login().await, login().await);
    let bobs = one.issue_for_header(Subject::local("bob"), IssueOptions::default()).await.unwrap();
    let changed = two.change_credentials(&kept.record().id()).await.unwrap();
    assert_eq!(changed.record().id(), kept.record().id());
    assert!(is_valid(&one, &changed).await && is_valid(&one, &bobs).await);
    for old in [&kept, &other] {
        assert!(!is_valid(&one, old).await);
        assert!(matches!(refresh(&one, &refresh_text(old)).await, Err(Refusal::Invalid(_))));
    }
    // What was refused has ended nothing.
    assert!(is_valid(&two, &changed).await);
    let next = refresh(&one, &refresh_text(&changed)).await.unwrap();
    assert!(is_valid(&two, &next).await);
}
