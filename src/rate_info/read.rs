//! Reads the headers.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};

use super::{
    info::{Quota, RateInfo},
    structured::{self, Item, Value},
};
use crate::{clock::Timestamp, retry_after};

const QUOTAS_MAX: usize = 16;
const TEXT_MAX: usize = 4096;
const SPAN_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// The same three headers under the names that are in use.
const TRIOS: [[&str; 3]; 3] = [
    ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"],
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"],
    ["x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"],
];

/// From here on, a reset is a moment in seconds of Unix time: as a span it would be thirty years.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// From here on, it is one in milliseconds: as seconds it would be the year 5138.
const EPOCH_MILLIS: u64 = 100_000_000_000;

pub(super) fn headers(headers: &HeaderMap, now: Timestamp) -> Option<RateInfo> {
    let mut quotas = named(headers);
    if quotas.is_empty() {
        quotas.extend(TRIOS.iter().find_map(|names| trio(headers, names, now)));
    }
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| retry_after::parse(value, now)).map(cut);
    let said = !quotas.is_empty() || retry_after.is_some();
    said.then_some(RateInfo { quotas, retry_after })
}

// ===== the draft's =====

/// Quotas of `RateLimit`, with what `RateLimit-Policy` says of those of the same name; then the other policies.
fn named(headers: &HeaderMap) -> Vec<Quota> {
    let (states, policies) = (text(headers, "ratelimit"), text(headers, "ratelimit-policy"));
    let mut policies: Vec<Quota> = policies
        .as_deref()
        .and_then(structured::list)
        .unwrap_or_default()
        .iter()
        .filter_map(policy)
        .collect();
    let mut quotas = Vec::new();
    if let Some(states) = states {
        match structured::list(&states) {
            Some(items) => quotas.extend(items.iter().filter_map(state)),
            None => quotas.extend(members(&states)),
        }
    }
    for quota in &mut quotas {
        let same = policies.iter().position(|policy| policy.name.is_some() && policy.name == quota.name);
        if let Some(policy) = same.map(|at| policies.remove(at)) {
            (quota.limit, quota.window, quota.unit) = (policy.limit, policy.window, policy.unit);
        }
    }
    quotas.append(&mut policies);
    if quotas.len() > QUOTAS_MAX { Vec::new() } else { quotas }
}

/// `"burst";r=50;t=30`. Without `r` it is malformed.
fn state(item: &Item<'_>) -> Option<Quota> {
    let remaining = Some(item.count("r")?);
    Some(Quota { name: name(item), remaining, reset_after: item.count("t").map(span), ..Quota::default() })
}

/// `"burst";q=100;w=60`, or `100;w=60` as the draft's earlier versions had it.
fn policy(item: &Item<'_>) -> Option<Quota> {
    let limit = Some(item.count("q").or_else(|| item.value.count())?);
    let unit = item.text("qu").map(str::to_owned);
    Some(Quota { name: name(item), limit, window: item.count("w").map(span), unit, ..Quota::default() })
}

fn name(item: &Item<'_>) -> Option<String> {
    match &item.value {
        Value::Text(name) => Some(name.clone()),
        Value::Integer(_) | Value::Other => None,
    }
}

/// `limit=100, remaining=50, reset=5`: the form of the draft's seventh version.
fn members(text: &str) -> Option<Quota> {
    let mut quota = Quota::default();
    for member in text.split(',') {
        let (key, value) = member.trim().split_once('=')?;
        let value = count(value)?;
        match key {
            "limit" => quota.limit = Some(value),
            "remaining" => quota.remaining = Some(value),
            "reset" => quota.reset_after = Some(span(value)),
            _ => {}
        }
    }
    quota.remaining.is_some().then_some(quota)
}

// ===== the three headers =====

fn trio(headers: &HeaderMap, [limit, remaining, reset]: &[&str; 3], now: Timestamp) -> Option<Quota> {
    // Early versions of the draft list windows behind the limit: `100, 100;w=60`.
    let limit = text(headers, limit).and_then(|text| count(text.split([',', ';']).next()?));
    let remaining = text(headers, remaining).and_then(|text| count(&text));
    let reset_after = text(headers, reset).and_then(|text| count(&text)).map(|reset| until(reset, now));
    let said = limit.is_some() || remaining.is_some() || reset_after.is_some();
    said.then_some(Quota { limit, remaining, reset_after, ..Quota::default() })
}

/// A span, or the time until a moment, whichever the size of the number says.
fn until(reset: u64, now: Timestamp) -> Duration {
    let millis = match reset {
        ..EPOCH_SECONDS => return span(reset),
        EPOCH_SECONDS..EPOCH_MILLIS => reset * 1000,
        EPOCH_MILLIS.. => reset,
    };
    cut(Timestamp::from_millis(millis.try_into().unwrap_or(i64::MAX)).since(now))
}

// ===== text and numbers =====

/// All lines of a header, joined as one list.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> =
        headers.get_all(name).iter().map(|value| value.to_str().ok()).collect::<Option<_>>()?;
    let fits = lines.iter().map(|line| line.len()).sum::<usize>() <= TEXT_MAX;
    (!lines.is_empty() && fits).then(|| lines.join(", "))
}

/// Digits, perhaps with a fraction, which is dropped.
fn count(text: &str) -> Option<u64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(whole) && digits(fraction)).then(|| whole.parse().ok())?
}

fn span(seconds: u64) -> Duration {
    cut(Duration::from_secs(seconds))
}

/// Whoever adds it to a moment must not have to fear an overflow.
fn cut(span: Duration) -> Duration {
    span.min(SPAN_MAX)
}
