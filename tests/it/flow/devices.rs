//! The list of a user's devices.

use http::Method;
use portcullis::{
    AuthLayer, TokenPolicy,
    flow::{DeviceListService, DeviceRenameService, DeviceRevokeService},
    identity::Subject,
    problem::Reason,
    store::LiveLimit,
    token::{IssueOptions, Issued, LoginQuery},
};
use serde_json::{Value, json};
use tower::Layer;

use super::{FORM, Flow, JSON, PASSWORD, SAME_ORIGIN, flow, flow_with, log_in, post, send};
use crate::support::{Answer, Mode, START, bearer, secs};

fn layer(flow: &Flow) -> AuthLayer<Subject> {
    flow.fixture.layer().cookie("token").build().unwrap()
}

fn token(issued: &Issued) -> (&'static str, String) {
    ("authorization", bearer(issued.access().expose()).1)
}

async fn list(flow: &Flow, caller: &Issued, uri: &str) -> Answer {
    let service = layer(flow).layer(DeviceListService::new(flow.fixture.tokens.clone()));
    let (name, value) = token(caller);
    send(&service, Method::GET, uri, &[(name, &value)], "").await
}

fn ids(answer: &Answer) -> Vec<String> {
    let devices = answer.json()["devices"].as_array().unwrap().clone();
    devices.iter().map(|device| device["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn r209_the_list_has_the_callers_live_logins_and_what_is_known_of_them() {
    let flow = flow();
    let caller = flow.fixture.login("ada").await;
    flow.fixture.time.advance(secs(60));
    let headers = [JSON, SAME_ORIGIN, ("user-agent", "browser/2")];
    let body = json!({ "username": "ada", "password": PASSWORD, "device": "laptop" }).to_string();
    let browser = post(&flow.cookie_login(), &headers, &body).await;
    let mut private = serde_json::Map::new();
    private.insert("tier".to_owned(), "planted-private".into());
    let options = IssueOptions::default()
        .context(private)
        .access_ttl(None)
        .refresh_ttl(None)
        .absolute(None)
        .label("Fridge");
    let endless = flow.fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap();
    let ended = flow.fixture.login("ada").await;
    flow.fixture.tokens.revoke(&ended.record().id()).await.unwrap();
    flow.fixture.login("bob").await;

    let answer = list(&flow, &caller, "/").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["next"]), (200, &Value::Null));
    assert!(!answer.body.contains("planted-private"), "the rest of a context is the application's");
    let devices = answer.json()["devices"].as_array().unwrap().clone();
    let find = |id: &str| devices.iter().find(|device| device["id"] == id).unwrap().clone();
    assert_eq!(devices.len(), 3, "{devices:?}");
    let start = START.as_millis() / 1000;
    let week = 7 * 24 * 3600;
    assert_eq!(
        find(caller.record().id().as_str()),
        json!({
            "id": caller.record().id().as_str(), "label": null, "channel": "header", "created": start,
            "last_seen": start, "expires": start + week, "current": true, "device": null, "ip_address": null,
            "user_agent": null,
        })
    );
    assert_eq!(
        find(&browser.cookies()[0].1[4..21]),
        json!({
            "id": browser.cookies()[0].1[4..21], "label": null, "channel": "cookie", "created": start + 60,
            "last_seen": start + 60, "expires": start + 60 + week, "current": false, "device": "laptop",
            "ip_address": "192.0.2.7", "user_agent": "browser/2",
        })
    );
    let endless = find(endless.record().id().as_str());
    assert_eq!((&endless["expires"], &endless["label"]), (&Value::Null, &json!("Fridge")));
}

#[tokio::test]
async fn r209_a_long_list_comes_in_pages() {
    let flow = flow();
    let caller = flow.fixture.login("ada").await;
    for _ in 0..149 {
        flow.fixture.login("ada").await;
        flow.fixture.login("bob").await;
    }
    let first = list(&flow, &caller, "/devices").await;
    let mut all = ids(&first);
    assert_eq!(all.len(), 100);
    let next = first.text("next");
    let second = list(&flow, &caller, &format!("/devices?page=2&after={next}")).await;
    assert_eq!((ids(&second).len(), &second.json()["next"]), (50, &Value::Null));
    all.extend(ids(&second));
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 150);
    for bad in ["/?after=", "/?after=x", "/?after=%30", "/?after=0123456789012345!"] {
        assert_eq!(list(&flow, &caller, bad).await.status, 400, "{bad}");
    }
    assert_eq!(list(&flow, &caller, "/?before=x").await.status, 200);
}

#[tokio::test]
async fn r209_a_device_is_named_and_its_name_taken_away() {
    let flow = flow();
    let rename = layer(&flow).layer(DeviceRenameService::new(flow.fixture.tokens.clone()));
    let (caller, other) = (flow.fixture.login("ada").await, flow.fixture.login("ada").await);
    let (name, value) = token(&caller);
    let id = other.record().id();
    let label = async || flow.fixture.store.record(&id).await.label().map(str::to_owned);
    let send = async |body: Value| post(&rename, &[JSON, (name, &value)], &body.to_string()).await;
    assert_eq!(send(json!({ "id": id.as_str(), "label": "Küche" })).await.status, 204);
    assert_eq!(label().await.as_deref(), Some("Küche"));
    for bad in ["a\nb".to_owned(), "x".repeat(257)] {
        let answer = send(json!({ "id": id.as_str(), "label": bad })).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"));
    }
    assert_eq!(send(json!({ "id": id.as_str(), "label": 1 })).await.status, 400);
    assert_eq!(send(json!({ "label": "nobody" })).await.status, 400);
    assert_eq!(label().await.as_deref(), Some("Küche"));
    for gone in [json!({ "id": id.as_str() }), json!({ "id": id.as_str(), "label": "" })] {
        assert_eq!(send(json!({ "id": id.as_str(), "label": "again" })).await.status, 204);
        assert_eq!(send(gone).await.status, 204);
        assert_eq!(label().await, None);
    }
    let form = format!("id={id}&label=by+form");
    assert_eq!(post(&rename, &[FORM, (name, &value)], &form).await.status, 204);
    assert_eq!(label().await.as_deref(), Some("by form"));
}

/// Unknown, ended and somebody else's: the same answer, and nothing happens.
#[tokio::test]
async fn r209_the_devices_of_others_are_404_like_those_that_do_not_exist() {
    let flow = flow();
    let tokens = &flow.fixture.tokens;
    let rename = layer(&flow).layer(DeviceRenameService::new(tokens.clone()));
    let revoke = layer(&flow).layer(DeviceRevokeService::new(tokens.clone()).build().unwrap());
    let (caller, bob) = (flow.fixture.login("ada").await, flow.fixture.login("bob").await);
    let foreign = tokens.issue_for_header(Subject::of("https://idp.test", "ada"), IssueOptions::default());
    let foreign = foreign.await.unwrap();
    let (name, value) = token(&caller);
    let bobs = bob.record().id();
    let mut answers = Vec::new();
    let writes = flow.fixture.store.writes();
    for id in [bobs.as_str(), foreign.record().id().as_str(), "00000000000000000", "x", "\u{1f511}"] {
        let body = json!({ "id": id, "label": "mine" }).to_string();
        answers.push(post(&rename, &[JSON, (name, &value)], &body).await);
        answers.push(post(&revoke, &[JSON, (name, &value)], &body).await);
    }
    for answer in &answers {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
        assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
        assert_eq!(answer.reason(), Some(Reason::UnknownLogin));
    }
    assert_eq!(flow.fixture.store.writes(), writes);
    assert_eq!(flow.fixture.store.record(&bobs).await.label(), None);
    flow.fixture.verify(bob.access().expose()).await.unwrap();
    flow.fixture.verify(foreign.access().expose()).await.unwrap();
}

#[tokio::test]
async fn r209_a_device_is_ended_and_the_own_one_loses_its_cookies() {
    let flow = flow();
    let revoke =
        DeviceRevokeService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
    let revoke = layer(&flow).layer(revoke.build().unwrap());
    let phone = flow.fixture.login("ada").await;
    let browser = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    let cookie = browser.cookie_header();
    let headers = [JSON, SAME_ORIGIN, ("cookie", cookie.as_str())];
    let body = json!({ "id": phone.record().id().as_str() }).to_string();
    for _ in 0..2 {
        let answer = post(&revoke, &headers, &body).await;
        assert_eq!((answer.status.as_u16(), answer.cookies().len()), (204, 0));
    }
    assert!(flow.fixture.verify(phone.access().expose()).await.is_err());

    let own = json!({ "id": browser.cookies()[0].1[4..21] }).to_string();
    flow.fixture.store.set(Mode::ReadOnly);
    assert_eq!(post(&revoke, &headers, &own).await.status, 503);
    flow.fixture.store.set(Mode::Now);
    let answer = post(&revoke, &headers, &own).await;
    assert_eq!(answer.status, 204);
    let cleared: Vec<_> = answer.cookies().into_iter().map(|(name, value, _)| (name, value)).collect();
    assert_eq!(
        cleared,
        [("__Host-token".to_owned(), String::new()), ("__Secure-token_refresh".to_owned(), String::new())]
    );
    assert_eq!(post(&revoke, &headers, &own).await.status, 401);
}

#[tokio::test]
async fn r209_each_needs_a_layer_a_caller_and_a_store() {
    let flow = flow();
    let tokens = &flow.fixture.tokens;
    let list = DeviceListService::new(tokens.clone());
    let rename = DeviceRenameService::new(tokens.clone());
    let revoke = DeviceRevokeService::new(tokens.clone()).build().unwrap();
    let body = json!({ "id": "00000000000000000" }).to_string();
    for answer in [
        send(&list, Method::GET, "/", &[], "").await,
        post(&rename, &[JSON], &body).await,
        post(&revoke, &[JSON], &body).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (500, "auth_layer_missing"));
    }
    let optional = flow.fixture.layer().optional().build().unwrap();
    for answer in [
        send(&optional.layer(list.clone()), Method::GET, "/", &[], "").await,
        post(&optional.layer(rename.clone()), &[JSON], &body).await,
        post(&optional.layer(revoke.clone()), &[JSON], &body).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "missing_credential"));
    }
    for (method, allow, answer) in [
        (Method::POST, "GET, HEAD", send(&list, Method::POST, "/", &[], "").await),
        (Method::GET, "POST", send(&rename, Method::GET, "/", &[], "").await),
        (Method::DELETE, "POST", send(&revoke, Method::DELETE, "/", &[], "").await),
    ] {
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["allow"]),
            (405, &allow.parse().unwrap()),
            "{method}"
        );
    }
    // The layer's own look-up answers, and the list does not.
    let caller = flow.fixture.login("ada").await;
    let (name, value) = token(&caller);
    let rename = layer(&flow).layer(rename);
    let own = json!({ "id": caller.record().id().as_str(), "label": "x" }).to_string();
    flow.fixture.store.set(Mode::ReadOnly);
    assert_eq!(post(&rename, &[JSON, (name, &value)], &own).await.status, 503);
}

/// A caller that is known by another credential than an opaque token has no logins here.
#[tokio::test]
async fn r209_a_caller_without_a_login_is_403() {
    use portcullis::{
        identity::{Ended, Evidence},
        maybe_ready::{BoxFuture, MaybeReady},
        verify::{Attempt, Outcome, Verified, Verify},
    };

    struct Other;

    impl Verify for Other {
        type Identity = Subject;

        fn recognises(&self, _text: &str) -> bool {
            true
        }

        fn watch(&self, _evidence: &Evidence) -> BoxFuture<Ended> {
            Box::pin(std::future::pending())
        }

        fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<Subject>> {
            let channel = attempt.credential().channel();
            let evidence = Evidence::new(channel, attempt.now(), attempt.now());
            let subject = std::sync::Arc::new(Subject::local("ada"));
            MaybeReady::Now(Ok(Verified::new(subject, evidence, std::sync::Arc::new(()))))
        }
    }

    let flow = flow();
    let layer = AuthLayer::new(Other).build().unwrap();
    let list = layer.layer(DeviceListService::new(flow.fixture.tokens.clone()));
    let answer = send(&list, Method::GET, "/", &[("authorization", "Bearer x")], "").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "insufficient_scope"));
}

/// A hundred logins at once, over the service: the limit is exact.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r209_the_limit_of_devices_is_exact_under_a_hundred_logins_at_once() {
    for (limit, accepted) in [(LiveLimit::Refuse(3), 3), (LiveLimit::EndOldest(3), 100)] {
        let flow = flow_with(TokenPolicy::builder().limit(limit).build().unwrap());
        let login = flow.login().build().unwrap();
        let mut logins = Vec::new();
        for _ in 0..100 {
            let login = login.clone();
            logins.push(tokio::spawn(async move { log_in(&login, &[], "ada", PASSWORD).await.status }));
        }
        let mut succeeded = 0;
        for login in logins {
            succeeded += usize::from(login.await.unwrap() == 200);
        }
        assert_eq!(succeeded, accepted, "{limit:?}");
        let live = flow.fixture.tokens.logins(LoginQuery::of(Subject::local("ada"))).await.unwrap().logins;
        assert_eq!(live.len(), 3);
    }
}
