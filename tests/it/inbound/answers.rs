//! What is answered, and what the handler finds.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use portcullis::{
    identity::{AuthContext, Subject},
    problem::{Rejection, RejectionKind},
    store::LoginRecord,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{MODES, cookie};
use crate::support::{Answer, Body, Mode, ask, bearer, fixture, request};

#[tokio::test]
async fn r009_challenges_name_every_scheme_once_and_the_presented_one_first() {
    let fixture = fixture();
    let layer = || fixture.layer().realm("a \"quoted\" realm").cookie("token");
    let realm = r#"realm="a \"quoted\" realm""#;
    let (bearer, token) = (format!("Bearer {realm}"), format!("Token {realm}"));
    let cookie = format!(r#"Cookie {realm}, cookie-name="__Host-token""#);
    let error = |challenge: &str| format!(r#"{challenge}, error="invalid_token""#);

    let absent = ask(layer(), request(&[])).await;
    assert_eq!(absent.challenges(), [&bearer, &token, &cookie]);
    let presented = ask(layer(), request(&[("authorization", "bearer junk")])).await;
    assert_eq!(presented.challenges(), [&error(&bearer), &token, &cookie]);
    let presented = ask(layer(), request(&[("authorization", "TOKEN junk")])).await;
    assert_eq!(presented.challenges(), [&error(&token), &bearer, &cookie]);
    let presented = ask(layer(), request(&[("cookie", "__Host-token=junk")])).await;
    assert_eq!(presented.challenges(), [&error(&cookie), &bearer, &token]);
    let only = ask(fixture.layer().without_header().cookie("token"), request(&[])).await;
    assert_eq!(only.challenges(), [r#"Cookie realm="api", cookie-name="__Host-token""#]);
    let cookie_first =
        fixture.layer().cookie("token").schemes(["Bearer", "Token"]).realm("a \"quoted\" realm");
    let presented = ask(cookie_first, request(&[("authorization", "Token junk")])).await;
    assert_eq!(presented.challenges(), [&error(&token), &cookie, &bearer]);
    let cookie_first = fixture.layer().cookie("token").schemes(["Bearer"]);
    let twice = request(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
    let twice = ask(cookie_first, twice).await;
    assert_eq!(twice.challenges(), [r#"Bearer realm="api", error="invalid_request""#]);
    let garbled = ask(layer(), request(&[("authorization", "Token")])).await;
    assert_eq!(garbled.challenges(), [format!(r#"{token}, error="invalid_request""#)]);
}

#[tokio::test]
async fn r010_optional_lets_absent_through_and_invalid_not() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, good) = bearer(issued.access().expose());
        let send = async |danger: bool, headers: &[(&str, &str)]| {
            let layer = fixture.layer().optional();
            ask(if danger { layer.danger_invalid_as_anonymous() } else { layer }, request(headers)).await
        };
        for danger in [false, true] {
            assert_eq!(send(danger, &[]).await.body, "anonymous");
            assert_eq!(send(danger, &[(&name, &good)]).await.body, "ada header Bearer");
            assert_eq!(send(danger, &[("authorization", "Bearer a b")]).await.status, 400);
        }
        fixture.tokens.revoke(&issued.record().id()).await.unwrap();
        for value in ["Bearer junk", good.as_str()] {
            assert_eq!(send(false, &[("authorization", value)]).await.status, 401);
            assert_eq!(send(true, &[("authorization", value)]).await.body, "anonymous");
        }
        fixture.store.set(if mode == Mode::Now { Mode::Down } else { Mode::DownLater });
        for danger in [false, true] {
            assert_eq!(
                send(danger, &[(&name, &good)]).await.status,
                503,
                "could not check is never anonymous"
            );
        }
    }
    let fixture = fixture();
    assert!(fixture.layer().danger_invalid_as_anonymous().build().is_err(), "needs optional()");

    // Malformed is never anonymous, in whichever cookie it is.
    let open = || fixture.layer().cookie("a").cookie("b").optional().danger_invalid_as_anonymous();
    for (cookies, status) in [
        ("__Host-a=junk; __Host-b=junk", 200),
        ("__Host-a=junk; __Host-b=%%", 401),
        ("__Host-a=%%; __Host-b=junk", 400),
    ] {
        assert_eq!(ask(open(), request(&[("cookie", cookies)])).await.status, status, "{cookies}");
    }
}

#[tokio::test]
async fn r029_the_handler_finds_identity_record_and_evidence() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let id = issued.record().id();
        let layer = fixture.layer().optional().build().unwrap();
        let service = layer.layer(service_fn(move |request: Request<Body>| async move {
            let context = request.extensions().get::<AuthContext>().unwrap();
            let auth = context.auth::<Subject>().unwrap();
            assert_eq!(context.is_anonymous(), auth.is_none());
            if let Some(auth) = auth {
                assert_eq!(auth.record().unwrap().id(), id);
                assert_eq!(auth.details::<LoginRecord>().unwrap().id(), id);
                assert_eq!(auth.evidence().record(), Some(id));
                assert_eq!(auth.evidence().expires(), auth.record().unwrap().access_expires());
            }
            let wrong = context.auth::<String>();
            assert!(wrong.is_err(), "another identity type is an error, not nobody");
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
        let (name, value) = bearer(issued.access().expose());
        for request in [request(&[(&name, &value)]), request(&[])] {
            assert_eq!(service.clone().oneshot(request).await.unwrap().status(), 200);
        }
    }
}

#[tokio::test]
async fn custom_answers_work_with_any_body_and_keep_the_cause() {
    struct Mine(String);

    let fixture = fixture();
    let layer = fixture
        .layer()
        .reject_with(|why: &Rejection, answer: Response<Bytes>| {
            answer.map(|_| Mine(format!("{:?}", why.kind())))
        })
        .build()
        .unwrap();
    let service = layer.layer(service_fn(|_: Request<u8>| async {
        Ok::<_, Infallible>(Response::new(Mine(String::new())))
    }));
    let answer = service.oneshot(Request::new(7)).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.extensions().get::<Rejection>().unwrap().kind(), RejectionKind::MissingCredential);
    assert_eq!(answer.into_body().0, "MissingCredential");
}

#[tokio::test]
async fn the_error_of_the_inner_service_passes_untouched() {
    #[derive(Debug, PartialEq)]
    struct Mine;

    let fixture = fixture();
    let layer = fixture.layer().optional().build().unwrap();
    let mut service =
        layer.layer(service_fn(|_: Request<()>| async { Err::<Response<BoxBody<Bytes, Mine>>, _>(Mine) }));
    assert_eq!(service.ready().await.unwrap().call(Request::new(())).await.map(|_| ()), Err(Mine));
    let answer =
        fixture.layer().build().unwrap().layer(service.into_inner()).oneshot(Request::new(())).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn answers_to_cookies_are_private_unless_the_handler_says_otherwise() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let cookie = cookie("__Host-token", &cookie_login);
    let (name, value) = bearer(header.access().expose());
    let answers = async |optional: bool, handler: Option<&'static str>, headers: &[(&str, &str)]| {
        let layer = fixture.layer().cookie("token");
        let layer = if optional { layer.optional() } else { layer }.build().unwrap();
        let service = layer.layer(service_fn(move |_: Request<Body>| async move {
            let mut response = Response::new(Full::<Bytes>::default());
            response.headers_mut().insert("vary", HeaderValue::from_static("accept"));
            if let Some(value) = handler {
                response.headers_mut().insert("cache-control", HeaderValue::from_static(value));
            }
            Ok::<_, Infallible>(response)
        }));
        let answer = Answer::of(service.oneshot(request(headers)).await.unwrap()).await;
        let get = |name| {
            answer.headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (get("cache-control"), get("vary"))
    };
    let vary = ["accept".to_owned(), "authorization, cookie".to_owned()].to_vec();
    let plain = vec!["accept".to_owned()];
    let with_cookie = [("cookie", cookie.as_str())];
    assert_eq!(answers(false, None, &with_cookie).await, (vec!["private".to_owned()], vary.clone()));
    assert_eq!(
        answers(false, Some("no-store"), &with_cookie).await,
        (vec!["no-store".to_owned()], vary.clone())
    );
    assert_eq!(answers(false, None, &[(&name, &value)]).await, (vec![], plain));
    assert_eq!(answers(true, None, &[(&name, &value)]).await, (vec![], vary.clone()));
    assert_eq!(answers(true, None, &[]).await, (vec![], vary));
}
