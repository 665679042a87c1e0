//! The system's clocks.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use super::{Monotonic, Timestamp};

/// How often the two clocks are compared, in nanoseconds.
const COMPARED: u64 = 1_000_000_000;

/// By how much the wall clock may gain on the monotonic one before the machine counts as having slept. Less than
/// that is a clock that is being set.
const SLEPT_MIN: Duration = Duration::from_secs(30);

static CLOCKS: Clocks = Clocks::new();

/// How many comparisons in a row have to find the wall clock set back before that is how it is.
const SET_BACK: u64 = 60;

/// What the two clocks say of each other.
struct Clocks {
    /// Wall clock minus monotonic clock, in milliseconds.
    offset: AtomicI64,
    /// The highest offset so far. A wall clock that is set back and forth gains nothing.
    highest: AtomicI64,
    /// How many comparisons in a row have found it lower.
    lower: AtomicU64,
    /// How long the machine has slept, in nanoseconds.
    slept: AtomicU64,
    /// The monotonic reading, in nanoseconds, from which on they are compared anew.
    until: AtomicU64,
}

/// A read costs a few nanoseconds.
pub(super) fn now() -> Timestamp {
    let nanos = coarse_nanos();
    CLOCKS.follow(nanos, wall_millis);
    Timestamp::from_millis(millis(nanos).saturating_add(CLOCKS.offset.load(Ordering::Acquire)))
}

/// A read costs a few nanoseconds.
pub(super) fn monotonic() -> Monotonic {
    let nanos = coarse_nanos();
    CLOCKS.follow(nanos, wall_millis);
    Monotonic::from_nanos(nanos.saturating_add(CLOCKS.slept.load(Ordering::Acquire)))
}

impl Clocks {
    const fn new() -> Self {
        Self {
            offset: AtomicI64::new(0),
            highest: AtomicI64::new(i64::MIN),
            lower: AtomicU64::new(0),
            slept: AtomicU64::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// Compares them, if it is time: a read of the real wall clock costs eight times as much as one of the coarse
    /// monotonic clock. Two threads that compare at once store about the same offset, and of a sleep the first one
    /// counts all, the other what is left of it.
    fn follow(&self, nanos: u64, wall_millis: impl FnOnce() -> i64) {
        if nanos < self.until.load(Ordering::Acquire) {
            return;
        }
        let offset = wall_millis().saturating_sub(millis(nanos));
        let highest = self.highest.fetch_max(offset, Ordering::AcqRel);
        // Nothing is known before the first comparison.
        if highest != i64::MIN {
            let gained = u64::try_from(offset.saturating_sub(highest)).unwrap_or(0);
            let gained = Duration::from_millis(gained);
            if gained >= SLEPT_MIN {
                let nanos = u64::try_from(gained.as_nanos()).unwrap_or(u64::MAX);
                self.slept.fetch_add(nanos, Ordering::AcqRel);
            }
        }
        if offset >= highest {
            self.lower.store(0, Ordering::Relaxed);
        } else if self.lower.fetch_add(1, Ordering::Relaxed) + 1 >= SET_BACK {
            self.lower.store(0, Ordering::Relaxed);
            self.highest.store(offset, Ordering::Release);
        }
        self.offset.store(offset, Ordering::Release);
        self.until.store(nanos.saturating_add(COMPARED), Ordering::Release);
    }
}

fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}

#[allow(clippy::disallowed_methods)] // the one place
fn wall_millis() -> i64 {
    // A system clock before 1970 reads as 1970: everything stored is then in the future, and nothing is lost.
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(wall.as_millis()).unwrap_or(i64::MAX)
}

#[allow(clippy::disallowed_methods)] // the one place
fn coarse_nanos() -> u64 {
    let origin = coarsetime::Instant::from_ticks(0);
    coarsetime::Instant::now_without_cache_update().duration_since(origin).as_nanos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Both clocks in seconds; returns (seconds that were slept, offset in seconds).
    fn follow(clocks: &Clocks, monotonic: u64, wall: i64) -> (u64, i64) {
        clocks.follow(monotonic * SECOND, || wall * 1000);
        (clocks.slept.load(Ordering::Acquire) / SECOND, clocks.offset.load(Ordering::Acquire) / 1000)
    }

    #[test]
    fn r092_a_sleep_of_the_machine_counts_as_time() {
        let clocks = Clocks::new();
        assert_eq!(follow(&clocks, 100, 1_000_100), (0, 1_000_000), "the first comparison says nothing");
        assert_eq!(follow(&clocks, 101, 1_000_101), (0, 1_000_000));
        // Eight hours.
        assert_eq!(follow(&clocks, 102, 1_028_902), (28_800, 1_028_800));
        assert_eq!(follow(&clocks, 103, 1_028_903), (28_800, 1_028_800), "once");
        assert_eq!(follow(&clocks, 104, 1_028_964), (28_860, 1_028_860), "and again");
    }

    #[test]
    fn r092_a_clock_that_is_set_a_little_or_back_and_forth_is_no_sleep() {
        let clocks = Clocks::new();
        follow(&clocks, 100, 1_000_100);
        for gained in 1..100 {
            assert_eq!(follow(&clocks, 100 + gained, 1_000_100 + 30 * i64::try_from(gained).unwrap()).0, 0);
        }
        let clocks = Clocks::new();
        follow(&clocks, 100, 1_000_100);
        assert_eq!(follow(&clocks, 101, 100), (0, -1));
        assert_eq!(follow(&clocks, 102, 1_000_102), (0, 1_000_000));
        assert_eq!(follow(&clocks, 103, 1_000_133), (30, 1_000_030));
    }

    /// As at a start with a clock that is ahead, before the network says better.
    #[test]
    fn r092_a_clock_that_was_set_back_for_good_hides_no_sleep() {
        let clocks = Clocks::new();
        follow(&clocks, 100, 1_007_300);
        for second in 101..161 {
            assert_eq!(follow(&clocks, second, 1_000_000 + i64::try_from(second).unwrap()).0, 0);
        }
        assert_eq!(follow(&clocks, 161, 1_000_161 + 3600).0, 3600);
    }

    #[test]
    fn the_clocks_are_compared_once_a_second() {
        let clocks = Clocks::new();
        follow(&clocks, 100, 1_000_100);
        clocks.follow(101 * SECOND - 1, || panic!("asked again"));
        assert_eq!(follow(&clocks, 101, 2_000_101).1, 2_000_000);
    }
}
