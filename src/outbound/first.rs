//! A request whose token has to be waited for.

use std::sync::Arc;

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{again::Again, attempt::Attempt, error::InjectError, ready::ready, replay::Replay, rules::Rules};
use crate::{
    error::BoxError,
    maybe_ready::MaybeReady,
    provider::{Ask, Lease, TokenError},
};

/// A request on its way, and where to.
pub(super) struct First<S, R, B> {
    pub(super) service: S,
    pub(super) rules: Arc<Rules>,
    pub(super) replay: R,
    pub(super) request: Request<B>,
    pub(super) origin: usize,
    pub(super) repeatable: bool,
}

/// What a request asks for.
pub(super) fn ask<B>(request: &Request<B>, repeatable: bool) -> Ask<'_> {
    let ask = Ask::new(request.extensions());
    if repeatable { ask } else { ask.once() }
}

impl<S, R, B, RB> First<S, R, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    R: Replay<B>,
    RB: Body,
{
    /// Sends the request when its token is there, and once more if need be.
    pub(super) async fn send(
        self,
        leased: MaybeReady<Result<Arc<Lease>, TokenError>>,
    ) -> Result<Response<RB>, InjectError> {
        let Self { mut service, rules, replay, mut request, origin, repeatable } = self;
        let mut patience = rules.patience(request.extensions());
        let ask = ask(&request, repeatable);
        let lease = rules.refresh_retry.run(leased.wait(), || rules.provider.lease(&ask).wait());
        let lease = match patience.wait(lease).await {
            Some(lease) => lease.map_err(InjectError::Token)?,
            // One that will not last is better than none, also for a request that cannot be repeated.
            None => match rules.provider.lease(&Ask::new(request.extensions())) {
                MaybeReady::Now(Ok(lease)) => lease,
                MaybeReady::Now(Err(_)) | MaybeReady::Later(_) => return Err(InjectError::TookTooLong),
            },
        };
        let lease = ready(&mut service, &rules, ask, lease, &mut patience).await?;
        let again = keep(&lease, repeatable, &service, &replay, &mut request);
        rules.attach(request.headers_mut(), &lease);
        let mut response = service.call(request).await.map_err(InjectError::inner)?;
        let attempt = Attempt { lease, rules, origin, again };
        if attempt.is_rejected(&mut response) { attempt.renew(response).await } else { Ok(response) }
    }
}

/// What a repeat will need, or nothing where none can follow.
pub(super) fn keep<S: Clone, R: Replay<B>, B>(
    lease: &Lease,
    repeatable: bool,
    service: &S,
    replay: &R,
    request: &mut Request<B>,
) -> Option<Box<Again<S, R, B>>> {
    if repeatable && !lease.is_fixed() { Again::save(service, replay, request) } else { None }
}
