//! Whether a repeat comes from where its login came from. It says so to operators and decides nothing: whoever copies
//! a token can copy a user agent, and honest addresses change by the hour.

use std::net::IpAddr;

use serde_json::Value;

use super::request::RefreshRequest;
use crate::{client_ip::IpBucket, event::RepeatedBy, store::LoginRecord};

/// Keys of a login's context.
pub(crate) const IP_ADDRESS: &str = "ip_address";
pub(crate) const USER_AGENT: &str = "user_agent";

/// Compares what is known of both.
pub(super) fn repeated_by(request: &RefreshRequest<'_>, login: &LoginRecord) -> RepeatedBy {
    let (ip, agent) = (request.client_ip(), request.user_agent());
    if ip.is_none() && agent.is_none() {
        return RepeatedBy::Unknown;
    }
    let noted = login.context().to_object();
    let noted = |key: &str| noted.get(key).and_then(Value::as_str);
    let same_agent = agent.zip(noted(USER_AGENT)).map(|(now, then)| now == then);
    let then = noted(IP_ADDRESS).and_then(|ip| ip.parse::<IpAddr>().ok());
    let same_network = ip.zip(then).map(|(now, then)| IpBucket::of(now) == IpBucket::of(then));
    match (same_agent, same_network) {
        (Some(false), _) => RepeatedBy::OtherAgent,
        (_, Some(false)) => RepeatedBy::OtherNetwork,
        (None, None) => RepeatedBy::Unknown,
        _ => RepeatedBy::SameClient,
    }
}
