//! A server of either kind, and the service in front of it.

use std::time::{Duration, Instant};

use axum::{Router, body::Body, routing::get};
use http::{Request, header::AUTHORIZATION};
use portcullis::{
    Auth, AuthLayer, PostgresStore, RedisStore, TokenPolicy, TokenService,
    flow::{LogoutService, RefreshService},
    identity::Subject,
    store::{CachedStore, CachedStoreBuilder},
    token::{IssueOptions, Issued},
};
use serde_json::{Value, json};
use tower::{ServiceBuilder, ServiceExt};

use crate::{
    servers::{Database, Keeps, PostgresServer, Program, Proxy, RedisServer},
    support::{Answer, refresh_text},
};

/// Within this a service works again once its store does.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Redis,
    Postgres,
}

/// A server that nobody else uses, which keeps its data when it is killed.
pub(super) struct Place {
    server: Server,
    /// Its address; of Redis, too.
    database: Database,
}

enum Server {
    Redis(RedisServer),
    Postgres(PostgresServer),
}

/// A service: `/me` says who asks, `/open` too and lets in who does not say, `/health` asks nobody, and tokens are
/// refreshed and ended.
#[derive(Clone)]
pub(super) struct App {
    pub(super) tokens: TokenService,
    router: Router,
}

// ===== impl Place =====

impl Place {
    pub(super) async fn on(engine: Engine) -> Self {
        match engine {
            Engine::Redis => {
                let server = RedisServer::start_as(Program::Redis, Keeps::Everything);
                Self { database: Database::at(server.url()), server: Server::Redis(server) }
            }
            Engine::Postgres => {
                let server = PostgresServer::start();
                let database = server.database();
                PostgresStore::builder(database.url()).build().unwrap().migrate().await.unwrap();
                Self { database, server: Server::Postgres(server) }
            }
        }
    }

    pub(super) fn engine(&self) -> Engine {
        match self.server {
            Server::Redis(_) => Engine::Redis,
            Server::Postgres(_) => Engine::Postgres,
        }
    }

    pub(super) fn kill(&mut self) {
        match &mut self.server {
            Server::Redis(server) => server.kill(),
            Server::Postgres(server) => server.kill(),
        }
    }

    pub(super) fn start_again(&mut self) {
        match &mut self.server {
            Server::Redis(server) => server.start_again(),
            Server::Postgres(server) => server.start_again(),
        }
    }

    /// It answers nothing until it is told to go on.
    pub(super) fn stall(&self) {
        match &self.server {
            Server::Redis(server) => server.stall(),
            Server::Postgres(server) => server.stall(),
        }
    }

    pub(super) fn go_on(&self) {
        match &self.server {
            Server::Redis(server) => server.go_on(),
            Server::Postgres(server) => server.go_on(),
        }
    }

    /// In front of the server.
    pub(super) async fn proxy(&self) -> Proxy {
        Proxy::to(self.database.address()).await
    }

    /// A service that was started now, with a store as it is by default.
    pub(super) fn app(&self) -> App {
        self.app_at(self.database.url())
    }

    /// One whose way to the store leads through the proxy.
    pub(super) fn app_behind(&self, proxy: &Proxy) -> App {
        self.app_at(&self.database.url_at(proxy.port()))
    }

    fn app_at(&self, url: &str) -> App {
        let policy = TokenPolicy::default();
        App::new(match &self.server {
            Server::Redis(_) => TokenService::new(RedisStore::builder(url).build().unwrap(), policy),
            Server::Postgres(_) => TokenService::new(PostgresStore::builder(url).build().unwrap(), policy),
        })
    }

    /// Copies in front of such a store.
    pub(super) fn copies(&self) -> CachedStoreBuilder {
        let url = self.database.url();
        match &self.server {
            Server::Redis(_) => CachedStore::builder(RedisStore::builder(url).build().unwrap()),
            Server::Postgres(_) => CachedStore::builder(PostgresStore::builder(url).build().unwrap()),
        }
    }
}

// ===== impl App =====

impl App {
    pub(super) fn new(tokens: TokenService) -> Self {
        let layer = || AuthLayer::new(tokens.clone());
        let (required, optional) = (layer().build().unwrap(), layer().optional().build().unwrap());
        let me = get(async |auth: Auth<Subject>| auth.user().id().to_owned());
        let open = get(async |auth: Option<Auth<Subject>>| match auth {
            Some(auth) => auth.user().id().to_owned(),
            None => "anonymous".to_owned(),
        });
        let router = Router::new()
            .merge(Router::new().route("/me", me).layer(ServiceBuilder::new().layer(required)))
            .merge(Router::new().route("/open", open).layer(ServiceBuilder::new().layer(optional)))
            .route("/health", get(async || "up"))
            .route_service("/refresh", RefreshService::new(tokens.clone()).build().unwrap())
            .route_service("/logout", LogoutService::new(tokens.clone()).build().unwrap());
        Self { tokens, router }
    }

    pub(super) async fn login(&self, user: &str) -> Issued {
        self.tokens.issue_for_header(Subject::local(user), IssueOptions::default()).await.unwrap()
    }

    pub(super) async fn ask(&self, path: &str, login: Option<&Issued>) -> Answer {
        self.send("GET", path, login, Body::empty()).await
    }

    pub(super) async fn me(&self, login: &Issued) -> Answer {
        self.ask("/me", Some(login)).await
    }

    /// With the refresh token of that login.
    pub(super) async fn refresh(&self, login: &Issued) -> Answer {
        let body = json!({ "refresh_token": refresh_text(login) }).to_string();
        self.send("POST", "/refresh", None, Body::from(body)).await
    }

    pub(super) async fn log_out(&self, login: &Issued) -> Answer {
        self.send("POST", "/logout", Some(login), Body::empty()).await
    }

    async fn send(&self, method: &str, path: &str, login: Option<&Issued>, body: Body) -> Answer {
        let token = login.map(|login| login.access().expose());
        self.send_as(method, path, token, body).await
    }

    async fn send_as(&self, method: &str, path: &str, token: Option<&str>, body: Body) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).unwrap();
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// The next pair works, and the one before does not.
    pub(super) async fn check_refreshed(&self, answer: &Answer, before: &Issued, user: &str) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let next = self.send_as("GET", "/me", body["access_token"].as_str(), Body::empty()).await;
        check_is(&next, user);
        assert_eq!(self.me(before).await.status, 401);
    }

    /// What needs no store is answered as ever, and at once.
    pub(super) async fn check_without_store(&self) {
        let (answers, took) = timed(async {
            [self.ask("/health", None).await, self.ask("/open", None).await, self.ask("/me", None).await]
        })
        .await;
        let answers = answers.each_ref().map(|answer| (answer.status.as_u16(), answer.body.as_str()));
        assert_eq!(answers[..2], [(200, "up"), (200, "anonymous")]);
        assert_eq!(answers[2].0, 401);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    /// Until then it could not check, which is all that it says.
    pub(super) async fn check_works_again(&self, login: &Issued, user: &str) {
        let again = async {
            while !is_or_is_down(&self.me(login).await, user) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(AGAIN, again).await.expect("it works again");
    }
}

// ===== answers =====

#[track_caller]
pub(super) fn check_is(answer: &Answer, user: &str) {
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, user), "{answer:?}");
}

/// 503, when to come again, and nothing about whoever asked.
#[track_caller]
pub(super) fn check_down(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"), "{answer:?}");
    assert_eq!(answer.headers["retry-after"], "5");
    assert!(answer.challenges().is_empty() && !answer.headers.contains_key("set-cookie"), "{answer:?}");
}

/// Nothing between these two: never somebody else, never nobody, never a refusal.
#[track_caller]
pub(super) fn is_or_is_down(answer: &Answer, user: &str) -> bool {
    if answer.status == 200 {
        check_is(answer, user);
        return true;
    }
    check_down(answer);
    false
}

/// What it comes to, and how long it takes.
#[allow(clippy::disallowed_methods)] // the time that a caller waits, whatever clocks the service has
pub(super) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}
