//! For hosts that lend their service for one request.

use std::sync::Arc;

use http::{HeaderName, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{
    error::InjectError,
    first::{First, ask},
    layer::TokenInjectLayer,
    ready::readied,
    replay::Replay,
    rules::Plan,
};
use crate::error::BoxError;

impl<R> TokenInjectLayer<R> {
    /// The header that this request's token would go into; `None` if it gets none.
    pub(crate) fn header_for<B>(&self, request: &Request<B>) -> Option<&HeaderName> {
        matches!(self.rules.plan(request), Plan::Attach { .. }).then_some(&self.rules.header)
    }

    /// What [`TokenInject`](super::TokenInject) does with one request, through a service that need not outlive it.
    pub(crate) async fn send<S, B, RB>(
        &self,
        mut service: S,
        request: Request<B>,
    ) -> Result<Response<RB>, InjectError>
    where
        S: Service<Request<B>, Response = Response<RB>> + Clone,
        S::Error: Into<BoxError>,
        R: Replay<B>,
        RB: Body,
    {
        let (origin, repeat) = match self.rules.plan(&request) {
            Plan::Pass => {
                readied(&mut service).await?;
                return service.call(request).await.map_err(InjectError::inner);
            }
            Plan::Refuse => return Err(InjectError::NoRule),
            Plan::Attach { origin, repeat } => (origin, repeat),
        };
        let repeatable = repeat && self.replay.can_save(request.body());
        let leased = self.rules.provider.lease(&ask(&request, repeatable));
        let (rules, replay) = (Arc::clone(&self.rules), self.replay.clone());
        First { service, rules, replay, request, origin, repeatable }.send(leased).await
    }
}
