//! Sessions: cookie, ends, fixation, logout, data, and what the layer leaves alone.

use std::{
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, header::SET_COOKIE};
use portcullis::{
    AuthLayer,
    credential::Channel,
    error::BoxError,
    event::RevokeReason,
    identity::{AuthContext, Ended, Subject},
    maybe_ready::MaybeReady,
    problem::{ProblemReply, Reason},
    session::{Session, SessionError, SessionErrorKind, SessionLayer, SessionPolicy, Sessions},
    store::{ListQuery, LiveLimit, TokenStore},
    text::TokenId,
    token::IssueOptions,
    verify::{UserLookup, Verify},
};
use tokio::sync::Semaphore;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Answer, Body, Fixture, Mode, fixture, secs};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn ada() -> Subject {
    Subject::local("ada")
}

fn sessions(fixture: &Fixture) -> Sessions {
    sessions_with(fixture, SessionPolicy::default())
}

fn sessions_with(fixture: &Fixture, policy: SessionPolicy) -> Sessions {
    Sessions::new(fixture.store.clone(), policy)
        .clock(fixture.time.clock())
        .reporter(fixture.events.reporter())
}

// ===== a browser =====

/// A request as a page of the same origin sends it.
fn from_page(method: Method, cookie: Option<&str>) -> Request<Body> {
    let request = Request::builder().method(method).header("sec-fetch-site", "same-origin");
    let request = match cookie {
        Some(value) => request.header("cookie", format!("__Host-session={value}")),
        None => request,
    };
    request.body(Body::default()).unwrap()
}

/// Sends a request through the layer to a handler that uses the session.
async fn send<F, Fut>(layer: &SessionLayer, request: Request<Body>, handler: F) -> Answer
where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = Result<String, SessionError>>,
{
    let service = layer.layer(service_fn(|request: Request<Body>| {
        let session = request.extensions().get::<Session>().expect("the layer's extension").clone();
        let handled = handler(session);
        async move {
            Ok::<_, Infallible>(match handled.await {
                Ok(text) => Response::new(Body::from(text)),
                Err(error) => error.rejection().respond(&ProblemReply),
            })
        }
    }));
    Answer::of(service.oneshot(request).await.unwrap()).await
}

async fn visit<F, Fut>(sessions: &Sessions, cookie: Option<&str>, handler: F) -> Answer
where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = Result<String, SessionError>>,
{
    send(&SessionLayer::new(sessions), from_page(Method::POST, cookie), handler).await
}

/// Who is there, in the words of the tests.
async fn who(session: Session) -> Result<String, SessionError> {
    Ok(session.subject().await?.map_or_else(|| "nobody".to_owned(), |subject| subject.id().to_owned()))
}

async fn log_in(session: Session) -> Result<String, SessionError> {
    session.login(ada(), IssueOptions::default()).await.map(|id| id.as_str().to_owned())
}

/// A `Set-Cookie`, every part of it read.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    value: String,
    max_age: Option<u64>,
    rest: String,
}

/// The one `Set-Cookie` of the session, strictly.
fn written(headers: &HeaderMap) -> Option<Written> {
    let mut lines = headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().unwrap().strip_prefix("__Host-session="));
    let line = lines.next()?;
    assert_eq!(lines.next(), None, "the cookie is written twice");
    let (value, mut attributes) = line.split_once("; ").unwrap_or((line, ""));
    let mut max_age = None;
    if let Some(rest) = attributes.strip_prefix("Max-Age=") {
        let (seconds, rest) = rest.split_once("; ").unwrap();
        (max_age, attributes) = (Some(seconds.parse().unwrap()), rest);
    }
    Some(Written { value: value.to_owned(), max_age, rest: attributes.to_owned() })
}

fn cookie_of(answer: &Answer) -> String {
    let written = written(&answer.headers).expect("a cookie");
    assert_eq!(written.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!written.value.is_empty());
    written.value
}

/// Logs ada in; gives the cookie.
async fn logged_in(sessions: &Sessions) -> String {
    cookie_of(&visit(sessions, None, log_in).await)
}

/// The public id in a cookie's value.
fn id_of(cookie: &str) -> TokenId {
    TokenId::parse(&cookie["pcs_a".len()..][..17]).unwrap()
}

/// An anonymous session with something in it.
async fn shopping(sessions: &Sessions) -> String {
    let put =
        |session: Session| async move { session.insert("cart", ["book"]).await.map(|()| String::new()) };
    cookie_of(&visit(sessions, None, put).await)
}

fn sets_no_cookie(answer: &Answer) {
    assert_eq!(written(&answer.headers), None, "{:?}", answer.headers);
}

// ===== login =====

#[tokio::test]
async fn r055_a_login_sets_one_cookie_with_every_protection_and_the_life_of_the_session() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let answer = visit(&sessions, None, log_in).await;
        let cookie = written(&answer.headers).unwrap();
        assert_eq!(cookie.max_age, Some(24 * HOUR));
        assert_eq!(cookie.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(answer.headers.get_all(SET_COOKIE).iter().count(), 1);
        assert!(answer.headers[SET_COOKIE].is_sensitive());
        assert_eq!(visit(&sessions, Some(&cookie.value), who).await.body, "ada");
        // The id that handlers see is not the cookie's value.
        assert!(cookie.value.contains(&answer.body) && cookie.value.len() > answer.body.len() + 43);
    }
}

#[tokio::test]
async fn r055_a_cookie_can_end_with_the_browser() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = visit(&sessions, None, |session: Session| async move {
        session.login(ada(), IssueOptions::default().browser_session()).await?;
        Ok(String::new())
    })
    .await;
    assert_eq!(written(&answer.headers).unwrap().max_age, None);
}

#[tokio::test]
async fn r055_a_login_service_without_the_layer_gets_cookie_and_removal() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (before, _) = sessions.login(Subject::local("bob"), IssueOptions::default()).await.unwrap();
    let over = before.access().expose();
    let (issued, line) = sessions.login_over(over, ada(), IssueOptions::default()).await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(SET_COOKIE, line);
    let cookie = written(&headers).unwrap().value;
    assert_eq!(cookie, issued.access().expose());
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    assert_eq!(visit(&sessions, Some(over), who).await.body, "nobody");

    for presented in [None, Some("nonsense"), Some(cookie.as_str()), Some(cookie.as_str())] {
        headers.insert(SET_COOKIE, sessions.logout(presented).await.unwrap());
        let removal = written(&headers).unwrap();
        assert_eq!((removal.value.as_str(), removal.max_age), ("", Some(0)));
    }
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
    assert_eq!(sessions.clear_site_data(), None);

    let nobody = sessions.login(Subject::anonymous("x"), IssueOptions::default()).await;
    assert!(nobody.is_err());
    fixture.store.set(Mode::Down);
    assert!(sessions.logout(Some(over)).await.is_err());
    assert!(sessions.login_over(over, ada(), IssueOptions::default()).await.is_err());
}

#[tokio::test]
async fn r055_a_login_above_the_limit_is_refused_or_ends_the_oldest() {
    let fixture = fixture();
    let policy = SessionPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap();
    let sessions = sessions_with(&fixture, policy);
    let first = logged_in(&sessions).await;
    let refused = visit(&sessions, None, log_in).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (409, Some(Reason::LoginLimit)));
    sets_no_cookie(&refused);
    // The session of the same browser makes room for its successor.
    let next = cookie_of(&visit(&sessions, Some(&first), log_in).await);
    assert_eq!(visit(&sessions, Some(&next), who).await.body, "ada");
}

// ===== look-up =====

/// Both layers, and a handler that says what they found.
async fn guarded(sessions: &Sessions, fixture: &Fixture, cookie: Option<&str>, optional: bool) -> Answer {
    let builder = AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie());
    let builder = builder.clock(fixture.time.clock());
    let guard = if optional { builder.optional() } else { builder }.build().unwrap();
    let service =
        guard.layer(SessionLayer::new(sessions).layer(service_fn(|request: Request<Body>| async move {
            let context = request.extensions().get::<AuthContext>().unwrap();
            let session = request.extensions().get::<Session>().unwrap();
            let same = session.id().await.unwrap() == context.evidence().and_then(|known| known.record());
            let text = format!("{} {same}", who(session.clone()).await.unwrap());
            Ok::<_, Infallible>(Response::new(Body::from(text)))
        })));
    Answer::of(service.oneshot(from_page(Method::GET, cookie)).await.unwrap()).await
}

#[tokio::test]
async fn r056_a_guard_lets_living_sessions_in_and_answers_all_others_alike() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        let finds = fixture.store.finds();
        let known = guarded(&sessions, &fixture, Some(&cookie), false).await;
        assert_eq!((known.status.as_u16(), known.body.as_str()), (200, "ada true"));
        assert_eq!(fixture.store.finds() - finds, 1, "one look-up for both layers");

        let absent = guarded(&sessions, &fixture, None, false).await;
        assert_eq!((absent.status.as_u16(), absent.reason()), (401, Some(Reason::Absent)));

        let elsewhere = crate::support::fixture();
        let unknown = logged_in(&self::sessions(&elsewhere)).await;
        let revoked = logged_in(&sessions).await;
        visit(&sessions, Some(&revoked), |session: Session| async move {
            session.logout().await.map(|()| String::new())
        })
        .await;
        let mut answers = Vec::new();
        for refused in ["nonsense", &unknown, &revoked] {
            answers.push(guarded(&sessions, &fixture, Some(refused), false).await);
        }
        fixture.time.advance(secs(24 * HOUR));
        answers.push(guarded(&sessions, &fixture, Some(&cookie), false).await);
        for answer in &answers {
            assert_eq!(answer.status, 401);
            assert_eq!((&answer.body, &answer.headers), (&answers[0].body, &answers[0].headers));
            sets_no_cookie(answer);
        }
        assert_eq!(answers[3].reason(), Some(Reason::Expired));
    }
}

#[tokio::test]
async fn r056_a_browser_whose_user_is_not_known_is_nobody_for_a_guard() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = shopping(&sessions).await;
    let refused = guarded(&sessions, &fixture, Some(&cookie), false).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "missing_credential"));
    // Where guests are welcome, this one is a guest, with the session it has.
    let guest = guarded(&sessions, &fixture, Some(&cookie), true).await;
    assert_eq!((guest.status.as_u16(), guest.body.as_str()), (200, "nobody false"));
    let direct = sessions.tokens().verify(&cookie, Some(Channel::Cookie)).await;
    assert_eq!(crate::support::invalid(direct).map(|_| ()), Err(Reason::AnonymousSession));
}

#[tokio::test]
async fn r056_a_session_of_an_inactive_user_is_nobodys() {
    struct Nobody;
    impl UserLookup for Nobody {
        type User = String;
        fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<String>>, BoxError>> {
            match subject.id() {
                "broken" => MaybeReady::Now(Err("no database".into())),
                _ => MaybeReady::later(async { Ok(None) }),
            }
        }
    }
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (cookie, cart) = (logged_in(&sessions).await, shopping(&sessions).await);
    let strict = SessionLayer::new(&sessions.clone().users(Nobody));
    assert_eq!(send(&strict, from_page(Method::GET, Some(&cookie)), who).await.body, "nobody");
    // Nobody is looked up for a session of nobody.
    let kept = send(&strict, from_page(Method::GET, Some(&cart)), |session: Session| async move {
        Ok(session.get::<Vec<String>>("cart").await?.unwrap_or_default().join(","))
    })
    .await;
    assert_eq!(kept.body, "book");
    let (broken, _) = sessions.login(Subject::local("broken"), IssueOptions::default()).await.unwrap();
    let unknown = send(&strict, from_page(Method::GET, Some(broken.access().expose())), who).await;
    assert_eq!(unknown.status, 503);
}

#[tokio::test]
async fn r056_a_session_of_a_tenant_needs_a_layer_that_knows_the_tenant() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (issued, _) = sessions.login(ada(), IssueOptions::default().tenant("red")).await.unwrap();
    let answer = visit(&sessions, Some(issued.access().expose()), who).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "internal"));
    sets_no_cookie(&answer);
}

#[tokio::test]
async fn sec_d13_the_session_is_not_used_when_its_cookie_comes_twice() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let twice = format!("__Host-session={cookie}; __Host-session=x");
    let request = || {
        let request = Request::builder().header("cookie", twice.as_str());
        request.body(Body::default()).unwrap()
    };
    let layer = SessionLayer::new(&sessions);
    let answer = send(&layer, request(), who).await;
    assert_eq!((answer.status.as_u16(), answer.reason()), (400, Some(Reason::DuplicateCookie)));
    assert_eq!(answer.challenges().len(), 1);
    let open = send(&layer, request(), |_: Session| async { Ok("open".to_owned()) }).await;
    assert_eq!(open.body, "open");
}

#[tokio::test]
async fn sec_j01_a_request_of_another_site_cannot_use_the_session() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let layer = SessionLayer::new(&sessions);
    for site in ["cross-site", "same-site"] {
        let request = |method| {
            let mut request = from_page(method, Some(&cookie));
            request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
            request
        };
        let out = |session: Session| async move { session.logout().await.map(|()| String::new()) };
        let refused = send(&layer, request(Method::POST), out).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "csrf"), "{site}");
        sets_no_cookie(&refused);
        assert_eq!(send(&layer, request(Method::GET), who).await.body, "ada");
    }
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
}

// ===== idle and absolute end =====

fn short() -> SessionPolicy {
    let policy = SessionPolicy::builder().idle(secs(60 * MINUTE)).absolute(secs(8 * HOUR));
    policy.touch_every(secs(5 * MINUTE)).build().unwrap()
}

#[tokio::test]
async fn r057_reading_keeps_a_session_alive_but_never_past_its_absolute_end() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions_with(&fixture, short());
        let cookie = logged_in(&sessions).await;
        let end = fixture.time.now().plus(secs(8 * HOUR));
        loop {
            fixture.time.advance(secs(50 * MINUTE));
            let answer = visit(&sessions, Some(&cookie), who).await;
            sessions.tokens().flush().await;
            let now = fixture.time.now();
            if now >= end {
                assert_eq!(answer.body, "nobody");
                break;
            }
            assert_eq!(answer.body, "ada", "{now:?}");
            // The cookie lives as long as the session: an hour, or what is left.
            let renewed = written(&answer.headers).expect("renewed");
            assert_eq!(renewed.value, cookie);
            assert_eq!(renewed.max_age, Some(HOUR.min(end.since(now).as_secs())));
            assert_eq!(answer.headers["cache-control"], "no-store");
        }
    }
}

#[tokio::test]
async fn sec_d04_an_idle_session_ends_no_later_than_its_limit_and_earlier_by_less_than_a_touch() {
    let (idle, touch) = (60 * MINUTE, 5 * MINUTE);
    for after_touch in (0..=touch + MINUTE).step_by(30) {
        let fixture = fixture();
        let sessions = sessions_with(&fixture, short());
        let cookie = logged_in(&sessions).await;
        fixture.time.advance(secs(10 * MINUTE));
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
        // The last use, which is noted or is not.
        fixture.time.advance(secs(after_touch));
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
        let ends = fixture.store.record(&id_of(&cookie)).await.access_expires();
        let left = ends.since(fixture.time.now()).as_secs();
        assert!(left <= idle && left > idle - touch, "{after_touch}: {left}");
        fixture.time.advance(secs(left) - Duration::from_millis(1));
        let guard = guarded(&sessions, &fixture, Some(&cookie), false).await;
        assert_eq!(guard.status, 200);
        assert!(left == idle || after_touch < touch, "a due touch was not written");
    }
    // Unused, it ends at its limit to the millisecond.
    let fixture = fixture();
    let sessions = sessions_with(&fixture, short());
    let cookie = logged_in(&sessions).await;
    fixture.time.advance(secs(idle));
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
    assert_eq!(fixture.events.count("session_use_after_expire"), 1);
}

#[tokio::test]
async fn r057_a_cookie_is_renewed_once_for_each_touch_and_not_after_a_logout() {
    let fixture = fixture();
    fixture.store.set(Mode::Later);
    let sessions = sessions_with(&fixture, short());
    let cookie = logged_in(&sessions).await;
    fixture.time.advance(secs(4 * MINUTE));
    sets_no_cookie(&visit(&sessions, Some(&cookie), who).await);
    fixture.time.advance(secs(MINUTE));
    assert_eq!(cookie_of(&visit(&sessions, Some(&cookie), who).await), cookie);
    sessions.tokens().flush().await;
    sets_no_cookie(&visit(&sessions, Some(&cookie), who).await);

    // The session ends while a request that has renewed it is under way.
    for end in ["logout", "rekey"] {
        let cookie = logged_in(&sessions).await;
        fixture.time.advance(secs(5 * MINUTE));
        let (gate, at_work) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = visit(&sessions, Some(&cookie), |session: Session| {
            let (gate, at_work) = (Arc::clone(&gate), Arc::clone(&at_work));
            async move {
                let name = who(session).await?;
                at_work.add_permits(1);
                let _open = gate.acquire().await.unwrap();
                Ok(name)
            }
        });
        let fast = async {
            let _at_work = at_work.acquire().await.unwrap();
            let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
                if end == "logout" {
                    session.logout().await?
                } else {
                    session.rekey().await?
                }
                Ok(String::new())
            })
            .await;
            gate.add_permits(1);
            answer
        };
        let (slow, fast) = tokio::join!(slow, fast);
        assert_eq!(slow.body, "ada");
        sets_no_cookie(&slow);
        assert!(written(&fast.headers).is_some(), "{end}");
    }
}

#[test]
fn r057_a_policy_names_all_its_faults_and_every_preset_is_valid() {
    let fields = |policy: portcullis::session::SessionPolicyBuilder| -> Vec<&'static str> {
        let error = policy.build().unwrap_err();
        error.faults().iter().map(|fault| fault.field()).collect()
    };
    let builder = SessionPolicy::builder;
    assert_eq!(fields(builder().idle(secs(10)).absolute(secs(9))), ["idle"]);
    assert_eq!(fields(builder().idle(secs(20)).touch_every(secs(11))), ["touch_every"]);
    assert_eq!(fields(builder().idle(Duration::from_millis(999))), ["idle"]);
    let day = 24 * HOUR;
    assert_eq!(fields(builder().idle(secs(401 * day)).absolute(secs(500 * day))), ["idle"]);
    assert!(builder().idle(secs(400 * day)).absolute(secs(500 * day)).build().is_ok());
    let many =
        builder().idle(secs(9)).absolute(secs(8)).cookie("__Host-x").brand("No").limit(LiveLimit::Refuse(0));
    assert_eq!(fields(many), ["idle", "cookie", "brand", "limit"]);
    for preset in [
        SessionPolicy::consumer(),
        SessionPolicy::saas(),
        SessionPolicy::owasp_high_value(),
        SessionPolicy::nist_aal1(),
        SessionPolicy::nist_aal2(),
        SessionPolicy::nist_aal3(),
    ] {
        assert!(preset.build().is_ok());
    }
}

// ===== fixation =====

#[tokio::test]
async fn r058_a_login_adopts_nothing_that_the_browser_came_with() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let elsewhere = crate::support::fixture();
        let chosen = logged_in(&self::sessions(&elsewhere)).await;
        let planted = shopping(&sessions).await;
        let (bob, _) = sessions.login(Subject::local("bob"), IssueOptions::default()).await.unwrap();
        let bob = bob.access().expose().to_owned();
        for presented in [&chosen, &planted, &bob] {
            let answer = visit(&sessions, Some(presented), |session: Session| async move {
                let id = session.login(ada(), IssueOptions::default()).await?;
                assert_eq!(session.id().await?, Some(id));
                assert_eq!(session.get::<Vec<String>>("cart").await?, None);
                Ok(id.as_str().to_owned())
            })
            .await;
            let cookie = cookie_of(&answer);
            assert_ne!(&cookie[..21], &presented[..21], "another id");
            assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
            // Dead at once, and for good.
            assert_eq!(visit(&sessions, Some(presented), who).await.body, "nobody");
            assert_eq!(guarded(&sessions, &fixture, Some(presented), false).await.status, 401);
        }
    }
}

#[tokio::test]
async fn sec_d06_login_and_login_again_and_privilege_change_give_a_new_value_and_kill_the_old() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let mut cookie = logged_in(&sessions).await;
    let other_device = logged_in(&sessions).await;
    for act in ["login", "rekey", "credentials"] {
        let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
            session.insert("theme", "dark").await?;
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await?),
                "rekey" => session.rekey().await?,
                _ => session.change_credentials().await?,
            }
            Ok(session.id().await?.unwrap().as_str().to_owned())
        })
        .await;
        let next = cookie_of(&answer);
        assert_ne!(next, cookie);
        assert_eq!(act != "login", cookie.contains(&answer.body), "a rekey keeps the id");
        assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.status, 401, "{act}");
        assert_eq!(guarded(&sessions, &fixture, Some(&next), false).await.body, "ada true", "{act}");
        let theme = visit(&sessions, Some(&next), |session: Session| async move {
            Ok(session.get("theme").await?.unwrap_or_else(|| "none".to_owned()))
        })
        .await;
        assert_eq!(theme.body, if act == "login" { "none" } else { "dark" });
        let other = guarded(&sessions, &fixture, Some(&other_device), false).await.status;
        assert_eq!(other.is_success(), act != "credentials");
        cookie = next;
    }
}

#[tokio::test(start_paused = true)]
async fn r058_who_watches_a_session_hears_at_once_that_a_login_took_its_place() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let evidence = *sessions.tokens().verify(&cookie, None).await.unwrap().evidence();
    let watching = tokio::spawn(Verify::watch(&sessions, &evidence));
    tokio::task::yield_now().await;
    visit(&sessions, Some(&cookie), log_in).await;
    let ended = tokio::time::timeout(secs(1), watching).await.expect("at once");
    assert_eq!(ended.unwrap(), Ended::Revoked);
}

#[tokio::test]
async fn r058_data_goes_into_a_login_only_when_asked_and_never_from_somebody_else() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let keep = |session: Session| async move {
        session.insert("seen", true).await?;
        session.login_keeping_data(ada(), IssueOptions::default()).await?;
        let cart = session.get::<Vec<String>>("cart").await?.unwrap_or_default();
        Ok(format!("{} {:?}", cart.join(","), session.get::<bool>("seen").await?))
    };
    let cart = shopping(&sessions).await;
    let writes = fixture.store.writes();
    let answer = visit(&sessions, Some(&cart), keep).await;
    assert_eq!(answer.body, "book Some(true)");
    assert_eq!(fixture.store.writes() - writes, 1, "the data goes with the login");
    // The same subject again, and then another one over it.
    let again = visit(&sessions, Some(&cookie_of(&answer)), keep).await;
    assert_eq!(again.body, "book Some(true)");
    let other = visit(&sessions, Some(&cookie_of(&again)), |session: Session| async move {
        session.login_keeping_data(Subject::local("eve"), IssueOptions::default()).await?;
        Ok(format!("{:?}", session.get::<Vec<String>>("cart").await?))
    })
    .await;
    assert_eq!(other.body, "None");
}

#[tokio::test]
async fn r058_without_a_login_there_is_nothing_to_rekey() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cart = shopping(&sessions).await;
    for cookie in [None, Some(cart.as_str())] {
        let answer = visit(&sessions, cookie, |session: Session| async move {
            session.rekey().await.map(|()| String::new())
        })
        .await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "missing_credential"));
        assert_eq!(answer.challenges(), [r#"Cookie realm="session", cookie-name="__Host-session""#]);
        sets_no_cookie(&answer);
    }
}

// ===== logout =====

#[tokio::test]
async fn r059_a_logout_ends_the_session_on_every_instance_and_removes_the_cookie() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let (here, there) = (sessions(&fixture), sessions(&fixture));
        let cookie = logged_in(&here).await;
        let out = |session: Session| async move {
            session.insert("late", 1).await?;
            session.logout().await?;
            assert!(session.is_anonymous().await?);
            Ok(String::new())
        };
        for _ in 0..2 {
            let answer = visit(&here, Some(&cookie), out).await;
            let removal = written(&answer.headers).unwrap();
            assert_eq!((removal.value.as_str(), removal.max_age), ("", Some(0)));
            assert_eq!(removal.rest, "Path=/; Secure; HttpOnly; SameSite=Lax");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert!(!answer.headers.contains_key("clear-site-data"));
            let replay = guarded(&there, &fixture, Some(&cookie), false).await;
            assert_eq!((replay.status.as_u16(), replay.reason()), (401, Some(Reason::Revoked)));
        }
        let none =
            visit(
                &here,
                None,
                |session: Session| async move { session.logout().await.map(|()| String::new()) },
            )
            .await;
        assert_eq!(none.status, 200);
        assert_eq!(written(&none.headers).unwrap().max_age, Some(0));
        let kept = fixture.store.list(&ListQuery::new(Some(ada()), 9)).await.unwrap();
        let reasons: Vec<_> = kept.iter().map(|found| found.record.revoked().unwrap().reason()).collect();
        assert_eq!(reasons, [RevokeReason::Logout]);
    }
}

#[tokio::test]
async fn sec_d07_ending_one_all_others_or_all_sessions_of_a_subject_is_seen_by_every_instance() {
    let fixture = fixture();
    let (here, there) = (sessions(&fixture), sessions(&fixture));
    let seen = async |cookie: &str| guarded(&there, &fixture, Some(cookie), false).await.status.is_success();
    let (one, two, three) = (logged_in(&here).await, logged_in(&here).await, logged_in(&here).await);
    here.tokens().revoke(&id_of(&one)).await.unwrap();
    assert_eq!((seen(&one).await, seen(&two).await, seen(&three).await), (false, true, true));
    here.tokens().revoke_others(&ada(), &id_of(&three)).await.unwrap();
    assert_eq!((seen(&two).await, seen(&three).await), (false, true));
    here.tokens().revoke_everyone().await.unwrap();
    assert!(!seen(&three).await);
}

#[tokio::test]
async fn r059_a_logout_that_did_not_happen_leaves_the_cookie_for_the_next_try() {
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        fixture.store.set(mode);
        let out = |session: Session| async move { session.logout().await.map(|()| String::new()) };
        let answer = visit(&sessions, Some(&cookie), out).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        sets_no_cookie(&answer);
        fixture.store.set(Mode::Now);
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    }
}

#[tokio::test]
async fn sec_d15_a_logout_clears_the_sites_data_where_the_policy_says_so() {
    let fixture = fixture();
    let sessions = sessions_with(&fixture, SessionPolicy::builder().clear_site_data().build().unwrap());
    let cookie = logged_in(&sessions).await;
    let out = visit(&sessions, Some(&cookie), |session: Session| async move {
        session.logout().await.map(|()| String::new())
    })
    .await;
    assert_eq!(out.headers["clear-site-data"], r#""cache", "cookies", "storage""#);
    // A session that begins after the logout must not be cleared with it.
    let anew = visit(&sessions, None, |session: Session| async move {
        session.logout().await?;
        session.insert("language", "nl").await?;
        Ok(String::new())
    })
    .await;
    assert!(!anew.headers.contains_key("clear-site-data"));
    let cookie = cookie_of(&anew);
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "nobody");
}

// ===== data =====

#[tokio::test]
async fn r060_values_are_typed_kept_by_key_and_bounded() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let change = visit(&sessions, Some(&cookie), |session: Session| async move {
        session.insert("list", vec![1, 2]).await?;
        session.insert("gone", "x").await?;
        assert!(session.remove("gone").await? && !session.remove("gone").await?);
        assert_eq!(session.get::<Vec<u8>>("list").await?, Some(vec![1, 2]));
        let kind = |error: SessionError| error.kind();
        let wrong = session.get::<String>("list").await.map_err(kind).unwrap_err();
        assert!(matches!(wrong, SessionErrorKind::Value(_)));
        let wrong = session.update("list", |_: Option<String>| String::new()).await.map_err(kind);
        assert!(matches!(wrong, Err(SessionErrorKind::Value(_))));
        let long = session.insert("long", "x".repeat(64 * 1024)).await.map_err(kind).unwrap_err();
        assert!(matches!(long, SessionErrorKind::Value(_)));
        assert_eq!(session.update("count", |n: Option<u8>| n.unwrap_or(4) + 1).await?, 5);
        Ok(String::new())
    })
    .await;
    assert_eq!(change.status, 200);
    sets_no_cookie(&change);
    let read = visit(&sessions, Some(&cookie), |session: Session| async move {
        let list = session.get::<Vec<u8>>("list").await?;
        Ok(format!(
            "{list:?} {:?} {:?}",
            session.get::<u8>("count").await?,
            session.get::<String>("long").await?
        ))
    })
    .await;
    assert_eq!(read.body, "Some([1, 2]) Some(5) None");
    visit(&sessions, Some(&cookie), |session: Session| async move {
        session.clear().await?;
        session.insert("after", 1).await?;
        Ok(String::new())
    })
    .await;
    let read = visit(&sessions, Some(&cookie), |session: Session| async move {
        Ok(format!("{:?} {:?}", session.get::<Vec<u8>>("list").await?, session.get::<u8>("after").await?))
    })
    .await;
    assert_eq!(read.body, "None Some(1)");
}

#[tokio::test]
async fn r060_a_response_saves_once_and_only_what_changed_whatever_its_status_is() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        let many = |session: Session| async move {
            for round in 0..5 {
                session.insert("a", round).await?;
                session.insert("b", round).await?;
                session.update("c", |n: Option<u8>| n.unwrap_or(0) + 1).await?;
            }
            // The handler fails: its 500 saves like any other answer.
            Err::<String, _>(session.get::<String>("a").await.unwrap_err())
        };
        let (writes, finds) = (fixture.store.writes(), fixture.store.finds());
        let failed = visit(&sessions, Some(&cookie), many).await;
        assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!((fixture.store.writes() - writes, fixture.store.finds() - finds), (1, 1));
        let read = |session: Session| async move {
            // Written, but not changed.
            session.insert("a", 4).await?;
            Ok(format!("{:?} {:?}", session.get::<u8>("a").await?, session.get::<u8>("c").await?))
        };
        let writes = fixture.store.writes();
        assert_eq!(visit(&sessions, Some(&cookie), read).await.body, "Some(4) Some(5)");
        assert_eq!(fixture.store.writes(), writes);
    }
}

/// All have read before the first of them writes.
async fn fifty(sessions: &Sessions, fixture: &Fixture, cookie: &str) {
    fixture.store.gather(50);
    let requests = (0..50).map(|number| {
        let (sessions, cookie) = (sessions.clone(), cookie.to_owned());
        tokio::spawn(async move {
            visit(&sessions, Some(&cookie), |session: Session| async move {
                session.insert(format!("key{number}"), number).await?;
                session.update("count", |n: Option<u32>| n.unwrap_or(0) + 1).await?;
                Ok(String::new())
            })
            .await
            .status
        })
    });
    for request in requests.collect::<Vec<_>>() {
        assert_eq!(request.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn r060_fifty_parallel_requests_lose_nothing() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = shopping(&sessions).await;
        fifty(&sessions, &fixture, &cookie).await;
        let read = visit(&sessions, Some(&cookie), |session: Session| async move {
            for number in 0..50_u32 {
                assert_eq!(session.get(&format!("key{number}")).await?, Some(number));
            }
            assert_eq!(session.get::<Vec<String>>("cart").await?.unwrap(), ["book"]);
            Ok(session.get::<u32>("count").await?.unwrap().to_string())
        })
        .await;
        assert_eq!(read.body, "50");
    }
}

#[tokio::test]
async fn r060_a_slow_request_brings_nothing_back_after_a_logout_or_a_login() {
    for (mode, act) in
        [(Mode::Now, "logout"), (Mode::Later, "logout"), (Mode::Now, "login"), (Mode::Later, "login")]
    {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = if act == "logout" { logged_in(&sessions).await } else { shopping(&sessions).await };
        let (gate, at_work) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let slow = visit(&sessions, Some(&cookie), |session: Session| {
            let (gate, at_work) = (Arc::clone(&gate), Arc::clone(&at_work));
            async move {
                session.insert("late", true).await?;
                at_work.add_permits(1);
                let _open = gate.acquire().await.unwrap();
                session.insert("later", true).await?;
                Ok("done".to_owned())
            }
        });
        let fast = async {
            let _at_work = at_work.acquire().await.unwrap();
            let answer = visit(&sessions, Some(&cookie), |session: Session| async move {
                if act == "logout" {
                    session.logout().await?;
                } else {
                    session.login(ada(), IssueOptions::default()).await?;
                }
                Ok(String::new())
            })
            .await;
            let records = fixture.store.memory.len();
            gate.add_permits(1);
            (answer, records)
        };
        let (slow, (fast, records)) = tokio::join!(slow, fast);
        assert_eq!((slow.status.as_u16(), slow.body.as_str()), (200, "done"));
        sets_no_cookie(&slow);
        assert_eq!(fixture.store.memory.len(), records, "nothing was made");
        assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.status, 401);
        assert_eq!(written(&fast.headers).unwrap().value.is_empty(), act == "logout");
    }
}

/// The session ends by itself while the request is at work.
#[tokio::test]
async fn r060_a_request_that_outlasts_its_session_saves_nothing() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        for (hours, saved) in [(23, true), (24, false)] {
            let (before, time) = (fixture.store.record(&id_of(&cookie)).await, fixture.time.clone());
            let slow = visit(&sessions, Some(&cookie), |session: Session| {
                let time = time.clone();
                async move {
                    session.insert("hours", hours).await?;
                    time.advance(secs(hours * HOUR));
                    Ok("done".to_owned())
                }
            })
            .await;
            assert_eq!((slow.status.as_u16(), slow.body.as_str()), (200, "done"));
            let after = fixture.store.record(&id_of(&cookie)).await;
            assert_eq!(after.version() - before.version(), u64::from(saved), "after {hours} h");
        }
    }
}

/// A request that was sent before a login, a rekey or a logout, and arrives after it.
#[tokio::test]
async fn r060_a_late_request_does_not_overwrite_the_cookie_of_a_login() {
    for act in ["login", "rekey", "logout"] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = if act == "login" { shopping(&sessions).await } else { logged_in(&sessions).await };
        fixture.time.advance(secs(HOUR));
        visit(&sessions, Some(&cookie), |session: Session| async move {
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await?),
                "rekey" => session.rekey().await?,
                _ => session.logout().await?,
            }
            Ok(String::new())
        })
        .await;
        let write = |session: Session| async move {
            session.insert("late", true).await?;
            who(session).await
        };
        let records = fixture.store.memory.len();
        fixture.time.advance(secs(59));
        let late = visit(&sessions, Some(&cookie), write).await;
        assert_eq!(late.body, "nobody");
        sets_no_cookie(&late);
        assert_eq!(fixture.store.memory.len(), records, "{act}");
        // Nobody's request is that late: this browser keeps an old cookie, and gets a new session.
        fixture.time.advance(secs(1));
        let fresh = visit(&sessions, Some(&cookie), write).await;
        assert_ne!(cookie_of(&fresh), cookie);
        assert_eq!(fixture.store.memory.len(), records + 1, "{act}");
    }
}

#[tokio::test]
async fn r060_a_visitor_for_whom_nothing_is_stored_costs_nothing() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let before = (fixture.store.finds(), fixture.store.writes());
    let untouched = |_: Session| async { Ok(String::new()) };
    for cookie in [None, Some(cookie.as_str()), Some("nonsense")] {
        let answer = visit(&sessions, cookie, untouched).await;
        assert!(answer.headers.is_empty(), "{:?}", answer.headers);
    }
    let looked = |session: Session| async move {
        session.remove("nothing").await?;
        session.insert("back", 1).await?;
        session.remove("back").await?;
        session.clear().await?;
        who(session).await
    };
    let answer = visit(&sessions, None, looked).await;
    sets_no_cookie(&answer);
    assert_eq!((fixture.store.finds(), fixture.store.writes()), before);
    // Its answer depends on the cookie that is not there.
    assert_eq!(
        (&answer.headers["cache-control"], &answer.headers["vary"]),
        (&"private".parse().unwrap(), &"cookie".parse().unwrap())
    );
}

#[tokio::test]
async fn r060_a_store_that_is_down_is_a_503_and_touches_no_cookie() {
    let write = |session: Session| async move {
        session.insert("a", 1).await?;
        Ok(String::new())
    };
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly, Mode::AlwaysLate] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let cookie = logged_in(&sessions).await;
        for cookie in [None, Some(cookie.as_str())] {
            if cookie.is_none() && mode == Mode::AlwaysLate {
                continue;
            }
            fixture.store.set(mode);
            let answer = visit(&sessions, cookie, write).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{mode:?}");
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(answer.headers["retry-after"], "5");
            assert_eq!(answer.headers["cache-control"], "no-store");
            assert!(!answer.headers.contains_key(SET_COOKIE));
            fixture.store.set(Mode::Now);
        }
        assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
    }
}

/// The old value is dead: without the new one the user would be logged out.
#[tokio::test]
async fn r060_a_rekey_keeps_its_cookie_where_the_data_could_not_be_saved() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let store = fixture.store.clone();
    let answer = visit(&sessions, Some(&cookie), |session: Session| {
        let store = store.clone();
        async move {
            session.rekey().await?;
            session.insert("a", 1).await?;
            store.set(Mode::Down);
            Ok(String::new())
        }
    })
    .await;
    fixture.store.set(Mode::Now);
    assert_eq!(answer.status, 503);
    let next = cookie_of(&answer);
    assert_eq!(visit(&sessions, Some(&next), who).await.body, "ada");
}

#[tokio::test]
async fn r060_a_login_that_ends_in_a_500_still_sends_its_cookie() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = visit(&sessions, None, |session: Session| async move {
        session.login(ada(), IssueOptions::default()).await?;
        session.insert("list", [1]).await?;
        session.get::<String>("list").await?;
        Ok(String::new())
    })
    .await;
    assert_eq!(answer.status, 500);
    let cookie = cookie_of(&answer);
    assert_eq!(visit(&sessions, Some(&cookie), who).await.body, "ada");
}

#[tokio::test]
async fn r060_after_the_response_a_session_takes_nothing_more() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let kept: Arc<Mutex<Option<Session>>> = Arc::default();
    visit(&sessions, None, |session: Session| {
        *kept.lock().unwrap() = Some(session);
        async { Ok(String::new()) }
    })
    .await;
    let session = kept.lock().unwrap().take().unwrap();
    let late = session.insert("a", 1).await.map_err(|error| error.kind());
    assert_eq!(late, Err(SessionErrorKind::Answered));
    assert_eq!(
        session.login(ada(), IssueOptions::default()).await.unwrap_err().kind(),
        SessionErrorKind::Answered
    );
    assert_eq!(fixture.store.writes(), 0);
}

#[tokio::test]
async fn r060_ended_sessions_are_purged_and_living_ones_stay() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (out, idle) = (logged_in(&sessions).await, shopping(&sessions).await);
    fixture.time.advance(secs(23 * HOUR));
    let live = logged_in(&sessions).await;
    visit(
        &sessions,
        Some(&out),
        |session: Session| async move { session.logout().await.map(|()| String::new()) },
    )
    .await;
    fixture.time.advance(secs(HOUR));
    assert_eq!(sessions.tokens().purge(10).await.unwrap(), 2);
    assert_eq!(visit(&sessions, Some(&live), who).await.body, "ada");
    assert_eq!(visit(&sessions, Some(&idle), who).await.body, "nobody");
}

// ===== cookies of others =====

#[tokio::test]
async fn sec_d14_the_cookie_is_written_once_and_only_by_what_concerns_it() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let answer = async |act: &'static str, theirs: &'static str| {
        let service = SessionLayer::new(&sessions).layer(service_fn(|request: Request<Body>| async move {
            let session = request.extensions().get::<Session>().unwrap();
            match act {
                "login" => drop(session.login(ada(), IssueOptions::default()).await.unwrap()),
                _ => session.insert("a", 1).await.unwrap(),
            }
            let response = Response::builder()
                .header(SET_COOKIE, "theme=dark")
                .header(SET_COOKIE, theirs)
                .header("cache-control", "public, max-age=60");
            Ok::<_, Infallible>(response.body(Body::default()).unwrap())
        }));
        Answer::of(service.oneshot(from_page(Method::POST, None)).await.unwrap()).await
    };
    let lines = |answer: &Answer| -> Vec<String> {
        answer.headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    };
    // A login is the newest there is.
    let login = answer("login", "__Host-session=older; Path=/").await;
    assert_eq!(login.headers["cache-control"], "no-store");
    assert_eq!(lines(&login)[0], "theme=dark");
    assert!(lines(&login)[1].starts_with("__Host-session=pcs_a") && lines(&login).len() == 2);
    // A session that would begin by the way gives way to a handler that writes the cookie itself.
    let records = fixture.store.memory.len();
    let data = answer("data", "__Host-session=theirs; Path=/").await;
    assert_eq!(lines(&data), ["theme=dark", "__Host-session=theirs; Path=/"]);
    assert_eq!(fixture.store.memory.len(), records);
    assert_eq!(answer("data", "other=1").await.headers.get_all(SET_COOKIE).iter().count(), 3);
}

#[tokio::test]
async fn sec_d16_nothing_shows_the_cookies_value() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let secret = &cookie[22..];
    let layer = SessionLayer::new(&sessions);
    let found = sessions.tokens().verify(&cookie, None).await.unwrap();
    let shown = format!("{sessions:?} {layer:?} {found:?} {:?} {:?}", found.record(), fixture.store.memory);
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        Ok::<_, Infallible>(Response::new(Body::from(format!("{:?}", request.extensions().get::<Session>()))))
    }));
    let session =
        Answer::of(service.oneshot(from_page(Method::GET, Some(&cookie))).await.unwrap()).await.body;
    let events = format!("{:?}", fixture.events.all());
    for text in [shown, session, events] {
        for start in 0..secret.len() - 8 {
            assert!(!text.contains(&secret[start..start + 8]), "{text}");
        }
    }
}

#[tokio::test]
async fn sec_d15_an_answer_that_sets_the_cookie_is_not_stored_and_any_other_is_private() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let login = visit(&sessions, None, log_in).await;
    assert_eq!(
        (&login.headers["cache-control"], &login.headers["vary"]),
        (&"no-store".parse().unwrap(), &"cookie".parse().unwrap())
    );
    let read = visit(&sessions, Some(&cookie_of(&login)), who).await;
    assert_eq!(
        (&read.headers["cache-control"], &read.headers["vary"]),
        (&"private".parse().unwrap(), &"cookie".parse().unwrap())
    );
}

#[tokio::test]
async fn r212_sessions_report_what_begins_and_what_ends() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cart = shopping(&sessions).await;
    visit(&sessions, Some(&cart), log_in).await;
    let names: Vec<_> = fixture.events.all().iter().map(|event| event.name()).collect();
    assert_eq!(names, ["session_created", "authn_token_revoked", "authn_token_created"]);
}

// ===== axum =====

#[cfg(feature = "axum")]
mod axum_extractor {
    use axum::{Router, body::Body, routing::get};
    use http::{Request, header::SET_COOKIE};
    use portcullis::session::{Session, SessionError, SessionLayer};
    use tower::ServiceExt;

    use crate::support::{Answer, fixture};

    async fn count(session: Session) -> Result<String, SessionError> {
        session.update("visits", |seen: Option<u32>| seen.unwrap_or(0) + 1).await.map(|seen| seen.to_string())
    }

    fn routes() -> Router {
        Router::new().route("/count", get(count)).route(
            "/wrong",
            get(async |session: Session| {
                session.get::<String>("visits").await.map(Option::unwrap_or_default)
            }),
        )
    }

    async fn ask(router: Router, path: &str, cookie: Option<&str>) -> Answer {
        let request = Request::get(path);
        let request = match cookie {
            Some(cookie) => request.header("cookie", cookie),
            None => request,
        };
        Answer::of(router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    }

    #[tokio::test]
    async fn r060_a_handler_takes_the_session_and_answers_with_its_errors() {
        let fixture = fixture();
        let router = routes().layer(SessionLayer::new(&super::sessions(&fixture)));
        let first = ask(router.clone(), "/count", None).await;
        assert_eq!(first.body, "1");
        let line = first.headers[SET_COOKIE].to_str().unwrap();
        let cookie = line.split(';').next().unwrap();
        assert_eq!(ask(router.clone(), "/count", Some(cookie)).await.body, "2");
        let wrong = ask(router, "/wrong", Some(cookie)).await;
        assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (500, "internal"));
    }

    #[tokio::test]
    async fn sec_i04_without_the_layer_a_handler_that_takes_a_session_is_a_loud_500() {
        let answer = ask(routes(), "/count", None).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "session_layer_missing"));
        assert!(answer.body.contains("SessionLayer"), "{}", answer.body);
    }
}
