use std::{
    error::Error,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use super::{Throttle, ThrottlePolicy, Throttled};
use crate::{
    clock::{ManualClock, Timestamp},
    maybe_ready::MaybeReady,
    problem::{Reason, Rejection, RejectionKind},
    store::{CounterKey, CounterStore, Hit, Limit, MemoryCounters, StoreError, StoreErrorKind},
};

struct Fixture {
    time: ManualClock,
    store: MemoryCounters,
    throttle: Throttle,
}

fn fixture() -> Fixture {
    with_policy(ThrottlePolicy::default())
}

fn with_policy(policy: ThrottlePolicy) -> Fixture {
    let time = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let store = MemoryCounters::new();
    let throttle = Throttle::new(store.clone(), policy).clock(time.clock());
    Fixture { time, store, throttle }
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

impl Fixture {
    async fn login(&self, client: Option<IpAddr>, identifier: Option<&str>) -> Result<(), Option<Duration>> {
        match self.throttle.admit("login", client, identifier).await {
            Ok(()) => Ok(()),
            Err(Throttled::TooMany { retry_after }) => Err(retry_after),
            Err(Throttled::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    /// How many of a hundred pass at one moment.
    async fn passing(&self, client: Option<IpAddr>, identifier: Option<&str>) -> usize {
        let mut passed = 0;
        for _ in 0..100 {
            passed += usize::from(self.login(client, identifier).await.is_ok());
        }
        passed
    }
}

fn seconds(seconds: u64) -> Result<(), Option<Duration>> {
    Err(Some(Duration::from_secs(seconds)))
}

#[tokio::test]
async fn r139_the_31st_from_one_address_is_refused_whatever_it_names() {
    let fixture = fixture();
    for number in 0..30 {
        assert_eq!(fixture.login(ip("192.0.2.7"), Some(&format!("user{number}"))).await, Ok(()));
    }
    assert_eq!(fixture.login(ip("192.0.2.7"), Some("user30")).await, seconds(2));
    assert_eq!(fixture.login(ip("192.0.2.7"), None).await, seconds(2));
    assert_eq!(fixture.login(ip("192.0.2.8"), Some("user30")).await, Ok(()));
}

#[tokio::test]
async fn r139_the_sixth_for_one_identifier_is_refused_and_others_are_not() {
    let fixture = fixture();
    for typed in ["ada", "Ada", "ADA", "aDa", "ada"] {
        assert_eq!(fixture.login(ip("192.0.2.7"), Some(typed)).await, Ok(()));
    }
    assert_eq!(fixture.login(ip("192.0.2.7"), Some("Ada")).await, seconds(12));
    // Spaces and other letters are not folded: they are another identifier to the application too.
    for other in ["bob", "ada ", "\u{e1}da", ""] {
        assert_eq!(fixture.login(ip("192.0.2.7"), Some(other)).await, Ok(()), "{other:?}");
    }
    // Nobody at another address is locked out by it.
    assert_eq!(fixture.login(ip("192.0.2.8"), Some("ada")).await, Ok(()));
}

/// No user exists here at all: the throttle does not know whom it counts.
#[tokio::test]
async fn r139_unknown_users_are_counted_and_so_are_identifiers_of_any_length() {
    let fixture = fixture();
    let long = "x".repeat(1_000_000);
    for identifier in ["nobody", "", "\0", long.as_str()] {
        assert_eq!(fixture.passing(ip("192.0.2.7"), Some(identifier)).await, 5, "{}", identifier.len());
        fixture.time.advance(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn r139_places_come_back_one_by_one() {
    let fixture = fixture();
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 5);
    fixture.time.advance(Duration::from_millis(11_999));
    assert_eq!(fixture.login(ip("192.0.2.7"), Some("ada")).await, Err(Some(Duration::from_millis(1))));
    fixture.time.advance(Duration::from_millis(1));
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 1);
    fixture.time.advance(Duration::from_secs(120));
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 5);
}

/// What the address refuses is not charged to the identifier.
#[tokio::test]
async fn r139_the_address_is_charged_first() {
    let fixture = fixture();
    assert_eq!(fixture.passing(ip("192.0.2.7"), None).await, 30);
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 0);
    fixture.time.advance(Duration::from_secs(60));
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 5);
    // A hundred attempts for one identifier used up the address too.
    assert_eq!(fixture.login(ip("192.0.2.7"), Some("bob")).await, seconds(2));
}

#[tokio::test]
async fn r139_one_client_cannot_choose_among_buckets() {
    for same in [["192.0.2.7", "::ffff:192.0.2.7"], ["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"]] {
        let fixture = fixture();
        assert_eq!(fixture.passing(ip(same[0]), None).await, 30);
        assert_eq!(fixture.passing(ip(same[1]), None).await, 0, "{same:?}");
    }
    for apart in
        [["192.0.2.7", "192.0.2.6"], ["2001:db8:1:2::1", "2001:db8:1:3::1"], ["::c000:207", "192.0.2.7"]]
    {
        let fixture = fixture();
        assert_eq!(fixture.passing(ip(apart[0]), None).await, 30);
        assert_eq!(fixture.passing(ip(apart[1]), None).await, 30, "{apart:?}");
    }
}

#[tokio::test]
async fn r139_without_an_address_identifiers_are_limited_and_nobody_else_is() {
    let fixture = fixture();
    assert_eq!(fixture.passing(None, Some("ada")).await, 5);
    // Others wait for the same place: how long is not told.
    assert_eq!(fixture.login(None, Some("ada")).await, Err(None));
    for number in 0..100 {
        assert_eq!(fixture.login(None, Some(&format!("user{number}"))).await, Ok(()));
    }
    assert_eq!(fixture.login(ip("192.0.2.7"), Some("ada")).await, Ok(()));
    assert_eq!(fixture.passing(None, None).await, 100);
}

#[tokio::test]
async fn r139_scopes_are_counted_apart() {
    let fixture = fixture();
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 5);
    assert!(fixture.throttle.admit("refresh", ip("192.0.2.7"), Some("ada")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r139_a_parallel_flood_gets_the_limit_and_no_more() {
    let fixture = Arc::new(fixture());
    let mut tasks = Vec::new();
    for number in 0..1_000 {
        let fixture = Arc::clone(&fixture);
        let identifier = if number % 2 == 0 { "ada" } else { "ADA" };
        tasks.push(tokio::spawn(async move {
            let mut passed = [0, 0];
            passed[0] += usize::from(fixture.login(ip("192.0.2.7"), Some(identifier)).await.is_ok());
            passed[1] += usize::from(fixture.login(ip("192.0.2.8"), None).await.is_ok());
            passed
        }));
    }
    let mut passed = [0, 0];
    for task in tasks {
        let mine = task.await.unwrap();
        passed = [passed[0] + mine[0], passed[1] + mine[1]];
    }
    assert_eq!(passed, [5, 30]);
    // Two addresses and one identifier: what is refused leaves nothing behind.
    assert_eq!(fixture.store.len(), 3);
}

/// Answers the first question, that for the address, or none at all.
struct Down {
    left: Option<MemoryCounters>,
    asked: std::sync::atomic::AtomicUsize,
}

#[async_trait]
impl CounterStore for Down {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        let first = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        match &self.left {
            Some(store) if first => store.hit(key, limit, now),
            _ => MaybeReady::later(async { Err(StoreError::new(StoreErrorKind::Unavailable)) }),
        }
    }

    async fn forget(&self, _key: &CounterKey) -> Result<(), StoreError> {
        Err(StoreError::new(StoreErrorKind::Unavailable))
    }
}

#[tokio::test]
async fn r139_a_store_that_is_down_lets_nobody_through() {
    for left in [None, Some(MemoryCounters::new())] {
        let throttle = Throttle::new(Down { left, asked: Default::default() }, ThrottlePolicy::default());
        let refused = throttle.admit("login", ip("192.0.2.7"), Some("ada")).await.unwrap_err();
        assert!(
            matches!(&refused, Throttled::Unavailable(error) if error.kind() == StoreErrorKind::Unavailable)
        );
        assert!(refused.source().is_some_and(|cause| cause.is::<StoreError>()));
        let rejection = Rejection::from(refused);
        assert_eq!(
            (rejection.kind(), rejection.answer().status().as_u16()),
            (RejectionKind::Unavailable, 503)
        );
        assert_eq!(rejection.answer().headers()["retry-after"], "5");
    }
}

#[tokio::test]
async fn r139_the_answer_is_429_with_retry_after_in_seconds_rounded_up() {
    let fixture = fixture();
    for _ in 0..5 {
        assert_eq!(fixture.login(ip("192.0.2.7"), Some("ada")).await, Ok(()));
    }
    fixture.time.advance(Duration::from_millis(500));
    let refused = fixture.throttle.admit("login", ip("192.0.2.7"), Some("ada")).await.unwrap_err();
    let rejection = Rejection::from(refused);
    assert_eq!(rejection.reason(), Reason::Throttled);
    let answer = rejection.answer();
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "12");
    assert!(!answer.headers().contains_key("www-authenticate"));
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["code"], "too_many_requests");

    let shared = Rejection::from(Throttled::TooMany { retry_after: None });
    assert_eq!(shared.answer().status(), 429);
    assert!(!shared.answer().headers().contains_key("retry-after"));
}

#[tokio::test]
async fn r139_each_limit_can_be_changed_and_switched_off() {
    let policy = ThrottlePolicy::builder().per_client_ip(None).build().unwrap();
    let fixture = with_policy(policy);
    assert_eq!(fixture.passing(ip("192.0.2.7"), None).await, 100);
    assert_eq!(fixture.passing(ip("192.0.2.7"), Some("ada")).await, 5);

    let policy = ThrottlePolicy::builder().per_identifier(None).build().unwrap();
    assert_eq!(with_policy(policy).passing(ip("192.0.2.7"), Some("ada")).await, 30);

    let hourly = Limit::new(2, Duration::from_secs(3_600));
    let policy = ThrottlePolicy::builder().per_identifier(Some(hourly)).build().unwrap();
    assert_eq!(with_policy(policy).passing(ip("192.0.2.7"), Some("ada")).await, 2);
}

/// Nodes with the old and the new policy share a store while a deployment rolls: going back and forth between
/// them gains nothing beyond either limit.
#[tokio::test]
async fn a_changed_limit_starts_counts_of_its_own() {
    let fixture = fixture();
    let hourly = Limit::new(5, Duration::from_secs(3_600));
    let policy = ThrottlePolicy::builder().per_identifier(Some(hourly)).build().unwrap();
    let other = Throttle::new(fixture.store.clone(), policy).clock(fixture.time.clock());
    let mut passed = 0;
    for _ in 0..50 {
        passed += usize::from(fixture.login(ip("192.0.2.7"), Some("ada")).await.is_ok());
        passed += usize::from(other.admit("login", ip("192.0.2.7"), Some("ada")).await.is_ok());
    }
    assert_eq!(passed, 10);
}

#[test]
fn all_faults_of_a_policy_are_reported() {
    let none = Limit::new(0, Duration::ZERO);
    let endless = Limit::new(1, Duration::from_secs(24 * 60 * 60 + 1));
    let error = ThrottlePolicy::builder()
        .per_client_ip(Some(none))
        .per_identifier(Some(endless))
        .build()
        .unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["per_client_ip", "per_client_ip", "per_identifier"]);
    let build = |millis| {
        let limit = Limit::new(1, Duration::from_millis(millis));
        ThrottlePolicy::builder().per_identifier(Some(limit)).build().is_ok()
    };
    let day = 24 * 60 * 60 * 1_000;
    assert!(build(1_000) && build(day) && !build(999) && !build(day + 1));
}

/// Keeps the keys that it is asked for.
#[derive(Clone, Default)]
struct Keys(Arc<Mutex<Vec<CounterKey>>>);

#[async_trait]
impl CounterStore for Keys {
    fn hit(&self, key: &CounterKey, _: Limit, _: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        self.0.lock().unwrap().push(*key);
        MaybeReady::Now(Ok(Hit::allowed()))
    }

    async fn forget(&self, _: &CounterKey) -> Result<(), StoreError> {
        Ok(())
    }
}

/// They rest in stores, and two versions share one while a deployment rolls.
#[tokio::test]
async fn r139_the_keys_of_the_counters_are_fixed() {
    let keys = Keys::default();
    let throttle = Throttle::new(keys.clone(), ThrottlePolicy::default());
    throttle.admit("login", ip("2001:db8:1:2:3:4:5:6"), Some("Ada")).await.unwrap();
    throttle.admit("refresh", None, Some("Ada")).await.unwrap();
    let minute = 60_000_000_u128.to_be_bytes();
    let key = |scope, count: u32, what: &[&[u8]]| {
        CounterKey::new(scope, &[&[&count.to_be_bytes()[..], &minute], what].concat())
    };
    let expected = [
        key("login", 30, &[b"client_ip", b"2001:db8:1:2::/64"]),
        key("login", 5, &[b"identifier", b"2001:db8:1:2::/64", b"ada"]),
        key("refresh", 5, &[b"identifier", b"unknown", b"ada"]),
    ];
    assert_eq!(*keys.0.lock().unwrap(), expected);
}

#[test]
fn nothing_shows_an_identifier() {
    let throttled = Throttled::TooMany { retry_after: Some(Duration::from_secs(2)) };
    assert_eq!(throttled.to_string(), "too many attempts");
    let debug = format!("{:?}", fixture().throttle);
    assert!(debug.starts_with("Throttle { policy"), "{debug}");
}
