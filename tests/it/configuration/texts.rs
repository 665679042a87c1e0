//! Settings from files and variables, for all that an operator sets.

use portcullis::{
    AuthLayer, TokenPolicy, TokenService,
    client_ip::ClientIpPolicy,
    cookie::{CookieError, CookieSettings, SameSite},
    csrf::CsrfPolicy,
    error::ConfigError,
    flow::RefreshService,
    redirect::RedirectPolicy,
    secret::Secret,
    session::{SessionPolicy, SessionPolicyBuilder},
    settings::{Description, Settings},
    store::MemoryStore,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::lines;

fn layer() -> portcullis::inbound::AuthLayerBuilder<portcullis::identity::Subject> {
    AuthLayer::new(TokenService::new(MemoryStore::new(), TokenPolicy::default()))
}

fn vars(vars: &[(&str, &str)]) -> Settings {
    Settings::from_vars("PC_", vars.iter().map(|(name, value)| (format!("PC_{name}"), *value)))
}

fn again(description: &Description) -> Settings {
    Settings::from_vars("", lines(description))
}

fn file<T: DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Field and value of each fault.
fn faults<T: std::fmt::Debug>(built: Result<T, ConfigError>) -> Vec<(&'static str, String)> {
    let error = built.unwrap_err();
    error.faults().iter().map(|fault| (fault.field(), fault.value().to_owned())).collect()
}

fn fault(field: &'static str, value: &str) -> (&'static str, String) {
    (field, format!("{value:?}"))
}

// ===== what is read =====

#[test]
fn r053_policies_are_read_from_variables_and_from_files() {
    let csrf = CsrfPolicy::new()
        .allow_origin("https://before.test")
        .settings(vars(&[("ALLOW_ORIGIN", "https://a.test, https://b.test"), ("ALLOW_SAME_SITE", "true")]));
    let read: CsrfPolicy =
        file(json!({"allow_origin": ["https://a.test", "https://b.test"], "allow_same_site": true}));
    for policy in [csrf, read] {
        let described = policy.describe().to_string();
        assert_eq!(described, "allow_origin = https://a.test,https://b.test\nallow_same_site = true\n");
        drop(layer().csrf(policy).build().unwrap());
    }

    let client_ip = ClientIpPolicy::peer()
        .trust("192.0.2.1")
        .settings(vars(&[("TRUST", "10.0.0.0/8,::1"), ("HEADER", "forwarded")]));
    let read: ClientIpPolicy = file(json!({"trust": ["10.0.0.0/8", "::1"], "header": "forwarded"}));
    for policy in [client_ip, read] {
        assert_eq!(policy.describe().to_string(), "trust = 10.0.0.0/8,::1\nheader = forwarded\n");
        drop(layer().client_ip(policy).build().unwrap());
    }

    let redirect = RedirectPolicy::to("/old").settings(vars(&[("TO", "/login"), ("PARAMETER", "back")]));
    let read: RedirectPolicy = file(json!({"to": "/login", "parameter": "back"}));
    for policy in [redirect, read] {
        assert_eq!(policy.describe().to_string(), "to = /login\nparameter = back\n");
        drop(layer().redirect_to(policy).build().unwrap());
    }

    let cookie = CookieSettings::new("sid").settings(vars(&[("PATH", "/app"), ("SAME_SITE", "strict")]));
    let read: CookieSettings = file(json!({"name": "sid", "path": "/app", "same_site": "strict"}));
    let strict = CookieSettings::new("sid").path("/app").same_site(SameSite::Strict);
    assert_eq!((&cookie, &read, cookie.name()), (&strict, &strict, "__Secure-sid"));
}

/// What is not named stays as the application has set it.
#[test]
fn r053_a_setting_changes_what_it_names_and_nothing_else() {
    let csrf = CsrfPolicy::new().allow_origin("https://a.test").allow_same_site();
    assert_eq!(csrf.clone().settings(vars(&[])).describe(), csrf.describe());
    let off = csrf.clone().settings(vars(&[("ALLOW_SAME_SITE", "false")]));
    assert_eq!(off.describe(), CsrfPolicy::new().allow_origin("https://a.test").describe());
    let none = csrf.settings(vars(&[("ALLOW_ORIGIN", "")]));
    assert_eq!(none.describe(), CsrfPolicy::new().allow_same_site().describe());

    let proxies = ClientIpPolicy::peer().trust("10.0.0.0/8").settings(vars(&[("HEADER", "forwarded")]));
    assert_eq!(proxies.describe().to_string(), "trust = 10.0.0.0/8\nheader = forwarded\n");
    let login = RedirectPolicy::to("/login").settings(vars(&[("PARAMETER", "back")]));
    assert_eq!(login.describe().to_string(), "to = /login\nparameter = back\n");
}

#[test]
fn r052_what_these_policies_say_of_themselves_can_be_read_again() {
    let csrf = CsrfPolicy::new()
        .allow_origin("https://a.test")
        .allow_origin("https://b.test:8443")
        .allow_same_site();
    assert_eq!(CsrfPolicy::new().settings(again(&csrf.describe())).describe(), csrf.describe());
    let proxies = ClientIpPolicy::peer()
        .trust("10.0.0.0/8")
        .trust("::1")
        .header(portcullis::client_ip::ForwardedHeader::Forwarded);
    assert_eq!(ClientIpPolicy::peer().settings(again(&proxies.describe())).describe(), proxies.describe());
    let login = RedirectPolicy::to("https://id.test/login?a=1").parameter("back");
    assert_eq!(RedirectPolicy::to("").settings(again(&login.describe())).describe(), login.describe());
    for cookie in [
        CookieSettings::new("a").path("/x").same_site(SameSite::None).browser_session(),
        CookieSettings::new("b").danger_plain(),
    ] {
        assert_eq!(CookieSettings::new("").settings(again(&cookie.describe())), cookie);
    }
    let session = SessionPolicy::owasp_high_value()
        .cookie(CookieSettings::new("sid").path("/app"))
        .csrf(csrf)
        .cache_users(std::time::Duration::from_secs(30))
        .clear_site_data()
        .build()
        .unwrap();
    let read = SessionPolicy::builder().settings(again(&session.describe())).build().unwrap();
    assert_eq!(read.describe(), session.describe());
}

// ===== what is wrong with it =====

/// Of the texts and of the rules, of all policies and of the layer itself.
#[test]
fn r053_every_fault_of_every_policy_is_in_the_layers_one_error() {
    let built = layer()
        .settings(vars(&[
            ("REALM", "caf\u{e9}"),
            ("SCHEMES", "Bearer, bearer"),
            ("EXCLUDE", "health"),
            ("OPTIONAL", "true"),
            ("CSRF_ALLOW_ORIGIN", "http://a.test"),
            ("CSRF_ALLOW_SAME_SITE", "yes"),
            ("CSRF_ALLOW_ORIGINS", "hunter2"),
            ("CLIENT_IP_TRUST", "0.0.0.0/0"),
            ("CLIENT_IP_HEADER", "x-real-ip"),
            ("REDIRECT_PARAMETER", "next page"),
        ]))
        .cookie(CookieSettings::new("a").settings(vars(&[
            ("SAME_SITE", "strickt"),
            ("DANGER_PLAIN", "0"),
            ("BROWSER_SESSION", "1"),
            ("PATH", "app"),
            ("DOMAIN", "hunter3"),
        ])))
        .build();
    let found = faults(built);
    assert_eq!(
        found,
        [
            fault("settings", "optional"),
            fault("schemes", "bearer"),
            fault("realm", "caf\u{e9}"),
            fault("same_site", "strickt"),
            fault("browser_session", "1"),
            fault("danger_plain", "0"),
            fault("settings", "domain"),
            fault("path", "app"),
            fault("allow_same_site", "yes"),
            fault("settings", "csrf_allow_origins"),
            fault("allow_origin", "http://a.test"),
            fault("header", "x-real-ip"),
            fault("trust", "0.0.0.0/0"),
            fault("redirect_to", ""),
            fault("parameter", "next page"),
            fault("exclude", "health"),
        ]
    );
    for policy in [json!({"to": "/login", "parametr": "x"}), json!({"parameter": "x"})] {
        let redirect: RedirectPolicy = file(policy);
        assert_eq!(faults(layer().redirect_to(redirect).build()).len(), 1);
    }
    let proxies: ClientIpPolicy = file(json!({"trusted": "10.0.0.0/8"}));
    assert_eq!(faults(layer().client_ip(proxies).build()), [fault("settings", "trusted")]);
    let nameless: CookieSettings = file(json!({"path": "/app"}));
    assert_eq!(faults(layer().cookie(nameless).build()), [fault("cookie", "")]);
}

/// Whoever wrote the text looks for what stands there, and not for the name of a setter.
#[test]
fn r053_a_fault_of_a_text_names_the_key_that_was_written() {
    let keys = |error: ConfigError| {
        let keys = error.faults().iter().map(|fault| (fault.key().to_owned(), fault.field().to_owned()));
        (keys.collect::<Vec<_>>(), error.to_string())
    };
    let pair = |key: &str, field: &str| (key.to_owned(), field.to_owned());
    let text = json!({
        "cookie_same_site": "strickt", "cookie_domain": "hunter2", "csrf_allow_same_site": "yes",
        "csrf_allow_origins": "hunter3", "cache_users": "soon", "idle": "1", "idel": "hunter4",
    });
    let (found, shown) = keys(file::<SessionPolicyBuilder>(text).build().unwrap_err());
    let expected = [
        pair("idle", "idle"),
        pair("settings", "settings"),
        pair("cookie_same_site", "same_site"),
        pair("settings", "settings"),
        pair("csrf_allow_same_site", "allow_same_site"),
        pair("settings", "settings"),
        pair("cache_users", "cache_users"),
    ];
    assert_eq!(found, expected);
    for part in [
        r#"; cookie_same_site = "strickt": "#,
        r#"settings = "idel": "#,
        r#"settings = "cookie_domain": "#,
        r#"; csrf_allow_same_site = "yes": "#,
        r#"settings = "csrf_allow_origins": "#,
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("hunter"), "{shown}");

    let wrong = vars(&[("CLIENT_IP_HEADER", "x-real-ip"), ("CLIENT_IP_TRUSTED", "a"), ("REDIRECT_TOO", "/")]);
    let (found, shown) =
        keys(layer().redirect_to(RedirectPolicy::to("/login")).settings(wrong).build().unwrap_err());
    assert_eq!(found[0], pair("client_ip_header", "header"));
    assert!(
        shown.contains(r#"settings = "client_ip_trusted": "#) && shown.contains(r#""redirect_too": "#),
        "{shown}"
    );
    // A policy that is read alone has no prefix.
    let (found, _) = keys(layer().csrf(file(json!({"allow_same_site": "yes"}))).build().unwrap_err());
    assert_eq!(found, [pair("allow_same_site", "allow_same_site")]);
}

/// What was wrong stays wrong, whatever is set afterwards, and a repaired text adds no second report.
#[test]
fn r053_faults_of_an_earlier_text_are_kept() {
    let csrf = CsrfPolicy::new()
        .settings(vars(&[("ALLOW_SAME_SITE", "yes")]))
        .settings(vars(&[("ALLOW_SAME_SITE", "false")]))
        .allow_origin("https://a.test");
    assert_eq!(faults(layer().csrf(csrf).build()), [fault("allow_same_site", "yes")]);
    let twice = layer().settings(vars(&[("REALMS", "a")])).settings(vars(&[("REALM", "b")]));
    assert_eq!(faults(twice.build()), [fault("settings", "realms")]);
}

/// A cookie with a fault that is written without having been built into anything.
#[test]
fn r053_a_cookie_that_was_misread_is_never_written() {
    let cookie = CookieSettings::new("sid").settings(vars(&[("SAME_SITE", "strickt")]));
    assert_eq!(cookie.write(&Secret::new("value"), None), Err(CookieError::InvalidSetting));
    assert_eq!(cookie.clear(), Err(CookieError::InvalidSetting));
}

#[test]
fn r053_sessions_take_the_settings_of_their_cookie_and_of_their_origins() {
    let text = json!({
        "cookie_name": "sid", "csrf_allow_origin": ["https://a.test"], "csrf_allow_same_site": true,
        "cache_users": "30s",
    });
    let described = file::<SessionPolicyBuilder>(text).build().unwrap().describe().to_string();
    for line in [
        "cookie_name = sid",
        "csrf_allow_origin = https://a.test",
        "csrf_allow_same_site = true",
        "cache_users = 30s",
    ] {
        assert!(described.lines().any(|found| found == line), "{line} in {described}");
    }
    let text = json!({
        "cookie_danger_plain": "no", "csrf_allow_same_site": "yes", "cookie": "sid", "csrf_origin": "x",
        "cache_users": "soon",
    });
    let found = faults(file::<SessionPolicyBuilder>(text).build());
    let fields: Vec<_> = found.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["settings", "danger_plain", "allow_same_site", "settings", "cache_users"]);
    let refresh = faults(
        SessionPolicy::builder()
            .settings(vars(&[("COOKIE_SAME_SITE", "none"), ("COOKIE_DANGER_PLAIN", "true")]))
            .build(),
    );
    assert_eq!(refresh.iter().map(|(field, _)| *field).collect::<Vec<_>>(), ["same_site"]);
}

/// The refresh cookie is made of the same settings: their faults are told once.
#[test]
fn r053_a_misread_cookie_is_reported_once_by_a_service_with_two() {
    let cookie = CookieSettings::new("sid").settings(vars(&[("SAME_SITE", "strickt"), ("MAX_AGE", "1")]));
    let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let built = RefreshService::new(tokens).cookie(cookie).refresh_cookie("/auth").build();
    assert_eq!(faults(built), [fault("same_site", "strickt"), fault("settings", "max_age")]);
}

// ===== the layer =====

#[test]
fn r053_a_layer_takes_what_a_deployment_decides() {
    let layer = layer()
        .exclude(["/before"])
        .redirect_to(RedirectPolicy::to("/old").parameter("back"))
        .settings(vars(&[
            ("REALM", "shop"),
            ("SCHEMES", "Bearer"),
            ("EXCLUDE", "/health, /static/**"),
            ("CSRF_ALLOW_ORIGIN", "https://a.test"),
            ("CLIENT_IP_TRUST", "10.0.0.0/8"),
            ("CLIENT_IP_HEADER", "forwarded"),
            ("REDIRECT_TO", "/login"),
        ]))
        .build()
        .unwrap();
    let described = layer.describe().to_string();
    for line in [
        "realm = shop",
        "schemes = Bearer",
        "exclude = /health,/static/**",
        "csrf_allow_origin = https://a.test",
        "client_ip_trust = 10.0.0.0/8",
        "client_ip_header = forwarded",
        "redirect_to = /login",
        "redirect_parameter = back",
        "optional = false",
    ] {
        assert!(described.lines().any(|found| found == line), "{line} in {described}");
    }
}

#[test]
fn r053_none_switches_the_header_and_the_redirect_off() {
    let off = vars(&[("SCHEMES", "none"), ("REDIRECT_TO", "none")]);
    let layer =
        layer().redirect_to(RedirectPolicy::to("/login")).cookie("token").settings(off).build().unwrap();
    let described = layer.describe().to_string();
    assert!(
        described.contains("schemes = none\n") && described.contains("redirect_to = none\n"),
        "{described}"
    );
    let nothing = self::layer().settings(vars(&[("SCHEMES", "none")])).build();
    assert_eq!(faults(nothing), [fault("sources", "none")]);
}

/// The order of the sources is the application's.
#[test]
fn r053_schemes_from_a_text_do_not_change_the_order_of_the_sources() {
    let first = layer().cookie("token").settings(vars(&[("SCHEMES", "Bearer")])).build().unwrap();
    assert!(first.describe().to_string().contains("cookies_first = false\n"));
}
