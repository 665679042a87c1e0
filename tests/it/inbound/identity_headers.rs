//! Identity headers: an application behind the layer sees ours, and nobody else's.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use portcullis::{
    Auth, identity::Subject, inbound::IdentityHeaders, problem::Rejection, token::IssueOptions,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture, bearer, fixture};

/// What the application behind a layer got to see.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Option<HeaderMap>>>);

impl Seen {
    fn app(
        &self,
    ) -> impl tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone
    {
        let seen = self.clone();
        service_fn(move |request: Request<Body>| {
            *seen.0.lock().unwrap() = Some(request.headers().clone());
            std::future::ready(Ok(Response::new(Body::from("in"))))
        })
    }

    /// `name: value` of everything but the credential, sorted; panics if nothing was seen.
    fn take(&self) -> Vec<String> {
        let headers = self.0.lock().unwrap().take().expect("a request");
        let rest = headers.iter().filter(|(name, _)| *name != "authorization" && *name != "cookie");
        let mut lines: Vec<_> =
            rest.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }
}

/// A request with headers as they stand on the wire.
fn wire(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::new(Body::default());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

/// Sends a request with these headers, as `user` or as nobody, and gives what the application saw.
async fn through(
    fixture: &Fixture,
    layer: &IdentityHeaders,
    user: Option<Subject>,
    headers: &[(&str, &str)],
) -> Vec<String> {
    let seen = Seen::default();
    let service = ServiceBuilder::new()
        .layer(fixture.layer().optional().build().unwrap())
        .layer(layer.clone())
        .service(seen.app());
    let mut request = wire(headers);
    if let Some(user) = user {
        let issued =
            fixture.tokens.issue_for_header(user, IssueOptions::default().label("phone")).await.unwrap();
        let (_, value) = bearer(issued.access().expose());
        request.headers_mut().insert("authorization", HeaderValue::try_from(value).unwrap());
    }
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
    seen.take()
}

const FORGED: [(&str, &str); 12] = [
    ("X-User-Id", "root"),
    ("x-user-id", "root"),
    ("x-user-id", "admin"),
    ("X_User_Id", "root"),
    ("x_user-id", "root"),
    ("X.User.Id", "root"),
    ("X-USER-EMAIL", "root@example.com"),
    ("X-Forwarded-User", "root"),
    ("X_Forwarded_Groups", "wheel"),
    ("X-Auth-Request-Email", "root@example.com"),
    ("Remote-User", "root"),
    ("X_REMOTE_USER", "root"),
];

#[tokio::test]
async fn sec_j05_the_application_sees_our_headers_and_nobody_elses() {
    let fixture = fixture();
    let layer = IdentityHeaders::new().subject_header("X-User-Id").build().unwrap();
    let plain = [("accept", "*/*"), ("x-request-id", "7"), ("x-forwarded-for", "192.0.2.7")];
    let kept = ["accept: */*", "x-forwarded-for: 192.0.2.7", "x-request-id: 7"];
    for forged in [&FORGED[..], &[], &FORGED[..1], &FORGED[3..4], &FORGED[5..6]] {
        let headers = [&plain[..], forged].concat();
        let known = through(&fixture, &layer, Some(Subject::local("ada")), &headers).await;
        assert_eq!(known, [&kept[..], &["x-user-id: ada"]].concat());
        let anonymous = through(&fixture, &layer, None, &headers).await;
        assert_eq!(anonymous, kept, "stripped for nobody, too");
    }
}

#[tokio::test]
async fn sec_j05_every_default_is_stripped_in_every_spelling() {
    let fixture = fixture();
    let layer = IdentityHeaders::new().build().unwrap();
    for pattern in IdentityHeaders::STRIPPED {
        let name = pattern.replace('*', "z");
        for spelling in [name.clone(), name.to_uppercase(), name.replace('-', "_"), name.replace('-', ".")] {
            let headers = [(spelling.as_str(), "root"), (spelling.as_str(), "again")];
            assert_eq!(through(&fixture, &layer, None, &headers).await, [""; 0], "{spelling}");
        }
    }
    let others =
        ["x-forwarded-for", "x-forwarded-proto", "x-real-ip", "x-request-id", "x-auth-token", "user-agent"];
    for name in others {
        let headers = [(name, "v")];
        assert_eq!(through(&fixture, &layer, None, &headers).await, [format!("{name}: v")]);
    }
}

#[tokio::test]
async fn sec_j05_patterns_and_added_names_are_stripped_without_being_listed() {
    let fixture = fixture();
    let layer = IdentityHeaders::new()
        .strip("X-Corp-*")
        .strip("x_badge")
        .add("Team", |auth: &Auth<Subject>| {
            (auth.user().id() == "ada").then(|| HeaderValue::from_static("blue"))
        })
        .add("x-device", |auth: &Auth<Subject>| HeaderValue::from_str(auth.record().ok()?.label()?).ok())
        .build()
        .unwrap();
    let headers = [
        ("x-corp-team", "red"),
        ("X_CORP_ID", "1"),
        ("X-Badge", "1"),
        ("team", "red"),
        ("x_device", "forged"),
        ("x-corporate", "stays"),
        ("teams", "stays"),
    ];
    let kept = ["teams: stays", "x-corporate: stays"];
    let ada = through(&fixture, &layer, Some(Subject::local("ada")), &headers).await;
    assert_eq!(ada, [&["team: blue"], &kept[..], &["x-device: phone"]].concat());
    // Without a value, what came from outside is gone all the same.
    let eve = through(&fixture, &layer, Some(Subject::local("eve")), &headers).await;
    assert_eq!(eve, [&kept[..], &["x-device: phone"]].concat());
    assert_eq!(through(&fixture, &layer, None, &headers).await, kept);
}

#[tokio::test]
async fn sec_j05_an_id_that_a_header_cannot_carry_exactly_is_left_out() {
    let fixture = fixture();
    let layer = IdentityHeaders::new().subject_header("x-user-id").build().unwrap();
    let forged = [("x-user-id", "root")];
    for id in [
        "",
        " ",
        " ada",
        "ada ",
        "a\r\nx-user-id: root",
        "a\tb",
        "a\0",
        "j\u{f6}rg",
        "\u{2003}ada",
        "a\u{7f}",
    ] {
        let seen = through(&fixture, &layer, Some(Subject::local(id)), &forged).await;
        assert_eq!(seen, [""; 0], "{id:?}");
    }
    for id in ["ada", "ada@example.com", "Ada Lovelace", "a,b;c=\"d\""] {
        let seen = through(&fixture, &layer, Some(Subject::local(id)), &forged).await;
        assert_eq!(seen, [format!("x-user-id: {id}")]);
    }
    // The same id of another issuer is another subject, and the application could not tell.
    let other = Subject::of("https://idp.example.com", "ada");
    assert_eq!(through(&fixture, &layer, Some(other), &forged).await, [""; 0]);
}

#[tokio::test]
async fn sec_j05_a_client_cannot_have_the_next_proxy_take_our_header_off() {
    let fixture = fixture();
    let layer = IdentityHeaders::new().subject_header("x-login").build().unwrap();
    for (sent, kept) in [
        (&["close, X-Login"][..], &["connection: close"][..]),
        (&["x-login"], &[]),
        (&["X_LOGIN", "X-User-Id, upgrade"], &["connection: upgrade"]),
        (&["keep-alive"], &["connection: keep-alive"]),
        (&["close", "upgrade"], &["connection: close", "connection: upgrade"]),
    ] {
        let headers: Vec<_> = sent.iter().map(|value| ("Connection", *value)).collect();
        let seen = through(&fixture, &layer, Some(Subject::local("ada")), &headers).await;
        assert_eq!(seen, [kept, &["x-login: ada"]].concat(), "{sent:?}");
    }
}

#[tokio::test]
async fn sec_j05_a_layer_that_adds_needs_an_auth_layer_outside() {
    let fixture = fixture();
    let seen = Seen::default();
    let adds = || IdentityHeaders::new().subject_header("x-user-id").build().unwrap();
    let strings = || {
        let value = |auth: &Auth<String>| HeaderValue::from_str(auth.user()).ok();
        IdentityHeaders::new().add("x-user-id", value).build().unwrap()
    };
    let auth = || fixture.layer().optional().build().unwrap();
    for answer in [
        adds().layer(seen.app()).oneshot(wire(&FORGED)).await,
        ServiceBuilder::new().layer(adds()).layer(auth()).service(seen.app()).oneshot(wire(&FORGED)).await,
        ServiceBuilder::new().layer(auth()).layer(strings()).service(seen.app()).oneshot(wire(&FORGED)).await,
    ] {
        let answer = Answer::of(answer.unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "auth_layer_missing"));
        assert!(seen.0.lock().unwrap().is_none(), "the application was not called");
    }
    let custom = IdentityHeaders::new().subject_header("x-user-id").reject_with(
        |why: &Rejection, answer: Response<bytes::Bytes>| answer.map(|_| Body::from(why.kind().code())),
    );
    let answer = custom.build().unwrap().layer(seen.app()).oneshot(wire(&[])).await.unwrap();
    assert_eq!(Answer::of(answer).await.body, "auth_layer_missing");

    // One that only strips has nothing to ask for.
    let strips = IdentityHeaders::new().build().unwrap().layer(seen.app());
    assert_eq!(strips.oneshot(wire(&FORGED)).await.unwrap().status(), 200);
    assert_eq!(seen.take(), [""; 0]);
}

#[tokio::test]
async fn sec_j05_bad_names_are_faults() {
    let value = |_: &Auth<Subject>| None;
    let built = IdentityHeaders::new()
        .strip("")
        .strip("*")
        .strip("a*b")
        .strip("x corp")
        .strip("content-length")
        .strip("h*")
        .subject_header("x-user-id")
        .subject_header("X_User_Id")
        .add("x-corp-*", value)
        .add("", value)
        .add("x:y", value)
        .add("Host", value)
        .build();
    let error = built.unwrap_err();
    let faults: Vec<_> = error.faults().iter().map(|fault| (fault.field(), fault.value())).collect();
    assert_eq!(
        faults,
        [
            ("strip", r#""""#),
            ("strip", r#""*""#),
            ("strip", r#""a*b""#),
            ("strip", r#""x corp""#),
            ("strip", r#""content-length""#),
            ("strip", r#""h*""#),
            ("add", r#""X_User_Id""#),
            ("add", r#""x-corp-*""#),
            ("add", r#""""#),
            ("add", r#""x:y""#),
            ("add", r#""Host""#),
        ]
    );
}
