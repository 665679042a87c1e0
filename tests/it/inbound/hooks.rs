//! What an application does with a verified credential before the request goes on.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use futures_util::FutureExt;
use http::{Request, Response};
use portcullis::{
    Auth, TokenPolicy,
    client_ip::PeerAddr,
    credential::Channel,
    identity::{AuthContext, Subject},
    inbound::AuthHook,
    maybe_ready::MaybeReady,
    problem::{Reason, Rejection, RejectionKind},
    store::LoginRecord,
    token::TouchMode,
    verify::{Attempt, Verified},
};
use serde_json::json;
use tower::{Layer, ServiceExt, service_fn};

use super::{MODES, order::Journal};
use crate::support::{Body, Fixture, Mode, ask, ask_layer, bearer, fixture, fixture_with, request, secs};

type Answered<I> = Result<Verified<I>, Rejection>;

/// Answers at once or after a turn, as the store does in this mode.
pub(super) fn answer<T: Send + 'static>(mode: Mode, answer: T) -> MaybeReady<T> {
    match mode {
        Mode::Later => MaybeReady::later(async move {
            tokio::task::yield_now().await;
            answer
        }),
        _ => MaybeReady::Now(answer),
    }
}

pub(super) fn sliding() -> Fixture {
    let policy = TokenPolicy::builder().access_ttl(Some(secs(3600))).refresh_ttl(None).sliding();
    fixture_with(policy.touch_every(Some(secs(60))).touch_mode(TouchMode::Background).build().unwrap())
}

/// A hook that does nothing but refuse.
fn refusing(mode: Mode, rejection: Rejection) -> impl AuthHook<Subject> {
    move |_: Verified<Subject>, _: &Attempt<'_>| answer(mode, Err(rejection.clone()))
}

// ===== after verification =====

#[tokio::test]
async fn r031_a_hook_may_put_another_user_and_other_details_in_place() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let presented = issued.access().expose().to_owned();
        let (name, value) = bearer(&presented);
        let layer = fixture
            .layer()
            .on_auth(move |verified: Verified<Subject>, attempt: &Attempt<'_>| {
                // User, token and raw text are there; none of it is shown.
                assert_eq!(verified.identity().id(), "ada");
                assert_eq!(verified.record().unwrap().channel(), Channel::Header);
                assert_eq!(attempt.credential().text(), presented);
                assert_eq!(attempt.credential().scheme(), Some("Bearer"));
                assert_eq!(attempt.headers().unwrap()["x-as"], "root");
                assert!(!format!("{attempt:?} {verified:?}").contains(&presented[20..40]));
                let other = Arc::new(Subject::local("root"));
                answer(mode, Ok(verified.with_identity(other).with_details(Arc::new("details"))))
            })
            .build()
            .unwrap();
        let service = layer.layer(service_fn(|request: Request<Body>| async move {
            let auth: Auth<Subject> =
                request.extensions().get::<AuthContext>().unwrap().auth().unwrap().unwrap();
            assert_eq!((auth.user().id(), auth.details::<&str>()), ("root", Some(&"details")));
            assert!(auth.record().is_err() && auth.details::<LoginRecord>().is_none());
            // What was proved stays.
            assert_eq!(auth.subject(), Some(&Subject::local("ada")));
            assert!(auth.evidence().record().is_some());
            Ok::<_, Infallible>(Response::new(Body::default()))
        }));
        let answer = service.oneshot(request(&[(&name, &value), ("x-as", "root")])).await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test]
async fn r031_the_refusal_of_a_hook_never_becomes_success() {
    let rejections = [
        (Rejection::new(RejectionKind::InvalidToken, Reason::Other), 401, 2),
        (Rejection::new(RejectionKind::MissingCredential, Reason::Other), 401, 2),
        (Rejection::new(RejectionKind::InsufficientScope, Reason::Other).with_scope(Some("a:b")), 403, 1),
        (Rejection::new(RejectionKind::TooManyRequests, Reason::Throttled), 429, 0),
        (Rejection::unavailable("planted-trouble".into()), 503, 0),
    ];
    for mode in MODES {
        for (rejection, status, challenges) in &rejections {
            let fixture = fixture();
            fixture.store.set(mode);
            let (ada, bob, eve) = (
                fixture.login("ada").await,
                fixture.cookie_login("bob").await,
                fixture.cookie_login("eve").await,
            );
            let (name, value) = bearer(ada.access().expose());
            let cookies =
                format!("__Host-one={}; __Host-two={}", bob.access().expose(), eve.access().expose());
            // Neither anonymity nor the next source makes up for it.
            for headers in [
                &[(name.as_str(), value.as_str()), ("cookie", cookies.as_str())][..],
                &[("cookie", &cookies)],
            ] {
                let layer =
                    fixture.layer().cookie("one").cookie("two").optional().danger_invalid_as_anonymous();
                let before = fixture.store.finds();
                let answer = ask(layer.on_auth(refusing(mode, rejection.clone())), request(headers)).await;
                assert_eq!(answer.status.as_u16(), *status, "{mode:?} {rejection:?}");
                assert_eq!(answer.reason(), Some(rejection.reason()));
                assert_eq!(fixture.store.finds() - before, 1);
                let expected = if *challenges == 2 { 3 } else { *challenges };
                assert_eq!(answer.challenges().len(), expected, "{:?}", answer.challenges());
                let whole = format!("{:?} {} {:?}", answer.headers, answer.body, answer.rejection);
                assert!(!whole.contains("planted"), "{whole}");
            }
        }
        let fixture = fixture();
        fixture.store.set(mode);
        let (name, value) = bearer(fixture.login("ada").await.access().expose());
        let scope = Rejection::new(RejectionKind::InsufficientScope, Reason::Other).with_scope(Some("a:b"));
        let answer = ask(fixture.layer().on_auth(refusing(mode, scope)), request(&[(&name, &value)])).await;
        assert_eq!(answer.challenges(), [r#"Bearer realm="api", error="insufficient_scope", scope="a:b""#]);
    }
}

#[tokio::test]
async fn r031_a_hook_is_called_for_valid_credentials_only() {
    for mode in MODES {
        let fixture = fixture();
        let journal = Journal::default();
        let (ada, revoked) = (fixture.login("ada").await, fixture.login("eve").await);
        fixture.tokens.revoke(&revoked.record().id()).await.unwrap();
        fixture.store.set(mode);
        let layer = || {
            let journal = journal.clone();
            fixture.layer().optional().exclude(["/open"]).on_auth(
                move |verified: Verified<Subject>, _: &Attempt<'_>| {
                    journal.note("hook");
                    answer(mode, Ok(verified))
                },
            )
        };
        let (name, stale) = bearer(revoked.access().expose());
        let (_, good) = bearer(ada.access().expose());
        for headers in
            [&[][..], &[("authorization", "Bearer junk")], &[("authorization", "Bearer")], &[(&name, &stale)]]
        {
            ask(layer(), request(headers)).await;
        }
        let mut open = request(&[(&name, &good)]);
        *open.uri_mut() = "/open".parse().unwrap();
        ask(layer(), open).await;
        assert!(journal.take().is_empty());
        assert_eq!(ask(layer(), request(&[(&name, &good)])).await.body, "ada header Bearer");
        assert_eq!(journal.take(), ["hook"]);
    }
}

// ===== after a renewal =====

#[tokio::test]
async fn r045_the_hook_of_a_renewal_comes_first_and_may_change_or_refuse() {
    for mode in MODES {
        let fixture = sliding();
        let issued = fixture.cookie_login("ada").await;
        let cookie = format!("__Host-token={}", issued.access().expose());
        let headers = [("cookie", cookie.as_str())];
        fixture.store.set(mode);
        let renamed = || {
            fixture
                .layer()
                .cookie("token")
                .on_renewal(move |verified: Verified<Subject>, _: &Attempt<'_>| {
                    answer(mode, Ok(verified.with_identity(Arc::new(Subject::local("renewed")))))
                })
                .on_auth(move |verified: Verified<Subject>, _: &Attempt<'_>| {
                    let name = format!("{} seen", verified.identity().id());
                    answer(mode, Ok(verified.with_identity(Arc::new(Subject::local(name)))))
                })
        };
        assert_eq!(ask(renamed(), request(&headers)).await.body, "ada seen cookie Cookie");
        fixture.time.advance(secs(60));
        let renewed = ask(renamed(), request(&headers)).await;
        assert_eq!(renewed.body, "renewed seen cookie Cookie");
        assert!(renewed.headers["set-cookie"].to_str().unwrap().starts_with(&cookie));
        assert_eq!(ask(renamed(), request(&headers)).await.body, "ada seen cookie Cookie");

        fixture.time.advance(secs(60));
        let rejection = Rejection::new(RejectionKind::InvalidToken, Reason::Other);
        let refusing = fixture.layer().cookie("token").on_renewal(refusing(mode, rejection));
        let layer = refusing.build().unwrap();
        let refused = crate::support::ask_layer(&layer, request(&headers)).await;
        assert_eq!((refused.status.as_u16(), refused.headers.contains_key("set-cookie")), (401, false));
        // The next use renews nothing, so nothing refuses it.
        assert_eq!(crate::support::ask_layer(&layer, request(&headers)).await.status, 200);
    }
}

/// Without the hook a request does not wait for the write of a renewal; with it, it does.
#[tokio::test]
async fn r045_a_request_with_a_renewal_hook_waits_for_the_write() {
    let waits = async |hook: bool| {
        let fixture = sliding();
        let issued = fixture.cookie_login("ada").await;
        fixture.store.set(Mode::Later);
        fixture.time.advance(secs(60));
        let gate = fixture.store.hold_touches();
        let layer = fixture.layer().cookie("token");
        let layer = if hook {
            layer.on_renewal(|verified: Verified<Subject>, _: &Attempt<'_>| MaybeReady::Now(Ok(verified)))
        } else {
            layer
        };
        let cookie = format!("__Host-token={}", issued.access().expose());
        let asking = ask(layer, request(&[("cookie", &cookie)]));
        tokio::pin!(asking);
        // Turns enough for everything that does not wait for the gate.
        for _ in 0..100 {
            if let Some(answer) = asking.as_mut().now_or_never() {
                assert_eq!(answer.status, 200);
                return false;
            }
            tokio::task::yield_now().await;
        }
        gate.add_permits(1);
        assert_eq!(asking.await.status, 200);
        true
    };
    assert_eq!((waits(false).await, waits(true).await), (false, true));
}

// ===== what hooks and verifiers are told =====

/// A hook as a type of its own, which asks a database.
struct AddressBook {
    known: BTreeMap<String, String>,
}

impl AuthHook<Subject> for AddressBook {
    fn call(&self, verified: Verified<Subject>, attempt: &Attempt<'_>) -> MaybeReady<Answered<Subject>> {
        let expected = self.known.get(verified.identity().id()).cloned();
        let found = attempt.client_ip().map(|ip| ip.to_string());
        MaybeReady::later(async move {
            tokio::task::yield_now().await;
            match (expected, found) {
                (Some(expected), Some(found)) if expected == found => Ok(verified),
                _ => Err(Rejection::new(RejectionKind::InvalidToken, Reason::Other)),
            }
        })
    }
}

#[tokio::test]
async fn r031_a_hook_compares_the_address_of_the_login_with_the_current_one() {
    use portcullis::client_ip::{ClientIpPolicy, PeerAddr};

    let fixture = fixture();
    let (name, value) = bearer(fixture.login("ada").await.access().expose());
    let layer = || {
        let known = BTreeMap::from([("ada".to_owned(), "192.0.2.7".to_owned())]);
        let proxies = ClientIpPolicy::peer().trust("10.0.0.0/8");
        fixture.layer().client_ip(proxies).on_auth(AddressBook { known })
    };
    for (peer, forwarded, status) in [
        ("192.0.2.7:1", None, 200),
        ("192.0.2.8:1", None, 401),
        ("192.0.2.8:1", Some("192.0.2.7"), 401),
        ("10.0.0.1:1", Some("192.0.2.7"), 200),
        ("10.0.0.1:1", Some("192.0.2.7, 192.0.2.8"), 401),
    ] {
        let mut headers = vec![(name.as_str(), value.as_str())];
        headers.extend(forwarded.map(|forwarded| ("x-forwarded-for", forwarded)));
        let mut request = request(&headers);
        request.extensions_mut().insert(PeerAddr(peer.parse().unwrap()));
        assert_eq!(ask(layer(), request).await.status, status, "{peer} {forwarded:?}");
    }
    let error = fixture.layer().client_ip(ClientIpPolicy::peer().trust("0.0.0.0/0")).build().unwrap_err();
    assert_eq!(error.faults()[0].field(), "trust");
}

/// The hook that notes from where a login is used: it waits for the store, and the request for it.
#[tokio::test]
async fn r024_a_hook_keeps_data_with_the_login() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let id = issued.record().id();
        let tokens = fixture.tokens.clone();
        let layer = fixture.layer().on_auth(move |verified: Verified<Subject>, attempt: &Attempt<'_>| {
            let login = verified.record().unwrap();
            let (id, version, tokens) = (login.id(), login.version(), tokens.clone());
            let ip = attempt.client_ip().map(|ip| ip.to_string());
            MaybeReady::later(async move {
                let unavailable = |error: portcullis::token::DataError| Rejection::unavailable(error.into());
                let saved = tokens.save_data(&id, version, &json!({ "last_used_ip": ip })).await;
                if !saved.map_err(unavailable)? {
                    // Somebody else was faster: on top of that.
                    let note = |data: Option<serde_json::Map<String, serde_json::Value>>| {
                        let mut data = data.unwrap_or_default();
                        data.insert("last_used_ip".to_owned(), json!(ip));
                        data
                    };
                    tokens.update_data(&id, note).await.map_err(unavailable)?;
                }
                Ok(verified)
            })
        });
        let layer = layer.build().unwrap();
        let (name, value) = bearer(issued.access().expose());
        let ask = async |ip: [u8; 4]| {
            let mut request = request(&[(&name, &value)]);
            request.extensions_mut().insert(PeerAddr((ip, 443).into()));
            ask_layer(&layer, request).await.status.as_u16()
        };
        for (ip, kept) in [([192, 0, 2, 7], "192.0.2.7"), ([198, 51, 100, 9], "198.51.100.9")] {
            assert_eq!(ask(ip).await, 200);
            let data: serde_json::Value = fixture.store.record(&id).await.data().parse().unwrap().unwrap();
            assert_eq!(data, json!({ "last_used_ip": kept }));
        }
        assert_eq!(fixture.store.record(&id).await.version(), 2);
        // Two at once: both get through, and one of them is noted last.
        let (one, two) = tokio::join!(ask([192, 0, 2, 1]), ask([192, 0, 2, 2]));
        assert_eq!((one, two, fixture.store.record(&id).await.version()), (200, 200, 4));
        // A hook that cannot save says so.
        fixture.store.set(Mode::ReadOnly);
        assert_eq!(ask([192, 0, 2, 7]).await, 503);
    }
}
