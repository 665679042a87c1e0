use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, SET_COOKIE},
};

use crate::cookie::{CookieError, CookieSettings};

fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
    let line = |line: &&str| (name.clone(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
    lines.iter().map(line).collect()
}

fn read(settings: &CookieSettings, cookies: &[&str]) -> Result<Option<String>, CookieError> {
    settings.read(&headers(COOKIE, cookies)).map(|value| value.map(str::to_owned))
}

fn some(value: &str) -> Result<Option<String>, CookieError> {
    Ok(Some(value.to_owned()))
}

#[test]
fn reading_finds_the_name_among_others() {
    let settings = CookieSettings::new("t").danger_plain();
    assert_eq!(read(&settings, &["a=1; t=x; b=2"]), some("x"));
    assert_eq!(read(&settings, &["a=1", "t=x"]), some("x"));
    assert_eq!(read(&settings, &["tt=1; T=2; at=3; t"]), Ok(None));
    assert_eq!(read(&settings, &["t="]), Ok(None));
    assert_eq!(read(&settings, &["t = x "]), some("x"));
    assert_eq!(read(&settings, &["t=x=y"]), some("x=y"));
    assert_eq!(read(&settings, &[]), Ok(None));
    assert_eq!(read(&settings, &["t=\u{e9}"]), Err(CookieError::InvalidValue));
}

#[test]
fn sec_d13_a_name_that_comes_twice_is_refused_in_any_order() {
    let plain = CookieSettings::new("t").danger_plain();
    for cookies in
        [&["t=a; t=b"][..], &["t=b; t=a"], &["t=a", "t=b"], &["t=a; t="], &["t=; t=a"], &["t=a; t=a"]]
    {
        assert_eq!(read(&plain, cookies), Err(CookieError::Duplicate), "{cookies:?}");
    }
}

#[test]
fn sec_d13_another_case_of_the_prefix_is_not_ours_and_refused_beside_ours() {
    let cases = [
        (CookieSettings::new("token"), ["__hOsT-token", "__HOST-token", "__host-token"]),
        (CookieSettings::new("token").path("/a"), ["__secure-token", "__SECURE-token", "__Secure-token"]),
    ];
    for (settings, look_alikes) in cases {
        let ours = format!("{}=a", settings.name());
        for name in look_alikes.iter().filter(|name| **name != settings.name()) {
            let other = format!("{name}=b");
            assert_eq!(read(&settings, &[&other]), Ok(None), "{other}");
            assert_eq!(read(&settings, &[&other, &other]), Ok(None), "{other}");
            for line in
                [format!("{ours}; {other}"), format!("{other}; {ours}"), format!("{other}; x=y; {ours}")]
            {
                assert_eq!(read(&settings, &[&line]), Err(CookieError::Duplicate), "{line}");
            }
            assert_eq!(read(&settings, &[&ours, &other]), Err(CookieError::Duplicate), "two headers");
            let empty = format!("{name}=; {ours}");
            assert_eq!(read(&settings, &[&empty]), Err(CookieError::Duplicate), "{empty}");
        }
        // The rest of a name has a case that counts, and other names are other cookies.
        let others = "__Host-Token=1; __Host-TOKEN=2; token=3; __Host-tokens=4; __hOsT-token2=5; __host-token; \
             __Last-token=6; __Others-token=7";
        assert_eq!(read(&settings, &[others, &ours]), some("a"));
    }
}

#[test]
fn without_a_prefix_the_whole_name_has_a_case() {
    let plain = CookieSettings::new("token").danger_plain();
    assert_eq!(read(&plain, &["TOKEN=a; token=b; __Host-token=c"]), some("b"));
}

#[test]
fn a_response_shows_whether_it_sets_or_removes_the_cookie() {
    let settings = CookieSettings::new("token");
    let is_set = |lines: &[&str]| settings.is_set_by(&headers(SET_COOKIE, lines));
    assert!(is_set(&["__Host-token=a; Path=/; Secure"]));
    assert!(is_set(&["a=b", "__Host-token=; Max-Age=0"]));
    assert!(is_set(&["__hOsT-token=a"]));
    assert!(is_set(&[" __Host-token =a"]));
    assert!(is_set(&[settings.clear().unwrap().to_str().unwrap()]));
    for others in [
        &[][..],
        &["token=a"],
        &["__Host-Token=a"],
        &["__Host-tokens=a"],
        &["a=b; __Host-token=c"],
        &["a=__Host-token=c"],
        &["__Host-token"],
        &["\u{e9}=a"],
    ] {
        assert!(!is_set(others), "{others:?}");
    }
    // The request's own cookies are not the response's.
    assert!(!settings.is_set_by(&headers(COOKIE, &["__Host-token=a"])));
}
