//! Which event is counted where.

use std::time::Duration;

use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::{
    credential::Channel,
    event::{Event, EventKind, Meter},
};

const AUTHENTICATIONS: &str = "portcullis_authentications_total";
const REFUSALS: &str = "portcullis_refusals_total";
const FORBIDDEN: &str = "portcullis_forbidden_total";
const LOGINS: &str = "portcullis_logins_total";
const REFRESHES: &str = "portcullis_refreshes_total";
const REUSE_ALLOWED: &str = "portcullis_reuse_allowed_seconds";
const REUSE_REJECTED: &str = "portcullis_reuse_rejected_seconds";
const ISSUED: &str = "portcullis_tokens_issued_total";
const REVOCATIONS: &str = "portcullis_revocations_total";
const PURGED: &str = "portcullis_purged_total";
const SESSIONS: &str = "portcullis_sessions_total";
const DROPPED: &str = "portcullis_events_dropped_total";
const OTHERS: &str = "portcullis_events_total";

/// Counts events on the `metrics` facade. Needs the feature `metrics`.
///
/// | metric | labels | counts |
/// |---|---|---|
/// | `portcullis_authentications_total` | `outcome`: `success`, `failure`, `missing`, `unavailable`; `channel`: `header`, `cookie`, `none` | requests whose credential was looked at, or that needed one and had none |
/// | `portcullis_refusals_total` | `reason` | the failures among them, by [`Reason`](crate::problem::Reason) |
/// | `portcullis_forbidden_total` | `cause`: `right`, `csrf` | requests of known callers that were refused |
/// | `portcullis_logins_total` | `outcome`: `success`, `failure`, `throttled` | attempts to log in |
/// | `portcullis_tokens_issued_total` | `channel` | new logins |
/// | `portcullis_refreshes_total` | `outcome`: `rotated`, `repeated`, `reuse`, `capped`, `ahead`, `inconsistent` | refreshes with a proven token |
/// | `portcullis_reuse_allowed_seconds` | `by`: `same_client`, `other_network`, `other_agent`, `unknown` | histogram: how long after the rotation a refresh was repeated |
/// | `portcullis_reuse_rejected_seconds` | `age`: `recent_predecessor`, `stale_ancestor` | histogram: how long after the last rotation a used token came back |
/// | `portcullis_revocations_total` | `reason`: that of the login, or `subject` where all logins of one were ended | ended logins |
/// | `portcullis_purged_total` | | ended logins that were removed from the store |
/// | `portcullis_sessions_total` | `event`: `created`, `renewed`, `expired`, `used_after_expiry` | what became of sessions |
/// | `portcullis_events_dropped_total` | | events that a slow observer was not told of |
/// | `portcullis_events_total` | `name` | each other event: trouble with store or keys, new devices, changed rights and credentials |
///
/// As a [`Recorder`](crate::provider::Recorder) of a pipeline it also counts
///
/// | metric | labels | counts |
/// |---|---|---|
/// | `portcullis_token_leases_total` | `pipeline`; `outcome`: `stale`, `wait`, `miss`, `error` | requests for a token that was not simply fresh and at hand |
/// | `portcullis_token_fetches_total` | `pipeline`, `step`; `outcome`: `fetch`, `refresh`, `error` | exchanges with token endpoints |
/// | `portcullis_token_fetch_seconds` | `pipeline`, `step` | histogram: how long they took |
/// | `portcullis_token_rejections_total` | `pipeline`, `step`; `by`: `api`, `step` | tokens that were refused, by the API or by the endpoint of a later step |
///
/// No label holds an id, a subject or an address, so the number of series does not grow with traffic.
///
/// ```
/// use portcullis::{MemoryStore, Metrics, TokenPolicy, TokenService, event::Reporter};
///
/// let reporter = Reporter::default().meter(Metrics::new());
/// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default()).reporter(reporter);
/// # drop(tokens);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Metrics;

// ===== impl Metrics =====

impl Metrics {
    /// Counts on whatever recorder is installed when an event happens. Descriptions and units go to the one
    /// that is installed now.
    pub fn new() -> Self {
        describe_counter!(AUTHENTICATIONS, "Requests whose credential was looked at.");
        describe_counter!(REFUSALS, "Credentials that were not valid, by reason.");
        describe_counter!(FORBIDDEN, "Requests of known callers that were refused.");
        describe_counter!(LOGINS, "Attempts to log in.");
        describe_counter!(REFRESHES, "Refreshes with a proven token.");
        describe_histogram!(REUSE_ALLOWED, Unit::Seconds, "Time from a rotation to its repeat.");
        describe_histogram!(
            REUSE_REJECTED,
            Unit::Seconds,
            "Time from the last rotation to a rejected reuse."
        );
        describe_counter!(ISSUED, "New logins.");
        describe_counter!(REVOCATIONS, "Ended logins, by reason.");
        describe_counter!(PURGED, "Ended logins that were removed from the store.");
        describe_counter!(SESSIONS, "What became of sessions.");
        describe_counter!(DROPPED, "Events that a slow observer was not told of.");
        describe_counter!(OTHERS, "Other events, by name.");
        super::tokens::describe();
        Self
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter for Metrics {
    fn count(&self, event: &Event) {
        match event.kind() {
            EventKind::AuthSuccess => succeeded(event.channel()),
            EventKind::AuthFail => {
                authentication("failure", event.channel());
                counter!(REFUSALS, "reason" => event.reason().map_or("none", |reason| reason.as_str()))
                    .increment(1);
            }
            EventKind::AuthMissing => authentication("missing", event.channel()),
            EventKind::CouldNotCheck => authentication("unavailable", event.channel()),
            EventKind::AuthzFail => counter!(FORBIDDEN, "cause" => "right").increment(1),
            EventKind::CsrfRefused => counter!(FORBIDDEN, "cause" => "csrf").increment(1),
            EventKind::LoginSuccess => login("success"),
            EventKind::LoginFail => login("failure"),
            EventKind::LoginThrottled => login("throttled"),
            EventKind::TokenCreated => {
                counter!(ISSUED, "channel" => label(event.channel())).increment(1);
            }
            EventKind::TokenRefreshed => refresh("rotated"),
            EventKind::ReuseAllowed { since_rotation, by } => {
                refresh("repeated");
                histogram!(REUSE_ALLOWED, "by" => by.as_str()).record(seconds(*since_rotation));
            }
            EventKind::TokenReuse { kind, since_rotation } => {
                refresh("reuse");
                histogram!(REUSE_REJECTED, "age" => kind.as_str()).record(seconds(*since_rotation));
            }
            EventKind::GraceCap => refresh("capped"),
            EventKind::StoreRegressed => refresh("ahead"),
            EventKind::Inconsistent => refresh("inconsistent"),
            EventKind::TokenRevoked { reason } => revoked(reason.as_str(), 1),
            EventKind::TokensRevoked { count } => revoked("subject", *count),
            EventKind::Purged { count } => counter!(PURGED).increment(*count),
            EventKind::SessionCreated => session("created"),
            EventKind::SessionRenewed => session("renewed"),
            EventKind::SessionExpired => session("expired"),
            EventKind::SessionUseAfterExpire => session("used_after_expiry"),
            EventKind::EventsDropped { count } => counter!(DROPPED).increment(*count),
            EventKind::NewDevice
            | EventKind::PrivilegeChanged
            | EventKind::CredentialsChanged
            | EventKind::SessionNotSaved
            | EventKind::UnknownKey
            | EventKind::ConfirmationLost
            | EventKind::TouchLost
            | EventKind::TouchDropped
            | EventKind::StoreFull
            | EventKind::StoreLost => counter!(OTHERS, "name" => event.name()).increment(1),
        }
    }
}

/// Every request comes here: literals make the key a constant, so that nothing is allocated.
fn succeeded(channel: Option<Channel>) {
    match channel {
        Some(Channel::Header) => {
            counter!("portcullis_authentications_total", "outcome" => "success", "channel" => "header")
        }
        Some(Channel::Cookie) => {
            counter!("portcullis_authentications_total", "outcome" => "success", "channel" => "cookie")
        }
        None => counter!("portcullis_authentications_total", "outcome" => "success", "channel" => "none"),
    }
    .increment(1);
}

fn authentication(outcome: &'static str, channel: Option<Channel>) {
    counter!(AUTHENTICATIONS, "outcome" => outcome, "channel" => label(channel)).increment(1);
}

fn login(outcome: &'static str) {
    counter!(LOGINS, "outcome" => outcome).increment(1);
}

fn refresh(outcome: &'static str) {
    counter!(REFRESHES, "outcome" => outcome).increment(1);
}

fn revoked(reason: &'static str, count: u64) {
    counter!(REVOCATIONS, "reason" => reason).increment(count);
}

fn session(event: &'static str) {
    counter!(SESSIONS, "event" => event).increment(1);
}

fn label(channel: Option<Channel>) -> &'static str {
    channel.map_or("none", Channel::as_str)
}

fn seconds(span: Duration) -> f64 {
    span.as_secs_f64()
}
