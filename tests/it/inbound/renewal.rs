//! Renewals as a browser sees them: the cookie that comes back, and when it must not.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header::SET_COOKIE};
use portcullis::{
    TokenPolicy,
    cookie::CookieSettings,
    credential::Channel,
    identity::{AuthContext, Subject},
    inbound::AuthLayerBuilder,
    problem::{ProblemReply, Reason, Rejection, RejectionKind},
    token::{IssueOptions, Issued, RefreshRequest, TouchMode},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture, Mode, bearer, fixture_with, refresh_text, request, secs};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];
const TTL: Duration = Duration::from_secs(3600);
const EVERY: Duration = Duration::from_secs(300);

fn sliding() -> Fixture {
    let policy = TokenPolicy::builder().access_ttl(Some(TTL)).refresh_ttl(None).sliding();
    fixture_with(policy.touch_every(Some(EVERY)).absolute(Some(4 * TTL)).build().unwrap())
}

fn sliding_with_refresh() -> Fixture {
    let policy = TokenPolicy::builder().access_ttl(Some(TTL)).sliding_with_refresh();
    fixture_with(policy.touch_every(Some(EVERY)).build().unwrap())
}

fn cookie(issued: &Issued) -> String {
    format!("__Host-token={}", issued.access().expose())
}

/// What the handler does while the request is its.
enum During {
    Nothing,
    Refuse,
    Answer(StatusCode),
    Set(&'static str),
    Revoke,
    Rekey,
    Rotate(String),
    Outage,
}

/// Sends a request with the login's cookie to a handler that does something meanwhile, and says whether it saw
/// the renewal.
async fn send(
    layer: AuthLayerBuilder<Subject>,
    fixture: &Fixture,
    headers: &[(&str, &str)],
    during: During,
) -> Answer {
    let during = Arc::new(during);
    let (tokens, store) = (fixture.tokens.clone(), fixture.store.clone());
    let service = layer.build().unwrap().layer(service_fn(move |request: Request<Body>| {
        let (tokens, store, during) = (tokens.clone(), store.clone(), Arc::clone(&during));
        async move {
            let context = request.extensions().get::<AuthContext>().unwrap();
            let auth = context.auth::<Subject>().unwrap().unwrap();
            assert_eq!(auth.renewed(), auth.evidence().renewed());
            let id = auth.record().unwrap().id();
            let mut response = Response::new(Body::from(auth.renewed().to_string()));
            match &*during {
                During::Nothing => {}
                During::Refuse => response = auth.insufficient_scope(None).respond(&ProblemReply),
                During::Answer(status) => *response.status_mut() = *status,
                During::Set(cookie) => {
                    response.headers_mut().append(SET_COOKIE, HeaderValue::from_static(cookie));
                }
                During::Revoke => tokens.revoke(&id).await.unwrap(),
                During::Rekey => drop(tokens.rekey(&id).await.unwrap()),
                During::Rotate(text) => {
                    drop(tokens.refresh(RefreshRequest::new(text, Channel::Cookie)).await.unwrap());
                }
                During::Outage => store.set(Mode::DownLater),
            }
            Ok::<_, Infallible>(response)
        }
    }));
    let answer = Answer::of(service.oneshot(request(headers)).await.unwrap()).await;
    // What the answer did not wait for.
    fixture.tokens.flush().await;
    answer
}

fn set_cookies(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn r041_a_renewed_cookie_comes_back_with_its_text_and_a_new_max_age() {
    for mode in MODES {
        for touch in [TouchMode::Background, TouchMode::Inline] {
            let policy = TokenPolicy::builder().access_ttl(Some(TTL)).refresh_ttl(None).sliding();
            let policy = policy.touch_every(Some(EVERY)).touch_mode(touch).build().unwrap();
            let fixture = fixture_with(policy);
            let issued = fixture.cookie_login("ada").await;
            fixture.store.set(mode);
            let cookie = cookie(&issued);
            let headers = [("cookie", cookie.as_str())];
            let layer = || fixture.layer().cookie("token");

            let early = send(layer(), &fixture, &headers, During::Nothing).await;
            assert_eq!((early.body.as_str(), set_cookies(&early).len()), ("false", 0));
            assert_eq!(early.headers["cache-control"], "private");

            fixture.time.advance(EVERY);
            let renewed = send(layer(), &fixture, &headers, During::Nothing).await;
            assert_eq!(renewed.body, "true");
            let expected = format!("{cookie}; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Lax");
            assert_eq!(set_cookies(&renewed), [expected]);
            assert!(renewed.headers[SET_COOKIE].is_sensitive());
            assert_eq!(renewed.headers["cache-control"], "no-store");
            assert_eq!(
                fixture.store.record(&issued.record().id()).await.access_expires(),
                fixture.time.now().plus(TTL)
            );

            let again = send(layer(), &fixture, &headers, During::Nothing).await;
            assert_eq!(
                (again.body.as_str(), set_cookies(&again).len()),
                ("false", 0),
                "on that request only"
            );

            // Ends move on, and the text with them.
            for _ in 0..15 {
                fixture.time.advance(EVERY);
                assert_eq!(send(layer(), &fixture, &headers, During::Nothing).await.status, 200);
            }
            fixture.time.advance(TTL);
            let service = layer().build().unwrap().layer(service_fn(|_: Request<Body>| async {
                Ok::<_, Infallible>(Response::new(Body::default()))
            }));
            let ended = Answer::of(service.oneshot(request(&headers)).await.unwrap()).await;
            assert_eq!((ended.reason(), set_cookies(&ended).len()), (Some(Reason::Expired), 0));
        }
    }
}

#[tokio::test]
async fn r041_the_cookie_is_written_by_the_settings_of_the_place_it_was_found_in() {
    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    let plain = CookieSettings::new("plain").danger_plain().path("/app");
    let layer = || fixture.layer().cookie("token").cookie(plain.clone());
    fixture.time.advance(EVERY);
    let cookies = format!("__Host-token=junk; plain={}", issued.access().expose());
    let answer = send(layer(), &fixture, &[("cookie", &cookies)], During::Nothing).await;
    let expected =
        format!("plain={}; Max-Age=3600; Path=/app; HttpOnly; SameSite=Lax", issued.access().expose());
    assert_eq!(set_cookies(&answer), [expected]);

    let options = IssueOptions::default().browser_session();
    let browser = fixture.tokens.issue_for_cookie(Subject::local("ada"), options).await.unwrap();
    fixture.time.advance(EVERY);
    let answer = send(layer(), &fixture, &[("cookie", &cookie(&browser))], During::Nothing).await;
    assert!(!set_cookies(&answer)[0].contains("Max-Age"), "it ends with the browser, as before");
}

#[tokio::test]
async fn r041_a_renewed_header_token_needs_no_cookie() {
    for mode in MODES {
        let fixture = sliding();
        let issued = fixture.login("ada").await;
        fixture.store.set(mode);
        fixture.time.advance(EVERY);
        let (name, value) = bearer(issued.access().expose());
        let layer = fixture.layer().cookie("token");
        let answer = send(layer, &fixture, &[(&name, &value)], During::Nothing).await;
        assert_eq!((answer.body.as_str(), set_cookies(&answer).len()), ("true", 0));
        assert!(!answer.headers.contains_key("cache-control"));
    }
}

#[tokio::test]
async fn r042_within_the_interval_no_cookie_is_sent() {
    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    let cookie = cookie(&issued);
    fixture.time.advance(EVERY - Duration::from_millis(1));
    let layer = || fixture.layer().cookie("token");
    let answer = send(layer(), &fixture, &[("cookie", &cookie)], During::Nothing).await;
    assert_eq!((set_cookies(&answer).len(), fixture.store.touches()), (0, 0));
    fixture.time.advance(Duration::from_millis(1));
    let answer = send(layer(), &fixture, &[("cookie", &cookie)], During::Nothing).await;
    assert_eq!((set_cookies(&answer).len(), fixture.store.touches()), (1, 1));
}

#[tokio::test]
async fn r043_the_max_age_never_reaches_past_the_absolute_end() {
    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    let cookie = cookie(&issued);
    let layer = || fixture.layer().cookie("token");
    // Kept alive until the end has reached the absolute one, at four times the life.
    for _ in 0..6 {
        fixture.time.advance(TTL / 2);
        let answer = send(layer(), &fixture, &[("cookie", &cookie)], During::Nothing).await;
        assert_eq!(answer.body, "true");
    }
    fixture.time.advance(EVERY);
    let capped = send(layer(), &fixture, &[("cookie", &cookie)], During::Nothing).await;
    assert_eq!((capped.body.as_str(), set_cookies(&capped).len()), ("false", 0), "no end moves any more");

    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    let cookie = self::cookie(&issued);
    for _ in 0..4 {
        fixture.time.advance(secs(3500));
        let layer = fixture.layer().cookie("token");
        let answer = send(layer, &fixture, &[("cookie", &cookie)], During::Nothing).await;
        let left = (4 * TTL).saturating_sub(fixture.time.now().since(crate::support::START)).min(TTL);
        let max_age = format!("Max-Age={};", left.as_secs());
        assert!(set_cookies(&answer)[0].contains(&max_age), "{max_age} {:?}", set_cookies(&answer));
    }
}

/// Renewal decided, and then something happens before the answer leaves: the old text must not come back.
#[tokio::test]
async fn r041_a_slow_answer_brings_no_cookie_back_that_was_replaced_meanwhile() {
    for mode in MODES {
        for what in 0..4 {
            let fixture = sliding_with_refresh();
            let issued = fixture.cookie_login("ada").await;
            fixture.store.set(mode);
            fixture.time.advance(EVERY);
            let during = match what {
                0 => During::Revoke,
                1 => During::Rekey,
                2 => During::Rotate(refresh_text(&issued)),
                _ => During::Outage,
            };
            let layer = fixture.layer().cookie("token");
            let answer = send(layer, &fixture, &[("cookie", &cookie(&issued))], during).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "true"), "{mode:?} {what}");
            assert!(set_cookies(&answer).is_empty(), "{mode:?} {what}");
            assert_eq!(answer.headers["cache-control"], "private");
        }
        // The same request without an incident does get it.
        let fixture = sliding_with_refresh();
        let issued = fixture.cookie_login("ada").await;
        fixture.store.set(mode);
        fixture.time.advance(EVERY);
        let layer = fixture.layer().cookie("token");
        let answer = send(layer, &fixture, &[("cookie", &cookie(&issued))], During::Nothing).await;
        assert_eq!(set_cookies(&answer).len(), 1);
    }
}

#[tokio::test]
async fn r041_what_the_handler_does_with_the_cookie_stays() {
    for mode in MODES {
        for (theirs, count) in [
            ("__Host-token=; Max-Age=0; Path=/; Secure", 1),
            ("__Host-token=other; Path=/; Secure", 1),
            ("__hoST-token=other; Path=/; Secure", 1),
            ("__Host-tokens=x; Path=/; Secure", 2),
            ("theme=dark", 2),
        ] {
            let fixture = sliding();
            let issued = fixture.cookie_login("ada").await;
            fixture.store.set(mode);
            fixture.time.advance(EVERY);
            let layer = fixture.layer().cookie("token");
            let answer = send(layer, &fixture, &[("cookie", &cookie(&issued))], During::Set(theirs)).await;
            let sent = set_cookies(&answer);
            assert_eq!((sent.len(), sent[0]), (count, theirs), "{mode:?}");
        }
    }
}

#[tokio::test]
async fn sec_d14_no_refusal_sets_or_removes_a_cookie() {
    for mode in MODES {
        let fixture = sliding();
        let issued = fixture.cookie_login("ada").await;
        let cookie = cookie(&issued);
        let headers = [("cookie", cookie.as_str())];
        fixture.store.set(mode);
        fixture.time.advance(EVERY);
        let layer = || fixture.layer().cookie("token");
        // By a guard inside, although the request has renewed the login.
        let refused = send(layer(), &fixture, &headers, During::Refuse).await;
        assert_eq!((refused.status.as_u16(), set_cookies(&refused).len()), (403, 0));
        fixture.time.advance(EVERY);
        // By a hook.
        let turned_away = layer().on_auth(
            |_: portcullis::verify::Verified<Subject>, _: &portcullis::verify::Attempt<'_>| {
                portcullis::maybe_ready::MaybeReady::Now(Err(Rejection::new(
                    RejectionKind::InsufficientScope,
                    Reason::Other,
                )))
            },
        );
        let service = turned_away.build().unwrap().layer(service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
        let refused = Answer::of(service.oneshot(request(&headers)).await.unwrap()).await;
        assert_eq!((refused.status.as_u16(), set_cookies(&refused).len()), (403, 0));
        fixture.tokens.flush().await;
        fixture.time.advance(EVERY);
        // By the layer.
        let mut post = request(&headers);
        *post.method_mut() = Method::POST;
        for (what, request, status) in [
            ("csrf", post, 403),
            ("twice", request(&[("cookie", &format!("{cookie}; {cookie}"))]), 400),
            ("junk", request(&[("cookie", "__Host-token=junk")]), 401),
        ] {
            let answer = crate::support::ask(layer(), request).await;
            assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (status, 0), "{what}");
        }
        fixture.store.set(Mode::Down);
        let answer = crate::support::ask(layer(), request(&headers)).await;
        assert_eq!((answer.status.as_u16(), set_cookies(&answer).len()), (503, 0));
        // Any other answer of the handler's own is no refusal of ours.
        fixture.store.set(mode);
        let own = send(layer(), &fixture, &headers, During::Answer(StatusCode::NOT_FOUND)).await;
        assert_eq!((own.status.as_u16(), set_cookies(&own).len()), (404, 1));
    }
}

#[tokio::test]
async fn sec_d15_an_answer_that_sets_a_credential_is_kept_by_nobody() {
    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    let cookie = cookie(&issued);
    let answers = async || {
        let layer = fixture.layer().cookie("token").build().unwrap();
        let service = layer.layer(service_fn(|_: Request<Body>| async {
            let answer = Response::builder().header("cache-control", "public, max-age=600");
            Ok::<_, Infallible>(answer.body(Body::default()).unwrap())
        }));
        Answer::of(service.oneshot(request(&[("cookie", &cookie)])).await.unwrap()).await
    };
    assert_eq!(answers().await.headers["cache-control"], "public, max-age=600");
    fixture.time.advance(EVERY);
    let renewed = answers().await;
    let said: Vec<_> = renewed.headers.get_all("cache-control").iter().collect();
    assert_eq!(said, ["no-store"]);
    assert_eq!(set_cookies(&renewed).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r046_a_login_revoked_during_its_renewal_stays_revoked() {
    for mode in MODES {
        for _ in 0..20 {
            let fixture = sliding();
            let issued = fixture.cookie_login("ada").await;
            fixture.store.set(mode);
            fixture.time.advance(EVERY);
            let (tokens, id) = (fixture.tokens.clone(), issued.record().id());
            let revoking = tokio::spawn(async move { tokens.revoke(&id).await.unwrap() });
            let cookie = cookie(&issued);
            let answer =
                crate::support::ask(fixture.layer().cookie("token"), request(&[("cookie", &cookie)])).await;
            revoking.await.unwrap();
            fixture.tokens.flush().await;
            assert!(matches!(answer.status.as_u16(), 200 | 401), "{}", answer.status);
            assert!(fixture.store.record(&id).await.revoked().is_some());
            let after =
                crate::support::ask(fixture.layer().cookie("token"), request(&[("cookie", &cookie)])).await;
            assert_eq!((after.status.as_u16(), set_cookies(&after).len()), (401, 0));
        }
    }
}

#[tokio::test]
async fn sec_d11_many_requests_note_one_use_and_none_waits_for_it() {
    let fixture = sliding();
    let issued = fixture.cookie_login("ada").await;
    fixture.store.set(Mode::Later);
    fixture.time.advance(EVERY);
    let gate = fixture.store.hold_touches();
    let layer = fixture.layer().cookie("token").build().unwrap();
    let cookie = cookie(&issued);
    let headers = [("cookie", cookie.as_str())];
    // The write does not end before the gate opens, so an answer that waited for it would not come.
    let one = || crate::support::ask_layer(&layer, request(&headers));
    let answers = futures_util::future::join_all((0..1_000).map(|_| one())).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    let renewed = answers.iter().filter(|answer| !set_cookies(answer).is_empty()).count();
    assert_eq!((renewed, fixture.store.touches()), (1, 0));

    // A late write revives nothing.
    let id = issued.record().id();
    fixture.tokens.revoke(&id).await.unwrap();
    gate.add_permits(1_000);
    fixture.tokens.flush().await;
    assert_eq!(fixture.store.touches(), 0);
    assert!(fixture.store.record(&id).await.revoked().is_some());
    assert_eq!(one().await.reason(), Some(Reason::Revoked));
}
