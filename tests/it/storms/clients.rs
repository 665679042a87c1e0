//! Processes with browsers in them: this test program, started again.

use std::{
    cmp::Reverse,
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use futures_util::future::join_all;
use portcullis::{
    TokenService,
    credential::Channel,
    identity::Subject,
    text::TokenId,
    token::{IssueOptions, RefreshRequest},
    verify::Refusal,
};
use tokio::time::sleep;

use super::{
    journal::{self, Journal, Pair},
    sites::{self, Address},
};

/// Where the store is and where the journal, for a started process.
const TASK: &str = "PORTCULLIS_TEST_STORM";
/// Logins of each process that are never ended, and those that log out and in again all the time.
const STAYING: usize = 10;
const GOING: usize = 2;
/// Before something that failed is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// A process with a journal, which is killed when it is dropped.
pub(super) struct Client {
    child: Child,
    address: Address,
    journal: PathBuf,
}

// ===== impl Client =====

impl Client {
    pub(super) fn start(address: &Address, journal: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "storms::clients::child", "--nocapture", "--test-threads=1"])
            .env(TASK, format!("{}\n{}", address.to_text(), journal.display()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, address: address.clone(), journal: journal.to_owned() }
    }

    pub(super) fn journal(&self) -> &Path {
        &self.journal
    }

    /// How many lines of that kind it has written.
    pub(super) fn count(&self, kind: &str) -> usize {
        journal::count(&self.journal, kind)
    }

    /// In the middle of whatever it does.
    pub(super) fn kill(&mut self) {
        self.must_run();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its user comes back, with what the journal says.
    pub(super) fn start_again(&mut self) {
        *self = Self::start(&self.address, &self.journal);
    }

    /// It ends by itself only when something was refused that must not be.
    pub(super) fn must_run(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "a client has ended by itself");
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

// ===== child =====

/// No test by itself: what a started process does until it is killed.
#[test]
fn child() {
    let Ok(task) = env::var(TASK) else { return };
    let (address, path) = task.split_once('\n').unwrap();
    let (address, path) = (Address::parse(address), PathBuf::from(path));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let browsers = Browsers {
            nodes: [sites::service(&address.open()), sites::service(&address.open())],
            journal: Journal::append_to(&path),
        };
        // Who was here before goes on where he was.
        let mut known: Vec<_> = journal::read(&path).into_iter().filter(|(_, known)| !known.ends).collect();
        known.sort_by_key(|(_, known)| Reverse(known.pairs.len()));
        let mut known = known.into_iter().map(|(id, known)| (id, known.pairs.last().unwrap().clone()));
        let staying: Vec<_> = (0..STAYING).map(|number| browsers.stay(number, known.next())).collect();
        let going = (0..GOING).map(|_| browsers.come_and_go());
        tokio::join!(join_all(staying), join_all(going));
    });
}

/// The browsers of one process, and the two nodes that they come to.
struct Browsers {
    nodes: [TokenService; 2],
    journal: Journal,
}

impl Browsers {
    async fn login(&self, user: &str) -> (TokenId, Pair) {
        loop {
            if let Ok(issued) =
                self.nodes[0].issue_for_header(Subject::local(user), IssueOptions::default()).await
            {
                let (id, pair) = (issued.record().id(), Pair::of(&issued));
                self.journal.pair(&id, &pair);
                return (id, pair);
            }
            sleep(PAUSE).await;
        }
    }

    /// One request, sent again with the same token until it is answered.
    async fn refresh(&self, node: usize, text: &str) -> Pair {
        loop {
            match self.nodes[node].refresh(RefreshRequest::new(text, Channel::Header)).await {
                Ok(issued) => return Pair::of(&issued),
                Err(Refusal::Invalid(reason)) => panic!("an honest refresh was refused: {reason:?}"),
                Err(Refusal::Unavailable(_)) => sleep(PAUSE).await,
            }
        }
    }

    /// Two tabs with one storage, at once, over two nodes: the same pair for both.
    async fn refresh_twice(&self, id: &TokenId, last: &Pair) -> Pair {
        let both = tokio::join!(self.refresh(0, &last.refresh), self.refresh(1, &last.refresh));
        assert!(both.0 == both.1, "two pairs for one token");
        assert_eq!(both.0.generation, last.generation + 1);
        self.journal.pair(id, &both.0);
        both.0
    }

    async fn is_valid(&self, node: usize, text: &str) -> bool {
        loop {
            match self.nodes[node].verify(text, None).await {
                Ok(_) => return true,
                Err(Refusal::Invalid(_)) => return false,
                Err(Refusal::Unavailable(_)) => sleep(PAUSE).await,
            }
        }
    }

    /// Refreshes for ever. Every other one uses what it gets.
    async fn stay(&self, number: usize, known: Option<(TokenId, Pair)>) {
        let (id, mut pair) = match known {
            Some(known) => known,
            None => self.login("ada").await,
        };
        for round in 0.. {
            let next = self.refresh_twice(&id, &pair).await;
            if number.is_multiple_of(2) {
                self.journal.used(&id, next.generation);
                assert!(self.is_valid(round % 2, &next.access).await, "a new token was refused");
                assert!(!self.is_valid(round % 2, &pair.access).await, "an old token was let in");
            }
            pair = next;
        }
    }

    async fn come_and_go(&self) {
        loop {
            let (id, first) = self.login("bob").await;
            let second = self.refresh_twice(&id, &first).await;
            self.journal.ends(&id);
            while self.nodes[1].revoke(&id).await.is_err() {
                sleep(PAUSE).await;
            }
            self.journal.ended(&id);
            assert!(!self.is_valid(0, &second.access).await, "a login outlived its end");
        }
    }
}
