use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::COOKIE};
use proptest::prelude::*;

use super::{Strict, strict};
use crate::{
    cookie::{CookieError, CookieSettings, SameSite, lint},
    error::Faults,
    secret::Secret,
};

fn written(settings: &CookieSettings, max_age: Option<Duration>) -> Strict {
    let header = settings.write(&Secret::new("abc"), max_age).unwrap();
    assert!(header.is_sensitive());
    strict(&header)
}

fn faults(settings: &CookieSettings) -> Vec<&'static str> {
    let mut faults = Faults::default();
    settings.check(&mut faults);
    match faults.finish() {
        Ok(()) => Vec::new(),
        Err(error) => error.faults().iter().map(|fault| fault.field()).collect(),
    }
}

#[test]
fn sec_d12_the_default_cookie_has_every_protection() {
    for settings in [CookieSettings::new("token"), "token".into()] {
        let cookie = written(&settings, Some(Duration::from_secs(60)));
        assert_eq!((cookie.name.as_str(), cookie.value.as_str()), ("__Host-token", "abc"));
        assert_eq!(cookie.get("Max-Age"), Some("60"));
        assert_eq!(cookie.get("Path"), Some("/"));
        assert_eq!(cookie.get("Secure"), Some(""));
        assert_eq!(cookie.get("HttpOnly"), Some(""));
        assert_eq!(cookie.get("SameSite"), Some("Lax"));
        assert_eq!(cookie.attributes.len(), 5, "no Domain");
        assert_eq!(faults(&settings), [""; 0]);
    }
}

#[test]
fn sec_d12_contradictions_are_faults() {
    let cookie = || CookieSettings::new("token");
    let long = format!("/{}", "x".repeat(1024));
    let cases = [
        (CookieSettings::new("__Host-token"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("__secure-token"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("__Host-token").danger_plain(), "cookie", CookieError::InvalidName),
        (CookieSettings::new(""), "cookie", CookieError::InvalidName),
        (CookieSettings::new("a; Domain=evil.test"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("a=b"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("a\n"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("\u{e9}"), "cookie", CookieError::InvalidName),
        (CookieSettings::new("x".repeat(257)), "cookie", CookieError::InvalidName),
        (cookie().path(""), "path", CookieError::InvalidPath),
        (cookie().path("auth"), "path", CookieError::InvalidPath),
        (cookie().path("/a; Domain=evil.test"), "path", CookieError::InvalidPath),
        (cookie().path("/a;Secure"), "path", CookieError::InvalidPath),
        (cookie().path("/a\r\nSet-Cookie: x=y"), "path", CookieError::InvalidPath),
        (cookie().path("/a b"), "path", CookieError::InvalidPath),
        (cookie().path("/\u{e9}"), "path", CookieError::InvalidPath),
        (cookie().path(long), "path", CookieError::InvalidPath),
        (
            cookie().same_site(SameSite::None).danger_plain(),
            "same_site",
            CookieError::SameSiteNoneNeedsSecure,
        ),
        (
            cookie().danger_plain().same_site(SameSite::None),
            "same_site",
            CookieError::SameSiteNoneNeedsSecure,
        ),
    ];
    for (settings, field, error) in cases {
        assert_eq!(faults(&settings), [field], "{settings:?}");
        assert_eq!(settings.write(&Secret::new("x"), None), Err(error), "{settings:?}");
        assert_eq!(settings.clear(), Err(error), "{settings:?}");
    }
    let all = CookieSettings::new("").path("").same_site(SameSite::None).danger_plain();
    assert_eq!(faults(&all), ["cookie", "path", "same_site"], "every fault at once");
    let longest = cookie().path(format!("/{}", "x".repeat(1023))).same_site(SameSite::None);
    assert_eq!(faults(&longest), [""; 0]);
    assert_eq!(faults(&CookieSettings::new("x".repeat(256))), [""; 0]);
    assert!(longest.clear().is_ok());
}

#[test]
fn sec_d12_a_life_is_cut_at_400_days_and_a_text_refused_above_4096_bytes() {
    let settings = CookieSettings::new("t");
    assert_eq!(written(&settings, Some(Duration::MAX)).get("Max-Age"), Some("34560000"));
    let day_400 = Duration::from_secs(34_560_000);
    assert_eq!(written(&settings, Some(day_400 - Duration::from_secs(1))).get("Max-Age"), Some("34559999"));
    let room = 4096 - settings.name().len();
    assert!(settings.write(&Secret::new("x".repeat(room)), None).is_ok());
    assert_eq!(settings.write(&Secret::new("x".repeat(room + 1)), None), Err(CookieError::TooLong));
}

#[test]
fn a_value_that_a_cookie_cannot_carry_is_refused() {
    let settings = CookieSettings::new("t");
    for value in ["", "a;b", "a b", "a,b", "a\"b", "a\\b", "a\r\nSet-Cookie: x=y", "a\u{7f}", "\u{e9}"] {
        assert_eq!(settings.write(&Secret::new(value), None), Err(CookieError::InvalidValue), "{value:?}");
    }
}

#[test]
fn a_path_of_its_own_has_the_prefix_that_browsers_take_with_it() {
    let settings = CookieSettings::new("refresh").path("/auth").same_site(SameSite::Strict);
    assert_eq!(
        settings.write(&Secret::new("abc"), None).unwrap(),
        "__Secure-refresh=abc; Path=/auth; Secure; HttpOnly; SameSite=Strict"
    );
    assert_eq!(settings.clone().path("/").name(), "__Host-refresh");
    assert_eq!(
        settings.danger_plain().clear().unwrap(),
        "refresh=; Max-Age=0; Path=/auth; HttpOnly; SameSite=Strict"
    );
}

#[test]
fn a_browser_session_is_written_without_an_age_and_still_removed() {
    let settings = CookieSettings::new("t").browser_session();
    let cookie = written(&settings, Some(Duration::from_secs(60)));
    assert_eq!((cookie.get("Max-Age"), cookie.get("Path")), (None, Some("/")));
    assert_eq!(strict(&settings.clear().unwrap()).get("Max-Age"), Some("0"));
}

/// Settings that contradict themselves only in `SameSite`.
fn settings() -> impl Strategy<Value = CookieSettings> {
    let path = prop_oneof![Just(None), Just(Some("/".to_owned())), "/[!-:<-~]{0,20}".prop_map(Some)];
    let same_site = prop_oneof![Just(SameSite::Lax), Just(SameSite::None), Just(SameSite::Strict)];
    // Setters come in any order.
    let order = Just([0_u8, 1, 2, 3]).prop_shuffle();
    ("[A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]{0,20}", path, same_site, any::<[bool; 2]>(), order).prop_map(
        |(name, path, same_site, [plain, browser_session], order)| {
            order.iter().fold(CookieSettings::new(name), |settings, setter| match (setter, &path) {
                (0, Some(path)) => settings.path(path),
                (1, _) => settings.same_site(same_site),
                (2, _) if plain => settings.danger_plain(),
                (3, _) if browser_session => settings.browser_session(),
                _ => settings,
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sec_d14_the_four_verbs_agree_on_name_and_attributes(
        settings in settings(),
        value in "[!#-+.-:<-\\[\\]-~-]{1,40}",
        age in prop::option::of(any::<u64>()),
    ) {
        let age = age.map(Duration::from_secs);
        let (line, removal) = (settings.write(&Secret::new(value.clone()), age), settings.clear());
        prop_assert_eq!(line.as_ref().err(), removal.as_ref().err());
        prop_assert_eq!(line.is_ok(), faults(&settings).is_empty());
        let (Ok(line), Ok(removal)) = (line, removal) else { return Ok(()) };

        prop_assert!(line.is_sensitive());
        let (cookie, removal) = (strict(&line), strict(&removal));
        prop_assert_eq!(cookie.name.as_str(), settings.name());
        prop_assert_eq!(&cookie.value, &value);
        prop_assert_eq!(&removal.name, &cookie.name);
        prop_assert_eq!((removal.value.as_str(), removal.get("Max-Age")), ("", Some("0")));

        // What browsers check before they take it.
        let secure = cookie.get("Secure").is_some();
        prop_assert!(!cookie.name.starts_with("__") || secure);
        prop_assert!(!cookie.name.starts_with("__Host-") || cookie.get("Path") == Some("/"));
        prop_assert!(cookie.get("SameSite") != Some("None") || secure);
        prop_assert_eq!(cookie.get("HttpOnly"), Some(""));

        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&format!("0=b; {}={value}", cookie.name)).unwrap());
        prop_assert_eq!(settings.read(&headers), Ok(Some(value.as_str())));
        let mut answer = HeaderMap::new();
        answer.insert(http::header::SET_COOKIE, line);
        prop_assert!(settings.is_set_by(&answer));

        prop_assert_eq!(cookie.without_age(), removal.without_age());
    }

    /// The defaults are what the linter asks for.
    #[test]
    fn r061_the_linter_finds_nothing_in_our_own_cookies(
        settings in settings(),
        age in prop::option::of(0..=8 * 60 * 60_u64),
    ) {
        if settings.plain || settings.same_site == SameSite::None {
            return Ok(());
        }
        let line = settings.write(&Secret::new("abc"), age.map(Duration::from_secs)).unwrap();
        for line in [line, settings.clear().unwrap()] {
            let audit = lint(line.to_str().unwrap());
            prop_assert_eq!(audit.findings(), []);
        }
    }
}
