//! A real server, started for the test that needs it and ended with it.

use std::{
    env, fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use portcullis::{RedisStore, store::LockOwner};

/// The address of a server to use instead of starting one, such as `redis://127.0.0.1:6379`.
const URL: &str = "PORTCULLIS_REDIS_URL";
/// The program to start; by default `redis-server` or `valkey-server`, whichever is found.
const PROGRAM: &str = "PORTCULLIS_REDIS_SERVER";

pub(crate) const PASSWORD: &str = "planted-password";

/// A server on a free loopback port, with its data in a folder of its own.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// A server that other tests may use at the same time: the one that was started for the whole run, or one that is
/// started now.
pub(crate) struct SharedServer {
    url: String,
    _own: Option<RedisServer>,
}

impl SharedServer {
    pub(crate) fn get() -> Self {
        match env::var(URL) {
            Ok(url) => Self { url, _own: None },
            Err(_) => {
                let own = RedisServer::start();
                Self { url: own.url(), _own: Some(own) }
            }
        }
    }

    pub(crate) fn leases(&self) -> RedisStore {
        RedisStore::builder(self.url.as_str()).response_timeout(Duration::from_secs(5)).build().unwrap()
    }
}

impl RedisServer {
    /// Starts one, and waits until it answers. A test that needs it fails where there is no such program.
    pub(crate) fn start() -> Self {
        for _ in 0..10 {
            // Somebody else may take the port between the two lines; then the server ends at once.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(server) = Self::start_on(port) {
                return server;
            }
        }
        panic!("no server could be started on any port");
    }

    fn start_on(port: u16) -> Option<Self> {
        let name = LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat();
        let folder = env::temp_dir().join(format!("portcullis-redis-{name}"));
        fs::create_dir(&folder).unwrap();
        let mut server = Self { child: spawn(port, &folder), port, folder };
        server.is_ready().then_some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn leases(&self) -> RedisStore {
        RedisStore::builder(self.url()).build().unwrap()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, without its data.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder);
        assert!(self.is_ready(), "the port is taken");
    }

    /// It holds its connections and answers nothing, until it is told to go on.
    pub(crate) fn stall(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
    }

    /// Everything that it keeps, as it would be in a copy: written to disk without compression.
    pub(crate) fn dump(&self) -> Vec<u8> {
        assert!(self.command("SAVE").starts_with("+OK"));
        fs::read(self.folder.join("dump.rdb")).unwrap()
    }

    /// One command, and the answer if it is short.
    pub(crate) fn command(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(format!("AUTH {PASSWORD}\r\n").as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let len = stream.read(&mut answer).unwrap();
        assert_eq!(&answer[..len], b"+OK\r\n");
        stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        let len = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..len]).into_owned()
    }

    /// Whether it answers. If it has ended instead, its port was taken.
    fn is_ready(&mut self) -> bool {
        for _ in 0..600 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
                let mut answer = [0; 64];
                stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let asked = stream.write_all(format!("AUTH {PASSWORD}\r\n").as_bytes());
                let answered = asked.and_then(|()| stream.read(&mut answer));
                if answered.is_ok_and(|len| answer[..len].starts_with(b"+OK")) {
                    return true;
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not answer");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &PathBuf) -> Child {
    let named = env::var(PROGRAM).ok();
    let programs =
        named.map_or_else(|| vec!["redis-server".to_owned(), "valkey-server".to_owned()], |one| vec![one]);
    for program in programs {
        let started = Command::new(&program)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", PASSWORD])
            .args(["--save", "", "--appendonly", "no", "--rdbcompression", "no"])
            .arg("--dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(child) = started {
            return child;
        }
    }
    panic!(
        "tests of the feature `redis` need `redis-server` or `valkey-server`: install one, or name it in {PROGRAM}"
    );
}
