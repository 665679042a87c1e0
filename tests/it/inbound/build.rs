//! What a layer is built of: every fault at once, and what it then reads.

use std::sync::Arc;

use portcullis::{
    AuthLayer,
    cookie::{CookieSettings, SameSite},
    identity::Subject,
    problem::Reason,
};
use tower::Layer;

use super::cookie;
use crate::support::{ask, fixture, request};

#[test]
fn r053_a_layer_names_all_its_faults_at_once() {
    let fixture = fixture();
    let error = fixture
        .layer()
        .schemes(["Bearer", "bearer", "a b", ""])
        .cookie("")
        .cookie("__Host-token")
        .cookie("ok")
        .cookie("ok")
        .build()
        .unwrap_err();
    let faults: Vec<String> = error.faults().iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 6, "{faults:#?}");
    assert!(fixture.layer().schemes::<String>([]).build().is_err());
    assert!(fixture.layer().without_header().build().is_err());
    assert!(fixture.layer().schemes(["Cookie"]).build().is_ok());
    assert!(
        fixture.layer().schemes(["cookie"]).cookie("token").build().is_err(),
        "two challenges of one name"
    );
}

#[tokio::test]
async fn plain_cookies_are_read_under_their_own_name() {
    let fixture = fixture();
    let issued = fixture.cookie_login("ada").await;
    let plain = || fixture.layer().cookie(CookieSettings::new("token").danger_plain());
    assert_eq!(ask(plain(), request(&[("cookie", &cookie("token", &issued))])).await.status, 200);
    assert_eq!(ask(plain(), request(&[("cookie", &cookie("__Host-token", &issued))])).await.status, 401);
}

#[test]
fn layers_and_services_can_be_shared() {
    fn check<T: Send + Sync + Clone + 'static>(_: &T) {}

    let fixture = fixture();
    check(&fixture.tokens);
    let layer = fixture.layer().build().unwrap();
    check(&layer);
    check(&layer.layer(Arc::new(())));
    let _: AuthLayer<Subject> = layer;
}

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
