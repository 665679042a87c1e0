//! When an endpoint that failed is asked again.

use std::time::Duration;

use crate::{clock::Monotonic, provider::TokenError};

/// The longest that an endpoint's `Retry-After` is honoured: a mistake there must not be an outage of days.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

/// Before a renewal ahead is tried again: up to 5 s after the first failure, doubled with each further one.
const AHEAD: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));
/// And never less than this, so that a lucky draw is no hammering.
const AHEAD_MIN: Duration = Duration::from_secs(1);

/// Before a fetch is tried again that somebody waits for: after the second failure in a row. The first may be a
/// hiccup, and its result is not kept.
const AWAITED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The failures of one step since its last success.
#[derive(Default)]
pub(super) struct Failures {
    count: u32,
    last: Option<(TokenError, Monotonic)>,
}

impl Failures {
    /// Notes one, and says from when on a renewal ahead may be tried. `draw` is from 0 to 1.
    pub(super) fn note(&mut self, error: &TokenError, now: Monotonic, draw: f64) -> Monotonic {
        self.count = self.count.saturating_add(1);
        let asked = error.retry_after().unwrap_or_default().min(RETRY_AFTER_MAX);
        self.last = Some((error.clone(), now.plus(awaited(self.count, draw).max(asked))));
        now.plus(ahead(self.count, draw).max(asked))
    }

    /// The last failure, as long as the endpoint is to be left alone.
    pub(super) fn standing(&self, now: Monotonic) -> Option<TokenError> {
        let (error, until) = self.last.as_ref()?;
        (now < *until).then(|| error.clone().with_retry_after(until.since(now)))
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Full jitter: anything up to the limit, which grows with the failures.
fn ahead(count: u32, draw: f64) -> Duration {
    let limit = grown(AHEAD, count);
    AHEAD_MIN + limit.saturating_sub(AHEAD_MIN).mul_f64(draw)
}

/// Half of the limit is certain: whoever asks meanwhile gets the last failure, and may ask in a tight loop.
fn awaited(count: u32, draw: f64) -> Duration {
    let Some(count) = count.checked_sub(1).filter(|count| *count > 0) else { return Duration::ZERO };
    let limit = grown(AWAITED, count);
    limit.mul_f64(f64::midpoint(1.0, draw))
}

/// The first limit, doubled with each failure after the first, up to the last.
fn grown((first, last): (Duration, Duration), count: u32) -> Duration {
    first.saturating_mul(2u32.saturating_pow(count.saturating_sub(1))).min(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::TokenErrorKind;

    const START: Monotonic = Monotonic::from_nanos(0);

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn r111_the_waits_grow_to_their_limits() {
        let waits = |wait: fn(u32, f64) -> Duration, draw| {
            [1, 2, 3, 4, 5, 100, u32::MAX].map(|count| wait(count, draw).as_secs_f64())
        };
        assert_eq!(waits(ahead, 1.0), [5.0, 10.0, 20.0, 30.0, 30.0, 30.0, 30.0]);
        assert_eq!(waits(ahead, 0.0), [1.0; 7]);
        assert_eq!(waits(awaited, 1.0), [0.0, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]);
        assert_eq!(waits(awaited, 0.0), [0.0, 0.5, 1.0, 2.0, 2.5, 2.5, 2.5]);
        assert_eq!(ahead(2, 0.5), secs(5.5));
    }

    #[test]
    fn r111_the_first_failure_is_not_kept_and_the_second_is_for_a_moment() {
        let mut failures = Failures::default();
        let error = TokenError::new(TokenErrorKind::Timeout);
        assert_eq!(failures.note(&error, START, 1.0), START.plus(secs(5.0)));
        assert!(failures.standing(START).is_none());
        failures.note(&error, START, 1.0);
        let kept = failures.standing(START.plus(secs(0.25))).unwrap();
        assert_eq!((kept.kind(), kept.retry_after()), (TokenErrorKind::Timeout, Some(secs(0.75))));
        assert!(failures.standing(START.plus(secs(1.0))).is_none());
        failures.note(&error, START, 1.0);
        assert!(failures.standing(START.plus(secs(1.5))).is_some());
        failures.clear();
        assert!(failures.standing(START).is_none());
        assert_eq!(failures.note(&error, START, 1.0), START.plus(secs(5.0)), "counted from one again");
    }

    #[test]
    fn r111_the_endpoints_own_word_counts_up_to_an_hour() {
        for (asked, kept) in [(7.0, 7.0), (3600.0, 3600.0), (1e9, 3600.0)] {
            let mut failures = Failures::default();
            let error = TokenError::new(TokenErrorKind::Refused).with_retry_after(secs(asked));
            assert_eq!(failures.note(&error, START, 0.0), START.plus(secs(kept)), "also ahead");
            assert!(failures.standing(START.plus(secs(kept - 0.1))).is_some());
            assert!(failures.standing(START.plus(secs(kept))).is_none());
        }
        // One that is shorter than our own wait changes nothing.
        let mut failures = Failures::default();
        let error = TokenError::new(TokenErrorKind::Refused).with_retry_after(secs(0.1));
        assert_eq!(failures.note(&error, START, 1.0), START.plus(secs(5.0)));
    }
}
