//! The ready services: what their tests share, and all of them together on a real socket.

mod attempts;
mod bodies;
mod devices;
mod log;
mod login;
mod login_cookies;
mod logout;
mod logout_all;
mod refresh;
mod told;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use axum::{Router, routing::get};
use bytes::Bytes;
use http::{Method, Request, Response, header::SET_COOKIE};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use portcullis::{
    Auth, AuthLayer, TokenPolicy,
    client_ip::{ClientIpPolicy, PeerAddr},
    error::BoxError,
    flow::{
        Accounts, DeviceListService, DeviceRenameService, DeviceRevokeService, LoginService,
        LoginServiceBuilder, LogoutAllService, LogoutService, RefreshService,
    },
    identity::Subject,
    secret::Secret,
};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::support::{Answer, Body, Fixture, bearer, fixture, fixture_with};

pub(crate) const PASSWORD: &str = "planted-password-9d1c";
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub(crate) const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
pub(crate) const CROSS_SITE: (&str, &str) = ("sec-fetch-site", "cross-site");

// ===== accounts =====

/// `ada` and `bob` may log in, `gone` is inactive, `lost` cannot be found out, `stuck` cannot be checked. Counts
/// what is asked.
#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Counts>);

#[derive(Default)]
struct Counts {
    finds: AtomicUsize,
    checks: AtomicUsize,
    /// Whom each check was for.
    checked: Mutex<Vec<Option<String>>>,
    tenants: Mutex<Vec<Option<String>>>,
}

impl Users {
    /// (look-ups, checks)
    pub(crate) fn asked(&self) -> (usize, usize) {
        (self.0.finds.load(Ordering::SeqCst), self.0.checks.load(Ordering::SeqCst))
    }

    pub(crate) fn checked(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.0.checked.lock().unwrap())
    }

    pub(crate) fn tenants(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.0.tenants.lock().unwrap())
    }
}

#[async_trait]
impl Accounts for Users {
    type Account = String;

    async fn find(&self, identifier: &str, tenant: Option<&str>) -> Result<Option<String>, BoxError> {
        self.0.finds.fetch_add(1, Ordering::SeqCst);
        self.0.tenants.lock().unwrap().push(tenant.map(str::to_owned));
        match identifier {
            "ada" | "bob" | "gone" | "stuck" => Ok(Some(identifier.to_owned())),
            "lost" => Err("planted-account-trouble".into()),
            _ => Ok(None),
        }
    }

    /// Right for nobody, too: the service must not believe it.
    async fn check(&self, account: Option<&String>, password: &Secret) -> Result<bool, BoxError> {
        self.0.checks.fetch_add(1, Ordering::SeqCst);
        self.0.checked.lock().unwrap().push(account.cloned());
        if account.is_some_and(|account| account == "stuck") {
            return Err("planted-account-trouble".into());
        }
        Ok(*password == Secret::from(PASSWORD))
    }

    fn is_active(&self, account: &String) -> bool {
        account != "gone"
    }

    fn subject(&self, account: &String) -> Subject {
        Subject::local(account.as_str())
    }

    fn summary(&self, account: &String) -> Value {
        json!({ "id": account, "email": format!("{account}@example.com") })
    }
}

// ===== requests =====

/// What a client sends to one of the services.
pub(crate) async fn send<S>(
    service: &S,
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    send_from(service, "192.0.2.7", method, uri, headers, Body::from(body.to_owned())).await
}

pub(crate) async fn send_from<S, B>(
    service: &S,
    ip: &str,
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
    body: B,
) -> Answer
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body).unwrap();
    request.extensions_mut().insert(PeerAddr(
        format!("{ip}:4711").parse().unwrap_or_else(|_v6| format!("[{ip}]:4711").parse().unwrap()),
    ));
    let answer = Answer::of(service.clone().oneshot(request).await.unwrap()).await;
    // Of every answer in every test here.
    assert_eq!(answer.headers["cache-control"], "no-store", "{answer:?}");
    if !answer.status.is_success() {
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(!answer.headers.contains_key(SET_COOKIE), "a refusal touches no cookie: {answer:?}");
    }
    answer
}

pub(crate) async fn post<S>(service: &S, headers: &[(&str, &str)], body: &str) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    send(service, Method::POST, "/", headers, body).await
}

/// A login with JSON.
pub(crate) async fn log_in<S>(service: &S, headers: &[(&str, &str)], username: &str, password: &str) -> Answer
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    let body = json!({ "username": username, "password": password }).to_string();
    post(service, &[headers, &[JSON]].concat(), &body).await
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("no {member} in {self:?}")).to_owned()
    }

    /// `(name, value, attributes)` of each cookie that the answer sets.
    pub(crate) fn cookies(&self) -> Vec<(String, String, String)> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines
            .map(|line| {
                assert!(line.is_sensitive());
                let (pair, attributes) = line.to_str().unwrap().split_once("; ").unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                (name.to_owned(), value.to_owned(), attributes.to_owned())
            })
            .collect()
    }

    /// The `Cookie` header that a browser would send next.
    pub(crate) fn cookie_header(&self) -> String {
        let pairs: Vec<_> = self.cookies().iter().map(|(name, value, _)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

// ===== forgery =====

/// The text and the check that ends a token, a CRC-32 in six digits of base 62: the only part that anybody can make.
pub(crate) fn with_check(text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut crc = !0_u32;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    let mut rest = !crc as usize;
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[rest % 62];
        rest /= 62;
    }
    format!("{text}{}", std::str::from_utf8(&digits).unwrap())
}

// ===== services =====

pub(crate) struct Flow {
    pub(crate) fixture: Fixture,
    pub(crate) users: Users,
}

pub(crate) fn flow() -> Flow {
    Flow { fixture: fixture(), users: Users::default() }
}

pub(crate) fn flow_with(policy: TokenPolicy) -> Flow {
    Flow { fixture: fixture_with(policy), users: Users::default() }
}

impl Flow {
    pub(crate) fn login(&self) -> LoginServiceBuilder<Users> {
        LoginService::new(self.fixture.tokens.clone(), self.users.clone())
    }

    pub(crate) fn cookie_login(&self) -> LoginService<Users> {
        self.login().cookie("token").refresh_cookie("/auth").build().unwrap()
    }

    /// What the store was asked to find and to write.
    pub(crate) fn store_calls(&self) -> (usize, usize) {
        (self.fixture.store.finds(), self.fixture.store.writes())
    }
}

// ===== all of them together =====

fn application(flow: &Flow) -> Router {
    let tokens = &flow.fixture.tokens;
    let peer = ClientIpPolicy::peer().peer_from(|extensions| {
        let peer = extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        peer.map(|peer| peer.0.ip())
    });
    Router::new()
        .route("/me", get(async |auth: Auth<Subject>| auth.user().id().to_owned()))
        .route_service("/devices", DeviceListService::new(tokens.clone()))
        .route_service("/devices/name", DeviceRenameService::new(tokens.clone()))
        .route_service("/devices/end", DeviceRevokeService::new(tokens.clone()).build().unwrap())
        .route_service("/logout-all", LogoutAllService::new(tokens.clone()).build().unwrap())
        .layer(flow.fixture.layer().build().unwrap())
        .route_service("/login", flow.login().client_ip(peer).build().unwrap())
        .route_service("/refresh", RefreshService::new(tokens.clone()).build().unwrap())
        .route_service("/logout", LogoutService::new(tokens.clone()).build().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r040_a_life_of_a_login_on_a_real_socket() {
    let flow = flow();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = application(&flow).into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let call = async |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        Answer::of(http.request(request).await.unwrap()).await
    };
    let with = |token: &str| bearer(token).1;

    let body = json!({ "username": "ada", "password": PASSWORD, "device": "phone" }).to_string();
    let phone = call("POST", "/login", &[JSON, ("user-agent", "app/1")], &body).await;
    assert_eq!(phone.status, 200, "{phone:?}");
    let form = format!("username=ada&password={PASSWORD}&device=laptop");
    let laptop = call("POST", "/login", &[FORM, ("user-agent", "browser/2")], &form).await;
    let (phone_token, laptop_token) = (with(&phone.text("access_token")), with(&laptop.text("access_token")));
    let me = call("GET", "/me", &[("authorization", &phone_token)], "").await;
    assert_eq!((me.status.as_u16(), me.body.as_str()), (200, "ada"));

    // Two devices; the one is named, the other one ended.
    let list = call("GET", "/devices", &[("authorization", &phone_token)], "").await.json();
    let devices = list["devices"].as_array().unwrap();
    assert_eq!(devices.len(), 2, "{list}");
    let find = |device: &str| devices.iter().find(|found| found["device"] == device).unwrap();
    assert_eq!((&find("phone")["current"], &find("laptop")["current"]), (&json!(true), &json!(false)));
    assert_eq!(find("phone")["ip_address"], "127.0.0.1");
    assert_eq!(find("laptop")["user_agent"], "browser/2");
    let name = json!({ "id": find("phone")["id"], "label": "Ada's phone" }).to_string();
    let named = call("POST", "/devices/name", &[JSON, ("authorization", &phone_token)], &name).await;
    assert_eq!(named.status, 204);
    let end = json!({ "id": find("laptop")["id"] }).to_string();
    let ended = call("POST", "/devices/end", &[JSON, ("authorization", &phone_token)], &end).await;
    assert_eq!(ended.status, 204);
    assert_eq!(call("GET", "/me", &[("authorization", &laptop_token)], "").await.status, 401);
    let list = call("GET", "/devices", &[("authorization", &phone_token)], "").await.json();
    assert_eq!((&list["devices"][0]["label"], &list["devices"][1]), (&json!("Ada's phone"), &Value::Null));

    // The next pair, and the end.
    let body = json!({ "refresh_token": phone.text("refresh_token") }).to_string();
    let next = call("POST", "/refresh", &[JSON], &body).await;
    assert_eq!(next.status, 200);
    assert_eq!(call("GET", "/me", &[("authorization", &phone_token)], "").await.status, 401);
    let next_token = with(&next.text("access_token"));
    let out = call("POST", "/logout", &[("authorization", &next_token)], "").await;
    assert_eq!((out.status.as_u16(), out.body.as_str()), (204, ""));
    assert_eq!(call("GET", "/me", &[("authorization", &next_token)], "").await.status, 401);
    let body = json!({ "refresh_token": next.text("refresh_token") }).to_string();
    assert_eq!(call("POST", "/refresh", &[JSON], &body).await.status, 401);

    // All at once.
    let again = call("POST", "/login", &[FORM], &form).await;
    let token = with(&again.text("access_token"));
    let all = call("POST", "/logout-all", &[("authorization", &token)], "").await;
    assert_eq!((all.status.as_u16(), all.json()), (200, json!({ "ended": 1 })));
    assert_eq!(call("GET", "/me", &[("authorization", &token)], "").await.status, 401);
}

/// Settings contradict each other in one list of faults, not in one after the other.
#[test]
fn r053_a_service_reports_all_its_faults_at_once() {
    let flow = flow();
    let fields = |error: portcullis::error::ConfigError| {
        error.faults().iter().map(|fault| fault.field()).collect::<Vec<_>>()
    };
    let login = flow
        .login()
        .username_field("")
        .password_field("device")
        .refresh_cookie("/auth")
        .client_ip(ClientIpPolicy::peer().trust("nowhere"))
        .realm("a\r\nb")
        .build();
    assert_eq!(
        fields(login.unwrap_err()),
        ["username_field", "password_field", "refresh_cookie", "trust", "realm"]
    );
    let same = flow.login().username_field("name").password_field("name").build();
    assert_eq!(fields(same.unwrap_err()), ["password_field"]);
    let tokens = &flow.fixture.tokens;
    let refresh = RefreshService::new(tokens.clone()).cookie("token").build();
    assert_eq!(fields(refresh.unwrap_err()), ["cookie"]);
    let refresh = RefreshService::new(tokens.clone()).cookie("a b").refresh_cookie("auth").build();
    assert_eq!(fields(refresh.unwrap_err()), ["cookie", "cookie", "path"]);
    let logout = LogoutService::new(tokens.clone()).schemes(["Bearer", "a b"]).refresh_cookie("/").build();
    assert_eq!(fields(logout.unwrap_err()), ["schemes", "refresh_cookie"]);
    assert!(LogoutAllService::new(tokens.clone()).refresh_cookie("/").build().is_err());
    assert!(DeviceRevokeService::new(tokens.clone()).refresh_cookie("/").build().is_err());
}

#[test]
fn nothing_shows_what_a_service_holds() {
    let flow = flow();
    let shown = format!("{:?} {:?}", flow.login(), flow.cookie_login());
    assert!(shown.starts_with("LoginServiceBuilder") && shown.ends_with("LoginService { .. }"), "{shown}");
    let _layer: AuthLayer<Subject> = flow.fixture.layer().build().unwrap();
}
