//! A request that is out, and how it is sent once more.

use std::sync::Arc;

use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    again::Again,
    drain::drain,
    error::InjectError,
    outcome::AuthOutcome,
    patience::Patience,
    ready::ready,
    replay::Replay,
    rules::{RefreshFailure, Rules},
    verdict::Verdict,
};
use crate::{
    error::BoxError,
    provider::{Ask, Lease},
};

/// A request that is out with a lease, and what is needed to send it once more.
pub(super) struct Attempt<S, R, B>
where
    R: Replay<B>,
{
    pub(super) lease: Arc<Lease>,
    pub(super) rules: Arc<Rules>,
    /// Where the lease was sent.
    pub(super) origin: usize,
    pub(super) again: Option<Box<Again<S, R, B>>>,
}

impl<S, R, B> Attempt<S, R, B>
where
    R: Replay<B>,
{
    /// Notes what the answer says of our token; returns whether it refuses it.
    pub(super) fn is_rejected<RB>(&self, response: &mut Response<RB>) -> bool {
        match self.rules.judge(self.origin, response) {
            Some(Verdict::Accepted) => self.lease.mark_accepted(),
            Some(Verdict::Rejected) => return true,
            Some(Verdict::InsufficientScope(scope)) => {
                AuthOutcome::InsufficientScope { scope }.leave_on(response, &self.rules.recorders);
            }
            Some(Verdict::OtherFault) => AuthOutcome::NotTheToken.leave_on(response, &self.rules.recorders),
            None if self.rules.rejections.judge(response.status(), response.headers()).blames() => {
                AuthOutcome::Foreign.leave_on(response, &self.rules.recorders);
            }
            Some(Verdict::Silent) | None => {}
        }
        false
    }

    /// Gets a newer token and sends the request with it, once. If there is none, or the request cannot be
    /// repeated, the rejection is the answer.
    pub(super) async fn renew<RB>(self, mut rejected: Response<RB>) -> Result<Response<RB>, InjectError>
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone,
        S::Error: Into<BoxError>,
        RB: Body,
    {
        let Self { lease, rules, origin, mut again } = self;
        lease.mark_rejected();
        rules.purse.deposit();
        let mut patience =
            again.as_ref().map_or(Patience::Endless, |again| rules.patience(again.extensions()));
        let repeatable = again.as_ref().is_some_and(|again| !again.is_lost());
        let newer = match newer(&rules, &lease, repeatable, &mut patience).await {
            Ok(newer) => newer,
            Err(AuthOutcome::RefreshFailed(error)) if rules.refresh_failure == RefreshFailure::Error => {
                return Err(InjectError::Token(error));
            }
            Err(outcome) => {
                outcome.leave_on(&mut rejected, &rules.recorders);
                return Ok(rejected);
            }
        };
        if let Some(again) = &mut again {
            again.back().await;
        }
        let Some((service, request)) = again.and_then(|again| again.restore()) else {
            AuthOutcome::NotRepeatable.leave_on(&mut rejected, &rules.recorders);
            return Ok(rejected);
        };
        // The newer one has had its chance, with another request.
        if newer.was_rejected() && !newer.was_accepted() && !rules.purse.withdraw() {
            AuthOutcome::OverBudget.leave_on(&mut rejected, &rules.recorders);
            return Ok(rejected);
        }
        // Whatever the service below waits for, the answer that nobody wants must not hold it.
        drain(rejected.into_body()).await;
        repeat(&rules, origin, service, request, newer, patience).await
    }
}

/// The lease to repeat a request with, or what becomes of it without one.
async fn newer(
    rules: &Rules,
    rejected: &Arc<Lease>,
    repeatable: bool,
    patience: &mut Patience,
) -> Result<Arc<Lease>, AuthOutcome> {
    if rejected.is_fixed() {
        return Err(AuthOutcome::NoNewerToken);
    }
    let ask = || rules.provider.newer_than(rejected).wait();
    if !repeatable {
        // One poll starts the fetch for those who come after; this answer need not wait for it.
        let _under_way = ask().now_or_never();
        return Err(AuthOutcome::NotRepeatable);
    }
    match patience.wait(rules.refresh_retry.run(ask(), ask)).await.ok_or(AuthOutcome::TookTooLong)? {
        Ok(Some(newer)) if newer.generation() > rejected.generation() && !newer.has_text_of(rejected) => {
            Ok(newer)
        }
        Ok(_) => Err(AuthOutcome::NoNewerToken),
        Err(error) => Err(AuthOutcome::RefreshFailed(error)),
    }
}

/// Sends a request for the second time. The answer is the last, whatever it is.
async fn repeat<S, B, RB>(
    rules: &Rules,
    origin: usize,
    mut service: S,
    mut request: Request<B>,
    newer: Arc<Lease>,
    mut patience: Patience,
) -> Result<Response<RB>, InjectError>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
{
    let ask = Ask::new(request.extensions()).once();
    let lease = ready(&mut service, rules, ask, newer, &mut patience).await?;
    rules.attach(request.headers_mut(), &lease);
    let mut response = service.call(request).await.map_err(InjectError::inner)?;
    let outcome = match rules.judge(origin, &response) {
        Some(Verdict::Rejected) => {
            lease.mark_rejected();
            rules.provider.rejected_again(&lease);
            AuthOutcome::RejectedAgain
        }
        Some(Verdict::InsufficientScope(scope)) => AuthOutcome::InsufficientScope { scope },
        Some(Verdict::Accepted) => {
            lease.mark_accepted();
            AuthOutcome::Repeated
        }
        Some(Verdict::Silent | Verdict::OtherFault) | None => AuthOutcome::Repeated,
    };
    outcome.leave_on(&mut response, &rules.recorders);
    Ok(response)
}
