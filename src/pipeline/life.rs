//! How long a token is used.

use std::time::Duration;

use super::{jwt_life, token::AccessToken};
use crate::clock::Timestamp;

/// Nobody means a shorter or a longer one.
pub(super) const LIFETIME_MIN: Duration = Duration::from_secs(1);
pub(super) const LIFETIME_MAX: Duration = Duration::from_secs(100 * 31_557_600);
const LIFETIME_FALLBACK: Duration = Duration::from_secs(5 * 60);

/// Whose word counts for how long a token lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lifetime {
    /// The shorter of the endpoint's and the step's.
    #[default]
    Shorter,
    /// The step's, whatever the endpoint says.
    StepWins,
}

/// How long a token is used that was just issued. The endpoint's word is the life that it answered, else what the
/// token says of itself if it is a JWT. Where neither the endpoint nor the step has a word, it is five minutes.
pub(super) fn granted(
    token: &AccessToken,
    step: Option<Duration>,
    rule: Lifetime,
    now: Timestamp,
) -> Duration {
    let told = || token.lifetime().or_else(|| jwt_life::granted(token.value().expose(), now));
    match (step, rule) {
        (Some(step), Lifetime::StepWins) => step,
        (Some(step), Lifetime::Shorter) => told().map_or(step, |told| told.min(step)),
        (None, _) => told().unwrap_or(LIFETIME_FALLBACK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    // {"exp":1030}
    const JWT: &str = "e30.eyJleHAiOjEwMzB9.c2ln";

    #[track_caller]
    fn check(text: &str, answered: Option<u64>, step: Option<u64>, rule: Lifetime, expected: u64) {
        let token = AccessToken::new(text).unwrap();
        let token = match answered {
            Some(seconds) => token.with_lifetime(Duration::from_secs(seconds)),
            None => token,
        };
        let life = granted(&token, step.map(Duration::from_secs), rule, NOW);
        assert_eq!(life, Duration::from_secs(expected));
    }

    #[test]
    fn r094_the_shorter_life_counts_unless_the_step_shall_win() {
        check("t", Some(60), Some(3600), Lifetime::Shorter, 60);
        check("t", Some(3600), Some(60), Lifetime::Shorter, 60);
        check("t", Some(60), Some(3600), Lifetime::StepWins, 3600);
        check("t", Some(60), None, Lifetime::StepWins, 60);
        check("t", None, Some(3600), Lifetime::Shorter, 3600);
        check("t", None, None, Lifetime::Shorter, 300);
    }

    #[test]
    fn r094_a_jwt_speaks_for_the_endpoint_that_says_nothing() {
        check(JWT, None, None, Lifetime::Shorter, 30);
        check(JWT, None, Some(3600), Lifetime::Shorter, 30);
        check(JWT, None, Some(10), Lifetime::Shorter, 10);
        check(JWT, None, Some(3600), Lifetime::StepWins, 3600);
        check(JWT, Some(60), None, Lifetime::Shorter, 60);
    }
}
