//! The rules that lifetimes obey, in a policy and for a single login.

use std::time::Duration;

use super::policy::Sliding;
use crate::{clock::Timestamp, error::Faults};

/// The lives of a login's tokens and of the login itself; `None` is "for ever", and for `refresh` "no refresh
/// token".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetimes {
    pub(super) access: Option<Duration>,
    pub(super) refresh: Option<Duration>,
    pub(super) absolute: Option<Duration>,
}

impl Lifetimes {
    pub(super) fn check(self, faults: &mut Faults) {
        for (field, ttl) in
            [("access_ttl", self.access), ("refresh_ttl", self.refresh), ("absolute", self.absolute)]
        {
            // Times are stored in milliseconds: anything shorter would be zero there.
            let usable = ttl.is_none_or(|ttl| ttl >= Duration::from_millis(1));
            faults.check(usable, field, ttl, "must be at least one millisecond");
        }
        if let Some(refresh) = self.refresh {
            let shorter = self.access.is_some_and(|access| access < refresh);
            faults.check(shorter, "access_ttl", self.access, "must be shorter than refresh_ttl");
        }
        if let Some(ceiling) = self.absolute {
            // Never cut in silence: who asks for more is told.
            let below = |ttl: Duration| ttl <= ceiling;
            let rule = "must not exceed absolute";
            faults.check(self.access.is_some_and(below), "access_ttl", self.access, rule);
            faults.check(self.refresh.is_none_or(below), "refresh_ttl", self.refresh, rule);
        }
    }
}

/// What sliding needs of the lifetimes.
pub(super) fn check_sliding(sliding: Sliding, lifetimes: Lifetimes, faults: &mut Faults) {
    let refresh = match sliding {
        Sliding::Off => return,
        Sliding::Access => lifetimes.refresh.is_none(),
        Sliding::AccessAndRefresh => lifetimes.refresh.is_some(),
    };
    faults.check(
        lifetimes.absolute.is_some(),
        "absolute",
        lifetimes.absolute,
        "sliding needs an absolute end",
    );
    faults.check(
        lifetimes.access.is_some(),
        "access_ttl",
        lifetimes.access,
        "sliding needs a life to extend",
    );
    let rule = "sliding() goes without refresh tokens, sliding_with_refresh() with them";
    faults.check(refresh, "refresh_ttl", lifetimes.refresh, rule);
}

/// What sliding needs of a single login: only what it would extend without an end. A login without a refresh
/// token under [`Sliding::AccessAndRefresh`] slides its access token alone.
pub(super) fn check_options(sliding: Sliding, lifetimes: Lifetimes, faults: &mut Faults) {
    let bounded = sliding == Sliding::Off || lifetimes.access.is_none() || lifetimes.absolute.is_some();
    faults.check(bounded, "absolute", lifetimes.absolute, "sliding needs an absolute end");
    let known = sliding != Sliding::Access || lifetimes.refresh.is_none();
    faults.check(known, "refresh_ttl", lifetimes.refresh, "sliding() goes without refresh tokens");
}

/// The end of a life that begins now.
pub(super) fn end(ttl: Option<Duration>, now: Timestamp, absolute: Timestamp) -> Timestamp {
    ttl.map_or(Timestamp::NEVER, |ttl| now.plus(ttl)).min(absolute)
}
