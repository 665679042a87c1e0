//! The rules as a policy of `tower`.

use std::{fmt, sync::Arc};

use http::{Request, Response};
use tokio::time::{Sleep, sleep};
use tower::retry::{Policy, budget::Budget};

use super::{backoff::Chance, body::CopyBody, rules::Rules};
use crate::error::BoxError;

pub(super) type SharedBudget = Arc<dyn Budget + Send + Sync>;

/// Decides on one request. The service has one that has made no repeat; every request gets a clone of it.
#[derive(Clone)]
pub(super) struct RequestRetryPolicy<C> {
    rules: Arc<Rules>,
    budget: Option<SharedBudget>,
    bodies: C,
    /// Repeats of this request so far.
    made: u32,
}

impl<C> RequestRetryPolicy<C> {
    pub(super) fn new(rules: Arc<Rules>, budget: Option<SharedBudget>, bodies: C) -> Self {
        Self { rules, budget, bodies, made: 0 }
    }
}

impl<C, B, RB> Policy<Request<B>, Response<RB>, BoxError> for RequestRetryPolicy<C>
where
    C: CopyBody<B>,
{
    type Future = Sleep;

    fn retry(
        &mut self,
        request: &mut Request<B>,
        outcome: &mut Result<Response<RB>, BoxError>,
    ) -> Option<Sleep> {
        let wait = self.rules.wait(self.made, outcome, Chance::draw())?;
        if self.budget.as_ref().is_some_and(|budget| !budget.withdraw()) {
            tracing::warn!(method = %request.method(), "a request is not repeated, the budget is spent");
            return None;
        }
        self.made += 1;
        let status = outcome.as_ref().ok().map(|response| response.status().as_u16());
        tracing::debug!(method = %request.method(), repeat = self.made, status, ?wait, "a request is repeated");
        Some(sleep(wait))
    }

    /// Asked before every attempt. Without a copy, what comes of it is returned as it is.
    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        if let (0, Some(budget)) = (self.made, &self.budget) {
            budget.deposit();
        }
        if self.made >= self.rules.repeats || !self.rules.may_repeat(request) {
            return None;
        }
        let mut copy = Request::new(self.bodies.copy(request.body())?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}

impl<C> fmt::Debug for RequestRetryPolicy<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestRetryPolicy").field("rules", &self.rules).finish_non_exhaustive()
    }
}
