//! Counting up to a limit.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use crate::{
    clock::{Clock, Timestamp},
    conformance::CounterFixture,
    store::{CounterKey, CounterStore, Hit, Limit},
};

const MINUTE: Limit = Limit::per_minute(5);

/// An empty store.
pub(super) struct Bench(pub(super) CounterFixture);

fn now() -> Timestamp {
    Timestamp::from_millis(Clock::system().now().as_millis() / 1_000 * 1_000)
}

fn key(name: &str) -> CounterKey {
    CounterKey::new("test", &[name.as_bytes()])
}

async fn hit(store: &Arc<dyn CounterStore>, name: &str, limit: Limit, now: Timestamp) -> Hit {
    store.hit(&key(name), limit, now).wait().await.unwrap()
}

/// How many of twenty are let through.
async fn passing(bench: &Bench, name: &str, limit: Limit, now: Timestamp) -> usize {
    let mut passed = 0;
    for number in 0..20 {
        let store = if number % 2 == 0 { &bench.0.one } else { &bench.0.two };
        passed += usize::from(hit(store, name, limit, now).await.is_allowed());
    }
    passed
}

pub(super) async fn r060_a_bucket_lets_its_count_through_and_fills_again(bench: &Bench) {
    let start = now();
    assert_eq!(passing(bench, "a", MINUTE, start).await, 5);
    let refused = hit(&bench.0.two, "a", MINUTE, start).await;
    assert_eq!((refused.is_allowed(), refused.retry_after()), (false, Duration::from_secs(12)));
    let soon = start.plus(Duration::from_millis(11_999));
    assert_eq!(passing(bench, "a", MINUTE, soon).await, 0);
    assert_eq!(passing(bench, "a", MINUTE, start.plus(Duration::from_secs(12))).await, 1);
    assert_eq!(passing(bench, "a", MINUTE, start.plus(Duration::from_secs(36))).await, 2);
    assert_eq!(passing(bench, "a", MINUTE, start.plus(Duration::from_secs(600))).await, 5, "and no more");
}

pub(super) async fn r060_counters_do_not_disturb_each_other(bench: &Bench) {
    let start = now();
    assert_eq!(passing(bench, "a", MINUTE, start).await, 5);
    assert_eq!(passing(bench, "b", Limit::new(2, Duration::from_secs(3600)), start).await, 2);
    assert_eq!(passing(bench, "c", MINUTE, start).await, 5);
    assert_eq!(passing(bench, "none", Limit::per_minute(0), start).await, 0);
}

pub(super) async fn r060_what_is_refused_is_not_counted(bench: &Bench) {
    let start = now();
    assert_eq!(passing(bench, "a", MINUTE, start).await, 5);
    for second in 1..12 {
        assert_eq!(passing(bench, "a", MINUTE, start.plus(Duration::from_secs(second))).await, 0);
    }
    assert_eq!(passing(bench, "a", MINUTE, start.plus(Duration::from_secs(12))).await, 1);
}

pub(super) async fn r060_a_counter_that_is_forgotten_is_full_again(bench: &Bench) {
    let start = now();
    bench.0.one.forget(&key("a")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(passing(bench, "a", MINUTE, start).await, 5);
        assert_eq!(passing(bench, "b", MINUTE, start).await % 5, 0);
        bench.0.two.forget(&key("a")).await.unwrap();
    }
    assert_eq!(passing(bench, "b", MINUTE, start).await, 0, "another's");
}

pub(super) async fn r060_a_hundred_hits_at_once_are_counted_one_by_one(bench: &Bench) {
    let start = now();
    for round in 0..20 {
        let tasks = (0..100).map(|number| {
            let store = Arc::clone(if number % 2 == 0 { &bench.0.one } else { &bench.0.two });
            tokio::spawn(async move { hit(&store, &round.to_string(), MINUTE, start).await.is_allowed() })
        });
        let results = join_all(tasks.collect::<Vec<_>>()).await;
        assert_eq!(results.into_iter().filter(|result| *result.as_ref().unwrap()).count(), 5);
    }
}
