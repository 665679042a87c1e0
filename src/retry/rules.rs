//! What is repeated, after what, and after which wait.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header::RETRY_AFTER};

use super::{
    backoff::{Backoff, Chance},
    transient::is_transient,
};
use crate::{clock::Clock, error::BoxError, retry_after};

/// Whether a request may be repeated, whatever its method: an extension of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums)] // it may or it may not
pub enum Repeat {
    /// It may: it changes nothing, or the server knows a repeat when it sees one, for instance by an idempotency key.
    Allowed,
    /// It is sent once.
    Never,
}

type Errors = dyn Fn(&(dyn Error + 'static)) -> bool + Send + Sync;

/// A layer's rules, shared by all its services.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) repeats: u32,
    pub(super) backoff: Backoff,
    pub(super) longest_retry_after: Duration,
    pub(super) statuses: Vec<StatusCode>,
    pub(super) methods: Vec<Method>,
    pub(super) errors: Arc<Errors>,
    pub(super) clock: Clock,
}

impl Rules {
    pub(super) fn may_repeat<B>(&self, request: &Request<B>) -> bool {
        match request.extensions().get() {
            Some(Repeat::Allowed) => true,
            Some(Repeat::Never) => false,
            None => request.method().is_idempotent() || self.methods.contains(request.method()),
        }
    }

    /// How long to wait before the next attempt after this outcome; `None` if it is the last one.
    pub(super) fn wait<RB>(
        &self,
        made: u32,
        outcome: &Result<Response<RB>, BoxError>,
        chance: Chance,
    ) -> Option<Duration> {
        let response = match outcome {
            Ok(response) if self.statuses.contains(&response.status()) => response,
            Err(error) if (self.errors)(&**error) => return Some(self.backoff.wait(made, chance)),
            Ok(_) | Err(_) => return None,
        };
        let asked = response.headers().get(RETRY_AFTER);
        match asked.and_then(|value| retry_after::parse(value, self.clock.now())) {
            None => Some(self.backoff.wait(made, chance)),
            // To come earlier would be of no use, and to come that late neither: let the caller decide.
            Some(asked) if asked > self.longest_retry_after => None,
            Some(asked) => Some(self.backoff.wait_at_least(asked, made, chance)),
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            repeats: 3,
            backoff: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
            longest_retry_after: Duration::from_secs(60),
            statuses: vec![
                StatusCode::REQUEST_TIMEOUT,
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::INTERNAL_SERVER_ERROR,
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            methods: Vec::new(),
            errors: Arc::new(is_transient),
            clock: Clock::system(),
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("repeats", &self.repeats)
            .field("backoff", &self.backoff)
            .field("longest_retry_after", &self.longest_retry_after)
            .field("statuses", &self.statuses)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}
