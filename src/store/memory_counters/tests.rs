use std::{
    collections::HashMap,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use proptest::prelude::*;

use super::*;

const MINUTE: Limit = Limit::per_minute(5);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn key(number: u32) -> CounterKey {
    CounterKey::new("test", &[&number.to_be_bytes()])
}

fn ask(store: &MemoryCounters, number: u32, limit: Limit, now: i64) -> bool {
    match store.hit(&key(number), limit, at(now)) {
        MaybeReady::Now(hit) => hit.unwrap().is_allowed(),
        MaybeReady::Later(_) => panic!("memory has nothing to wait for"),
    }
}

fn exhaust(store: &MemoryCounters, number: u32, limit: Limit, now: i64) {
    while ask(store, number, limit, now) {}
}

/// Both indexes hold the same.
fn check(store: &MemoryCounters) {
    let counters = store.lock();
    let listed: HashMap<CounterKey, (CounterState, Limit)> = counters
        .by_limit
        .iter()
        .flat_map(|(limit, peers)| peers.iter().map(|(state, key)| (*key, (*state, *limit))))
        .collect();
    assert_eq!(listed.len(), counters.by_limit.values().map(BTreeSet::len).sum::<usize>());
    let known: HashMap<_, _> =
        counters.by_key.iter().map(|(key, counter)| (*key, (counter.state, counter.limit))).collect();
    assert_eq!(listed, known);
    assert!(counters.by_limit.values().all(|peers| !peers.is_empty()));
}

/// A bucket with one place for each of many rounds: with one big bucket, one thread empties it before the others
/// have begun.
#[test]
fn parallel_threads_get_the_burst_and_no_more() {
    const ROUNDS: u32 = 200_000;
    let store = MemoryCounters::with_capacity(ROUNDS as usize);
    let one = Limit::per_minute(1);
    let (passed, arrived) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for round in 0..ROUNDS {
                    // Both start a round at the same moment. A barrier wakes its waiters one after the other.
                    arrived.fetch_add(1, Ordering::AcqRel);
                    let mut turns = 0;
                    while arrived.load(Ordering::Acquire) < 2 * (round as usize + 1) {
                        turns += 1;
                        if turns < 200 { std::hint::spin_loop() } else { thread::yield_now() }
                    }
                    passed.fetch_add(usize::from(ask(&store, round, one, 0)), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), ROUNDS as usize);
}

#[test]
fn sixteen_threads_share_one_burst() {
    let store = MemoryCounters::new();
    let (passed, start) = (AtomicUsize::new(0), Barrier::new(16));
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                let mine = (0..1_000).filter(|_| ask(&store, 1, Limit::per_minute(100), 0)).count();
                passed.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    assert_eq!((passed.into_inner(), store.len()), (100, 1));
}

#[test]
fn clones_share_the_counters_and_keys_do_not() {
    let store = MemoryCounters::new();
    let clone = store.clone();
    exhaust(&store, 1, MINUTE, 0);
    assert!(!ask(&clone, 1, MINUTE, 0) && ask(&clone, 2, MINUTE, 0));
    assert_eq!(store.len(), 2);
}

#[tokio::test]
async fn a_forgotten_counter_starts_anew_and_only_that_one() {
    let store = MemoryCounters::new();
    exhaust(&store, 1, MINUTE, 0);
    exhaust(&store, 2, MINUTE, 0);
    store.forget(&key(1)).await.unwrap();
    store.forget(&key(3)).await.unwrap();
    check(&store);
    assert!(ask(&store, 1, MINUTE, 0) && !ask(&store, 2, MINUTE, 0));
    // With the last counter of a limit goes the limit.
    store.forget(&key(1)).await.unwrap();
    store.forget(&key(2)).await.unwrap();
    check(&store);
    assert!(store.is_empty());
}

/// What a thread leaves that dies with the lock in its hands is whole.
#[test]
fn a_poisoned_lock_stops_nobody() {
    let store = MemoryCounters::new();
    exhaust(&store, 1, MINUTE, 0);
    let clone = store.clone();
    let dies = move || {
        let _counters = clone.lock();
        panic!("planted");
    };
    assert!(thread::spawn(dies).join().is_err());
    assert!(!ask(&store, 1, MINUTE, 0) && ask(&store, 2, MINUTE, 0));
    check(&store);
}

#[test]
fn a_million_keys_stay_within_the_bound() {
    let store = MemoryCounters::with_capacity(10_000);
    for number in 0..1_000_000 {
        assert!(ask(&store, number, MINUTE, i64::from(number) / 1_000));
        assert!(store.len() <= 10_000);
    }
    check(&store);
    assert!(store.evicted() > 900_000);
}

#[test]
fn idle_counters_make_room_and_nothing_is_lost() {
    let store = MemoryCounters::with_capacity(3);
    for number in 0..3 {
        ask(&store, number, MINUTE, 0);
    }
    exhaust(&store, 2, MINUTE, 0);
    // The first two are full again after 12 s; the third is not.
    assert!(ask(&store, 3, MINUTE, 12_000) && ask(&store, 4, MINUTE, 12_000));
    assert_eq!(store.evicted(), 0);
    assert!(ask(&store, 2, MINUTE, 12_000) && !ask(&store, 2, MINUTE, 12_000));
    check(&store);
}

#[test]
fn after_a_flood_the_store_shrinks_again() {
    let store = MemoryCounters::new();
    for number in 0..1_000 {
        ask(&store, number, MINUTE, 0);
    }
    for number in 1_000..2_000 {
        ask(&store, number, MINUTE, i64::from(number) * 12_000);
    }
    assert!(store.len() <= 2, "{}", store.len());
    check(&store);
}

#[test]
fn a_flood_of_keys_does_not_free_one_that_refuses() {
    let store = MemoryCounters::with_capacity(100);
    exhaust(&store, 0, MINUTE, 0);
    for number in 1..10_000 {
        assert!(ask(&store, number, MINUTE, 1), "the flood is counted, not refused");
    }
    assert!(!ask(&store, 0, MINUTE, 1));
    assert_eq!((store.len(), store.evicted()), (100, 9_900));
}

#[test]
fn a_flood_of_long_windows_does_not_push_out_the_short_ones() {
    let store = MemoryCounters::with_capacity(100);
    let day = Limit::new(5, Duration::from_secs(24 * 60 * 60));
    for number in 1..1_000 {
        ask(&store, number, day, 0);
    }
    exhaust(&store, 0, MINUTE, 0);
    for number in 1_000..2_000 {
        ask(&store, number, day, 1);
    }
    assert!(!ask(&store, 0, MINUTE, 1));
    check(&store);
}

#[test]
fn what_a_clock_left_in_the_future_goes_first() {
    let store = MemoryCounters::with_capacity(10);
    let hour = 60 * 60 * 1_000;
    for number in 0..10 {
        ask(&store, number, MINUTE, hour);
    }
    for number in 10..20 {
        exhaust(&store, number, MINUTE, 0);
    }
    assert!((10..20).all(|number| !ask(&store, number, MINUTE, 0)));
    assert_eq!(store.evicted(), 0);
    check(&store);
}

#[test]
fn idle_counters_of_other_limits_go_before_living_ones() {
    let store = MemoryCounters::with_capacity(2);
    let second = Limit::new(1, Duration::from_secs(1));
    ask(&store, 0, second, 0);
    exhaust(&store, 1, MINUTE, 0);
    ask(&store, 2, MINUTE, 1_000);
    assert_eq!(store.evicted(), 0);
    assert!(!ask(&store, 1, MINUTE, 1_000));
}

#[test]
fn there_is_room_for_one_at_least() {
    let store = MemoryCounters::with_capacity(0);
    exhaust(&store, 0, MINUTE, 0);
    assert!(!ask(&store, 0, MINUTE, 0));
    assert_eq!(store.len(), 1);
}

proptest! {
    /// With room enough it answers as a map of states does, whatever is removed meanwhile.
    #[test]
    fn removing_what_is_idle_changes_no_answer(
        events in prop::collection::vec((0_u32..6, 0_usize..2, prop_oneof![Just(0_i64), 0_i64..20_000]), 1..300),
    ) {
        let limits = [MINUTE, Limit::new(2, Duration::from_secs(10))];
        let store = MemoryCounters::with_capacity(12);
        let mut model: HashMap<(u32, usize), CounterState> = HashMap::new();
        let mut now = 0;
        for (number, limit, pause) in events {
            now += pause;
            let state = model.entry((number, limit)).or_insert(CounterState::UNSEEN);
            let expected = limits[limit].step(*state, at(now));
            let allowed = ask(&store, number * 2 + u32::try_from(limit).unwrap(), limits[limit], now);
            prop_assert_eq!(allowed, expected.is_ok());
            *state = expected.unwrap_or(*state);
        }
        prop_assert_eq!(store.evicted(), 0);
        check(&store);
    }
}
