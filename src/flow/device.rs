//! What is noted of the device that logs in.

use std::net::IpAddr;

use http::{HeaderMap, header::USER_AGENT};
use serde_json::{Map, Value};

use crate::{
    store::{Context, LoginRecord},
    token::{IP_ADDRESS, USER_AGENT as USER_AGENT_KEY},
};

/// A key of a login's context, beside those of the token room.
pub(super) const DEVICE: &str = "device";

const DEVICE_MAX: usize = 256;
const AGENT_MAX: usize = 512;

/// The device as it calls itself. It can say anything, so it is cut and cleaned, and proves nothing.
#[derive(Debug)]
pub(super) struct Device {
    device: Option<String>,
    ip_address: Option<String>,
    user_agent: Option<String>,
}

impl Device {
    pub(super) fn of(name: Option<&str>, client_ip: Option<IpAddr>, headers: &HeaderMap) -> Self {
        Self {
            device: name.map(|name| printable(name, DEVICE_MAX)).filter(|name| !name.is_empty()),
            ip_address: client_ip.map(|ip| ip.to_string()),
            user_agent: user_agent(headers),
        }
    }

    /// What a login keeps.
    pub(super) fn context(&self) -> Map<String, Value> {
        let all =
            [(DEVICE, &self.device), (IP_ADDRESS, &self.ip_address), (USER_AGENT_KEY, &self.user_agent)];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.as_deref()?.into()))).collect()
    }

    /// Whether that login was made by a device that calls itself the same. Addresses change by the hour and are
    /// not compared.
    pub(super) fn made(&self, login: &LoginRecord) -> bool {
        let kept = login.context().to_object();
        let same = |key: &str, now: &Option<String>| kept.get(key).and_then(Value::as_str) == now.as_deref();
        same(DEVICE, &self.device) && same(USER_AGENT_KEY, &self.user_agent)
    }
}

/// What a client calls itself, as a login keeps it.
pub(super) fn user_agent(headers: &HeaderMap) -> Option<String> {
    let agent = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    Some(printable(&agent, AGENT_MAX)).filter(|agent| !agent.is_empty())
}

/// What a list of devices may show of a context. The rest is the application's.
pub(super) fn shown(context: &Context) -> impl Iterator<Item = (String, Value)> {
    let mut kept = context.to_object();
    [DEVICE, IP_ADDRESS, USER_AGENT_KEY]
        .into_iter()
        .map(move |key| (key.to_owned(), kept.remove(key).unwrap_or_default()))
}

/// The text without control characters and without those that turn the direction of writing, cut to `max` bytes.
fn printable(text: &str, max: usize) -> String {
    let hidden = |c: &char| c.is_control() || matches!(c, '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let mut out = String::new();
    for character in text.chars().filter(|c| !hidden(c)) {
        if out.len() + character.len_utf8() > max {
            break;
        }
        out.push(character);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_calls_itself_is_cut_and_cleaned() {
        for (text, expected) in [
            ("phone", "phone"),
            ("a\r\nb\0c\u{7f}\u{85}", "abc"),
            ("\u{202e}drow\u{2066}", "drow"),
            (" \t ", ""),
            ("äöü", "äöü"),
        ] {
            assert_eq!(printable(text, 256), expected, "{text:?}");
        }
        assert_eq!(printable("äää", 5), "ää");
        assert_eq!(printable(&"x".repeat(10_000), 256).len(), 256);
    }

    /// A context has 8 KiB; the worst that a device can do to it is a text of characters that JSON escapes.
    #[test]
    fn the_longest_device_fits_a_context() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, "\"".repeat(4_000).parse().unwrap());
        let device = Device::of(Some(&"\\".repeat(10_000)), Some("2001:db8::1".parse().unwrap()), &headers);
        let context = Context::new(&device.context()).unwrap();
        assert!(context.as_json().len() < 2_000);
    }
}
