//! A request that is out, and how it is sent once more.

use std::{future::poll_fn, sync::Arc};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode, request};
use tower_service::Service;

use super::{error::InjectError, replay::Replay, rules::Rules};
use crate::{error::BoxError, provider::Lease};

/// A request that is out with a lease, and what is needed to send it once more.
pub(super) struct Attempt<S, R, B>
where
    R: Replay<B>,
{
    pub(super) lease: Arc<Lease>,
    pub(super) rules: Arc<Rules>,
    pub(super) origin: usize,
    pub(super) again: Option<Box<Again<S, R, B>>>,
}

/// What a second sending needs.
pub(super) struct Again<S, R, B>
where
    R: Replay<B>,
{
    service: S,
    head: request::Parts,
    replay: R,
    saved: R::Saved,
}

impl<S, R, B, RB> Attempt<S, R, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    R: Replay<B>,
{
    /// Whether the answer refuses our token; notes if it shows that the token works.
    pub(super) fn is_rejected(&self, response: &Response<RB>) -> bool {
        // What somebody else answers, to whom a client has followed a redirect, is no word about our token.
        if !self.rules.answered_by(self.origin, response.extensions()) {
            return false;
        }
        note_acceptance(&self.lease, response.status());
        response.status() == StatusCode::UNAUTHORIZED
    }

    /// Gets a newer token and sends the request with it, once. If there is none, or the request cannot be
    /// repeated, the rejection is the answer.
    pub(super) async fn renew(self, rejected: Response<RB>) -> Result<Response<RB>, InjectError> {
        let newer = self.rules.provider.newer_than(&self.lease).wait();
        let Some(again) = self.again.filter(|again| !again.replay.is_lost(&again.saved)) else {
            // One poll starts the fetch for those who come after; this answer need not wait for it.
            let _under_way = newer.now_or_never();
            return Ok(rejected);
        };
        let newer = newer.await;
        let lease = match newer {
            Ok(Some(lease)) => lease,
            Ok(None) => return Ok(rejected),
            Err(error) => {
                tracing::warn!(%error, "no newer token after a 401");
                return Ok(rejected);
            }
        };
        let Again { mut service, head, replay, saved } = *again;
        let Some(body) = replay.restore(saved) else { return Ok(rejected) };
        drop(rejected);
        let mut request = Request::from_parts(head, body);
        self.rules.attach(request.headers_mut(), &lease);
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(InjectError::inner)?;
        let response = service.call(request).await.map_err(InjectError::inner)?;
        if self.rules.answered_by(self.origin, response.extensions()) {
            note_acceptance(&lease, response.status());
        }
        Ok(response)
    }
}

/// Only a success shows that somebody has looked at the token and liked it: a gateway's 503 or a limiter's 429
/// does not.
fn note_acceptance(lease: &Lease, status: StatusCode) {
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        lease.mark_accepted();
    }
}

/// Keeps what a second sending needs, or nothing if the body cannot be sent again.
pub(super) fn save<S: Clone, R: Replay<B>, B>(
    service: &S,
    replay: &R,
    request: &mut Request<B>,
) -> Option<Box<Again<S, R, B>>> {
    let saved = replay.save(request.body_mut())?;
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    *head.extensions_mut() = request.extensions().clone();
    let (head, ()) = head.into_parts();
    Some(Box::new(Again { service: service.clone(), head, replay: replay.clone(), saved }))
}
