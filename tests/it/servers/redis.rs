//! Redis and Valkey.

use std::{
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use portcullis::RedisStore;

use super::{
    PASSWORD,
    child::{self, Folder, Process, Signal},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Redis,
    Valkey,
}

/// What a server still has after it was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    /// Each write is on disk before it is answered.
    Everything,
}

/// A server on a free loopback port, with its data in a folder of its own.
pub(crate) struct RedisServer {
    process: Process,
    program: Program,
    keeps: Keeps,
    port: u16,
    folder: Folder,
}

/// A server that other tests may use at the same time: the one that was started for the whole run, or one that is
/// started now.
pub(crate) struct SharedServer {
    url: String,
    _own: Option<RedisServer>,
}

// ===== impl Program =====

impl Program {
    /// The variable with the address of a server to use instead of starting one, such as `redis://127.0.0.1:6379`.
    fn url_variable(self) -> &'static str {
        match self {
            Self::Redis => "PORTCULLIS_REDIS_URL",
            Self::Valkey => "PORTCULLIS_VALKEY_URL",
        }
    }

    /// The variable with the program to start.
    fn variable(self) -> &'static str {
        match self {
            Self::Redis => "PORTCULLIS_REDIS_SERVER",
            Self::Valkey => "PORTCULLIS_VALKEY_SERVER",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        }
    }

    /// The one that is named, the one in the path, or the one that `scripts/servers.sh` has put aside.
    fn path(self) -> PathBuf {
        let aside = || {
            let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
            Some(cache.join("portcullis-tests").join(self.name())).filter(|path| path.is_file())
        };
        let named = env::var_os(self.variable()).map(PathBuf::from);
        named.or_else(|| child::in_path(self.name())).or_else(aside).unwrap_or_else(|| {
            panic!(
                "tests of the feature `redis` need `{}`: run `scripts/servers.sh`, or name it in {}",
                self.name(),
                self.variable()
            )
        })
    }
}

// ===== impl SharedServer =====

impl SharedServer {
    pub(crate) fn get() -> Self {
        Self::of(Program::Redis)
    }

    pub(crate) fn of(program: Program) -> Self {
        match env::var(program.url_variable()) {
            Ok(url) => Self { url, _own: None },
            Err(_) => {
                let own = RedisServer::start_as(program, Keeps::Nothing);
                Self { url: own.url(), _own: Some(own) }
            }
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn leases(&self) -> RedisStore {
        RedisStore::builder(self.url.as_str()).response_timeout(Duration::from_secs(5)).build().unwrap()
    }
}

// ===== impl RedisServer =====

impl RedisServer {
    /// Redis that keeps its data in memory only.
    pub(crate) fn start() -> Self {
        Self::start_as(Program::Redis, Keeps::Nothing)
    }

    /// Starts one, and waits until it answers. A test that needs it fails where there is no such program.
    pub(crate) fn start_as(program: Program, keeps: Keeps) -> Self {
        child::on_a_free_port(|port| {
            let folder = Folder::new("redis");
            let process = spawn(program, keeps, port, folder.path());
            let mut server = Self { process, program, keeps, port, folder };
            server.is_ready().then_some(server)
        })
    }

    pub(crate) fn url(&self) -> String {
        Self::url_at(self.port)
    }

    /// The address of any server that is started here, by way of another port, such as that of a proxy.
    pub(crate) fn url_at(port: u16) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{port}")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn leases(&self) -> RedisStore {
        RedisStore::builder(self.url()).build().unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port, with the data that it keeps.
    pub(crate) fn start_again(&mut self) {
        match self.keeps {
            // Whoever asked for a dump has left one there.
            Keeps::Nothing => self.start_empty(),
            Keeps::Everything => self.spawn(),
        }
    }

    /// Starts it again on the same port, without any data.
    pub(crate) fn start_empty(&mut self) {
        self.folder.empty();
        self.spawn();
    }

    /// Starts it again on the same port, with what it had when it was last told to `SAVE`.
    pub(crate) fn start_from_dump(&mut self) {
        assert_eq!(self.keeps, Keeps::Nothing, "it reads its log instead");
        self.spawn();
    }

    fn spawn(&mut self) {
        assert!(self.process.has_ended(), "the server was not killed");
        self.process = spawn(self.program, self.keeps, self.port, self.folder.path());
        assert!(self.is_ready(), "the port is taken");
    }

    /// It holds its connections and answers nothing, until it is told to go on.
    pub(crate) fn stall(&self) {
        self.process.signal(Signal::Stop);
    }

    pub(crate) fn go_on(&self) {
        self.process.signal(Signal::Continue);
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything that it keeps, as it would be in a copy: written to disk without compression.
    pub(crate) fn dump(&self) -> Vec<u8> {
        assert!(self.command("SAVE").starts_with("+OK"));
        fs::read(self.folder.path().join("dump.rdb")).unwrap()
    }

    /// One command, and the answer if it is short.
    pub(crate) fn command(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert_eq!(said(&mut stream, &format!("AUTH {PASSWORD}")).unwrap(), "+OK\r\n");
        said(&mut stream, line).unwrap()
    }

    /// Whether it answers a new connection within that time.
    pub(crate) fn answers_within(&self, span: Duration) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok_and(|mut stream| {
            stream.set_read_timeout(Some(span)).unwrap();
            said(&mut stream, &format!("AUTH {PASSWORD}")).is_ok_and(|answer| answer.starts_with("+OK"))
        })
    }

    /// Whether it answers. If it has ended instead, its port was taken.
    fn is_ready(&mut self) -> bool {
        for _ in 0..1500 {
            if self.process.has_ended() {
                return false;
            }
            // It lets in while it is still reading what it has kept.
            if self.answers_within(Duration::from_secs(5)) && !self.command("PING").starts_with("-LOADING") {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not answer");
    }
}

fn said(stream: &mut TcpStream, line: &str) -> std::io::Result<String> {
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    let mut answer = [0; 4096];
    let len = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}

fn spawn(program: Program, keeps: Keeps, port: u16, folder: &Path) -> Process {
    let path = program.path();
    let mut command = Command::new(&path);
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", PASSWORD])
        .args(["--save", "", "--rdbcompression", "no"])
        .args(match keeps {
            Keeps::Nothing => ["--appendonly", "no", "--appendfsync", "no"],
            Keeps::Everything => ["--appendonly", "yes", "--appendfsync", "always"],
        })
        .arg("--dir")
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::spawn(&mut command).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
