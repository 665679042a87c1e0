//! Processes of the operating system on one store: this test program, started again.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use portcullis::{
    FileLeases, TokenPipeline,
    http_client::HttpClient,
    keyring::{Key, KeyRing},
    pipeline::{AccessToken, ExchangeError, Fetch, SharedLeases, SharedToken, TokenFetcher, Want},
    provider::{TokenError, TokenErrorKind, TokenProvider},
    secret::Secret,
};

use super::files::Folder;
use crate::idp::Leased;

/// What a started process is to do: its presence makes a test of [`child`].
const TASK: &str = "PORTCULLIS_TEST_TASK";
const STEPS: [&str; 3] = ["device", "app", "user"];
const TIMEOUT: Duration = Duration::from_secs(3);
const MARGIN: Duration = Duration::from_millis(500);
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const LONG: Duration = Duration::from_secs(5);

// ===== endpoint =====

/// A token endpoint on a loopback port. Its refresh tokens work once; it counts what it did, not what it was asked.
struct Endpoint {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    done: Vec<String>,
    live: Option<String>,
    reused: bool,
    /// Requests that came, answered or not.
    came: usize,
    /// Requests are read and not answered; who waits for the answer may go away.
    silent: bool,
}

impl Endpoint {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<(Mutex<State>, Condvar)> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || answer(stream, &shared));
            }
        });
        Self { port, state }
    }

    fn done(&self) -> Vec<String> {
        self.state.0.lock().unwrap().done.clone()
    }

    fn lives(&self, refresh: &str) {
        self.state.0.lock().unwrap().live = Some(refresh.to_owned());
    }

    fn was_reused(&self) -> bool {
        self.state.0.lock().unwrap().reused
    }

    fn silent(&self, silent: bool) {
        self.state.0.lock().unwrap().silent = silent;
    }

    /// Waits until so many requests have come.
    fn wait_for(&self, count: usize) {
        let (state, came) = &*self.state;
        let (_state, waited) = came
            .wait_timeout_while(state.lock().unwrap(), Duration::from_secs(30), |state| state.came < count)
            .unwrap();
        assert!(!waited.timed_out(), "no request came");
    }
}

/// `fetch <step>` or `refresh <step> <token>`; the answer is an access token and a refresh token, or `refused`.
fn answer(mut stream: TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut line = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut line).unwrap();
    let line = line.trim().to_owned();
    {
        let mut state = shared.0.lock().unwrap();
        state.came += 1;
        shared.1.notify_all();
        if state.silent {
            drop(state);
            let _until_it_ends = BufReader::new(&stream).read_line(&mut String::new());
            return;
        }
    }
    // Long enough for the others to come meanwhile.
    thread::sleep(Duration::from_millis(150));
    let mut state = shared.0.lock().unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let reply = match words[..] {
        ["refresh", _, token] if state.live.as_deref() != Some(token) => {
            state.reused = true;
            "refused".to_owned()
        }
        [_, step, ..] => {
            let number = state.done.len() + 1;
            let refresh = words[0] == "refresh";
            let next = if refresh { format!("refresh-{number}") } else { "none".to_owned() };
            if refresh {
                state.live = Some(next.clone());
            }
            format!("{step}-{number} {next}")
        }
        _ => panic!("{line:?}"),
    };
    state.done.push(line);
    drop(state);
    let _who_is_gone = stream.write_all(format!("{reply}\n").as_bytes());
}

/// The other side of it.
async fn ask(port: u16, step: String, refresh: Option<Secret>) -> Result<AccessToken, ExchangeError> {
    let line =
        refresh.map_or(format!("fetch {step}\n"), |token| format!("refresh {step} {}\n", token.expose()));
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(line.as_bytes())?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map(|_| answer)
    });
    let answer = answer
        .await
        .unwrap()
        .map_err(|error| TokenError::new(TokenErrorKind::Transport).with_source(error))?;
    match answer.trim().split_once(' ') {
        Some((access, "none")) => Ok(AccessToken::new(access)?.with_lifetime(Duration::from_secs(600))),
        Some((access, refresh)) => {
            let token = AccessToken::new(access)?.with_lifetime(Duration::from_secs(600));
            Ok(token.with_refresh(Secret::new(refresh)))
        }
        None => Err(ExchangeError::refused_refresh(TokenError::new(TokenErrorKind::Refused))),
    }
}

/// A step that asks it.
struct Line {
    name: &'static str,
    parents: Vec<String>,
    port: u16,
}

#[async_trait]
impl TokenFetcher for Line {
    fn name(&self) -> &str {
        self.name
    }

    fn depends_on(&self) -> &[String] {
        &self.parents
    }

    async fn fetch(&self, _fetch: &Fetch) -> Result<AccessToken, TokenError> {
        Ok(ask(self.port, self.name.to_owned(), None).await?)
    }

    async fn refresh(&self, _fetch: &Fetch, refresh: &Secret) -> Result<Option<AccessToken>, TokenError> {
        Ok(Some(ask(self.port, self.name.to_owned(), Some(refresh.clone())).await?))
    }
}

// ===== processes =====

/// What all processes of a test have in common: `store`, key, port.
#[derive(Clone)]
struct Site {
    store: String,
    key: Key,
    port: u16,
}

impl Site {
    fn new(store: String, endpoint: &Endpoint) -> Self {
        Self { store, key: Key::generate().unwrap(), port: endpoint.port }
    }

    /// device -> app -> user, all of them shared.
    fn pipeline(&self) -> TokenPipeline {
        let nothing = tower::service_fn(async |_: Request<Full<Bytes>>| {
            Err::<Response<Full<Bytes>>, _>(io::Error::other("no step sends this"))
        });
        let mut builder = TokenPipeline::builder("crm")
            .http(HttpClient::new(nothing))
            .fetch_timeout(TIMEOUT)
            .rejection_cooldown(Duration::ZERO);
        for (index, name) in STEPS.into_iter().enumerate() {
            let parents = index.checked_sub(1).map(|parent| STEPS[parent].to_owned());
            builder = builder.step(Line { name, parents: parents.into_iter().collect(), port: self.port });
        }
        builder.shared(self.shared()).build().unwrap()
    }

    fn shared(&self) -> SharedLeases {
        let ring = KeyRing::new(self.key.clone());
        let builder = match self.store.split_once('|').unwrap() {
            ("file", path) => SharedLeases::sealed("shop", FileLeases::new(path), ring),
            #[cfg(feature = "redis")]
            ("redis", url) => {
                // Two cores that start many processes at once are slow to answer.
                let store = portcullis::RedisStore::builder(url).response_timeout(Duration::from_secs(5));
                SharedLeases::sealed("shop", store.build().unwrap(), ring)
            }
            #[cfg(feature = "sqlite")]
            ("sqlite", path) => {
                let store = portcullis::SqliteStore::builder(path).step_timeout(2 * LONG).busy_timeout(LONG);
                SharedLeases::sealed("shop", store.build().unwrap(), ring)
            }
            #[cfg(feature = "postgres")]
            ("postgres", url) => {
                let store = portcullis::PostgresStore::builder(url).connect_timeout(LONG).step_timeout(LONG);
                SharedLeases::sealed("shop", store.build().unwrap(), ring)
            }
            (other, _) => panic!("{other}"),
        };
        builder.lock_margin(MARGIN).build().unwrap()
    }

    async fn renew(
        &self,
        shared: &SharedLeases,
        step: &str,
        want: Want<'_>,
    ) -> Result<SharedToken, TokenError> {
        let ask = |refresh| ask(self.port, step.to_owned(), refresh);
        shared.renew(&shared.key("crm", step), want, TIMEOUT, ask).await
    }

    fn start(&self, task: &str) -> Child {
        let task = format!("{}\n{}\n{}\n{task}", self.store, self.key.to_text().expose(), self.port);
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "leases::processes::child", "--nocapture", "--test-threads=1"])
            .env(TASK, task)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }
}

/// The tokens that a process has printed.
fn tokens(child: Child) -> Vec<String> {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| Some(line.split_once("token: ")?.1.to_owned())).collect()
}

/// No test by itself: what a started process does.
#[test]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let lines: Vec<&str> = task.lines().collect();
    let [store, key, port, task] = lines[..] else { panic!("{lines:?}") };
    let site = Site {
        store: store.to_owned(),
        key: Key::parse(&Secret::new(key)).unwrap(),
        port: port.parse().unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shared = site.shared();
        match task.split_once(' ').unwrap() {
            ("steps", _) => {
                let token = site.pipeline().token().await.unwrap();
                println!("\ntoken: {}", token.value().expose());
            }
            ("refresh", rounds) => {
                let mut held = shared.load(&shared.key("crm", "user")).await.unwrap().unwrap();
                for _ in 0..rounds.parse().unwrap() {
                    held = site.renew(&shared, "user", Want::instead_of(&held)).await.unwrap();
                    println!("\ntoken: {}", held.token().value().expose());
                }
            }
            // As an API that refuses every token leads to it.
            ("rejections", rounds) => {
                let provider = site.pipeline().provider();
                let mut lease = provider.leased().await.unwrap();
                for _ in 0..rounds.parse().unwrap() {
                    lease = provider.newer_than(&lease).wait().await.unwrap().unwrap();
                    println!("\ntoken: {}", lease.value().to_str().unwrap());
                }
            }
            other => panic!("{other:?}"),
        }
    });
}

// ===== tests =====

fn one_fetch_for_each_step(store: String) {
    let endpoint = Endpoint::start();
    let site = Site::new(store, &endpoint);
    let children: Vec<Child> = (0..3).map(|_| site.start("steps all")).collect();
    let got: Vec<Vec<String>> = children.into_iter().map(tokens).collect();
    assert_eq!(got, vec![["user-3"]; 3]);
    assert_eq!(endpoint.done(), ["fetch device", "fetch app", "fetch user"]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Stores a token whose refresh token is `refresh-0`.
fn seed(site: &Site, endpoint: &Endpoint) {
    endpoint.lives("refresh-0");
    let shared = site.shared();
    let token = AccessToken::new("user-0").unwrap().with_lifetime(Duration::from_secs(600));
    let seeded =
        shared.publish(&shared.key("crm", "user"), token.with_refresh(Secret::new("refresh-0"))).await_in();
    seeded.unwrap();
}

trait AwaitIn: Future + Sized {
    fn await_in(self) -> Self::Output {
        runtime().block_on(self)
    }
}

impl<F: Future> AwaitIn for F {}

fn one_redemption(store: String, task: &str) {
    let endpoint = Endpoint::start();
    let site = Site::new(store, &endpoint);
    seed(&site, &endpoint);
    // Each process has loaded the first token, or what has replaced it; nobody redeems what another has.
    let children: Vec<Child> = (0..3).map(|_| site.start(task)).collect();
    let got: Vec<Vec<String>> = children.into_iter().map(tokens).collect();
    assert!(got.iter().all(|tokens| tokens.len() == 8));
    assert!(!endpoint.was_reused(), "{:?}", endpoint.done());
    // Each once, in order.
    let (mut live, mut redeemed) = ("refresh-0".to_owned(), 0);
    for (index, line) in endpoint.done().into_iter().enumerate() {
        if let Some(token) = line.strip_prefix("refresh user ") {
            assert_eq!(token, live);
            live = format!("refresh-{}", index + 1);
            redeemed += 1;
        }
    }
    assert!((8..=24).contains(&redeemed), "{redeemed}");
}

fn killed_in_the_middle(store: String) {
    let endpoint = Endpoint::start();
    let site = Site::new(store, &endpoint);
    seed(&site, &endpoint);
    endpoint.silent(true);
    let mut child = site.start("refresh 1");
    endpoint.wait_for(1);
    child.kill().unwrap();
    child.wait().unwrap();
    endpoint.silent(false);
    let renewed = async {
        let shared = site.shared();
        let held = shared.load(&shared.key("crm", "user")).await.unwrap().unwrap();
        site.renew(&shared, "user", Want::instead_of(&held)).await
    };
    let renewed = renewed.await_in().unwrap();
    assert_eq!(renewed.token().value().expose(), "user-1");
    assert_eq!(endpoint.done(), ["refresh user refresh-0"]);
}

#[test]
fn r207_pipelines_with_one_folder_make_one_fetch_for_each_step() {
    let folder = Folder::new();
    one_fetch_for_each_step(format!("file|{}", folder.path().display()));
}

#[test]
fn r207_processes_with_one_folder_redeem_each_refresh_token_once() {
    let folder = Folder::new();
    one_redemption(format!("file|{}", folder.path().display()), "refresh 8");
}

#[test]
fn r207_pipelines_with_one_folder_redeem_each_refresh_token_once() {
    let folder = Folder::new();
    one_redemption(format!("file|{}", folder.path().display()), "rejections 8");
}

#[test]
fn r207_a_process_with_a_folder_that_is_killed_in_a_refresh_is_outlived() {
    let folder = Folder::new();
    killed_in_the_middle(format!("file|{}", folder.path().display()));
}

#[cfg(feature = "redis")]
mod on_a_server {
    use super::*;
    use crate::servers::RedisServer;

    #[test]
    fn r207_pipelines_with_one_server_make_one_fetch_for_each_step() {
        let server = RedisServer::start();
        one_fetch_for_each_step(format!("redis|{}", server.url()));
    }

    #[test]
    fn r207_processes_with_one_server_redeem_each_refresh_token_once() {
        let server = RedisServer::start();
        one_redemption(format!("redis|{}", server.url()), "refresh 8");
    }

    #[test]
    fn r207_pipelines_with_one_server_redeem_each_refresh_token_once() {
        let server = RedisServer::start();
        one_redemption(format!("redis|{}", server.url()), "rejections 8");
    }

    #[test]
    fn r207_a_process_with_a_server_that_is_killed_in_a_refresh_is_outlived() {
        let server = RedisServer::start();
        killed_in_the_middle(format!("redis|{}", server.url()));
    }
}

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use super::*;
    use crate::sqlite::Folder;

    /// A file with its tables.
    fn store(folder: &Folder) -> String {
        let store = portcullis::SqliteStore::builder(folder.file()).build().unwrap();
        store.migrate().await_in().unwrap();
        format!("sqlite|{}", folder.file().display())
    }

    #[test]
    fn r207_pipelines_with_one_file_make_one_fetch_for_each_step() {
        let folder = Folder::new();
        one_fetch_for_each_step(store(&folder));
    }

    #[test]
    fn r207_processes_with_one_file_redeem_each_refresh_token_once() {
        let folder = Folder::new();
        one_redemption(store(&folder), "refresh 8");
    }

    #[test]
    fn r207_pipelines_with_one_file_redeem_each_refresh_token_once() {
        let folder = Folder::new();
        one_redemption(store(&folder), "rejections 8");
    }

    #[test]
    fn r207_a_process_with_a_file_that_is_killed_in_a_refresh_is_outlived() {
        let folder = Folder::new();
        killed_in_the_middle(store(&folder));
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use crate::servers::SharedPostgres;

    /// A database with its tables.
    fn store(server: &SharedPostgres) -> String {
        let url = server.database().url().to_owned();
        let store = portcullis::PostgresStore::builder(url.as_str()).build().unwrap();
        store.migrate().await_in().unwrap();
        format!("postgres|{url}")
    }

    #[test]
    fn r207_pipelines_with_one_database_make_one_fetch_for_each_step() {
        let server = SharedPostgres::get();
        one_fetch_for_each_step(store(&server));
    }

    #[test]
    fn r207_processes_with_one_database_redeem_each_refresh_token_once() {
        let server = SharedPostgres::get();
        one_redemption(store(&server), "refresh 8");
    }

    #[test]
    fn r207_pipelines_with_one_database_redeem_each_refresh_token_once() {
        let server = SharedPostgres::get();
        one_redemption(store(&server), "rejections 8");
    }

    #[test]
    fn r207_a_process_with_a_database_that_is_killed_in_a_refresh_is_outlived() {
        let server = SharedPostgres::get();
        killed_in_the_middle(store(&server));
    }
}
