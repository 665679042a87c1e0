//! Cookies through the layer: what it refuses to be built with, and what it refuses to read.

use portcullis::{
    cookie::{CookieSettings, SameSite},
    problem::Reason,
};

use crate::support::{ask, fixture, request};

#[test]
fn r061_the_builder_refuses_cookies_that_browsers_refuse() {
    let fixture = fixture();
    let token = || CookieSettings::new("token");
    for (settings, field) in [
        (token().same_site(SameSite::None).danger_plain(), "same_site"),
        (CookieSettings::new("__Host-token"), "cookie"),
        (CookieSettings::new("__Host-token").path("/a"), "cookie"),
        (CookieSettings::new("__Secure-token").danger_plain(), "cookie"),
        (token().path("/a; Domain=evil.test"), "path"),
    ] {
        let error = fixture.layer().cookie(settings).build().expect_err(field);
        let fields: Vec<_> = error.faults().iter().map(|fault| fault.field()).collect();
        assert_eq!(fields, [field]);
    }
    assert!(fixture.layer().cookie(token().same_site(SameSite::None)).build().is_ok());
}

#[tokio::test]
async fn sec_d13_two_session_cookies_are_refused_whatever_the_case_of_the_prefix() {
    let fixture = fixture();
    let issued = fixture.cookie_login("ada").await;
    let ours = format!("__Host-token={}", issued.access().expose());
    let send =
        async |cookies: &str| ask(fixture.layer().cookie("token"), request(&[("cookie", cookies)])).await;
    assert_eq!(send(&ours).await.status, 200);
    for other in ["__Host-token=x", "__hOsT-token=x", "__HOST-token=x", "__host-token=x"] {
        for cookies in [format!("{ours}; {other}"), format!("{other}; {ours}")] {
            let answer = send(&cookies).await;
            assert_eq!(
                (answer.status.as_u16(), answer.reason()),
                (400, Some(Reason::DuplicateCookie)),
                "{other}"
            );
        }
    }
    let alone = send(&ours.replacen("__Host-", "__hOsT-", 1)).await;
    assert_eq!((alone.status.as_u16(), alone.reason()), (401, Some(Reason::Absent)));
}
