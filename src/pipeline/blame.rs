//! Whose token is refused, and what is renewed for it.
//!
//! 1. A refused token is not handed out any more, and neither is what was made from it. Late reports of the same
//!    token change nothing.
//! 2. A token that was fetched for a refused one, and is refused itself before it ever worked, is hardly the
//!    cause. Within the cooldown it is kept; after it, blame has moved one level up: to the tokens it was made
//!    from.
//! 3. A step whose endpoint refuses it blames the earlier tokens that it has sent: they are renewed, and the step
//!    is tried once more. Tokens that were fetched for this very attempt are not to blame.
//! 4. What else was made from a blamed token is dropped when the step was accepted with its successor, and no
//!    sooner: until then the endpoint alone may be in trouble, and tokens that are good would go with it.

use std::sync::Arc;

use futures_util::future::join_all;
use http::StatusCode;

use super::{
    attempt::Parent,
    fetch::Fetch,
    flight::{Need, Ride},
    parts::Parts,
    slot::Held,
};
use crate::{
    provider::{Lease, OAuthErrorCode, RejectedBy, TokenError, TokenErrorKind, TokenEvent},
    store::LeaseVersion,
};

/// What was made from blamed tokens: steps, and the generation that each of them had then.
pub(super) struct Doubtful(Vec<(usize, u64)>);

/// Whether a step was refused for a token that it has sent. A 401 says so, unless its code names something else:
/// a client that could not show itself is one, too (RFC 6749 §5.2).
pub(super) fn falls_on_parents(error: &TokenError) -> bool {
    let unauthorized = error.status() == Some(StatusCode::UNAUTHORIZED);
    error.kind() == TokenErrorKind::Refused
        && match error.code() {
            // The last one is what a token exchange says of a bad subject token (RFC 8693 §2.2.2).
            Some(
                OAuthErrorCode::InvalidToken | OAuthErrorCode::InvalidGrant | OAuthErrorCode::InvalidRequest,
            ) => true,
            None | Some(OAuthErrorCode::ExpiredToken | OAuthErrorCode::Other) => unauthorized,
            Some(_) => false,
        }
}

/// Whether a refresh token was refused, and not the request at this moment, or the client.
pub(super) fn is_final(error: &TokenError) -> bool {
    let passing = |status: StatusCode| {
        status.is_server_error()
            || status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
    };
    let other = matches!(
        error.code(),
        Some(
            OAuthErrorCode::InvalidClient
                | OAuthErrorCode::ServerError
                | OAuthErrorCode::SlowDown
                | OAuthErrorCode::TemporarilyUnavailable
                | OAuthErrorCode::UnauthorizedClient
        )
    );
    error.kind() == TokenErrorKind::Refused && !other && !error.status().is_some_and(passing)
}

impl Parts {
    /// Notes that a step's token was refused. Returns whether a fetch may help.
    pub(super) fn reject(&self, step: usize, rejected: &Lease) -> bool {
        let slot = &self.steps[step].slot;
        let mut control = slot.control();
        let current = slot.load();
        let Some(held) = current.as_ref().filter(|held| held.generation() == rejected.generation()) else {
            return true;
        };
        let now = self.clock.monotonic();
        // It was refused, dropped or has ended before: it is replaced anyhow, and what was fetched for that, perhaps
        // new earlier tokens, must not be lost to a late report.
        if !self.is_fresh(step, held, now) {
            return true;
        }
        let renewed_in_vain = held.for_rejected.filter(|_| !held.lease.was_accepted());
        let young = now.since(held.received) < self.rejection_cooldown;
        if renewed_in_vain.is_some() && young {
            held.doubt();
            return control.flight.is_some();
        }
        held.reject();
        let level = renewed_in_vain.filter(|_| held.is_doubted()).map_or(0, |level| level.saturating_add(1));
        control.rejected = Some(level);
        drop(control);
        let roots = self.roots(step, level);
        for root in roots.iter().filter(|root| **root != step) {
            self.reject_root(*root, self.source(step, held, *root));
        }
        let by = if step == self.last() { RejectedBy::Api } else { RejectedBy::Step };
        if by == RejectedBy::Api {
            self.drop_dependents(&roots);
        }
        let (pipeline, name, generation) = (&*self.name, &*self.steps[step].name, held.generation());
        tracing::debug!(pipeline, step = name, generation, by = by.as_str(), level, "token refused");
        self.recorders.tell(&TokenEvent::Rejected { pipeline, step: name, generation, by });
        true
    }

    /// `made_from` is the version of the step's token that is to blame, if that is known.
    fn reject_root(&self, step: usize, made_from: Option<LeaseVersion>) {
        let slot = &self.steps[step].slot;
        let mut control = slot.control();
        if let Some(held) = &*slot.load() {
            held.reject();
            control.rejected.get_or_insert(0);
        } else if let Some(version) = made_from {
            // Its child was taken over from those who share it.
            slot.share_above(version);
        } else {
            slot.share_from(self.clock.now());
        }
    }

    /// Where the renewal for a refused token begins.
    fn roots(&self, step: usize, level: u32) -> Vec<usize> {
        let mut roots = vec![if step == self.last() { self.renewed_from } else { step }];
        for _ in 0..level {
            let above: Vec<usize> =
                roots.iter().flat_map(|root| &self.steps[*root].parents).copied().collect();
            if above.is_empty() {
                break;
            }
            roots = above;
            roots.sort_unstable();
            roots.dedup();
        }
        roots
    }

    /// What was made from these earlier tokens.
    pub(super) fn doubtful<'a>(&self, parents: impl Iterator<Item = &'a Parent>) -> Doubtful {
        let made = parents.flat_map(|parent| &self.steps[parent.step].dependents);
        Doubtful(made.map(|step| (*step, self.held_generation(*step))).collect())
    }

    /// Drops what is still the same, and so not what was made from the successor since.
    pub(super) fn drop_doubtful(&self, doubtful: &Doubtful) {
        let same = |&&(step, generation): &&(usize, u64)| self.held_generation(step) == generation;
        let mut dropped: Vec<usize> = doubtful.0.iter().filter(same).map(|(step, _)| *step).collect();
        self.drop_in_order(&mut dropped);
    }

    /// Renews the earlier tokens that were sent in vain. Returns whether there is another one.
    pub(super) async fn renew_parents(
        self: &Arc<Self>,
        parents: &[Parent],
        fetch: &Fetch,
    ) -> Result<bool, TokenError> {
        let sent = |parent: &&Parent| !parent.just_fetched && fetch.has_used(&self.steps[parent.step].name);
        let renewed = join_all(parents.iter().filter(sent).map(|parent| async {
            let need = Need::Newer(Arc::clone(&parent.held.lease));
            let another = |held: &Arc<Held>| held.token().value() != parent.held.token().value();
            self.ride(parent.step, &need, another).await.map(|ride: Ride<bool>| ride.landed)
        }));
        let mut another = false;
        for renewed in renewed.await.into_iter().flatten() {
            another |= renewed?;
        }
        Ok(another)
    }
}
