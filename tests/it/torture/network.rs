//! Tabs, the way to the nodes and back, and what was seen.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use portcullis::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    event::{Event, Meter, Reporter},
    identity::Subject,
    problem::Reason,
    store::{MemoryStore, TokenStore},
    token::{IssueOptions, Issued, LoginQuery, LoginState, RefreshRequest},
    verify::Refusal,
};
use tokio::runtime::Runtime;

use crate::support::{START, refresh_text};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// After a lost answer a client comes back after one of these.
const RETRIES: [i64; 6] = [2 * SECOND, 30 * SECOND, 60 * SECOND, 300 * SECOND, HOUR, 8 * HOUR];
/// The clocks of the two nodes, ahead of the true time.
const SKEW: [i64; 2] = [2 * SECOND, -2 * SECOND];

/// How tabs deal with their shared storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// An answer is stored only where the token that was presented still is; on 401 the stored one is tried first,
    /// if it is another. Requests arrive at once, answers may be late.
    Shared,
    /// Every answer is stored, and 401 is the end.
    Blind,
}

/// What was seen.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    pub(crate) refreshes: usize,
    pub(crate) rotations: usize,
    pub(crate) repeats: usize,
    pub(crate) refused: usize,
    pub(crate) lost: usize,
    pub(crate) late: usize,
    pub(crate) logouts: usize,
    pub(crate) reuse: usize,
    pub(crate) logins_in_store: usize,
    pub(crate) living_pairs: usize,
    pub(crate) generation: usize,
}

/// Counts what a queue of an observer would drop.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<[AtomicUsize; 3]>);

/// The access and the refresh text that the tabs share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) access: String,
    pub(super) refresh: String,
}

/// What happens next. Ordered by its time, then by its number.
enum Happening {
    /// A tab wants a fresh pair.
    Wakes(usize),
    /// Its request arrives at a node.
    Arrives { tab: usize, node: usize, presented: Stored, back: Option<i64> },
    /// The answer arrives at the tab.
    Answer { tab: usize, presented: Stored, answer: Result<Stored, ()> },
}

pub(crate) struct Network {
    /// Of a store that does not answer at once.
    runtime: Option<Runtime>,
    start: Timestamp,
    pub(super) nodes: [(ManualClock, TokenService); 2],
    pub(super) counts: Counts,
    pub(super) random: Random,
    pub(super) storage: Stored,
    manners: Manners,
    now: i64,
    queue: BinaryHeap<Reverse<(i64, usize)>>,
    happenings: Vec<Option<Happening>>,
    given: Vec<Issued>,
    report: Report,
}

/// A small generator (SplitMix64) with a seed.
pub(super) struct Random(u64);

// ===== impl Network =====

impl Network {
    /// Over memory, which answers at once.
    pub(super) fn new(seed: u64, tabs: usize, manners: Manners) -> Self {
        let store = MemoryStore::new();
        Self::over([store.clone(), store], START, None, seed, tabs, manners)
    }

    /// Over these handles of one empty store. The story begins at `start`.
    pub(crate) fn over(
        stores: [impl TokenStore; 2],
        start: Timestamp,
        runtime: Option<Runtime>,
        seed: u64,
        tabs: usize,
        manners: Manners,
    ) -> Self {
        let counts = Counts::default();
        // Longer than any of the stories, of which the longest has years.
        let policy = TokenPolicy::builder().absolute(None).build().unwrap();
        let reporter = Reporter::default().meter(counts.clone());
        let nodes = stores.map(|store| {
            let clock = ManualClock::new(start);
            let service = TokenService::new(store, policy.clone());
            (clock.clone(), service.clock(clock.clock()).reporter(reporter.clone()))
        });
        let first = answer(runtime.as_ref(), login(&nodes[0].1));
        let mut network = Self {
            runtime,
            start,
            nodes,
            counts,
            random: Random(seed),
            storage: Stored::of(&first),
            manners,
            now: 0,
            queue: BinaryHeap::new(),
            happenings: Vec::new(),
            given: vec![first],
            report: Report::default(),
        };
        network.set_time(0);
        for tab in 0..tabs {
            let first = network.random.below(10 * MINUTE);
            network.plan(first, Happening::Wakes(tab));
        }
        network
    }

    /// Until so many refreshes have come to a node.
    pub(crate) fn run(mut self, refreshes: usize) -> Report {
        while self.report.refreshes < refreshes {
            let Reverse((time, number)) = self.queue.pop().expect("tabs never rest");
            self.set_time(time);
            match self.happenings[number].take().expect("it happens once") {
                Happening::Wakes(tab) => self.wakes(tab),
                Happening::Arrives { tab, node, presented, back } => self.arrives(tab, node, presented, back),
                Happening::Answer { tab, presented, answer } => self.answered(tab, &presented, answer),
            }
        }
        self.finish()
    }

    pub(super) fn set_time(&mut self, now: i64) {
        self.now = now;
        for ((clock, _), skew) in self.nodes.iter().zip(SKEW) {
            clock.set(Timestamp::from_millis(self.start.as_millis() + now + skew));
        }
    }

    pub(super) fn now(&self) -> i64 {
        self.now
    }

    fn plan(&mut self, after: i64, happening: Happening) {
        self.queue.push(Reverse((self.now + after, self.happenings.len())));
        self.happenings.push(Some(happening));
    }

    /// A tab presents what the storage holds at that moment.
    fn wakes(&mut self, tab: usize) {
        let node = self.random.below(2) as usize;
        let mut back = Some(self.random.below(300));
        let luck = self.random.below(100);
        if luck < 2 {
            back = None;
        } else if luck < 12 {
            self.report.late += 1;
            back = Some(self.random.below(30 * SECOND));
        }
        let presented = self.storage.clone();
        self.plan(0, Happening::Arrives { tab, node, presented, back });
    }

    fn arrives(&mut self, tab: usize, node: usize, presented: Stored, back: Option<i64>) {
        self.report.refreshes += 1;
        let answer = self.refresh(node, &presented.refresh);
        match back {
            Some(back) => self.plan(back, Happening::Answer { tab, presented, answer }),
            None => {
                self.report.lost += 1;
                let pause = RETRIES[self.random.below(6) as usize];
                self.plan(pause, Happening::Wakes(tab));
            }
        }
    }

    pub(super) fn refresh(&mut self, node: usize, text: &str) -> Result<Stored, ()> {
        let repeats = self.counts.repeats();
        let request = RefreshRequest::new(text, Channel::Header);
        match self.answer(self.nodes[node].1.refresh(request)) {
            Ok(issued) => {
                if self.counts.repeats() == repeats {
                    self.report.rotations += 1;
                    self.given.push(issued.clone());
                } else {
                    self.report.repeats += 1;
                }
                Ok(Stored::of(&issued))
            }
            Err(Refusal::Invalid(_)) => {
                self.report.refused += 1;
                Err(())
            }
            Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    pub(super) fn verify(&self, node: usize, text: &str) -> Result<(), Reason> {
        match self.answer(self.nodes[node].1.verify(text, None)) {
            Ok(_) => Ok(()),
            Err(Refusal::Invalid(reason)) => Err(reason),
            Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    fn answered(&mut self, tab: usize, presented: &Stored, answer: Result<Stored, ()>) {
        let unchanged = self.storage == *presented;
        match answer {
            Ok(pair) if unchanged || self.manners == Manners::Blind => {
                self.storage = pair;
                // It is used at once: from here on the predecessor is of no more use to anybody honest.
                let node = self.random.below(2) as usize;
                let used = self.verify(node, &self.storage.access);
                assert!(self.manners == Manners::Blind || used != Err(Reason::Revoked));
            }
            Err(()) if !unchanged && self.manners != Manners::Blind => {
                self.plan(0, Happening::Wakes(tab));
                return;
            }
            Err(()) if unchanged => self.log_in_again(),
            // Somebody has stored another pair meanwhile: that one counts. Or another tab has logged in again: then
            // this one was logged out with it.
            Ok(_) | Err(()) => {}
        }
        let pause = MINUTE + self.random.below(19 * MINUTE);
        self.plan(pause, Happening::Wakes(tab));
    }

    fn log_in_again(&mut self) {
        let ended = self.store_says_ended();
        self.report.logouts += usize::from(ended);
        if ended {
            let fresh = self.answer(login(&self.nodes[0].1));
            self.storage = Stored::of(&fresh);
            self.given = vec![fresh];
        }
    }

    /// Whether no login is left: a refusal that ends nothing is no logout.
    fn store_says_ended(&self) -> bool {
        self.live_logins() == 0
    }

    pub(super) fn live_logins(&self) -> usize {
        let query = LoginQuery::of(ada()).state(LoginState::Live);
        self.answer(self.nodes[0].1.logins(query)).unwrap().logins.len()
    }

    fn answer<T>(&self, future: impl Future<Output = T>) -> T {
        answer(self.runtime.as_ref(), future)
    }

    fn finish(mut self) -> Report {
        let given = std::mem::take(&mut self.given);
        let living = given.iter().filter(|issued| self.verify(0, issued.access().expose()).is_ok());
        self.report.living_pairs = living.count();
        let all = self.answer(self.nodes[0].1.logins(LoginQuery::everyone().state(LoginState::Any))).unwrap();
        self.report.logins_in_store = all.logins.len();
        let query = LoginQuery::of(ada()).state(LoginState::Live);
        let page = self.answer(self.nodes[0].1.logins(query)).unwrap();
        self.report.generation = page.logins.first().map_or(0, |login| login.generation() as usize);
        self.report.reuse = self.counts.reuse();
        self.report
    }
}

pub(super) fn ada() -> Subject {
    Subject::local("ada")
}

async fn login(service: &TokenService) -> Issued {
    service.issue_for_header(ada(), IssueOptions::default()).await.unwrap()
}

fn answer<T>(runtime: Option<&Runtime>, future: impl Future<Output = T>) -> T {
    match runtime {
        Some(runtime) => runtime.block_on(future),
        None => future.now_or_never().expect("memory answers at once"),
    }
}

impl Stored {
    fn of(issued: &Issued) -> Self {
        Self { access: issued.access().expose().to_owned(), refresh: refresh_text(issued) }
    }
}

// ===== impl Counts =====

impl Counts {
    pub(super) fn reuse(&self) -> usize {
        self.0[0].load(Ordering::Relaxed)
    }

    pub(super) fn repeats(&self) -> usize {
        self.0[1].load(Ordering::Relaxed)
    }

    /// Repeats that were allowed although the rotation was longer ago than the window: the new pair was unused.
    pub(super) fn late_repeats(&self) -> usize {
        self.0[2].load(Ordering::Relaxed)
    }
}

impl Meter for Counts {
    fn count(&self, event: &Event) {
        use portcullis::event::EventKind::{ReuseAllowed, TokenReuse};
        let place = match event.kind() {
            TokenReuse { .. } => 0,
            ReuseAllowed { since_rotation, .. } => {
                if *since_rotation >= Duration::from_secs(10) {
                    self.0[2].fetch_add(1, Ordering::Relaxed);
                }
                1
            }
            _ => return,
        };
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }
}

// ===== impl Random =====

impl Random {
    pub(super) fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        i64::try_from(mixed % u64::try_from(bound.max(1)).expect("positive")).expect("below the bound")
    }
}
