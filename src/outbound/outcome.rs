//! What the layer has done about an answer.

use std::sync::Arc;

use http::Response;

use crate::provider::{Recorders, TokenError, TokenEvent};

/// Response extension: what has become of a token that was not simply accepted. Answers to which nothing else
/// happened than "sent with a token, not rejected", and those to requests that carried none, have no such extension.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// The first token was rejected. This is the answer to the repeat, with a newer one, and no rejection.
    Repeated,
    /// The newer token was rejected as well. This is the answer to the repeat.
    RejectedAgain,
    /// The token was rejected, and the request could not be sent again, or was not to be. A newer token is being
    /// fetched, or is there.
    NotRepeatable,
    /// The token was rejected, and there is none that is newer and differs.
    NoNewerToken,
    /// The token was rejected, and getting a newer one has failed.
    RefreshFailed(TokenError),
    /// The token was rejected, and there was no newer one within the
    /// [limit](super::TokenInjectLayerBuilder::wait_limit). It is still being fetched.
    TookTooLong,
    /// The token was rejected, and so was the newer one before this request could be sent with it, more often than the
    /// [budget](super::RepeatBudget) allows.
    OverBudget,
    /// The token is good, and its scope does not reach. No newer token would help, so none was fetched.
    #[non_exhaustive]
    InsufficientScope {
        /// The scope that the challenge names (RFC 6750 §3).
        scope: Option<Arc<str>>,
    },
    /// The answer looks like a rejection and is none: a challenge with another error, or the layer's
    /// [condition](super::TokenInjectLayerBuilder::refresh_if).
    NotTheToken,
    /// A 401 from another origin than the token was sent to.
    Foreign,
}

impl AuthOutcome {
    /// A short name, as logs and metrics have it: `not_repeatable`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::RejectedAgain => "rejected_again",
            Self::NotRepeatable => "not_repeatable",
            Self::NoNewerToken => "no_newer_token",
            Self::RefreshFailed(_) => "refresh_failed",
            Self::TookTooLong => "took_too_long",
            Self::OverBudget => "over_budget",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::NotTheToken => "not_the_token",
            Self::Foreign => "foreign",
        }
    }

    /// Leaves it on the answer, and tells who wants to know.
    pub(super) fn leave_on<B>(self, response: &mut Response<B>, recorders: &Recorders) {
        recorders.tell(&TokenEvent::Answered { outcome: self.name(), status: response.status() });
        let (outcome, status) = (self.name(), response.status().as_u16());
        match &self {
            Self::RefreshFailed(error) => {
                tracing::warn!(outcome, status, %error, "no newer token after a rejection");
            }
            Self::TookTooLong => tracing::warn!(outcome, status, "no newer token in time after a rejection"),
            Self::RejectedAgain | Self::OverBudget => {
                tracing::warn!(outcome, status, "a newer token was rejected, too");
            }
            _ => tracing::debug!(outcome, status, "an answer about a token"),
        }
        response.extensions_mut().insert(self);
    }
}
