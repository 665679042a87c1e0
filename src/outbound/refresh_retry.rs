//! How often, and after which waits, a failed token fetch is begun again.

use std::{future::Future, time::Duration};

use tokio::time::sleep;

use crate::{provider::TokenError, random};

/// What a request does when the token that it waits for could not be fetched. It is about the fetch alone: a request
/// is never sent more than twice.
///
/// Only failures are tried again that [may pass](TokenError::is_transient). Where the error says how long it is of no
/// use to ask again, the wait is at least that; if that is longer than the longest wait here, the failure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RefreshRetry {
    times: u32,
    first: Duration,
    longest: Duration,
    jitter: bool,
}

impl RefreshRetry {
    /// The first failure counts. The default.
    pub const fn none() -> Self {
        Self { times: 0, first: Duration::ZERO, longest: Duration::ZERO, jitter: false }
    }

    /// Up to so many times more, after the same wait each time.
    pub const fn fixed(times: u32, wait: Duration) -> Self {
        Self { times, first: wait, longest: wait, jitter: false }
    }

    /// Up to so many times more. The waits double from `first` to `longest`, and each is drawn between nothing and
    /// that, so that requests that failed together do not come back together.
    pub const fn exponential(times: u32, first: Duration, longest: Duration) -> Self {
        Self { times, first, longest, jitter: true }
    }

    /// Asks again while that may help. `first` is the answer to the first asking, which has begun already.
    pub(super) async fn run<T, F>(
        self,
        first: impl Future<Output = Result<T, TokenError>>,
        mut again: impl FnMut() -> F,
    ) -> Result<T, TokenError>
    where
        F: Future<Output = Result<T, TokenError>>,
    {
        let mut found = first.await;
        for time in 0..self.times {
            match &found {
                Err(error)
                    if error.is_transient()
                        && error.retry_after().is_none_or(|wait| wait <= self.longest) =>
                {
                    sleep(self.wait(time).max(error.retry_after().unwrap_or_default())).await;
                }
                _ => break,
            }
            found = again().await;
        }
        found
    }

    fn wait(self, time: u32) -> Duration {
        let longest = self.first.saturating_mul(2_u32.saturating_pow(time)).min(self.longest);
        if self.jitter { longest.mul_f64(random::fraction()) } else { longest }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::{
        clock::{PausedClock, Timestamp},
        provider::{OAuthErrorCode, TokenErrorKind},
    };

    #[test]
    fn r119_waits_are_fixed_or_double_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let fixed = RefreshRetry::fixed(5, second);
        assert!((0..5).all(|time| fixed.wait(time) == second));
        let doubling = RefreshRetry::exponential(9, second, 10 * second);
        for (time, longest) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 10), (40, 10), (u32::MAX, 10)] {
            let waits: Vec<_> = (0..200).map(|_| doubling.wait(time)).collect();
            assert!(waits.iter().all(|wait| *wait <= longest * second), "{time}");
            let average = waits.iter().sum::<Duration>() / 200;
            assert!(
                average > longest * second / 4 && average < longest * second * 3 / 4,
                "{time}: {average:?}"
            );
        }
    }

    #[test]
    fn r119_only_what_may_pass_is_tried_again() {
        for (kind, passes) in [
            (TokenErrorKind::Transport, true),
            (TokenErrorKind::Timeout, true),
            (TokenErrorKind::Aborted, true),
            (TokenErrorKind::Store, true),
            (TokenErrorKind::Busy, true),
            (TokenErrorKind::Unsaved, true),
            (TokenErrorKind::Stopped, false),
            (TokenErrorKind::Unreadable, false),
            (TokenErrorKind::Refused, false),
            (TokenErrorKind::Malformed, false),
            (TokenErrorKind::Request, false),
            (TokenErrorKind::Panicked, false),
            (TokenErrorKind::NoRuntime, false),
            (TokenErrorKind::Absent, false),
        ] {
            assert_eq!(TokenError::new(kind).is_transient(), passes, "{kind:?}");
        }
        for (status, passes) in
            [(400, false), (401, false), (408, true), (429, true), (500, true), (503, true)]
        {
            let refused = TokenError::new(TokenErrorKind::Refused);
            let refused = refused.with_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(refused.is_transient(), passes, "{status}");
            assert!(!refused.with_code(OAuthErrorCode::InvalidClient).is_transient(), "{status}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r119_nobody_asks_again_before_the_endpoint_wants_it() {
        let second = Duration::from_secs(1);
        for (strategy, asked_for, waited) in [
            (RefreshRetry::fixed(1, 2 * second), 1, Some(2)),
            (RefreshRetry::fixed(1, 2 * second), 2, Some(2)),
            (RefreshRetry::fixed(1, 2 * second), 3, None),
            (RefreshRetry::exponential(1, Duration::ZERO, 9 * second), 7, Some(7)),
        ] {
            let error = || TokenError::new(TokenErrorKind::Transport).with_retry_after(asked_for * second);
            let clock = PausedClock::starting_at(Timestamp::from_millis(0));
            let found = strategy.run(async { Err(error()) }, async || Ok(())).await;
            assert_eq!(found.is_ok(), waited.is_some(), "{strategy:?} {asked_for}");
            assert_eq!(clock.now().as_millis(), 1_000 * waited.unwrap_or(0), "{strategy:?} {asked_for}");
        }
    }
}
