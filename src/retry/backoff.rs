//! How long to wait before the next attempt.
//!
//! `tower` has a backoff, too. Its jitter comes from a generator that every request clones in the same state, so that all
//! requests of a process wait the same, and there is none at all once the longest wait is reached.

use std::time::Duration;

use crate::random;

/// A fraction from zero to one, drawn anew for every wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance(u32);

/// A wait that doubles.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

// ===== impl Chance =====

impl Chance {
    pub(super) fn draw() -> Self {
        // Without random bytes the wait is the whole one: long enough, if together with others.
        Self(random::bytes::<4>().map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes)))
    }

    fn of(self, span: Duration) -> Duration {
        span.mul_f64(f64::from(self.0) / f64::from(u32::MAX))
    }
}

// ===== impl Backoff =====

impl Backoff {
    /// The wait before repeat number `made`, counted from zero: a half of the doubled wait for sure, the other by
    /// chance.
    pub(super) fn wait(&self, made: u32, chance: Chance) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(made));
        let half = doubled.min(self.longest) / 2;
        half + chance.of(half)
    }

    /// The wait where the server has asked for one: never less than it asks for, and spread over one first wait.
    pub(super) fn wait_at_least(&self, asked: Duration, made: u32, chance: Chance) -> Duration {
        self.wait(made, chance).max(asked + chance.of(self.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Chance = Chance(0);
    const MOST: Chance = Chance(u32::MAX);

    fn backoff(first: u64, longest: u64) -> Backoff {
        Backoff { first: Duration::from_millis(first), longest: Duration::from_millis(longest) }
    }

    #[test]
    fn r123_the_wait_doubles_up_to_the_longest_and_half_of_it_is_chance() {
        let backoff = backoff(1000, 60_000);
        for (made, doubled) in [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (31, 60), (u32::MAX, 60)] {
            let doubled = Duration::from_secs(doubled);
            assert_eq!(backoff.wait(made, LEAST), doubled / 2, "{made}");
            assert_eq!(backoff.wait(made, MOST), doubled, "{made}");
            let middle = backoff.wait(made, Chance(u32::MAX / 2));
            assert!(middle > doubled * 7 / 10 && middle < doubled * 8 / 10, "{middle:?}");
        }
    }

    #[test]
    fn r123_a_server_that_asks_for_more_gets_more_and_never_less() {
        let (backoff, asked) = (backoff(1000, 60_000), Duration::from_secs(10));
        assert_eq!(backoff.wait_at_least(asked, 0, LEAST), asked);
        assert_eq!(backoff.wait_at_least(asked, 0, MOST), asked + backoff.first);
        assert_eq!(backoff.wait_at_least(asked, 5, MOST), Duration::from_secs(32));
        assert_eq!(backoff.wait_at_least(Duration::ZERO, 0, LEAST), backoff.first / 2);
    }

    #[test]
    fn r123_no_two_waits_are_drawn_alike() {
        let drawn: std::collections::BTreeSet<u32> = (0..100).map(|_| Chance::draw().0).collect();
        assert!(drawn.len() > 90);
    }
}
