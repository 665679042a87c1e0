//! From when on a token is renewed ahead, withheld from requests that cannot be repeated, and not sent at all.
//!
//! Pure functions of values. A token's moments are computed once, when it is stored.

use std::time::Duration;

use crate::clock::Monotonic;

/// The settings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows {
    /// How long before its end a token is not sent any more, at most.
    pub(super) margin: Duration,
    /// How long before its end it is renewed ahead, at most. `None`: never.
    pub(super) ahead: Option<Duration>,
}

/// What is known of a token's life when it comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) received: Monotonic,
    /// What is left of its life.
    pub(super) left: Duration,
    /// Its life from the beginning.
    pub(super) life: Duration,
    /// After how long its endpoint wants it renewed.
    pub(super) refresh_in: Option<Duration>,
    /// How long the fetch took. Half of that has passed on the way.
    pub(super) round_trip: Duration,
}

/// The moments of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moments {
    /// From here on it is renewed ahead.
    pub(super) soft: Option<Monotonic>,
    /// From here on it is too short-lived for a request that cannot be repeated.
    pub(super) lasting: Monotonic,
    /// From here on it is not sent.
    pub(super) hard: Monotonic,
}

impl Windows {
    /// `draw` is from 0 to 1: it shortens the soft window by up to a fifth, so that many processes that fetched
    /// at one moment do not renew at one moment. It is drawn once for each token. Drawn at each look, the
    /// earliest of many draws would count, and the more requests there are, the earlier that would be.
    pub(super) fn moments(&self, of: Life, draw: f64) -> Moments {
        let on_the_way = of.round_trip / 2;
        let left = of.left.saturating_sub(on_the_way);
        // Never more than a tenth, so that a short-lived token is usable.
        let margin = self.margin.min(of.life / 10);
        let soft = self.ahead.map(|window| match of.refresh_in {
            Some(wanted) => of.received.plus(wanted.saturating_sub(on_the_way)),
            None => {
                let window = window.min(of.life / 2).mul_f64(0.2f64.mul_add(-draw.clamp(0.0, 1.0), 1.0));
                of.received.plus(left.saturating_sub(window))
            }
        });
        Moments {
            soft,
            lasting: of.received.plus(left.saturating_sub(margin * 2)),
            hard: of.received.plus(left.saturating_sub(margin)),
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self { margin: Duration::from_secs(30), ahead: Some(Duration::from_secs(20 * 60)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Monotonic = Monotonic::from_nanos(1_000);

    fn life(seconds: u64) -> Life {
        Life {
            received: START,
            left: Duration::from_secs(seconds),
            life: Duration::from_secs(seconds),
            refresh_in: None,
            round_trip: Duration::ZERO,
        }
    }

    /// Seconds after the token came: (soft, lasting, hard).
    #[track_caller]
    fn check(windows: Windows, of: Life, draw: f64, expected: (Option<f64>, f64, f64)) {
        let moments = windows.moments(of, draw);
        let after = |moment: Monotonic| moment.since(START).as_secs_f64();
        assert_eq!((moments.soft.map(after), after(moments.lasting), after(moments.hard)), expected);
    }

    #[test]
    fn r092_the_hard_window_is_kept_and_capped_for_short_lives() {
        let windows = |margin| Windows { margin: Duration::from_secs(margin), ahead: None };
        check(windows(30), life(3600), 0.0, (None, 3540.0, 3570.0));
        check(windows(300), life(3600), 0.0, (None, 3000.0, 3300.0));
        check(windows(30), life(20), 0.0, (None, 16.0, 18.0));
        check(windows(30), life(300), 0.0, (None, 240.0, 270.0));
        check(windows(0), life(20), 0.0, (None, 20.0, 20.0));
    }

    #[test]
    fn r092_half_the_round_trip_has_passed_on_the_way() {
        let slow = |seconds, of: u64| Life { round_trip: Duration::from_secs(seconds), ..life(of) };
        check(Windows::default(), slow(10, 3600), 0.0, (Some(2395.0), 3535.0, 3565.0));
        // A token that is all but over when it comes is not counted backwards.
        check(Windows::default(), slow(60, 1), 0.0, (Some(0.0), 0.0, 0.0));
    }

    #[test]
    fn r092_the_soft_window_is_half_the_life_and_twenty_minutes_at_most() {
        check(Windows::default(), life(3600), 0.0, (Some(2400.0), 3540.0, 3570.0));
        check(Windows::default(), life(600), 0.0, (Some(300.0), 540.0, 570.0));
        check(Windows::default(), life(10), 0.0, (Some(5.0), 8.0, 9.0));
        let wide = Windows { ahead: Some(Duration::from_secs(3000)), ..Windows::default() };
        check(wide, life(3600), 0.0, (Some(1800.0), 3540.0, 3570.0));
    }

    #[test]
    fn r092_the_draw_shortens_the_soft_window_by_up_to_a_fifth_and_nothing_else() {
        check(Windows::default(), life(3600), 1.0, (Some(2640.0), 3540.0, 3570.0));
        check(Windows::default(), life(3600), 0.5, (Some(2520.0), 3540.0, 3570.0));
        check(Windows::default(), life(3600), 7.0, (Some(2640.0), 3540.0, 3570.0));
        check(Windows::default(), life(3600), -7.0, (Some(2400.0), 3540.0, 3570.0));
    }

    #[test]
    fn r092_the_windows_of_a_token_that_is_taken_over_are_those_of_its_whole_life() {
        let left = |seconds, of: u64| Life { left: Duration::from_secs(seconds), ..life(of) };
        check(Windows::default(), left(1800, 3600), 0.0, (Some(600.0), 1740.0, 1770.0));
        check(Windows::default(), left(100, 3600), 0.0, (Some(0.0), 40.0, 70.0));
        check(Windows::default(), left(10, 60), 0.0, (Some(0.0), 0.0, 4.0));
    }

    #[test]
    fn r092_what_the_server_wants_overrides_the_soft_window_without_a_draw() {
        let wanted = |seconds| Life { refresh_in: Some(Duration::from_secs(seconds)), ..life(3600) };
        for draw in [0.0, 1.0] {
            check(Windows::default(), wanted(100), draw, (Some(100.0), 3540.0, 3570.0));
            check(Windows::default(), wanted(3599), draw, (Some(3599.0), 3540.0, 3570.0));
        }
        let slow = Life { round_trip: Duration::from_secs(10), ..wanted(100) };
        check(Windows::default(), slow, 0.0, (Some(95.0), 3535.0, 3565.0));
        check(Windows { ahead: None, ..Windows::default() }, wanted(100), 0.0, (None, 3540.0, 3570.0));
    }
}
