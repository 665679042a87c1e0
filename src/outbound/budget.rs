//! How many requests may be doubled while nothing helps.

use std::sync::{Mutex, PoisonError};

use crate::clock::{Clock, Monotonic};

/// How many repeats there may be with a token that was itself rejected before.
///
/// An API that refuses everything would otherwise get every request twice. Repeats with a token that is untried, or
/// was accepted, cost nothing. Others take one from the budget, which gets `per_second` back in each second and
/// `percent` of each rejected answer, and holds ten seconds' worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatBudget {
    per_second: u32,
    percent: u32,
}

impl RepeatBudget {
    /// 10 in each second and 20 % of the rejected answers.
    pub const fn new() -> Self {
        Self { per_second: 10, percent: 20 }
    }

    /// How many each second gives back.
    #[must_use]
    pub const fn per_second(mut self, repeats: u32) -> Self {
        self.per_second = repeats;
        self
    }

    /// How many of a hundred rejected answers give one back.
    #[must_use]
    pub const fn percent(mut self, percent: u32) -> Self {
        self.percent = percent;
        self
    }
}

impl Default for RepeatBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// What is left of a budget. Touched only by answers that reject a token.
pub(super) struct Purse {
    budget: RepeatBudget,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    left: u128,
    at: Monotonic,
}

/// Fine enough that a nanosecond of one repeat in a second is a whole number.
const REPEAT: u128 = 1_000_000_000;
/// What a budget can hold is what so much time gives back, and one repeat more.
const SECONDS_MAX: u128 = 10;

impl Purse {
    pub(super) fn new(budget: RepeatBudget, clock: Clock) -> Self {
        let state = Mutex::new(State { left: capacity(budget), at: clock.monotonic() });
        Self { budget, clock, state }
    }

    /// An answer has rejected a token.
    pub(super) fn deposit(&self) {
        self.change(|left| (left + u128::from(self.budget.percent) * REPEAT / 100, ()));
    }

    /// Takes one repeat out, if there is one.
    pub(super) fn withdraw(&self) -> bool {
        self.change(|left| left.checked_sub(REPEAT).map_or((left, false), |left| (left, true)))
    }

    fn change<T>(&self, change: impl FnOnce(u128) -> (u128, T)) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.monotonic();
        let earned = now.since(state.at).as_nanos() * u128::from(self.budget.per_second);
        let (left, answer) = change((state.left + earned).min(capacity(self.budget)));
        *state = State { left, at: now };
        answer
    }
}

fn capacity(budget: RepeatBudget) -> u128 {
    (u128::from(budget.per_second) * SECONDS_MAX + u128::from(budget.percent > 0)) * REPEAT
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn purse(budget: RepeatBudget) -> (Purse, ManualClock) {
        let time = ManualClock::new(Timestamp::from_millis(0));
        (Purse::new(budget, time.clock()), time)
    }

    /// Takes out what there is.
    fn empty(purse: &Purse) -> usize {
        (0..100_000).take_while(|_| purse.withdraw()).count()
    }

    #[test]
    fn r117_a_budget_earns_by_the_second_and_by_the_rejection() {
        let (purse, time) = purse(RepeatBudget::new());
        assert_eq!(empty(&purse), 101, "ten seconds' worth, and one");
        time.advance(Duration::from_millis(99));
        assert!(!purse.withdraw());
        time.advance(Duration::from_millis(1));
        assert_eq!(empty(&purse), 1);
        time.advance(Duration::from_secs(3));
        assert_eq!(empty(&purse), 30);
        time.advance(Duration::from_secs(3_600));
        assert_eq!(empty(&purse), 101);
        (0..10).for_each(|_| purse.deposit());
        assert_eq!(empty(&purse), 2);
        (0..10_000).for_each(|_| purse.deposit());
        assert_eq!(empty(&purse), 101, "no more than it holds");
    }

    /// Reading the clock often must not lose what is earned between two readings.
    #[test]
    fn r117_many_small_spans_earn_like_one_long_one() {
        let (purse, time) = purse(RepeatBudget::new().percent(0));
        assert_eq!(empty(&purse), 100);
        for _ in 0..300_000 {
            time.advance(Duration::from_nanos(3_333));
            purse.deposit();
        }
        assert_eq!(empty(&purse), 9, "0.9999 seconds");
    }

    #[test]
    fn r117_a_budget_of_nothing_has_nothing() {
        let (purse, time) = purse(RepeatBudget::new().per_second(0).percent(0));
        time.advance(Duration::from_secs(100));
        assert_eq!(empty(&purse), 0);
        let (purse, _) = self::purse(RepeatBudget::new().per_second(0).percent(50));
        assert_eq!(empty(&purse), 1);
        purse.deposit();
        assert_eq!(empty(&purse), 0);
        purse.deposit();
        assert_eq!(empty(&purse), 1);
    }
}
