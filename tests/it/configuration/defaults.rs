//! Every default as a value: one that changes changes a line here.

use portcullis::{
    AuthLayer, TokenPolicy, TokenService,
    client_ip::ClientIpPolicy,
    cookie::CookieSettings,
    csrf::CsrfPolicy,
    keyring::{Key, KeyRing},
    redirect::RedirectPolicy,
    secret::Secret,
    session::{SessionPolicy, SessionPolicyBuilder, Sessions},
    settings::Description,
    store::{LiveLimit, MemoryStore},
    throttle::ThrottlePolicy,
};

use crate::support::secs;

const TOKENS: &str = "\
brand = pc
older_brands = 
access_ttl = 24h
refresh_ttl = 7d
absolute = 7d
sliding = off
touch_every = 1h
touch_mode = background
grace = 10s
unconfirmed = 24h
hash = sha256
danger_any_channel = false
limit = none
at_limit = refuse
keep_for_audit = 0s
issued_not_before = 0
cache_users = 0s
";

const SESSIONS: &str = "\
brand = pcs
older_brands = 
idle = 24h
absolute = 7d
touch_every = 5m
touch_mode = background
hash = sha256
limit = none
at_limit = refuse
keep_for_audit = 0s
issued_not_before = 0
cache_users = 0s
clear_site_data = false
cookie_name = session
cookie_path = /
cookie_same_site = lax
cookie_browser_session = false
cookie_danger_plain = false
csrf_allow_origin = 
csrf_allow_same_site = false
";

const LAYER: &str = "\
realm = api
schemes = Bearer,Token
refuse_foreign_schemes = false
cookies_first = false
optional = false
danger_invalid_as_anonymous = false
exclude = 
allow_preflight = false
tenant = false
on_renewal = false
on_auth = false
csrf_allow_origin = 
csrf_allow_same_site = false
client_ip_trust = 
client_ip_header = x-forwarded-for
redirect_to = none
";

/// Each line with the prefix before it.
fn nested(prefix: &str, text: &str) -> String {
    text.lines().map(|line| format!("{prefix}{line}\n")).collect()
}

fn tokens() -> TokenService {
    TokenService::new(MemoryStore::new(), TokenPolicy::default())
}

fn value(description: &Description, name: &str) -> String {
    let found: Vec<&str> =
        description.lines().filter(|(found, _)| *found == name).map(|(_, value)| value).collect();
    assert_eq!(found.len(), 1, "{name} once in {description}");
    found[0].to_owned()
}

#[test]
fn r052_the_defaults_of_each_policy_are_these() {
    assert_eq!(TokenPolicy::default().describe().to_string(), TOKENS);
    assert_eq!(SessionPolicy::default().describe().to_string(), SESSIONS);
    assert_eq!(
        ThrottlePolicy::default().describe().to_string(),
        "per_client_ip = 30 in 1m\nper_identifier = 5 in 1m\n"
    );
    assert_eq!(CsrfPolicy::new().describe().to_string(), "allow_origin = \nallow_same_site = false\n");
    let direct = ClientIpPolicy::default().describe().to_string();
    assert_eq!(direct, "trust = \nheader = x-forwarded-for\n");
    assert_eq!(RedirectPolicy::to("/in").describe().to_string(), "to = /in\nparameter = next\n");
    assert_eq!(
        CookieSettings::new("token").describe().to_string(),
        "name = token\npath = /\nsame_site = lax\nbrowser_session = false\ndanger_plain = false\n"
    );
}

/// Layer, cookie, and the policy of the tokens behind it.
#[test]
fn r052_one_function_prints_every_default() {
    let layer = AuthLayer::new(tokens()).build().unwrap();
    let service = format!("{TOKENS}pepper = none\n");
    let described = layer.describe().to_string();
    assert_eq!(described, format!("{LAYER}{}", nested("authenticator_1_", &service)));

    let layer = AuthLayer::new(tokens()).cookie("token").build().unwrap();
    let cookie = "cookie_1 = __Host-token\ncookie_1_name = token\ncookie_1_path = /\ncookie_1_same_site = lax\n\
                  cookie_1_browser_session = false\ncookie_1_danger_plain = false\n";
    let described = layer.describe().to_string();
    assert_eq!(described, format!("{LAYER}{cookie}{}", nested("authenticator_1_", &service)));
}

#[test]
fn r052_the_presets_of_sessions_are_these() {
    let presets: [(SessionPolicyBuilder, [&str; 3]); 7] = [
        (SessionPolicy::builder(), ["24h", "7d", "5m"]),
        (SessionPolicy::saas(), ["24h", "7d", "5m"]),
        (SessionPolicy::consumer(), ["30d", "90d", "1h"]),
        (SessionPolicy::owasp_high_value(), ["5m", "8h", "1m"]),
        (SessionPolicy::nist_aal1(), ["30d", "30d", "1h"]),
        (SessionPolicy::nist_aal2(), ["1h", "24h", "3m"]),
        (SessionPolicy::nist_aal3(), ["15m", "12h", "1m"]),
    ];
    for (preset, expected) in presets {
        let described = preset.build().unwrap().describe();
        assert_eq!(["idle", "absolute", "touch_every"].map(|name| value(&described, name)), expected);
        // Nothing else differs.
        let others = |description: &Description| {
            let lines = super::lines(description).into_iter();
            let own = ["idle", "absolute", "touch_every"];
            lines.filter(|(name, _)| !own.contains(&name.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(others(&described), others(&SessionPolicy::default().describe()));
    }
}

/// What was set is what is printed, for everything that can be set; and two layers do not share it.
#[test]
fn r052_a_layer_prints_what_is_in_force_and_not_what_was_meant_to_be() {
    let sessions = Sessions::new(MemoryStore::new(), SessionPolicy::nist_aal2().build().unwrap());
    let layer = AuthLayer::new(tokens())
        .or(sessions.clone())
        .cookie(sessions.cookie())
        .cookie(CookieSettings::new("old").danger_plain().browser_session())
        .schemes(["Bearer"])
        .refuse_foreign_schemes()
        .realm("shop")
        .optional()
        .danger_invalid_as_anonymous()
        .exclude(["/health", "/static/**"])
        .allow_preflight()
        .tenant(|_| None::<String>)
        .csrf(
            CsrfPolicy::new()
                .allow_origin("https://app.test")
                .allow_origin("https://b.test")
                .allow_same_site(),
        )
        .client_ip(ClientIpPolicy::peer().trust("10.0.0.0/8").trust("::1"))
        .redirect_to(RedirectPolicy::to("/login").parameter("back"))
        .build()
        .unwrap();
    let described = layer.describe();
    for (name, expected) in [
        ("realm", "shop"),
        ("schemes", "Bearer"),
        ("refuse_foreign_schemes", "true"),
        ("cookies_first", "true"),
        ("optional", "true"),
        ("danger_invalid_as_anonymous", "true"),
        ("exclude", "/health,/static/**"),
        ("allow_preflight", "true"),
        ("tenant", "true"),
        ("on_auth", "false"),
        ("csrf_allow_origin", "https://app.test,https://b.test"),
        ("csrf_allow_same_site", "true"),
        ("client_ip_trust", "10.0.0.0/8,::1"),
        ("redirect_to", "/login"),
        ("redirect_parameter", "back"),
        ("cookie_1", "__Host-session"),
        ("cookie_2", "old"),
        ("cookie_2_danger_plain", "true"),
        ("cookie_2_browser_session", "true"),
        ("authenticator_1_access_ttl", "24h"),
        ("authenticator_2_idle", "1h"),
        ("authenticator_2_cookie_name", "session"),
    ] {
        assert_eq!(value(&described, name), expected, "{name}");
    }
    let bare = AuthLayer::new(tokens()).without_header().cookie("a").build().unwrap();
    assert_eq!(value(&bare.describe(), "schemes"), "none");
    assert_eq!(value(&bare.describe(), "realm"), "api");
}

/// The origins of sessions are in force where the layer is told of them, and are printed there.
#[test]
fn r052_a_layer_prints_the_origins_of_sessions_only_where_it_has_them() {
    let csrf = CsrfPolicy::new().allow_origin("https://app.test").allow_same_site();
    let policy = SessionPolicy::builder().csrf(csrf.clone()).clear_site_data().build().unwrap();
    let sessions = Sessions::new(MemoryStore::new(), policy);
    assert_eq!(sessions.csrf().describe(), csrf.describe());
    assert_eq!(value(&sessions.describe(), "csrf_allow_origin"), "https://app.test");
    let layer = || AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie());
    let (bare, told) = (layer().build().unwrap(), layer().csrf(sessions.csrf()).build().unwrap());
    for (layer, origins, same_site) in [(bare, "", "false"), (told, "https://app.test", "true")] {
        let described = layer.describe();
        assert_eq!(value(&described, "csrf_allow_origin"), origins);
        assert_eq!(value(&described, "csrf_allow_same_site"), same_site);
        assert!(described.lines().all(|(name, _)| !name.starts_with("authenticator_1_csrf_")), "{described}");
        assert_eq!(value(&described, "authenticator_1_idle"), "24h");
    }
}

#[test]
fn r052_a_service_prints_its_policy_and_which_key_it_uses() {
    let text = format!("pk1_0a0b0c0d{}", (0..32).map(|byte| format!("{byte:02x}")).collect::<String>());
    let body: Vec<u8> = [10, 11, 12, 13].into_iter().chain(0..32).collect();
    let key = Key::parse(&Secret::new(format!("{text}{:08x}", crc32fast::hash(&body)))).unwrap();
    let policy = TokenPolicy::builder()
        .cache_users(secs(30))
        .limit(LiveLimit::EndOldest(3))
        .keep_for_audit(secs(3600))
        .build()
        .unwrap();
    let service = TokenService::new(MemoryStore::new(), policy).pepper(KeyRing::new(key));
    let described = service.describe();
    for (name, expected) in [
        ("cache_users", "30s"),
        ("limit", "3"),
        ("at_limit", "end_oldest"),
        ("keep_for_audit", "1h"),
        ("pepper", "0a0b0c0d"),
    ] {
        assert_eq!(value(&described, name), expected);
    }
    assert!(!described.to_string().contains("0001020304"), "no key in it: {described}");
    let sessions = SessionPolicy::builder().cache_users(secs(45)).build().unwrap();
    let sessions = Sessions::new(MemoryStore::new(), sessions);
    assert_eq!(value(&sessions.describe(), "cache_users"), "45s");
}
