//! What operators are told of sessions: each decision once, and what becomes of a session besides.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use http::{Method, Request, Response};
use portcullis::{
    AuthLayer,
    client_ip::{ClientIpPolicy, PeerAddr},
    credential::Channel,
    error::BoxError,
    event::{Event, EventKind},
    identity::Subject,
    maybe_ready::MaybeReady,
    problem::Reason,
    session::{Session, SessionError, SessionErrorKind, SessionLayer, SessionPolicy, Sessions},
    store::{LiveLimit, LoginRecord},
    text::TokenId,
    token::IssueOptions,
    verify::UserLookup,
};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    HOUR, ada, from_page, guarded, id_of, log_in, logged_in, send, sessions, sessions_with, shopping, visit,
    who,
};
use crate::{
    log::Log,
    support::{Body, Fixture, Mode, fixture, secs},
};

const CLIENT: [u8; 4] = [192, 0, 2, 7];

/// (name, reason, record, subject, channel, scheme)
type Told = (&'static str, Option<Reason>, Option<TokenId>, Option<String>, Option<Channel>, Option<String>);

fn told(event: &Event) -> Told {
    let (subject, scheme) = (event.subject().map(|subject| subject.id().to_owned()), event.scheme());
    (event.name(), event.reason(), event.record(), subject, event.channel(), scheme.map(str::to_owned))
}

fn refused(name: &'static str, reason: Reason, record: Option<TokenId>) -> Told {
    (name, Some(reason), record, None, Some(Channel::Cookie), Some("Cookie".to_owned()))
}

fn success(record: TokenId) -> Told {
    let (subject, scheme) = (Some("ada".to_owned()), Some("Cookie".to_owned()));
    ("authn_success", None, Some(record), subject, Some(Channel::Cookie), scheme)
}

/// The events of one request whose handler asks twice.
async fn asked(fixture: &Fixture, sessions: &Sessions, mut request: Request<Body>) -> Vec<Told> {
    request.extensions_mut().insert(PeerAddr((CLIENT, 443).into()));
    let before = fixture.events.all().len();
    let twice = |session: Session| async move {
        let first = who(session.clone()).await;
        let second = who(session).await;
        assert_eq!(first.is_ok(), second.is_ok());
        first
    };
    send(&SessionLayer::new(sessions), request, twice).await;
    let events = fixture.events.all().split_off(before);
    for event in &events {
        assert_eq!(event.at(), fixture.time.now());
        let of_the_request = event.name() != "session_use_after_expire";
        assert_eq!(event.client_ip(), of_the_request.then_some(IpAddr::from(CLIENT)));
        assert_eq!(event.details::<LoginRecord>().is_some(), event.name() == "authn_success");
    }
    events.iter().map(told).collect()
}

/// Nobody is active but ada.
struct OnlyAda;

impl UserLookup for OnlyAda {
    type User = Subject;

    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Subject>>, BoxError>> {
        MaybeReady::Now(Ok((subject.id() == "ada").then(|| Arc::clone(subject))))
    }
}

#[tokio::test]
async fn sec_k03_a_session_without_a_layer_in_front_tells_each_decision_once() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        let sessions = sessions(&fixture).users(OnlyAda);
        let (cookie, cart) = (logged_in(&sessions).await, shopping(&sessions).await);
        let (idle, out) = (logged_in(&sessions).await, logged_in(&sessions).await);
        let (bob, _) = sessions.login(Subject::local("bob"), IssueOptions::default()).await.unwrap();
        let bob = bob.access().expose();
        let elsewhere = logged_in(&self::sessions(&crate::support::fixture())).await;
        let red = IssueOptions::default().tenant("red");
        let (red, _) = sessions.login(ada(), red).await.unwrap();
        let red = red.access().expose();
        sessions.logout(Some(&out)).await.unwrap();
        fixture.store.set(mode);
        let get = |cookie: &str| from_page(Method::GET, Some(cookie));
        let cross = |method| {
            let mut request = from_page(method, Some(&cookie));
            request.headers_mut().insert("sec-fetch-site", "cross-site".parse().unwrap());
            request
        };
        let twice = Request::builder().header("cookie", format!("__Host-session={cookie}; __Host-session=x"));

        let fail = "authn_fail";
        let cases: Vec<(Request<Body>, Vec<Told>)> = vec![
            (get(&cookie), vec![success(id_of(&cookie))]),
            // Nobody has proved anything, and nobody was asked to.
            (get(&cart), vec![]),
            (from_page(Method::GET, None), vec![]),
            (get("junk"), vec![refused(fail, Reason::Malformed, None)]),
            (get(&elsewhere), vec![refused(fail, Reason::UnknownRecord, Some(id_of(&elsewhere)))]),
            (get(&out), vec![refused(fail, Reason::Revoked, Some(id_of(&out)))]),
            (get(bob), vec![refused(fail, Reason::InactiveUser, Some(id_of(bob)))]),
            (cross(Method::GET), vec![success(id_of(&cookie))]),
            (cross(Method::POST), vec![refused("csrf_refused", Reason::CrossSite, Some(id_of(&cookie)))]),
            (twice.body(Body::default()).unwrap(), vec![refused(fail, Reason::DuplicateCookie, None)]),
            (get(red), vec![refused("authn_unavailable", Reason::SessionMisuse, Some(id_of(red)))]),
        ];
        for (request, expected) in cases {
            assert_eq!(asked(&fixture, &sessions, request).await, expected, "{mode:?}");
        }
        // A handler that does not use its session decides nothing.
        let before = fixture.events.all().len();
        send(&SessionLayer::new(&sessions), cross(Method::POST), |_| async { Ok(String::new()) }).await;
        assert_eq!(fixture.events.all().len(), before);

        fixture.store.set(if mode == Mode::Now { Mode::Down } else { Mode::DownLater });
        let down = asked(&fixture, &sessions, get(&cookie)).await;
        assert_eq!(down, [refused("authn_unavailable", Reason::Unavailable, Some(id_of(&cookie)))]);
        fixture.store.set(mode);

        fixture.time.advance(secs(24 * HOUR));
        let (name, ada, by_cookie) = ("session_use_after_expire", "ada".to_owned(), Some(Channel::Cookie));
        let used = (name, None, Some(id_of(&idle)), Some(ada), by_cookie, None);
        let ended = refused(fail, Reason::Expired, Some(id_of(&idle)));
        assert_eq!(asked(&fixture, &sessions, get(&idle)).await, [used, ended]);
    }
}

#[tokio::test]
async fn sec_k03_two_layers_tell_a_decision_once() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        let sessions = sessions(&fixture);
        let (cookie, cart) = (logged_in(&sessions).await, shopping(&sessions).await);
        fixture.store.set(mode);
        let ask = async |cookie: Option<&str>, optional: bool, invalid: bool| {
            let builder = AuthLayer::new(sessions.clone()).without_header().cookie(sessions.cookie());
            let builder = builder.clock(fixture.time.clock()).reporter(fixture.events.reporter());
            let builder = if optional { builder.optional() } else { builder };
            let builder = if invalid { builder.danger_invalid_as_anonymous() } else { builder };
            let service = builder.build().unwrap().layer(SessionLayer::new(&sessions).layer(service_fn(
                |request: Request<Body>| async move {
                    let session = request.extensions().get::<Session>().unwrap();
                    let text = who(session.clone()).await.unwrap();
                    Ok::<_, Infallible>(Response::new(Body::from(text)))
                },
            )));
            let before = fixture.events.all().len();
            service.oneshot(from_page(Method::GET, cookie)).await.unwrap();
            let events = fixture.events.all().split_off(before);
            events.iter().map(|event| (event.name(), event.reason())).collect::<Vec<_>>()
        };
        assert_eq!(ask(Some(&cookie), false, false).await, [("authn_success", None)]);
        assert_eq!(ask(Some(&cookie), true, true).await, [("authn_success", None)]);
        assert_eq!(ask(Some("junk"), true, false).await, [("authn_fail", Some(Reason::Unclaimed))]);
        // The layer lets it through in silence, and the session looks at it.
        assert_eq!(ask(Some("junk"), true, true).await, [("authn_fail", Some(Reason::Malformed))]);
        assert_eq!(ask(Some(&cart), true, false).await, []);
        assert_eq!(ask(None, true, false).await, []);
        assert_eq!(ask(None, false, false).await, [("authn_missing", Some(Reason::Absent))]);
    }
}

/// The events of one request after those of before, without what became of logins.
async fn decided<F, Fut>(
    fixture: &Fixture,
    sessions: &Sessions,
    cookie: Option<&str>,
    handler: F,
) -> Vec<Told>
where
    F: Fn(Session) -> Fut,
    Fut: Future<Output = Result<String, SessionError>>,
{
    let before = fixture.events.all().len();
    visit(sessions, cookie, handler).await;
    fixture.store.set(Mode::Now);
    let life = |event: &Event| event.name().contains("token_") || event.name() == "session_created";
    let events = fixture.events.all().split_off(before);
    events.iter().filter(|event| !life(event)).map(told).collect()
}

#[tokio::test]
async fn sec_k03_what_a_handler_cannot_have_of_its_session_is_told() {
    let fixture = fixture();
    let policy = SessionPolicy::builder().limit(LiveLimit::Refuse(2)).build().unwrap();
    let sessions = sessions_with(&fixture, policy);
    let rekey = |session: Session| async move { session.rekey().await.map(|()| String::new()) };

    // Nobody is there: it is told, but not where the cookie was refused already.
    let missing = ("authn_missing", Some(Reason::Absent), None, None, None, None);
    assert_eq!(decided(&fixture, &sessions, None, rekey).await, [missing]);
    let junk = refused("authn_fail", Reason::Malformed, None);
    assert_eq!(decided(&fixture, &sessions, Some("junk"), rekey).await, [junk]);

    // It ended while the request was under way: whose it was is proven.
    let cookie = logged_in(&sessions).await;
    let ends = async |session: Session| {
        who(session.clone()).await?;
        sessions.logout(Some(&cookie)).await.unwrap();
        session.rekey().await.map(|()| String::new())
    };
    let mut ended = refused("authn_fail", Reason::Revoked, Some(id_of(&cookie)));
    ended.3 = Some("ada".to_owned());
    assert_eq!(decided(&fixture, &sessions, Some(&cookie), ends).await, [success(id_of(&cookie)), ended]);

    // As many logins as there may be: a failed login of the one who wanted it.
    let (one, two) = (logged_in(&sessions).await, logged_in(&sessions).await);
    let limit = ("authn_login_fail", Some(Reason::LoginLimit), None, Some("ada".to_owned()), None, None);
    assert_eq!(decided(&fixture, &sessions, None, log_in).await, [limit]);

    // The store takes nothing: neither a logout nor a rekey nor a login has happened.
    let unwritten = async |act: &'static str| {
        let store = fixture.store.clone();
        decided(&fixture, &sessions, Some(&one), |session: Session| {
            let store = store.clone();
            async move {
                who(session.clone()).await?;
                store.set(Mode::ReadOnly);
                match act {
                    "logout" => session.logout().await?,
                    "rekey" => session.change_credentials().await?,
                    _ => drop(session.login(ada(), IssueOptions::default()).await?),
                }
                Ok(String::new())
            }
        })
        .await
    };
    let mut trouble = refused("authn_unavailable", Reason::Unavailable, Some(id_of(&one)));
    trouble.3 = Some("ada".to_owned());
    for act in ["logout", "rekey", "login"] {
        assert_eq!(unwritten(act).await, [success(id_of(&one)), trouble.clone()], "{act}");
    }
    // What no request could have is the handler's own mistake, and nothing was decided.
    let misuse = |session: Session| async move {
        session.insert("a", 1).await?;
        session.get::<String>("a").await.map(|_| String::new())
    };
    assert_eq!(decided(&fixture, &sessions, Some(&two), misuse).await, [success(id_of(&two))]);
    let version = fixture.store.record(&id_of(&two)).await.version();
    assert!(sessions.tokens().save_data(&id_of(&two), version, &"no object").await.unwrap());
    let keep = |session: Session| async move {
        let kept = session.login_keeping_data(ada(), IssueOptions::default()).await;
        assert!(matches!(kept.as_ref().unwrap_err().kind(), SessionErrorKind::Value(_)));
        kept.map(|_| String::new())
    };
    assert_eq!(decided(&fixture, &sessions, Some(&two), keep).await, [success(id_of(&two))]);
}

#[tokio::test]
async fn sec_k03_changes_that_are_lost_are_told() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let write = async |cookie: Option<&str>| {
        let store = fixture.store.clone();
        decided(&fixture, &sessions, cookie, |session: Session| {
            let store = store.clone();
            async move {
                session.insert("a", 1).await?;
                store.set(Mode::ReadOnly);
                Ok(String::new())
            }
        })
        .await
    };
    let mut lost = refused("session_not_saved", Reason::Unavailable, Some(id_of(&cookie)));
    lost.3 = Some("ada".to_owned());
    assert_eq!(write(Some(&cookie)).await, [success(id_of(&cookie)), lost]);
    assert_eq!(write(None).await, [refused("session_not_saved", Reason::Unavailable, None)]);
}

/// The session's own policy finds the address, unless a layer in front has.
#[tokio::test]
async fn sec_k03_the_address_is_the_clients() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let cookie = logged_in(&sessions).await;
    let (log, _guard) = Log::capture();
    let address = async |layer: &SessionLayer| {
        let mut request = from_page(Method::GET, Some(&cookie));
        request.headers_mut().insert("x-forwarded-for", "198.51.100.9".parse().unwrap());
        request.extensions_mut().insert(PeerAddr((CLIENT, 443).into()));
        send(layer, request, who).await;
        fixture.events.all().last().unwrap().client_ip().unwrap().to_string()
    };
    let layer = SessionLayer::new(&sessions);
    assert_eq!(address(&layer).await, "192.0.2.7");
    assert!(!log.text().contains("ERROR"));
    assert!(log.text().contains(r#"channel="cookie" scheme="Cookie""#), "{}", log.text());
    let proxied = layer.clone().client_ip(ClientIpPolicy::peer().trust("192.0.2.0/24")).unwrap();
    assert_eq!(address(&proxied).await, "198.51.100.9");
    let unreadable = layer.client_ip(ClientIpPolicy::peer().trust("nowhere").trust("0.0.0.0/0")).unwrap_err();
    let faults: Vec<_> = unreadable.faults().iter().map(|fault| (fault.field(), fault.value())).collect();
    assert_eq!(faults, [("trust", r#""nowhere""#), ("trust", r#""0.0.0.0/0""#)]);
    assert!(!log.text().contains("ERROR"), "it is the caller's to say");

    let outer =
        AuthLayer::new(sessions.clone()).optional().client_ip(ClientIpPolicy::peer().trust("192.0.2.0/24"));
    let service = outer.build().unwrap().layer(SessionLayer::new(&sessions).layer(service_fn(
        |request: Request<Body>| async move {
            let session = request.extensions().get::<Session>().unwrap().clone();
            Ok::<_, Infallible>(Response::new(Body::from(who(session).await.unwrap())))
        },
    )));
    let mut request = from_page(Method::GET, Some(&cookie));
    request.headers_mut().insert("x-forwarded-for", "198.51.100.10".parse().unwrap());
    request.extensions_mut().insert(PeerAddr((CLIENT, 443).into()));
    service.oneshot(request).await.unwrap();
    let last = fixture.events.all().pop().unwrap();
    assert_eq!((last.name(), last.client_ip()), ("authn_success", Some([198, 51, 100, 10].into())));
}

// ===== what becomes of sessions =====

#[tokio::test]
async fn r033_an_observer_is_told_of_sessions_that_expired_were_revoked_and_are_purged() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (idle, out, cart) =
        (logged_in(&sessions).await, logged_in(&sessions).await, shopping(&sessions).await);
    sessions.logout(Some(&out)).await.unwrap();
    // Tokens that a client refreshes are no session, and neither is a key in a header.
    let tokens = &fixture.tokens;
    tokens.issue_for_cookie(ada(), IssueOptions::default()).await.unwrap();
    tokens.issue_for_header(ada(), IssueOptions::default().refresh_ttl(None)).await.unwrap();
    fixture.time.advance(secs(8 * 24 * HOUR));
    let before = fixture.events.all().len();
    assert_eq!(sessions.tokens().purge(10).await.unwrap(), 5);
    let events = fixture.events.all().split_off(before);
    let (last, expired) = events.split_last().unwrap();
    assert!(matches!(last.kind(), EventKind::Purged { count: 5, .. }), "{last:?}");
    let mut told: Vec<_> = expired.iter().map(|event| (event.name(), event.record().unwrap())).collect();
    told.sort_by_key(|(_, id)| *id);
    let mut expected = [("session_expired", id_of(&idle)), ("session_expired", id_of(&cart))];
    expected.sort_by_key(|(_, id)| *id);
    assert_eq!(told, expected);
    let whose = expired.iter().find(|event| event.record() == Some(id_of(&idle))).unwrap();
    assert_eq!(whose.subject(), Some(&ada()));
    assert_eq!(fixture.events.count("authn_token_revoked"), 1);
    assert_eq!(sessions.tokens().purge(10).await.unwrap(), 0);
    assert_eq!(fixture.events.count("session_expired"), 2);
}

#[tokio::test]
async fn r212_use_after_the_end_is_told_behind_a_layer_too_and_of_sessions_only() {
    let fixture = fixture();
    let sessions = sessions(&fixture);
    let (cookie, out) = (logged_in(&sessions).await, logged_in(&sessions).await);
    sessions.logout(Some(&out)).await.unwrap();
    let key = IssueOptions::default().refresh_ttl(None);
    let key = fixture.tokens.issue_for_header(ada(), key).await.unwrap();
    let pair = fixture.tokens.issue_for_cookie(ada(), IssueOptions::default()).await.unwrap();
    fixture.time.advance(secs(24 * HOUR));
    let used = || fixture.events.count("session_use_after_expire");
    for refused in [key.access().expose(), pair.access().expose()] {
        assert!(fixture.verify(refused).await.is_err());
    }
    assert_eq!(guarded(&sessions, &fixture, Some(&out), false).await.reason(), Some(Reason::Revoked));
    assert_eq!(used(), 0);
    assert_eq!(guarded(&sessions, &fixture, Some(&cookie), false).await.reason(), Some(Reason::Expired));
    assert_eq!(used(), 1);
    // A secret that is not the session's proves no use.
    let forged = guarded(&self::sessions(&crate::support::fixture()), &fixture, Some(&cookie), false).await;
    assert_eq!((forged.status.as_u16(), used()), (401, 1));
}
