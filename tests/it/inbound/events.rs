//! What a layer reports: one event for each decision, and no token in any.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        mpsc::{self, Sender},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use http::{Method, Request, Response};
use portcullis::{
    Auth, Require,
    client_ip::PeerAddr,
    credential::Channel,
    event::{Event, EventKind, Observer},
    identity::{AuthContext, Subject},
    inbound::{AuthLayerBuilder, Permission},
    maybe_ready::MaybeReady,
    problem::{Reason, Rejection, RejectionKind},
    store::LoginRecord,
    text::TokenId,
    token::IssueOptions,
    verify::{Attempt, Verified},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Body, Fixture, Mode, START, ask, bearer, fixture, request};

const MODES: [Mode; 2] = [Mode::Now, Mode::Later];
const CLIENT: [u8; 4] = [192, 0, 2, 7];

/// (kind, reason, record, subject, channel)
type Told = (EventKind, Option<Reason>, Option<TokenId>, Option<String>, Option<Channel>);

fn told(event: &Event) -> Told {
    assert_eq!((event.at(), event.client_ip()), (START, Some(IpAddr::from(CLIENT))));
    let subject = event.subject().map(|subject| subject.id().to_owned());
    (*event.kind(), event.reason(), event.record(), subject, event.channel())
}

/// The layer's events of one request.
async fn report(
    fixture: &Fixture,
    layer: AuthLayerBuilder<Subject>,
    mut request: Request<Body>,
) -> Vec<Event> {
    request.extensions_mut().insert(PeerAddr((CLIENT, 443).into()));
    let before = fixture.events.all().len();
    ask(layer.reporter(fixture.events.reporter()), request).await;
    fixture.events.all().split_off(before)
}

#[tokio::test]
async fn sec_k03_each_decision_is_one_event() {
    for mode in MODES {
        let fixture = fixture();
        let (ada, bob, eve) =
            (fixture.login("ada").await, fixture.cookie_login("bob").await, fixture.login("eve").await);
        fixture.tokens.revoke(&eve.record().id()).await.unwrap();
        let elsewhere = crate::support::fixture().login("mallory").await;
        fixture.store.set(mode);
        let (name, good) = bearer(ada.access().expose());
        let (_, revoked) = bearer(eve.access().expose());
        let (_, unknown) = bearer(elsewhere.access().expose());
        let cookie = format!("__Host-token={}", bob.access().expose());
        let (ada, bob, eve, mallory) =
            (ada.record().id(), bob.record().id(), eve.record().id(), elsewhere.record().id());
        let layer = || fixture.layer().cookie("token");
        let header = |value: &str| request(&[("authorization", value)]);
        let post = |headers: &[(&str, &str)]| {
            let mut post = request(headers);
            *post.method_mut() = Method::POST;
            post
        };
        let some = |text: &str| Some(text.to_owned());
        let (by_header, by_cookie) = (Some(Channel::Header), Some(Channel::Cookie));

        let cases: Vec<(Request<Body>, Told)> = vec![
            (header(&good), (EventKind::AuthSuccess, None, Some(ada), some("ada"), by_header)),
            (
                request(&[("cookie", &cookie)]),
                (EventKind::AuthSuccess, None, Some(bob), some("bob"), by_cookie),
            ),
            (request(&[]), (EventKind::AuthMissing, Some(Reason::Absent), None, None, None)),
            (header("Bearer a b"), (EventKind::AuthFail, Some(Reason::NotTwoParts), None, None, by_header)),
            (header("Bearer junk"), (EventKind::AuthFail, Some(Reason::Unclaimed), None, None, by_header)),
            (
                header("Bearer pc_ajunk"),
                (EventKind::AuthFail, Some(Reason::Malformed), None, None, by_header),
            ),
            // Whom the text names is known; whose login it is, is not proved.
            (header(&revoked), (EventKind::AuthFail, Some(Reason::Revoked), Some(eve), None, by_header)),
            (
                header(&unknown),
                (EventKind::AuthFail, Some(Reason::UnknownRecord), Some(mallory), None, by_header),
            ),
            (
                request(&[("cookie", "__Host-token=junk")]),
                (EventKind::AuthFail, Some(Reason::Unclaimed), None, None, by_cookie),
            ),
            (
                request(&[("cookie", &format!("{cookie}; {cookie}"))]),
                (EventKind::AuthFail, Some(Reason::DuplicateCookie), None, None, by_cookie),
            ),
            (
                post(&[("cookie", &cookie)]),
                (EventKind::CsrfRefused, Some(Reason::CrossSite), Some(bob), None, by_cookie),
            ),
        ];
        for (request, expected) in cases {
            let events = report(&fixture, layer(), request).await;
            assert_eq!(events.iter().map(told).collect::<Vec<_>>(), [expected], "{mode:?}");
            let by = events[0].channel();
            let scheme = by.map(|channel| if channel == Channel::Header { "Bearer" } else { "Cookie" });
            assert_eq!(events[0].scheme(), scheme);
            assert_eq!(
                events[0].details::<LoginRecord>().is_some(),
                *events[0].kind() == EventKind::AuthSuccess
            );
        }
        // Nothing is decided about a guest.
        assert!(report(&fixture, layer().optional(), request(&[])).await.is_empty());
        let strict = layer().refuse_foreign_schemes();
        let foreign = report(&fixture, strict, header("Basic dTpw")).await;
        assert_eq!(told(&foreign[0]).1, Some(Reason::ForeignScheme));

        fixture.store.set(if mode == Mode::Now { Mode::Down } else { Mode::DownLater });
        let down = report(&fixture, layer(), request(&[(&name, &good)])).await;
        let unavailable = Some(Reason::Unavailable);
        assert_eq!(
            down.iter().map(told).collect::<Vec<_>>(),
            [(EventKind::CouldNotCheck, unavailable, Some(ada), None, by_header)]
        );
    }
}

#[tokio::test]
async fn sec_k03_a_hook_that_turns_somebody_away_is_one_event_about_them() {
    for mode in MODES {
        for (kind, event) in [
            (RejectionKind::InvalidToken, EventKind::AuthFail),
            (RejectionKind::InsufficientScope, EventKind::AuthzFail),
            (RejectionKind::TooManyRequests, EventKind::LoginThrottled),
            (RejectionKind::Unavailable, EventKind::CouldNotCheck),
        ] {
            for later in [false, true] {
                let fixture = fixture();
                let issued = fixture.login("ada").await;
                fixture.store.set(mode);
                let layer = fixture.layer().on_auth(move |_: Verified<Subject>, _: &Attempt<'_>| {
                    let refusal = Err(Rejection::new(kind, Reason::Other));
                    if later { MaybeReady::later(async { refusal }) } else { MaybeReady::Now(refusal) }
                });
                let (name, good) = bearer(issued.access().expose());
                let events = report(&fixture, layer, request(&[(&name, &good)])).await;
                let record = Some(issued.record().id());
                let expected =
                    (event, Some(Reason::Other), record, Some("ada".to_owned()), Some(Channel::Header));
                assert_eq!(events.iter().map(told).collect::<Vec<_>>(), [expected], "{mode:?}");
            }
        }
    }
}

struct Nobody;

impl Permission for Nobody {
    type Identity = Subject;

    fn granted(_: &Auth<Subject>) -> bool {
        false
    }
}

#[tokio::test]
async fn sec_k03_a_right_that_is_missing_is_one_event() {
    for mode in MODES {
        let fixture = fixture();
        let issued = fixture.login("ada").await;
        fixture.store.set(mode);
        let (name, good) = bearer(issued.access().expose());
        let layer = fixture.layer().optional().reporter(fixture.events.reporter()).build().unwrap();
        let router = Router::new()
            .route("/never", get(async |_: Require<Nobody>| "in"))
            .route("/me", get(async |auth: Auth<Subject>| auth.user().id().to_owned()))
            .layer(layer);
        let send = async |path: &str, headers: &[(&str, &str)]| {
            let mut builder = Request::get(path);
            for (name, value) in headers {
                builder = builder.header(*name, *value);
            }
            let mut request = builder.body(axum::body::Body::empty()).unwrap();
            request.extensions_mut().insert(PeerAddr((CLIENT, 443).into()));
            let before = fixture.events.all().len();
            let status = router.clone().oneshot(request).await.unwrap().status().as_u16();
            (status, fixture.events.all().split_off(before).iter().map(told).collect::<Vec<_>>())
        };
        let (record, ada) = (Some(issued.record().id()), Some("ada".to_owned()));
        let by_header = Some(Channel::Header);
        let let_in = (EventKind::AuthSuccess, None, record, ada.clone(), by_header);
        let denied = (EventKind::AuthzFail, Some(Reason::NotPermitted), record, ada, by_header);
        let missing = (EventKind::AuthMissing, Some(Reason::Absent), None, None, None);
        assert_eq!(send("/me", &[(&name, &good)]).await, (200, vec![let_in.clone()]));
        assert_eq!(send("/never", &[(&name, &good)]).await, (403, vec![let_in, denied]));
        for path in ["/me", "/never"] {
            assert_eq!(send(path, &[]).await, (401, vec![missing.clone()]), "never 403: {path}");
        }
    }
}

/// Compares the address in the login's context with that of the request.
#[derive(Clone, Default)]
struct Travels(Arc<Mutex<Vec<(String, String)>>>);

impl Observer for Travels {
    fn observe(&self, event: &Event) {
        let Some(login) = event.details::<LoginRecord>() else { return };
        let Some(serde_json::Value::String(stored)) = login.context().get("ip") else { return };
        let current = event.client_ip().map(|ip| ip.to_string()).unwrap_or_default();
        if stored != current {
            self.0.lock().unwrap().push((stored, current));
        }
    }
}

#[tokio::test]
async fn r033_an_observer_sees_the_address_of_the_login_beside_the_current_one_and_no_token() {
    for mode in MODES {
        let fixture = fixture();
        let travels = Travels::default();
        let mut context = serde_json::Map::new();
        context.insert("ip".to_owned(), "192.0.2.7".into());
        let options = IssueOptions::default().context(context);
        let issued = fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
        fixture.store.set(mode);
        let (name, good) = bearer(issued.access().expose());
        let reporter = fixture.events.reporter().observer(travels.clone());
        let layer = || fixture.layer().reporter(reporter.clone());
        for peer in ["192.0.2.7:1", "198.51.100.9:1"] {
            let mut request = request(&[(&name, &good)]);
            request.extensions_mut().insert(PeerAddr(peer.parse().unwrap()));
            assert_eq!(ask(layer(), request).await.status, 200, "an observer refuses nobody");
        }
        reporter.flush();
        let seen = travels.0.lock().unwrap().clone();
        assert_eq!(seen, [("192.0.2.7".to_owned(), "198.51.100.9".to_owned())]);

        let shown = format!("{:?}", fixture.events.all());
        let secret = &issued.access().expose()[21..];
        assert!(shown.contains("AuthSuccess"));
        assert!(
            secret.as_bytes().chunks_exact(8).all(|part| !shown.contains(std::str::from_utf8(part).unwrap()))
        );
    }
}

/// Hands on what it is told.
struct Line(Sender<Event>);

impl Observer for Line {
    fn observe(&self, event: &Event) {
        self.0.send(event.clone()).unwrap();
    }
}

#[tokio::test]
async fn an_observer_of_a_layer_alone_is_told_and_the_handler_knows_the_address() {
    let fixture = fixture();
    let (observer, events) = mpsc::channel();
    let (name, good) = bearer(fixture.login("ada").await.access().expose());
    let layer = fixture.layer().observer(Line(observer)).build().unwrap();
    let service = layer.layer(service_fn(|request: Request<Body>| async move {
        let context = request.extensions().get::<AuthContext>().unwrap();
        assert_eq!(context.client_ip(), Some(IpAddr::from(CLIENT)));
        assert_eq!(context.auth::<Subject>().unwrap().unwrap().client_ip(), context.client_ip());
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let mut request = request(&[(&name, &good)]);
    request.extensions_mut().insert(PeerAddr((CLIENT, 1).into()));
    service.oneshot(request).await.unwrap();
    let event = events.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(*event.kind(), EventKind::AuthSuccess);
}
