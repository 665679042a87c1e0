//! What a use of a login changes in its record: pure functions of record, policy and time.

use std::time::Duration;

use super::{
    lifetimes,
    pepper::Pepper,
    policy::{SKEW, Sliding, TokenPolicy},
    ratchet,
};
use crate::{
    clock::Timestamp,
    store::{LoginRecord, Touch},
};

/// The touch that is due, if any. `secret` is the presented access secret, proven already.
pub(super) fn due(
    record: &LoginRecord,
    secret: &[u8; 43],
    now: Timestamp,
    policy: &TokenPolicy,
    pepper: Option<&Pepper>,
) -> Option<Touch> {
    let interval = policy.touch_every?;
    let seen_before = now.minus(interval);
    if record.last_seen > seen_before {
        return None;
    }
    let (access_expires, refresh_expires) = extended(record, now, policy.sliding);
    Some(Touch {
        generation: record.generation,
        seen_before,
        now,
        access_expires,
        refresh_expires,
        access: ratchet::newer_digest(record, secret, policy.hash, pepper),
        wipe_nonce: repeats_are_over(record, now, policy),
    })
}

/// The ends of access and refresh token where they move: never back, never past the absolute end.
fn extended(
    record: &LoginRecord,
    now: Timestamp,
    sliding: Sliding,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let later = |ttl: Option<Duration>, own: Timestamp, ceiling: Timestamp| {
        // Without a life of its own the token never ends, and there is nothing to extend.
        let end = lifetimes::end(Some(ttl?), now, ceiling);
        (end > own).then_some(end)
    };
    let absolute = record.absolute_expires;
    let has_refresh = record.refresh.is_some();
    match sliding {
        Sliding::Off => (None, None),
        // A refresh token from before the policy was changed: whoever holds the access token alone must not
        // outlive it.
        Sliding::Access if has_refresh => {
            let ceiling = absolute.min(record.refresh_expires);
            (later(record.access_ttl.get(), record.access_expires, ceiling), None)
        }
        Sliding::Access => (later(record.access_ttl.get(), record.access_expires, absolute), None),
        Sliding::AccessAndRefresh => {
            let refresh =
                later(record.refresh_ttl.get().filter(|_| has_refresh), record.refresh_expires, absolute);
            (later(record.access_ttl.get(), record.access_expires, absolute), refresh)
        }
    }
}

/// From here on the predecessor is refused or proves a reuse, for which its digest is enough.
fn repeats_are_over(record: &LoginRecord, now: Timestamp, policy: &TokenPolicy) -> bool {
    record.nonce.is_some() && record.settled_at() < wipe_before(now, policy)
}

/// Nonces of rotations that were confirmed before this moment are of no more use.
pub(super) fn wipe_before(now: Timestamp, policy: &TokenPolicy) -> Timestamp {
    now.minus(policy.grace + SKEW)
}
