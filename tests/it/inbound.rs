//! The inbound door: what counts as a credential, who verifies it, and what is answered.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, header::AUTHORIZATION};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use portcullis::{
    AuthLayer, MemoryStore, TokenPolicy, TokenService,
    cookie::CookieSettings,
    identity::{AuthContext, Subject},
    problem::{Reason, Rejection, RejectionKind},
    store::LoginRecord,
    token::{IssueOptions, Issued},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture, Mode, ask, bearer, fixture, fixture_with, request, secs};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];

async fn ask_header(fixture: &Fixture, value: &str) -> Answer {
    ask(fixture.layer(), request(&[("authorization", value)])).await
}

fn cookie(name: &str, issued: &Issued) -> String {
    format!("{name}={}", issued.access().expose())
}

// ===== sources =====

#[tokio::test]
async fn r001_a_header_with_a_configured_scheme_yields_the_token() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, value) = bearer(issued.access().expose());
        let answer = ask(fixture.layer(), request(&[(&name, &value)])).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ada header Bearer"));
        let absent = ask(fixture.layer(), request(&[])).await;
        assert_eq!((absent.status.as_u16(), absent.reason()), (401, Some(Reason::Absent)));
        let next = ask(fixture.layer().optional(), request(&[])).await;
        assert_eq!((next.status.as_u16(), next.body.as_str()), (200, "anonymous"));
    }
}

#[tokio::test]
async fn r002_schemes_are_compared_without_case_and_tokens_with_it() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Token", "token"] {
        let answer = ask_header(&fixture, &format!("{scheme} {text}")).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    let swapped: String = text
        .chars()
        .map(|c| if c.is_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
        .collect();
    for changed in [swapped, text.to_uppercase(), text.to_lowercase()] {
        assert_eq!(ask_header(&fixture, &format!("Bearer {changed}")).await.status, 401);
    }
    let only = |fixture: &Fixture| fixture.layer().schemes(["Session"]);
    let own = ask(only(&fixture), request(&[("authorization", &format!("session {text}"))])).await;
    assert_eq!(own.body, "ada header Session");
    let default = ask(only(&fixture), request(&[("authorization", &format!("Bearer {text}"))])).await;
    assert_eq!((default.status.as_u16(), default.reason()), (401, Some(Reason::Absent)));
}

/// (the header values, the reason)
const MALFORMED: [(&[&str], Reason); 16] = [
    (&["Bearer"], Reason::SchemeAlone),
    (&["bearer"], Reason::SchemeAlone),
    (&["Bearer "], Reason::SchemeAlone),
    (&["Bearer a b"], Reason::NotTwoParts),
    (&["Bearer a b c"], Reason::NotTwoParts),
    (&["Bearer  a"], Reason::NotTwoParts),
    (&["Bearer\ta"], Reason::NotTwoParts),
    (&["Bearer a "], Reason::NotTwoParts),
    (&["Bearer a\t"], Reason::NotTwoParts),
    (&["Bearer Bearer a"], Reason::NotTwoParts),
    (&["Bearer a,b"], Reason::NotToken68),
    (&["Bearer a\"b"], Reason::NotToken68),
    (&["Bearer =a"], Reason::NotToken68),
    (&["Bearer %"], Reason::NotToken68),
    (&["Bearer,a"], Reason::NotTwoParts),
    (&["Bearer a", "Bearer b"], Reason::DuplicateHeader),
];

#[tokio::test]
async fn r003_malformed_credentials_are_400_with_the_reason_outside_the_body() {
    let fixture = fixture();
    let mut bodies = std::collections::HashSet::new();
    for (values, reason) in MALFORMED {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        let answer = ask(fixture.layer(), request(&headers)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{values:?}");
        assert_eq!(answer.reason(), Some(reason), "{values:?}");
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1, "the body tells no reason");

    let mut latin = request(&[]);
    let value = HeaderValue::from_bytes(b"Bearer a\xe9b").unwrap();
    latin.headers_mut().insert(AUTHORIZATION, value);
    assert_eq!(ask(fixture.layer(), latin).await.status, 400);
    assert_eq!(fixture.store.finds(), 0);
}

#[tokio::test]
async fn r003_one_leading_scheme_is_removed_once() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    assert_eq!(ask_header(&fixture, &format!("Bearer Bearer {text}")).await.status, 400);
    assert_eq!(ask_header(&fixture, text).await.reason(), Some(Reason::Absent));
}

#[tokio::test]
async fn r004_a_foreign_scheme_is_not_ours() {
    let fixture = fixture();
    for value in ["Basic dTpw", "Bearerx abc", "Bearer-Key abc", "Digest a=b, c=d", "", "\"quoted"] {
        let answer = ask_header(&fixture, value).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Absent)), "{value}");
        assert!(answer.challenges().iter().all(|challenge| !challenge.contains("error=")));
        let guest = ask(fixture.layer().optional(), request(&[("authorization", value)])).await;
        assert_eq!(guest.body, "anonymous", "{value}");
        let strict = fixture.layer().optional().refuse_foreign_schemes();
        let refused = ask(strict, request(&[("authorization", value)])).await;
        assert_eq!(
            (refused.status.as_u16(), refused.reason()),
            (401, Some(Reason::ForeignScheme)),
            "{value}"
        );
    }

    // A second source takes what the first does not know.
    let issued = fixture.cookie_login("ada").await;
    let cookie = cookie("__Host-token", &issued);
    let both = request(&[("authorization", "Basic dTpw"), ("cookie", &cookie)]);
    assert_eq!(ask(fixture.layer().cookie("token"), both).await.body, "ada cookie Cookie");
}

#[tokio::test]
async fn r005_cookie_names_are_tried_in_order_until_one_verifies() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (stale, good) = (fixture.cookie_login("eve").await, fixture.cookie_login("ada").await);
        fixture.tokens.revoke(&stale.record().id()).await.unwrap();
        let layer = || fixture.layer().cookie("new").cookie("old").cookie("older");
        let send = async |cookies: &str| ask(layer(), request(&[("cookie", cookies)])).await;

        let (stale, good) = (stale.access().expose(), good.access().expose());
        for cookies in [
            format!("__Host-new={good}"),
            format!("__Host-old={good}"),
            format!("__Host-new={stale}; __Host-old={good}"),
            format!("__Host-old={good}; __Host-new={stale}"),
            format!("__Host-new=; __Host-old={good}"),
            format!("__Host-new=junk; __Host-old=%%; __Host-older={good}"),
            format!("__Host-new={stale}; __Host-old={stale}; __Host-older={good}"),
        ] {
            let before = fixture.store.finds();
            assert_eq!(send(&cookies).await.body, "ada cookie Cookie", "{mode:?} {cookies}");
            let found = fixture.store.finds() - before;
            assert!(found <= cookies.matches("pc_a").count(), "at most one look-up for each name");
        }
        let none = send(&format!("__Host-new={stale}; __Host-old=junk")).await;
        assert_eq!(
            (none.status.as_u16(), none.reason()),
            (401, Some(Reason::Revoked)),
            "the first failure decides"
        );
        let twice = send(&format!("__Host-new={stale}; __Host-old={good}; __Host-old={good}")).await;
        assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateCookie)));
        let empty = send("__Host-new=; __Host-old=").await;
        assert_eq!((empty.status.as_u16(), empty.reason()), (401, Some(Reason::Absent)));

        fixture.store.set(if mode == Mode::Now { Mode::Down } else { Mode::DownLater });
        let before = fixture.store.finds();
        let down = send(&format!("__Host-new={stale}; __Host-old={good}")).await;
        assert_eq!(down.status, 503);
        assert_eq!(fixture.store.finds() - before, 1, "stops at once");
    }
}

#[tokio::test]
async fn r006_the_first_source_that_presents_a_credential_decides() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
        let (name, good) = bearer(header.access().expose());
        let cookie = cookie("__Host-token", &cookie_login);
        let header_first = || fixture.layer().schemes(["Bearer"]).cookie("token");
        let cookie_first = || fixture.layer().cookie("token").schemes(["Bearer"]);

        let both = || request(&[(name.as_str(), good.as_str()), ("cookie", cookie.as_str())]);
        assert_eq!(ask(header_first(), both()).await.body, "ada header Bearer");
        assert_eq!(ask(cookie_first(), both()).await.body, "bob cookie Cookie");

        // Invalid there is invalid everywhere, and costs one look-up at most.
        let bad = || request(&[("authorization", "Bearer junk"), ("cookie", cookie.as_str())]);
        assert_eq!(ask(header_first(), bad()).await.status, 401);
        let (_, stale) = bearer(crate::support::fixture().login("eve").await.access().expose());
        let before = fixture.store.finds();
        let refused =
            ask(header_first(), request(&[(name.as_str(), stale.as_str()), ("cookie", cookie.as_str())]))
                .await;
        assert_eq!((refused.status.as_u16(), fixture.store.finds() - before), (401, 1));
        let bad_cookie = || request(&[(name.as_str(), good.as_str()), ("cookie", "__Host-token=junk")]);
        assert_eq!(ask(cookie_first(), bad_cookie()).await.status, 401);

        // Absent there is skipped.
        assert_eq!(
            ask(cookie_first(), request(&[(name.as_str(), good.as_str())])).await.body,
            "ada header Bearer"
        );
        assert_eq!(
            ask(header_first(), request(&[("cookie", cookie.as_str())])).await.body,
            "bob cookie Cookie"
        );
    }
}

#[tokio::test]
async fn r007_a_token_is_refused_on_the_other_channel() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let as_header = bearer(cookie_login.access().expose());
    let as_cookie = cookie("__Host-token", &header);
    let refused = ask(fixture.layer().cookie("token"), request(&[(&as_header.0, &as_header.1)])).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::WrongChannel)));
    let refused = ask(fixture.layer().cookie("token"), request(&[("cookie", &as_cookie)])).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::WrongChannel)));

    let open = fixture_with(TokenPolicy::builder().danger_any_channel().build().unwrap());
    let (header, cookie_login) = (open.login("ada").await, open.cookie_login("ada").await);
    let as_header = bearer(cookie_login.access().expose());
    let as_cookie = cookie("__Host-token", &header);
    assert_eq!(ask(open.layer().cookie("token"), request(&[(&as_header.0, &as_header.1)])).await.status, 200);
    let swapped = ask(open.layer().cookie("token"), request(&[("cookie", &as_cookie)])).await;
    assert_eq!((swapped.status.as_u16(), swapped.body.as_str()), (200, "ada cookie Cookie"));
    assert_eq!(swapped.headers["cache-control"], "private");
}

#[tokio::test]
async fn r008_a_cookie_cannot_change_anything_from_another_site() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
        let cookie = cookie("__Host-token", &cookie_login);
        let (name, good) = bearer(header.access().expose());
        let send = async |method: Method, headers: &[(&str, &str)]| {
            let mut request = request(headers);
            *request.method_mut() = method;
            ask(fixture.layer().cookie("token"), request).await
        };
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT] {
            for site in ["cross-site", "same-site", "", "same-origin, same-origin"] {
                let before = fixture.store.finds();
                let answer = send(method.clone(), &[("cookie", &cookie), ("sec-fetch-site", site)]).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (403, "csrf"),
                    "{method} {site}"
                );
                assert!(answer.challenges().is_empty());
                assert_eq!(fixture.store.finds(), before);
            }
            assert_eq!(send(method.clone(), &[("cookie", &cookie)]).await.status, 403, "{method}");
            let twice = [
                ("cookie", cookie.as_str()),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ];
            assert_eq!(send(method.clone(), &twice).await.status, 403);
            for own in [
                &[("sec-fetch-site", "same-origin")][..],
                &[("sec-fetch-site", "none")],
                &[("host", "a.test"), ("origin", "https://a.test")],
            ] {
                let own = [own, &[("cookie", &cookie)]].concat();
                assert_eq!(send(method.clone(), &own).await.status, 200, "{method} {own:?}");
            }
            let foreign = [("cookie", cookie.as_str()), ("host", "a.test"), ("origin", "https://b.test")];
            assert_eq!(send(method.clone(), &foreign).await.status, 403, "{method}");
            let header = send(
                method.clone(),
                &[(&name, &good), ("cookie", &cookie), ("sec-fetch-site", "cross-site")],
            )
            .await;
            assert_eq!(header.body, "ada header Bearer", "{method}");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(
                send(method, &[("cookie", &cookie), ("sec-fetch-site", "cross-site")]).await.status,
                200
            );
        }
        let handshake = [("cookie", cookie.as_str()), ("connection", "upgrade"), ("upgrade", "websocket")];
        let from = async |site| {
            send(Method::GET, &[&handshake[..], &[("sec-fetch-site", site)]].concat()).await.status
        };
        assert_eq!((from("cross-site").await.as_u16(), from("same-origin").await.as_u16()), (403, 200));
    }
}

// ===== answers =====

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
async fn r030_everything_invalid_answers_alike() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let elsewhere = crate::support::fixture();
        let unknown = elsewhere.login("ada").await;
        let mut answers = Vec::new();
        let (revoked, expired) = (fixture.login("ada").await, fixture.login("bob").await);
        fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
        fixture.time.advance(secs(24 * 3600));
        let wrong_channel = fixture.cookie_login("bob").await;
        for (text, reason) in [
            ("junk".to_owned(), Reason::Unclaimed),
            ("pc_ajunk".to_owned(), Reason::Malformed),
            (unknown.access().expose().to_owned(), Reason::UnknownRecord),
            (revoked.access().expose().to_owned(), Reason::Revoked),
            (expired.access().expose().to_owned(), Reason::Expired),
            (wrong_channel.access().expose().to_owned(), Reason::WrongChannel),
        ] {
            let answer = ask_header(&fixture, &format!("Bearer {text}")).await;
            assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(reason)), "{mode:?}");
            answers.push((answer.body, format!("{:?}", answer.headers)));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
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

// ===== several authenticators, other bodies =====

#[tokio::test]
async fn r006_exactly_one_authenticator_verifies() {
    let fixture = fixture();
    let other = fixture_with(TokenPolicy::builder().brand("key").build().unwrap());
    let layer = || fixture.layer().or(other.tokens.clone());
    let (first, second) = (fixture.login("ada").await, other.login("bob").await);
    for (issued, body) in [(&first, "ada header Bearer"), (&second, "bob header Bearer")] {
        let (name, value) = bearer(issued.access().expose());
        assert_eq!(ask(layer(), request(&[(&name, &value)])).await.body, body);
    }
    let (finds, other_finds) = (fixture.store.finds(), other.store.finds());
    assert_eq!((finds, other_finds), (1, 1));
    let forged = ask(layer(), request(&[("authorization", "Bearer key_ajunk")])).await;
    assert_eq!((forged.status.as_u16(), forged.reason()), (401, Some(Reason::Malformed)));
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

// ===== caches =====

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

// ===== scoreboard =====

#[tokio::test]
async fn sec_a01_no_credential_names_every_scheme_without_an_error() {
    let fixture = fixture();
    let answer = ask(fixture.layer(), request(&[])).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.challenges(), [r#"Bearer realm="api""#, r#"Token realm="api""#]);
    for realm in ["a\r\nb", "a\nb", "a\0b", "\u{7f}"] {
        assert!(fixture.layer().realm(realm).build().is_err(), "{realm:?}");
    }
    let quoted = ask(fixture.layer().realm("a\"b\\c"), request(&[])).await;
    assert_eq!(quoted.challenges()[0], r#"Bearer realm="a\"b\\c""#);
}

#[tokio::test]
async fn sec_a03_unknown_revoked_and_wrong_secret_answer_alike() {
    let fixture = fixture();
    let (revoked, good) = (fixture.login("ada").await, fixture.login("ada").await);
    fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
    let elsewhere = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    let unknown = elsewhere.issue_for_header(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    // After a rotation the old access token is a wrong secret of a living record.
    fixture.refresh(&crate::support::refresh_text(&good)).await.unwrap();
    let mut answers = Vec::new();
    for (issued, reason) in
        [(&unknown, Reason::UnknownRecord), (&revoked, Reason::Revoked), (&good, Reason::WrongSecret)]
    {
        let answer = ask_header(&fixture, &format!("Bearer {}", issued.access().expose())).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(reason)));
        assert!(answer.challenges()[0].contains(r#"error="invalid_token""#));
        answers.push((answer.body, format!("{:?}", answer.headers)));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test]
async fn sec_a08_over_long_credentials_cost_nothing() {
    let fixture = fixture();
    let long = "a".repeat(8 * 1024 + 1);
    for (headers, status) in [
        ([("authorization", format!("Bearer {long}"))], 400),
        ([("cookie", format!("__Host-token={long}"))], 400),
        ([("authorization", format!("Bearer pc_a{long}"))], 400),
        ([("authorization", format!("Bearer {}", &long[..8 * 1024]))], 401),
        ([("authorization", long.clone())], 401),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = ask(fixture.layer().cookie("token"), request(&headers)).await;
        assert_eq!(answer.status.as_u16(), status);
        assert!(answer.reason() != Some(Reason::TooLong) || status == 400);
    }
    assert_eq!(fixture.store.finds(), 0);

    // Nothing is copied either, before it is refused: 64 KiB of header cost less than 4 KiB of memory.
    let layer = fixture.layer().build().unwrap();
    let mut service = layer
        .layer(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::default())) }));
    let huge = request(&[("authorization", &format!("Bearer {}", "a".repeat(64 * 1024)))]);
    let counted = allocation_counter::measure(|| drop(service.call(huge).now_or_never()));
    assert!(counted.bytes_total < 4096, "{} bytes", counted.bytes_total);
}

#[tokio::test]
async fn sec_a09_bodies_are_problems_and_hold_nothing_of_the_request() {
    let fixture = fixture();
    let issued = fixture.login("planted-user").await;
    let text = issued.access().expose().to_owned();
    let (name, good) = bearer(&text);
    fixture.store.set(Mode::Down);
    let mut seen = Vec::new();
    for (headers, status, code) in [
        (vec![], 401, "missing_credential"),
        (vec![("authorization", "Bearer planted%")], 400, "invalid_request"),
        (vec![("authorization", "Bearer planted")], 401, "invalid_token"),
        (vec![(name.as_str(), good.as_str())], 503, "unavailable"),
    ] {
        let answer = ask(fixture.layer(), request(&headers)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["status"], status);
        let whole = format!("{:?} {} {:?}", answer.headers, answer.body, answer.rejection);
        assert!(!whole.contains("planted") && !whole.contains(&text), "{whole}");
        seen.push(answer.status);
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn sec_i05_present_but_invalid_is_401_in_optional_mode() {
    let fixture = fixture();
    for headers in [[("authorization", "Bearer junk")], [("cookie", "__Host-token=junk")]] {
        let answer = ask(fixture.layer().cookie("token").optional(), request(&headers)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_token"));
    }
    assert_eq!(ask(fixture.layer().cookie("token").optional(), request(&[])).await.body, "anonymous");
}

#[tokio::test]
async fn sec_i07_a_store_that_is_down_is_503_and_nothing_is_remembered() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let (name, good) = bearer(header.access().expose());
    let cookie = cookie("__Host-token", &cookie_login);
    for mode in [Mode::Down, Mode::DownLater] {
        for headers in [[(name.as_str(), good.as_str())], [("cookie", cookie.as_str())]] {
            for optional in [false, true] {
                let layer = || {
                    let layer = fixture.layer().cookie("token");
                    if optional { layer.optional().danger_invalid_as_anonymous() } else { layer }
                };
                fixture.store.set(mode);
                let down = ask(layer(), request(&headers)).await;
                assert_eq!((down.status.as_u16(), down.code().as_str()), (503, "unavailable"));
                assert_eq!(down.headers["retry-after"], "5");
                assert!(down.challenges().is_empty() && !down.headers.contains_key("set-cookie"));
                let source = std::error::Error::source(down.rejection.as_ref().unwrap());
                assert_eq!(source.unwrap().to_string(), "the store did not answer");
                fixture.store.set(Mode::Now);
                assert_eq!(ask(layer(), request(&headers)).await.status, 200);
            }
        }
    }
}

// ===== configuration =====

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
