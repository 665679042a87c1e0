use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{
    cookie::{CookieSettings, SameSite},
    error::{ConfigError, Faults},
    session::{SessionPolicy, SessionPolicyBuilder},
    throttle::{ThrottlePolicy, ThrottlePolicyBuilder},
    token::{TokenPolicy, TokenPolicyBuilder},
};

fn tokens(vars: &[(&str, &str)]) -> Result<TokenPolicy, ConfigError> {
    TokenPolicy::builder().settings(Settings::from_vars("T_", vars.iter().copied())).build()
}

fn lines(description: &Description) -> Vec<(String, String)> {
    description.lines().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn r053_settings_come_from_variables_and_the_rest_stays() {
    let policy = tokens(&[
        ("T_ACCESS_TTL", "15m"),
        ("T_REFRESH_TTL", "1h 30m"),
        ("T_ABSOLUTE", "never"),
        ("T_GRACE", "0s"),
        ("T_HASH", "sha512"),
        ("T_OLDER_BRANDS", "old, older"),
        ("T_LIMIT", "3"),
        ("T_AT_LIMIT", "end_oldest"),
        ("OTHER_BRAND", "x"),
        ("t_brand", "lower-case prefixes are others"),
    ])
    .unwrap();
    let described = policy.describe().to_string();
    for line in [
        "brand = pc",
        "older_brands = old,older",
        "access_ttl = 15m",
        "refresh_ttl = 90m",
        "absolute = never",
        "grace = 0s",
        "hash = sha512",
        "limit = 3",
        "at_limit = end_oldest",
        "unconfirmed = 24h",
    ] {
        assert!(described.lines().any(|found| found == line), "{line} in {described}");
    }
}

/// The faults of the text and those of the rules together, and no value of a name that nobody knows.
#[test]
fn r053_every_fault_of_the_text_is_reported_at_once() {
    let error = tokens(&[
        ("T_ACCESS_TTL", "900"),
        ("T_REFRESH_TTL", "soon"),
        ("T_SLIDING", "yes"),
        ("T_HASH", "md5"),
        ("T_LIMIT", "many"),
        ("T_DANGER_ANY_CHANNEL", "1"),
        ("T_GRACE", "1h"),
        ("T_ACESS_TTL", "hunter2"),
    ])
    .unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(
        fields,
        ["access_ttl", "refresh_ttl", "sliding", "hash", "danger_any_channel", "limit", "settings", "grace"]
    );
    let shown = error.to_string();
    assert!(shown.contains("acess_ttl") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn r053_builders_deserialize_from_a_file() {
    let text = json!({"access_ttl": "15m", "older_brands": ["old"], "danger_any_channel": true, "limit": 2});
    let builder: TokenPolicyBuilder = serde_json::from_value(text).unwrap();
    let described = builder.build().unwrap().describe().to_string();
    assert!(described.contains("access_ttl = 15m") && described.contains("danger_any_channel = true"));
    assert!(described.contains("limit = 2") && described.contains("older_brands = old"));

    for bad in [json!({"access_ttl": null}), json!({"access_ttl": {"secs": 1}}), json!([]), json!("x")] {
        assert!(serde_json::from_value::<TokenPolicyBuilder>(bad).is_err());
    }
    assert!(serde_json::from_str::<TokenPolicyBuilder>(r#"{"grace":"1s","grace":"2s"}"#).is_err());
    let unknown: TokenPolicyBuilder = serde_json::from_value(json!({"accessTtl": "15m"})).unwrap();
    assert_eq!(unknown.build().unwrap_err().faults()[0].field(), "settings");
}

#[test]
fn r139_limits_are_settings_too() {
    let text = json!({"per_client_ip": "60 in 1m", "per_identifier": "none"});
    let builder: ThrottlePolicyBuilder = serde_json::from_value(text).unwrap();
    let described = builder.build().unwrap().describe();
    assert_eq!(described.to_string(), "per_client_ip = 60 in 1m\nper_identifier = none\n");
    for bad in ["60", "60 in", "in 1m", "x in 1m", "60 in soon", "0 in 1m", "5 in 2d"] {
        let builder: ThrottlePolicyBuilder = serde_json::from_value(json!({"per_identifier": bad})).unwrap();
        assert_eq!(builder.build().unwrap_err().faults()[0].field(), "per_identifier", "{bad}");
    }
}

/// What a policy says of itself makes the same policy.
#[test]
fn r052_a_description_can_be_read_again() {
    let defaults = lines(&TokenPolicy::default().describe());
    let read = TokenPolicy::builder().settings(Settings::from_vars("", defaults.clone())).build().unwrap();
    assert_eq!(lines(&read.describe()), defaults);
    let defaults = lines(&ThrottlePolicy::default().describe());
    let read = ThrottlePolicy::builder().settings(Settings::from_vars("", defaults.clone())).build().unwrap();
    assert_eq!(lines(&read.describe()), defaults);
}

#[test]
fn r053_sessions_have_settings_of_their_own() {
    let defaults = lines(&SessionPolicy::default().describe());
    assert!(defaults.contains(&("idle".to_owned(), "24h".to_owned())), "{defaults:?}");
    let read = SessionPolicy::builder().settings(Settings::from_vars("", defaults.clone())).build().unwrap();
    assert_eq!(lines(&read.describe()), defaults);

    let text = json!({
        "idle": "30m", "absolute": "8h", "cookie_name": "sid", "cookie_same_site": "strict", "limit": 3,
        "cookie_browser_session": true, "clear_site_data": true, "keep_for_audit": "forever",
    });
    let builder: SessionPolicyBuilder = serde_json::from_value(text).unwrap();
    let described = builder.build().unwrap().describe().to_string();
    for line in [
        "idle = 30m",
        "absolute = 8h",
        "touch_every = 90s",
        "cookie_name = sid",
        "cookie_same_site = strict",
        "limit = 3",
        "cookie_browser_session = true",
        "clear_site_data = true",
        "keep_for_audit = forever",
    ] {
        assert!(described.lines().any(|found| found == line), "{line} in {described}");
    }

    // What only tokens have is unknown here.
    let text = json!({"access_ttl": "1h", "idle": "9d", "cookie_name": "__Host-x", "hash": "md5"});
    let builder: SessionPolicyBuilder = serde_json::from_value(text).unwrap();
    let error = builder.build().unwrap_err();
    let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
    assert_eq!(fields, ["settings", "idle", "cookie", "hash"]);
}

/// A setting changes what it names, and the prefix that goes with it.
#[test]
fn r053_a_cookie_keeps_what_its_settings_do_not_name() {
    let start = || CookieSettings::new("a").path("/x").same_site(SameSite::Strict);
    let read = |cookie: CookieSettings, vars: &[(&str, &str)]| {
        let cookie = cookie.settings(Settings::from_vars("", vars.iter().copied()));
        let mut faults = Faults::default();
        cookie.check(&mut faults);
        faults.finish().unwrap();
        cookie
    };
    let renamed = read(start(), &[("name", "b")]);
    assert_eq!(renamed, CookieSettings::new("b").path("/x").same_site(SameSite::Strict));
    assert_eq!(renamed.name(), "__Secure-b");
    let plain = read(start().danger_plain().browser_session(), &[("name", "b")]);
    assert_eq!(plain, renamed.clone().danger_plain().browser_session());
    let off = [("danger_plain", "false"), ("browser_session", "false")];
    assert_eq!(read(plain, &off), renamed);
    assert_eq!(read(start(), &[("path", "/")]).name(), "__Host-a");
}

#[test]
fn settings_show_their_names_only() {
    let settings = Settings::from_vars("", [("brand", "planted-secret")]);
    assert_eq!(format!("{settings:?}"), "{\"brand\"}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_span_is_read_as_it_was(millis in prop_oneof![0..10_000_u64, 0..10_000_000_000_u64]) {
        let span = std::time::Duration::from_millis(millis);
        prop_assert_eq!(parse_span(&super::span(span)), Some(span));
    }
}
