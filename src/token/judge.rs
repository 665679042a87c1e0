//! What becomes of a refresh token: pure functions of token, record and time. The letters name the branches in
//! [the architecture notes](crate::docs::architecture).

use std::time::Duration;

use super::{
    pepper::{KeyTrouble, Pepper},
    policy::{GRACE_CAP, SKEW, TokenPolicy},
    ratchet::{self, Kind},
    request::RefreshRequest,
};
use crate::{
    clock::Timestamp,
    event::ReuseKind,
    problem::Reason,
    store::{Epoch, LoginRecord},
    text::RefreshText,
};

/// Branches c to g: is the token this login's, and may it be used here and now at all?
pub(super) fn refuse_outright(
    presented: &RefreshText,
    request: &RefreshRequest<'_>,
    record: &LoginRecord,
    epoch: Option<Epoch>,
    now: Timestamp,
    policy: &TokenPolicy,
    pepper: Option<&Pepper>,
) -> Result<Option<Reason>, KeyTrouble> {
    let reason = if !ratchet::tag_matches(&record.lineage, presented) {
        Reason::WrongTag // c
    } else if !secret_matches(presented, record, pepper)? {
        Reason::WrongSecret // d
    } else if record.revoked.is_some() {
        Reason::Revoked // e
    } else if epoch != Some(record.epoch) || policy.is_before_floor(record) {
        Reason::EpochChanged // f
    } else if request.tenant() != record.tenant() {
        Reason::WrongTenant
    } else if request.channel() != record.channel {
        Reason::WrongChannel
    } else if request.client() != record.client() {
        Reason::WrongClient
    } else if request.key_thumbprint() != record.key_thumbprint() {
        Reason::WrongKey
    } else if now >= record.refresh_expires.min(record.absolute_expires) {
        Reason::Expired // g
    } else {
        return Ok(None);
    };
    Ok(Some(reason))
}

/// The two latest generations have a digest to compare with; older ones are proven by their tag alone.
fn secret_matches(
    presented: &RefreshText,
    record: &LoginRecord,
    pepper: Option<&Pepper>,
) -> Result<bool, KeyTrouble> {
    let stored = if presented.generation == record.generation {
        let Some(current) = &record.refresh else {
            return Ok(false);
        };
        current
    } else if presented.generation.checked_add(1) == Some(record.generation) {
        let Some(previous) = &record.previous else {
            return Ok(true);
        };
        previous
    } else {
        return Ok(true);
    };
    ratchet::proves(Kind::Refresh, record, &presented.secret, stored, pepper)
}

/// Where a proven token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// i: ahead of the record.
    Ahead,
    /// j: the current one.
    Current,
    /// k: the direct predecessor, to be answered with the same pair.
    Repeat,
    /// k: the same, but too often.
    Capped,
    /// l, n: refused, and nothing is revoked.
    Refused(Reason),
    /// m: used before, and no honest client would still send it.
    Reuse(ReuseKind),
}

/// Branches i to n. `raced` says that this request had read the token's own generation as the current one and
/// then lost the rotation to another request: whatever it finds now, it is no thief.
pub(super) fn standing(
    generation: u32,
    record: &LoginRecord,
    now: Timestamp,
    raced: bool,
    policy: &TokenPolicy,
) -> Standing {
    if generation > record.generation {
        return Standing::Ahead;
    }
    if generation == record.generation {
        return if generation == u32::MAX { Standing::Refused(Reason::Exhausted) } else { Standing::Current };
    }
    let predecessor = generation + 1 == record.generation;
    // A clock that went back makes this zero: an honest repeat stays one.
    let elapsed = now.since(record.rotated_at);
    let unconfirmed = record.refresh_ttl.get().map_or(policy.unconfirmed, |ttl| ttl.min(policy.unconfirmed));
    let since_use = since_first_use(record, now, unconfirmed);
    // Noted by a clock that is off, so it opens nothing; and nobody is punished for it.
    let used_ahead = record.confirmed_at > now.plus(SKEW);
    let in_grace = !policy.grace.is_zero()
        && (raced || elapsed < policy.grace || (since_use < policy.grace && !used_ahead));
    let in_window = in_grace || (!record.is_confirmed() && elapsed < unconfirmed);

    if predecessor && record.previous.is_some() && record.nonce.is_some() && in_window {
        return if record.grace_hits < GRACE_CAP { Standing::Repeat } else { Standing::Capped };
    }
    if raced {
        return Standing::Refused(Reason::LostRace);
    }
    let nonce_gone = record.nonce.is_none() && !record.is_confirmed();
    if predecessor && (elapsed.min(since_use) < policy.grace + SKEW || nonce_gone) {
        return Standing::Refused(Reason::TooRecent);
    }
    Standing::Reuse(if predecessor { ReuseKind::RecentPredecessor } else { ReuseKind::StaleAncestor })
}

/// The time since the short window was opened once more, by the first use of the new pair: tabs that wake together
/// with a token whose answer was lost present it within seconds, however long ago the rotation was. Only what ends the
/// long window does that: a first use after it opens nothing that was shut.
fn since_first_use(record: &LoginRecord, now: Timestamp, unconfirmed: Duration) -> Duration {
    if record.confirmed_at.since(record.rotated_at) < unconfirmed {
        now.since(record.confirmed_at)
    } else {
        Duration::MAX
    }
}
