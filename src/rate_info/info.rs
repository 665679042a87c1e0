//! What was said.

use std::time::Duration;

use http::HeaderMap;

use super::read;
use crate::clock::Timestamp;

/// What an answer says about rate limits; an extension of responses. See the [module docs](super).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateInfo {
    pub(super) quotas: Vec<Quota>,
    pub(super) retry_after: Option<Duration>,
}

/// One quota of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    pub(super) name: Option<String>,
    pub(super) limit: Option<u64>,
    pub(super) remaining: Option<u64>,
    pub(super) reset_after: Option<Duration>,
    pub(super) window: Option<Duration>,
    pub(super) unit: Option<String>,
}

// ===== impl RateInfo =====

impl RateInfo {
    /// Reads the headers of an answer that came at `now`; `None` if they say nothing about rate limits.
    pub fn from_headers(headers: &HeaderMap, now: Timestamp) -> Option<Self> {
        read::headers(headers, now)
    }

    /// The quotas, in the order in which the server lists them.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// Of the quotas whose rest is known, the one with the least: the first to stop us.
    pub fn tightest(&self) -> Option<&Quota> {
        self.quotas.iter().filter(|quota| quota.remaining.is_some()).min_by_key(|quota| quota.remaining)
    }

    /// How long to wait before the next request, counted from the answer.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

// ===== impl Quota =====

impl Quota {
    /// The server's name for it.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// How much there is in one window.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// How much of it is left.
    pub fn remaining(&self) -> Option<u64> {
        self.remaining
    }

    /// When there is more, counted from the answer.
    pub fn reset_after(&self) -> Option<Duration> {
        self.reset_after
    }

    /// The length of a window.
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// What is counted. `None` is requests, unless the server means something else and does not say so.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }
}
