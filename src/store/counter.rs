//! What is counted, how much of it is allowed, and what a count comes to.

use std::{fmt, time::Duration};

use sha2::{Digest as _, Sha256};

use crate::{clock::Timestamp, text::Canonical};

/// A state that is further ahead than its limit can have put it, and by more than this, shows that the clock
/// was set back. It is far above what the clocks of honest nodes differ by: were it less, two nodes could free
/// each other's buckets in turn.
const CLOCK_STEP_MICROS: i64 = 60_000_000;

/// Longer windows count as this one, about 36 000 years, so that no sum below can overflow.
const WINDOW_MICROS_MAX: u128 = 1 << 60;

/// Names one counter: the first 16 bytes of a SHA-256.
///
/// A copy of the counters shows no address and no identifier, but whoever has one can test a guess. Two keys
/// are the same only if a hash of 128 bits collides, and then two parties share one count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey([u8; 16]);

/// How many events are allowed: a bucket of `count` that refills evenly, one place each `window / count`.
///
/// A full bucket is a burst of `count` at one moment. In the long run `count` pass in each window; in any single
/// window at most twice as many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    count: u32,
    window: Duration,
}

/// The whole state of one counter: the moment at which its bucket is full again, in microseconds since the Unix
/// epoch. In the terms of the generic cell rate algorithm it is the theoretical arrival time.
///
/// It is one number, so that a database can count in one statement. Microseconds keep the interval of odd
/// limits exact enough, and stay below 2⁵³ until the year 2255, which matters to engines that know only
/// doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterState(i64);

/// The numbers of [`Limit::step`] at one moment, all in microseconds, for a store that counts in one statement.
#[cfg(feature = "postgres")]
pub(crate) struct Bounds {
    /// The moment.
    pub(crate) now: i64,
    /// What one event costs.
    pub(crate) interval: i64,
    /// Up to this state an event is allowed, and the next state can be told.
    pub(crate) allowed_to: i64,
    /// A state above this shows that the clock was set back.
    pub(crate) set_back_above: i64,
    /// The state after that.
    pub(crate) set_back_to: i64,
}

/// What a counted event came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Hit {
    wait: Option<Duration>,
}

// ===== impl CounterKey =====

impl CounterKey {
    /// The bytes of a part that count.
    pub const PART_MAX: usize = 256;

    /// The key of these parts, in this order, in this scope.
    ///
    /// Of each part the first 256 bytes count, so that a long one costs no more than a short one. Parts that
    /// differ only behind them share a count, which is the stricter side.
    pub fn new(scope: &'static str, parts: &[&[u8]]) -> Self {
        let cut = |part: &[u8]| part.len().min(Self::PART_MAX);
        let mut encoded = Canonical::new("counter").bytes(&scope.as_bytes()[..cut(scope.as_bytes())]);
        for part in parts {
            encoded = encoded.bytes(&part[..cut(part)]);
        }
        let hash: [u8; 32] = Sha256::digest(encoded.as_slice()).into();
        Self(*hash.first_chunk().expect("32 bytes have a first 16"))
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Shows nothing: a guess could be tested against it.
impl fmt::Debug for CounterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CounterKey(..)")
    }
}

// ===== impl Limit =====

impl Limit {
    /// `count` events for each `window`. A count of zero refuses everything.
    pub const fn new(count: u32, window: Duration) -> Self {
        Self { count, window }
    }

    /// `count` events a minute.
    pub const fn per_minute(count: u32) -> Self {
        Self::new(count, Duration::from_secs(60))
    }

    /// The size of a burst.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// The time in which an empty bucket becomes full.
    pub const fn window(self) -> Duration {
        self.window
    }

    /// Counts one event: the state to keep, or, if the event is over the limit, how long to wait. Then the old
    /// state stays: to be refused does not prolong the wait.
    ///
    /// This is all the arithmetic a store needs. With `interval = window / count`, rounded up,
    /// `full = interval * count` and `ahead = state - now`:
    ///
    /// * `ahead <= full - interval`: allowed, the next state is `max(state, now) + interval`.
    /// * `ahead > full + 60 s`: the clock was set back by more than a minute. Allowed, the next state is
    ///   `now + full`: nobody waits until the clock is where it was, and nobody gets more than this one event
    ///   before the next interval is over.
    /// * else refused, for `ahead - (full - interval)`.
    ///
    /// A clock that was set back by less makes people wait longer, by as much. Near the end of time, where the
    /// next state cannot be told, the event is refused.
    ///
    /// # Errors
    /// The wait, in whole milliseconds, rounded up: the same event at that moment is allowed, if no other comes
    /// between.
    pub fn step(self, state: CounterState, now: Timestamp) -> Result<CounterState, Duration> {
        if self.count == 0 {
            return Err(self.window);
        }
        let interval = self.interval_micros();
        let spare = interval * i64::from(self.count - 1);
        let ahead = state.ahead_of(now);
        let from = if ahead <= spare {
            state.0.max(micros(now))
        } else if self.cannot_have_made(state, now) {
            micros(now).saturating_add(spare)
        } else {
            return Err(whole_millis(ahead - spare));
        };
        from.checked_add(interval).map(CounterState).ok_or_else(|| whole_millis(interval))
    }

    /// What [`step`](Self::step) compares with, where it allows anything at this moment.
    #[cfg(feature = "postgres")]
    pub(crate) fn bounds(self, now: Timestamp) -> Bounds {
        let (now, interval) = (micros(now), self.interval_micros());
        let full = interval * i64::from(self.count);
        let allowed_to = now.saturating_add(full - interval).min(i64::MAX - interval);
        let set_back_above = now.saturating_add(full + CLOCK_STEP_MICROS);
        Bounds { now, interval, allowed_to, set_back_above, set_back_to: now.saturating_add(full) }
    }

    /// How long a refused event waits at least, where nothing more is known.
    #[cfg(feature = "postgres")]
    pub(crate) fn interval(self) -> Duration {
        whole_millis(self.interval_micros())
    }

    /// Whether the state is so far ahead that the clock must have been set back since.
    pub(super) fn cannot_have_made(self, state: CounterState, now: Timestamp) -> bool {
        let full = self.interval_micros() * i64::from(self.count);
        state.ahead_of(now) > full + CLOCK_STEP_MICROS
    }

    /// Rounded up, so that no more than `count` pass in the long run.
    fn interval_micros(self) -> i64 {
        let window = self.window.as_micros().clamp(1, WINDOW_MICROS_MAX);
        i64::try_from(window.div_ceil(u128::from(self.count.max(1)))).expect("at most 2^60")
    }
}

fn micros(moment: Timestamp) -> i64 {
    moment.as_millis().saturating_mul(1000)
}

fn whole_millis(micros: i64) -> Duration {
    Duration::from_millis(u64::try_from(micros).unwrap_or(0).div_ceil(1000))
}

// ===== impl CounterState =====

impl CounterState {
    /// A counter that was never asked.
    pub const UNSEEN: Self = Self(i64::MIN);

    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whether the state says no more than [`UNSEEN`](Self::UNSEEN), now and at every later moment: it can be
    /// removed without loss.
    pub fn is_idle(self, now: Timestamp) -> bool {
        self.0 <= micros(now)
    }

    fn ahead_of(self, now: Timestamp) -> i64 {
        self.0.saturating_sub(micros(now))
    }
}

// ===== impl Hit =====

impl Hit {
    /// The event is within the limit.
    pub const fn allowed() -> Self {
        Self { wait: None }
    }

    /// The event is over the limit, for this long.
    pub const fn refused(retry_after: Duration) -> Self {
        Self { wait: Some(retry_after) }
    }

    /// Whether the event is within the limit.
    pub const fn is_allowed(self) -> bool {
        self.wait.is_none()
    }

    /// How long to wait; zero if it is within the limit.
    pub fn retry_after(self) -> Duration {
        self.wait.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
