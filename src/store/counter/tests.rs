use proptest::prelude::*;

use super::*;

const START: i64 = 1_700_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

/// Asks at each moment; returns who is allowed.
fn run(limit: Limit, moments: impl IntoIterator<Item = i64>) -> Vec<bool> {
    let mut state = CounterState::UNSEEN;
    let step = |moment| match limit.step(state, at(moment)) {
        Ok(next) => {
            state = next;
            true
        }
        Err(_) => false,
    };
    moments.into_iter().map(step).collect()
}

fn exhausted(limit: Limit, now: Timestamp) -> CounterState {
    (0..limit.count()).fold(CounterState::UNSEEN, |state, _| limit.step(state, now).unwrap())
}

#[test]
fn a_burst_passes_at_one_moment_and_then_one_each_interval() {
    let limit = Limit::per_minute(30);
    assert_eq!(run(limit, [0; 32]), [[true; 30].as_slice(), &[false; 2]].concat());
    let tail = run(limit, [0; 30].into_iter().chain([1_999, 2_000, 2_000, 3_999, 4_000]));
    assert_eq!(tail[30..], [false, true, false, false, true]);
}

#[test]
fn the_wait_is_exact_to_the_millisecond() {
    for limit in [Limit::per_minute(30), Limit::per_minute(7), Limit::new(3, Duration::from_millis(1))] {
        let full = exhausted(limit, at(0));
        let wait = limit.step(full, at(0)).unwrap_err();
        assert!(wait > Duration::ZERO && limit.step(full, at(0).plus(wait)).is_ok(), "{limit:?}");
        let early = at(0).plus(wait - Duration::from_millis(1));
        assert_eq!(limit.step(full, early), Err(Duration::from_millis(1)), "{limit:?}");
    }
}

#[test]
fn to_be_refused_prolongs_nothing() {
    let limit = Limit::per_minute(5);
    let answers = run(limit, [0; 5].into_iter().chain(1..12_000).chain([12_000]));
    assert!(answers[5..12_004].iter().all(|allowed| !allowed));
    assert_eq!(answers.last(), Some(&true));
}

#[test]
fn a_full_bucket_says_no_more_than_one_that_was_never_asked() {
    let limit = Limit::per_minute(5);
    let state = exhausted(limit, at(0));
    assert!(!state.is_idle(at(59_999)) && state.is_idle(at(60_000)));
    for later in [60_000, 60_001, 100_000] {
        assert_eq!(limit.step(state, at(later)), limit.step(CounterState::UNSEEN, at(later)));
    }
    assert_ne!(limit.step(state, at(59_999)), limit.step(CounterState::UNSEEN, at(59_999)));
}

/// Within a minute it may be another node's clock: nobody gets anything from going back and forth between two.
#[test]
fn a_clock_that_is_set_back_a_little_frees_nothing() {
    let limit = Limit::per_minute(30);
    let state = exhausted(limit, at(0));
    for back in [1, 2_000, 59_000, 60_000] {
        let wait = limit.step(state, at(-back)).unwrap_err();
        assert_eq!(wait, Duration::from_millis(2_000 + back.unsigned_abs()), "{back} ms");
    }
}

#[test]
fn a_clock_that_is_set_back_far_neither_locks_out_nor_resets() {
    let limit = Limit::per_minute(30);
    for back in [60_001, 3_600_000, 400 * 24 * 3_600_000, START] {
        let now = Timestamp::from_millis(START.saturating_sub(back));
        let state = limit.step(exhausted(limit, at(0)), now).unwrap();
        assert_eq!(limit.step(state, now), Err(Duration::from_secs(2)), "{back} ms");
        assert!(limit.step(state, now.plus(Duration::from_secs(2))).is_ok());
    }
}

#[test]
fn no_count_is_no_event_and_the_ends_of_time_are_no_way_round() {
    let none = Limit::new(0, Duration::from_secs(7));
    assert_eq!(none.step(CounterState::UNSEEN, at(0)), Err(Duration::from_secs(7)));
    assert!(!none.cannot_have_made(CounterState::UNSEEN, at(0)));
    let limits = [
        Limit::new(1, Duration::ZERO),
        Limit::new(u32::MAX, Duration::ZERO),
        Limit::new(1, Duration::MAX),
        Limit::new(u32::MAX, Duration::MAX),
        Limit::per_minute(2),
    ];
    for limit in limits {
        assert!(limit.step(CounterState::UNSEEN, Timestamp::NEVER).is_err(), "{limit:?}");
        assert!(limit.step(CounterState::UNSEEN, Timestamp::from_millis(i64::MIN)).is_ok(), "{limit:?}");
        let lowest = CounterState::from_micros(i64::MIN);
        let next = limit.step(lowest, at(0)).unwrap();
        assert!(!next.is_idle(at(0)) && limit.step(CounterState::from_micros(i64::MAX), at(0)).is_ok());
    }
}

/// The number rests in stores: it may not change between versions.
#[test]
fn the_state_is_when_the_bucket_is_full_again_in_microseconds() {
    let state = Limit::per_minute(7).step(CounterState::UNSEEN, at(0)).unwrap();
    assert_eq!(state.as_micros(), START * 1000 + 8_571_429);
    assert!(at(0).plus(Duration::from_secs(100 * 365 * 24 * 3_600)).as_millis() * 1000 < 1 << 53);
}

#[test]
fn keys_differ_by_scope_and_parts_and_show_nothing() {
    let key = |scope, parts: &[&[u8]]| CounterKey::new(scope, parts);
    let keys = [
        key("login", &[b"ab", b"c"]),
        key("login", &[b"a", b"bc"]),
        key("login", &[b"ab", b"c", b""]),
        key("login", &[b"abc"]),
        key("refresh", &[b"ab", b"c"]),
        key("login", &[b"login", b"ab", b"c"]),
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(key("login", &[b"ab", b"c"]), keys[0]);
    assert_eq!(format!("{:?}", keys[0]), "CounterKey(..)");
    let hash = Sha256::digest(b"portcullis/v1/counter\0\x01\0\0\0\x05login\x01\0\0\0\x02ab\x01\0\0\0\x01c");
    assert_eq!(keys[0].as_bytes()[..], hash[..16]);
}

#[test]
fn of_a_part_the_first_256_bytes_count() {
    let key = |length: usize, last: u8| {
        let mut part = vec![b'a'; length];
        *part.last_mut().unwrap() = last;
        CounterKey::new("login", &[&part])
    };
    assert_ne!(key(256, b'x'), key(256, b'y'));
    assert_eq!(key(257, b'x'), key(1_000_000, b'y'));
    assert_ne!(key(255, b'a'), key(256, b'a'));
}

/// What the docs promise, counted by hand: `used` is what is in the bucket, in microseconds, and drains as time
/// passes.
struct Bucket {
    interval: i64,
    full: i64,
    used: i64,
    last: i64,
}

impl Bucket {
    fn hit(&mut self, now: i64) -> bool {
        self.used = (self.used - (now - self.last) * 1000).max(0);
        self.last = now;
        let allowed = self.used + self.interval <= self.full;
        self.used += if allowed { self.interval } else { 0 };
        allowed
    }
}

proptest! {
    #[test]
    fn it_is_a_bucket_that_drains_evenly(
        count in 1_u32..12,
        window in prop_oneof![Just(60_000_u64), 1_000_u64..100_000],
        pauses in prop::collection::vec(prop_oneof![Just(0_i64), 0_i64..3_000, 0_i64..70_000], 1..200),
    ) {
        let limit = Limit::new(count, Duration::from_millis(window));
        let interval = i64::try_from((window * 1000).div_ceil(u64::from(count))).unwrap();
        let moments: Vec<i64> = pauses.iter().scan(0, |now, pause| { *now += pause; Some(*now) }).collect();
        let mut bucket = Bucket { interval, full: interval * i64::from(count), used: 0, last: 0 };
        let expected: Vec<bool> = moments.iter().map(|now| bucket.hit(*now)).collect();
        prop_assert_eq!(run(limit, moments.iter().copied()), expected);
    }

    /// The definition: between any two moments pass a burst and what refills meanwhile, and no more.
    #[test]
    fn no_span_of_time_lets_more_through_than_a_burst_and_what_refills(
        count in 1_u32..12,
        window in 1_000_u64..100_000,
        pauses in prop::collection::vec(prop_oneof![Just(0_i64), 0_i64..3_000], 1..200),
    ) {
        let limit = Limit::new(count, Duration::from_millis(window));
        let moments: Vec<i64> = pauses.iter().scan(0, |now, pause| { *now += pause; Some(*now) }).collect();
        let answers = run(limit, moments.iter().copied());
        let passed: Vec<i64> = moments.iter().zip(answers).filter(|(_, allowed)| *allowed).map(|(now, _)| *now).collect();
        for (first, start) in passed.iter().enumerate() {
            for (last, end) in passed.iter().enumerate().skip(first) {
                let refilled = (end - start) * i64::from(count) / i64::try_from(window).unwrap();
                prop_assert!(i64::try_from(last - first + 1).unwrap() <= i64::from(count) + refilled);
            }
        }
    }

    #[test]
    fn no_numbers_make_it_panic(count: u32, window: u64, state: i64, now: i64) {
        for window in [Duration::from_secs(window), Duration::from_nanos(window)] {
            let _ = Limit::new(count, window).step(CounterState::from_micros(state), Timestamp::from_millis(now));
        }
    }
}
