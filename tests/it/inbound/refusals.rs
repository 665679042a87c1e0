//! What is refused, and that all of it looks alike.

use std::convert::Infallible;

use futures_util::FutureExt;
use http::{Request, Response};
use portcullis::{
    MemoryStore, TokenPolicy, TokenService,
    identity::{AuthContext, Subject},
    problem::{ProblemReply, Reason},
    scope::Scope,
    token::IssueOptions,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{MODES, cookie, sources::ask_header};
use crate::support::{Answer, Body, Mode, ask, bearer, fixture, request, secs};

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
    let issued = fixture.login("somebody").await;
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
        for secret in ["planted", "somebody", &text] {
            assert!(!whole.contains(secret), "{whole}");
        }
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

#[tokio::test]
async fn sec_a04_a_missing_right_is_403_for_a_known_caller_only() {
    for mode in MODES {
        let fixture = fixture();
        let login = async |scope: &str| {
            let options = IssueOptions::default().scope(Scope::parse(scope).unwrap());
            fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap()
        };
        let (reads, writes) = (login("orders:read").await, login("orders:read orders:write").await);
        fixture.store.set(mode);
        let send = async |optional: bool, headers: &[(&str, &str)]| {
            let layer = if optional { fixture.layer().optional() } else { fixture.layer() };
            let service = layer.build().unwrap().layer(service_fn(|request: Request<Body>| async move {
                let context = request.extensions().get::<AuthContext>().unwrap();
                let refused = match context.auth::<Subject>().unwrap() {
                    None => Some(context.missing_credential()),
                    Some(auth) if auth.scope().is_some_and(|scope| scope.contains("orders:write")) => None,
                    Some(auth) => Some(auth.insufficient_scope(Some("orders:write"))),
                };
                Ok::<_, Infallible>(match refused {
                    Some(rejection) => rejection.respond(&ProblemReply),
                    None => Response::new(Body::from("written")),
                })
            }));
            Answer::of(service.oneshot(request(headers)).await.unwrap()).await
        };
        let (name, reads) = bearer(reads.access().expose());
        let (_, writes) = bearer(writes.access().expose());
        for optional in [false, true] {
            assert_eq!(send(optional, &[(&name, &writes)]).await.body, "written");
            let denied = send(optional, &[(&name, &reads)]).await;
            assert_eq!((denied.status.as_u16(), denied.code().as_str()), (403, "insufficient_scope"));
            let challenge = r#"Bearer realm="api", error="insufficient_scope", scope="orders:write""#;
            assert_eq!(denied.challenges(), [challenge]);
            let nobody = send(optional, &[]).await;
            assert_eq!((nobody.status.as_u16(), nobody.challenges().len()), (401, 2));
        }
    }
}
