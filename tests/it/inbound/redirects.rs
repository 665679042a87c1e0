//! Who is sent to a login instead of being refused.

use std::convert::Infallible;

use http::{Method, Request, Response};
use portcullis::{
    problem::{Reason, Rejection, RejectionKind},
    redirect::RedirectPolicy,
};
use tower::{Layer, ServiceExt, service_fn};

use super::{MODES, get, to};
use crate::support::{Answer, Body, Mode, ask, bearer, fixture};

const NAVIGATIONS: [&[(&str, &str)]; 3] = [
    &[("sec-fetch-mode", "navigate")],
    &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
    &[("sec-fetch-mode", "navigate"), ("accept", "*/*")],
];

#[tokio::test]
async fn sec_a10_only_a_person_who_opens_a_page_is_sent_to_the_login() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, good) = bearer(issued.access().expose());
        let plain = || fixture.layer().cookie("token");
        let layer = || plain().redirect_to(RedirectPolicy::to("/login"));
        let with = |headers: &[(&'static str, &'static str)], more: &[(&'static str, &'static str)]| {
            get("/orders?page=2&x=/y", &[headers, more].concat())
        };
        for navigation in NAVIGATIONS {
            for (more, reason) in [
                (&[][..], Reason::Absent),
                (&[("authorization", "Bearer junk")], Reason::Unclaimed),
                (&[("cookie", "__Host-token=junk")], Reason::Unclaimed),
            ] {
                let answer = ask(layer(), with(navigation, more)).await;
                assert_eq!(answer.status, 303);
                assert_eq!(answer.headers["location"], "/login?next=%2Forders%3Fpage%3D2%26x%3D%2Fy");
                assert_eq!(answer.headers["cache-control"], "no-store");
                assert!(answer.challenges().is_empty() && answer.body.is_empty());
                assert_eq!(answer.reason(), Some(reason), "the cause stays with the answer");
                assert!(!answer.headers.contains_key("set-cookie"));
                // By default nobody is redirected.
                assert_eq!(ask(plain(), with(navigation, more)).await.status, 401);
            }
            // What no login would mend.
            let garbled = ask(layer(), with(navigation, &[("authorization", "Bearer a b")])).await;
            assert_eq!((garbled.status.as_u16(), garbled.headers.contains_key("location")), (400, false));
            let no_page = [navigation, &[("cookie", "__Host-token=junk")]].concat();
            assert_eq!(ask(layer(), to(Method::POST, "/orders", &no_page)).await.status, 403);
            fixture.store.set(Mode::Down);
            let headers = [navigation, &[(name.as_str(), good.as_str())]].concat();
            let down = ask(layer(), get("/orders", &headers)).await;
            assert_eq!((down.status.as_u16(), down.headers.contains_key("location")), (503, false));
            fixture.store.set(mode);
            assert_eq!(ask(layer(), get("/orders", &headers)).await.body, "ada header Bearer");
        }
        for script in [
            &[][..],
            &[("accept", "*/*")],
            &[("accept", "application/json")],
            &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
            &[("sec-fetch-mode", "websocket")],
        ] {
            let answer = ask(layer(), with(script, &[])).await;
            assert_eq!((answer.status.as_u16(), answer.challenges().len()), (401, 3), "{script:?}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(ask(layer(), to(method, "/orders", NAVIGATIONS[0])).await.status, 401);
        }
        // A target that would lead elsewhere is not handed on.
        let answer = ask(layer(), get("//evil.test/x", NAVIGATIONS[0])).await;
        assert_eq!(answer.headers["location"], "/login");
        // Where guests are welcome, they are not sent away.
        assert_eq!(ask(layer().optional(), with(NAVIGATIONS[0], &[])).await.body, "anonymous");
    }
    let error = fixture().layer().redirect_to(RedirectPolicy::to("login")).build().unwrap_err();
    assert_eq!(error.faults()[0].field(), "redirect_to");
}

#[tokio::test]
async fn a_redirect_passes_through_the_maker_of_answers() {
    let fixture = fixture();
    let layer = fixture
        .layer()
        .redirect_to(RedirectPolicy::to("https://id.test/login").parameter("back"))
        .reject_with(|why: &Rejection, answer: Response<bytes::Bytes>| {
            answer.map(|_| Body::from(format!("{:?}", why.kind())))
        })
        .build()
        .unwrap();
    let service = layer
        .layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) }));
    let answer = Answer::of(service.oneshot(get("/a", NAVIGATIONS[0])).await.unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (303, "MissingCredential"));
    assert_eq!(answer.headers["location"], "https://id.test/login?back=%2Fa");
    assert_eq!(answer.rejection.unwrap().kind(), RejectionKind::MissingCredential);
}
