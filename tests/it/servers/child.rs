//! What the servers share: a process, a folder and a port of its own.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use portcullis::store::LockOwner;

/// A name that nobody else has.
pub(super) fn unique_name() -> String {
    LockOwner::generate().unwrap().as_bytes().map(|byte| format!("{byte:02x}")).concat()
}

/// Starts on one port after the other until one was free. Somebody else may take a port between the look and the
/// start; then the server ends at once, and `start` says `None`.
pub(super) fn on_a_free_port<T>(mut start: impl FnMut(u16) -> Option<T>) -> T {
    for _ in 0..10 {
        // A statement of its own: the listener is to be gone before the server comes.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if let Some(started) = start(port) {
            return started;
        }
    }
    panic!("no server could be started on any port");
}

/// Asks again and again for up to 30 seconds.
#[track_caller]
pub(super) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if done() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("in 30 s there was no {what}");
}

// ===== Folder =====

/// Gone with everything in it when it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(kind: &str) -> Self {
        let path = env::temp_dir().join(format!("portcullis-{kind}-{}", unique_name()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn empty(&self) {
        fs::remove_dir_all(&self.0).unwrap();
        fs::create_dir(&self.0).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

// ===== Process =====

#[derive(Debug, Clone, Copy)]
pub(super) enum Signal {
    /// PostgreSQL ends at once, takes its children along and leaves no shared memory.
    Quit,
    Kill,
    Stop,
    Continue,
}

impl Signal {
    pub(super) fn send(self, pids: &[u32]) {
        if pids.is_empty() {
            return;
        }
        let name = match self {
            Self::Quit => "-QUIT",
            Self::Kill => "-KILL",
            Self::Stop => "-STOP",
            Self::Continue => "-CONT",
        };
        // One of them may have ended by itself.
        let pids = pids.iter().map(u32::to_string);
        let _ended = Command::new("kill").arg(name).args(pids).stderr(Stdio::null()).status().unwrap();
    }
}

/// A process that is killed when it is dropped, even while it stands still.
pub(super) struct Process {
    child: Child,
    /// It was waited for: its number may be somebody else's by now.
    gone: bool,
}

impl Process {
    pub(super) fn spawn(command: &mut Command) -> std::io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        Ok(Self { child, gone: false })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.gone |= self.child.try_wait().unwrap().is_some();
        self.gone
    }

    /// Whether [`has_ended`](Self::has_ended) has seen its end.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Ends it as a crash does.
    pub(super) fn kill(&mut self) {
        let _ended = self.child.kill();
        self.child.wait().unwrap();
        self.gone = true;
    }

    #[track_caller]
    pub(super) fn signal(&self, signal: Signal) {
        assert!(!self.gone, "the server has ended");
        signal.send(&[self.id()]);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.gone {
            self.kill();
        }
    }
}

// ===== other processes =====

/// A process as the system sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: u32,
    pub(super) parent: u32,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Runs,
    Stopped,
    /// Ended, and not yet waited for.
    Ended,
}

/// Every process of the machine.
pub(super) fn processes() -> Vec<Seen> {
    let listed = Command::new("ps").args(["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat="]).output();
    let listed = listed.expect("these tests need `ps`").stdout;
    let seen = |line: &str| {
        let mut words = line.split_whitespace();
        let (id, parent) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let state = match words.next()?.as_bytes()[0] {
            b'T' | b't' => State::Stopped,
            b'Z' | b'X' => State::Ended,
            _ => State::Runs,
        };
        Some(Seen { id, parent, state })
    };
    String::from_utf8(listed).unwrap().lines().filter_map(seen).collect()
}

/// None where there is none, or one that has ended.
pub(super) fn state_of(id: u32) -> Option<State> {
    states_of(&[id]).first().copied()
}

/// Those of them that have not ended.
pub(super) fn states_of(ids: &[u32]) -> Vec<State> {
    let live = processes().into_iter().filter(|seen| seen.state != State::Ended);
    live.filter(|seen| ids.contains(&seen.id)).map(|seen| seen.state).collect()
}

// ===== programs =====

/// Where a program is, if one of that name is in the path.
pub(super) fn in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}
