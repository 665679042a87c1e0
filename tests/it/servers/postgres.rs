//! PostgreSQL, with its defaults for what is on disk when: durability is tested.

use std::{
    env, fs,
    fs::{File, Permissions},
    io::{Read, Write},
    net::TcpStream,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    PASSWORD,
    child::{self, Folder, Process, Signal, State},
};

/// The address of an administrator's database on a server to use instead of starting one, such as
/// `postgres://postgres@127.0.0.1:5432/postgres`.
const URL: &str = "PORTCULLIS_POSTGRES_URL";
/// The folder with `postgres`, `initdb` and `psql`; by default that of the `postgres` in the path, then Debian's.
const BIN: &str = "PORTCULLIS_POSTGRES_BIN";

const USER: &str = "portcullis";

/// A server on a free loopback port, with its data in a folder of its own.
pub(crate) struct PostgresServer {
    // Ends before its folder is gone.
    process: Process,
    account: Option<Account>,
    port: u16,
    folder: Folder,
}

/// A server that other tests may use at the same time, each with databases of its own: the one that was started for
/// the whole run, or one that is started now.
pub(crate) struct SharedPostgres {
    url: String,
    _own: Option<PostgresServer>,
}

/// A database that nobody else uses. It stays until its server ends: to drop it would cost a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    url: String,
}

/// Who runs the server where the tests run as root, which PostgreSQL refuses.
#[derive(Debug, Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

// ===== impl SharedPostgres =====

impl SharedPostgres {
    pub(crate) fn get() -> Self {
        match env::var(URL) {
            Ok(url) => Self { url, _own: None },
            Err(_) => {
                let own = PostgresServer::start();
                Self { url: own.url(), _own: Some(own) }
            }
        }
    }

    /// An empty one.
    pub(crate) fn database(&self) -> Database {
        Database::create(&self.url)
    }
}

// ===== impl PostgresServer =====

impl PostgresServer {
    /// Starts one, and waits until it answers. A test that needs it fails where PostgreSQL is not installed.
    pub(crate) fn start() -> Self {
        child::on_a_free_port(|port| {
            let folder = Folder::new("postgres");
            let account = Account::for_files_in(folder.path());
            init(folder.path(), account);
            let process = spawn(folder.path(), account, port);
            let mut server = Self { process, account, port, folder };
            server.is_ready().then_some(server)
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The administrator's database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// An empty one.
    pub(crate) fn database(&self) -> Database {
        Database::create(&self.url())
    }

    /// Ends it, and every process that it has started, as a crash does.
    pub(crate) fn kill(&mut self) {
        let children = self.hold();
        // While it stands still it waits for nobody, so that no child's number can become somebody else's.
        Signal::Kill.send(&children);
        self.process.kill();
        // As long as one of them lives, the next server finds the shared memory in use.
        child::wait_until("end of the server's children", || child::states_of(&children).is_empty());
    }

    /// Starts it again on the same port, with its data.
    pub(crate) fn start_again(&mut self) {
        assert!(self.process.has_ended(), "the server was not killed");
        self.process = spawn(self.folder.path(), self.account, self.port);
        assert!(self.is_ready(), "{}", self.last_words());
    }

    /// It holds its connections and answers nothing, nor anyone new, until it is told to go on.
    pub(crate) fn stall(&self) {
        let children = self.hold();
        Signal::Stop.send(&children);
        child::wait_until("standstill", || {
            child::states_of(&children).iter().all(|state| *state == State::Stopped)
        });
    }

    pub(crate) fn go_on(&self) {
        Signal::Continue.send(&self.children());
        self.process.signal(Signal::Continue);
    }

    /// Whether it answers a new connection within that time.
    pub(crate) fn answers_within(&self, span: Duration) -> bool {
        // The request for TLS, which is answered by one letter before anything else is.
        let request = [0, 0, 0, 8, 4, 210, 22, 47];
        TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(|mut stream| {
            stream.set_read_timeout(Some(span)).unwrap();
            let mut answer = [0];
            stream.write_all(&request).and_then(|()| stream.read_exact(&mut answer)).is_ok()
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn children(&self) -> Vec<u32> {
        assert!(!self.process.is_gone(), "the server has ended");
        let all = child::processes();
        all.iter().filter(|seen| seen.parent == self.id()).map(|seen| seen.id).collect()
    }

    /// Stops the first process, which then starts no other, and says which others there are.
    fn hold(&self) -> Vec<u32> {
        self.process.signal(Signal::Stop);
        child::wait_until("standstill", || child::state_of(self.id()) == Some(State::Stopped));
        self.children()
    }

    /// Whether it answers. If it has ended instead, its port was taken.
    fn is_ready(&mut self) -> bool {
        for _ in 0..1500 {
            if self.process.has_ended() {
                assert!(self.last_words().contains("could not bind"), "{}", self.last_words());
                return false;
            }
            if psql(&self.url(), "SELECT 1").is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not answer: {}", self.last_words());
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        let from = log.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
        log[from..].to_owned()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if !self.process.has_ended() {
            Signal::Quit.send(&[self.id()]);
            let standing = self.children();
            Signal::Continue.send(&standing);
            self.process.signal(Signal::Continue);
            for _ in 0..500 {
                if self.process.has_ended() {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
            self.kill();
        }
        // Killed, it has left a segment of shared memory that outlasts every process: the second number of the
        // seventh line.
        let noted = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).unwrap_or_default();
        if let Some(segment) = noted.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _gone = Command::new("ipcrm").args(["-m", segment]).stderr(Stdio::null()).status();
        }
    }
}

fn init(folder: &Path, account: Option<Account>) {
    let password = folder.join("password");
    fs::write(&password, PASSWORD).unwrap();
    for path in [folder, &password] {
        // The server's account alone, which must own its folder.
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        if let Some(account) = account {
            chown(path, Some(account.user), Some(account.group)).unwrap();
        }
    }
    let done = program("initdb", folder, account)
        .args(["--username", USER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"])
        // What is made here need not outlast the machine; what the server writes is another matter.
        .args(["--no-sync", "--no-instructions", "--pgdata"])
        .arg(folder.join("data"))
        .arg("--pwfile")
        .arg(&password)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn spawn(folder: &Path, account: Option<Account>, port: u16) -> Process {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        "shared_buffers=16MB".to_owned(),
        // In the folder, where nothing of it outlasts a crash.
        "dynamic_shared_memory_type=mmap".to_owned(),
    ];
    let mut command = program("postgres", folder, account);
    command.arg("-D").arg(folder.join("data"));
    for setting in settings {
        command.args(["-c", &setting]);
    }
    Process::spawn(command.stdout(log.try_clone().unwrap()).stderr(log)).unwrap()
}

fn program(name: &str, folder: &Path, account: Option<Account>) -> Command {
    let mut command = Command::new(programs().join(name));
    command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null());
    if let Some(Account { user, group }) = account {
        command.gid(group).uid(user);
    }
    command
}

/// The folder that holds all the programs of one version.
fn programs() -> PathBuf {
    let version = |path: &PathBuf| -> Option<u32> { path.parent()?.file_name()?.to_str()?.parse().ok() };
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<_> = debian.map(|entry| entry.unwrap().path().join("bin")).collect();
    debian.sort_by_key(version);
    let in_path =
        child::in_path("postgres").map(|path| path.canonicalize().unwrap().parent().unwrap().into());
    let mut all =
        env::var_os(BIN).map(PathBuf::from).into_iter().chain(in_path).chain(debian.into_iter().rev());
    all.find(|folder| ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).is_file()))
        .unwrap_or_else(|| {
            panic!("this test needs PostgreSQL: run `scripts/servers.sh`, or name the folder of its programs in {BIN}")
        })
}

// ===== impl Account =====

impl Account {
    /// None unless files belong to root.
    fn for_files_in(folder: &Path) -> Option<Self> {
        if fs::metadata(folder).unwrap().uid() != 0 {
            return None;
        }
        let number = |of: &str, name: &str| -> Option<u32> {
            let said = Command::new("id").args([of, name]).stderr(Stdio::null()).output().unwrap().stdout;
            String::from_utf8(said).unwrap().trim().parse().ok()
        };
        let account = |name: &&str| Some(Self { user: number("-u", name)?, group: number("-g", name)? });
        Some(["postgres", "nobody"].iter().find_map(account).expect("no account but root's"))
    }
}

// ===== impl Database =====

impl Database {
    fn create(administrator: &str) -> Self {
        let name = format!("portcullis_{}", child::unique_name());
        // Nobody is ever connected to this template, and to be connected to one is a hindrance.
        psql(administrator, &format!("CREATE DATABASE {name} TEMPLATE template0")).unwrap();
        let (server, _) = split(administrator);
        Self { url: format!("{server}/{name}") }
    }

    /// One that is there already.
    pub(crate) fn at(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its address by way of another loopback port, such as that of a proxy.
    pub(crate) fn url_at(&self, port: u16) -> String {
        let (server, name) = split(&self.url);
        let before = &server[..server.len() - self.address().len()];
        format!("{before}127.0.0.1:{port}{name}")
    }

    /// Where its server listens, for a proxy.
    pub(crate) fn address(&self) -> &str {
        let (server, _) = split(&self.url);
        &server[server.rfind(['@', '/']).unwrap() + 1..]
    }

    /// What `psql` prints of it, without headings.
    #[track_caller]
    pub(crate) fn sql(&self, statements: &str) -> String {
        psql(&self.url, statements).unwrap_or_else(|said| panic!("{said}"))
    }

    /// What the server says against it.
    #[track_caller]
    pub(crate) fn sql_error(&self, statements: &str) -> String {
        psql(&self.url, statements).expect_err("it was done")
    }

    /// Everything in it, as it would be in a copy.
    pub(crate) fn dump(&self) -> String {
        let done = Command::new(programs().join("pg_dump")).args(["--dbname", &self.url]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }
}

/// The address of the server and the path.
fn split(url: &str) -> (&str, &str) {
    let from = url.find("://").unwrap() + 3;
    url.split_at(url[from..].find('/').map_or(url.len(), |at| from + at))
}

/// What is printed, or what is wrong. It gives a server that stands still two seconds to let it in.
fn psql(url: &str, statements: &str) -> Result<String, String> {
    let done = Command::new(programs().join("psql"))
        .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"])
        .args(["--dbname", url, "--command", statements])
        .env("PGCONNECT_TIMEOUT", "2")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if done.status.success() { Ok(said(done.stdout)) } else { Err(said(done.stderr)) }
}
