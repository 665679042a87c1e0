//! Random sequences of everything that can happen to logins, against a model of what may come of it.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt;
use portcullis::{
    TokenPolicy, TokenService,
    clock::{ManualClock, Timestamp},
    credential::Channel,
    identity::Subject,
    problem::Reason,
    store::{LoginRecord, MemoryStore, TokenStore},
    token::{IssueOptions, Issued, RefreshRequest},
};
use proptest::prelude::*;

use crate::support::{Mode, ProbeStore, START, invalid, refresh_text, secs};

const ACCESS: Duration = Duration::from_secs(3600);
const ABSOLUTE: Duration = Duration::from_secs(10 * 3600);

#[derive(Debug, Clone)]
enum Step {
    Login(usize),
    /// The access token of the pair so many back.
    Verify(usize, usize),
    /// The refresh token of the pair so many back.
    Refresh(usize, usize),
    Rekey(usize),
    ChangeCredentials(usize),
    Revoke(usize),
    RevokeOthers(usize),
    RevokeSubject(usize),
    RevokeEveryone,
    /// With a version so many behind.
    SaveData(usize, u64),
    Wait(u64),
    ClockBack(u64),
    Purge,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let login = || 0..6_usize;
    let seconds = || {
        prop_oneof![Just(1), Just(9), Just(11), Just(16), Just(301), Just(1_800), Just(3_600), 0..20_000_u64]
    };
    let step = prop_oneof![
        3 => (0..2_usize).prop_map(Step::Login),
        6 => (login(), 0..3_usize).prop_map(|(login, back)| Step::Verify(login, back)),
        9 => (login(), prop_oneof![5 => Just(0), 2 => Just(1), 1 => 2..4_usize])
            .prop_map(|(login, back)| Step::Refresh(login, back)),
        1 => login().prop_map(Step::Rekey),
        1 => login().prop_map(Step::ChangeCredentials),
        1 => login().prop_map(Step::Revoke),
        1 => login().prop_map(Step::RevokeOthers),
        1 => (0..2_usize).prop_map(Step::RevokeSubject),
        1 => Just(Step::RevokeEveryone),
        2 => (login(), 0..2_u64).prop_map(|(login, behind)| Step::SaveData(login, behind)),
        6 => seconds().prop_map(Step::Wait),
        1 => seconds().prop_map(Step::ClockBack),
        1 => Just(Step::Purge),
    ];
    proptest::collection::vec(step, 1..70)
}

fn policy(kind: usize) -> TokenPolicy {
    let builder = TokenPolicy::builder()
        .access_ttl(Some(ACCESS))
        .refresh_ttl(Some(secs(3 * 3600)))
        .absolute(Some(ABSOLUTE));
    match kind {
        0 => builder,
        1 => builder.sliding_with_refresh().touch_every(Some(secs(0))),
        2 => builder.strict(),
        3 => builder.single_login(),
        // As every session has it.
        _ => builder.refresh_ttl(None).sliding().touch_every(Some(secs(0))),
    }
    .build()
    .unwrap()
}

/// What the model knows of a login.
struct Login {
    user: usize,
    /// All pairs it ever had, with the number of the lineage that they belong to.
    pairs: Vec<(usize, Issued)>,
    ended: bool,
    version: u64,
    generation: u32,
}

impl Login {
    fn current(&self) -> &Issued {
        &self.pairs.last().expect("a login has a pair").1
    }

    fn is_current(&self, issued: &Issued) -> bool {
        self.current().access() == issued.access()
    }
}

struct World {
    time: ManualClock,
    memory: MemoryStore,
    tokens: TokenService,
    /// Looks and writes nothing.
    reader: TokenService,
    single: bool,
    strict: bool,
    sliding: bool,
    logins: Vec<Login>,
}

fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the store in memory has nothing to wait for")
}

fn user(number: usize) -> Subject {
    Subject::local(["ada", "bob"][number])
}

impl World {
    fn new(kind: usize) -> Self {
        let (time, memory) = (ManualClock::new(START), MemoryStore::new());
        let mut probe = ProbeStore::new();
        probe.memory = memory.clone();
        probe.set(Mode::ReadOnly);
        let service = |policy| TokenService::new(memory.clone(), policy).clock(time.clock());
        let tokens = service(policy(kind));
        let reader = TokenService::new(probe, policy(kind)).clock(time.clock());
        let (single, strict, sliding) = (kind == 3, kind == 2, kind == 1 || kind == 4);
        Self { tokens, reader, memory, time, single, strict, sliding, logins: Vec::new() }
    }

    fn record(&self, login: usize) -> Option<Arc<LoginRecord>> {
        let id = self.logins[login].current().record().id();
        now(self.memory.find(&id).wait()).unwrap().map(|found| found.record)
    }

    fn take(&mut self, step: &Step) {
        let count = self.logins.len();
        let chosen = |login: &usize| (count > 0).then(|| login % count.max(1));
        match step {
            Step::Login(number) => self.log_in(*number),
            Step::Wait(seconds) => self.time.advance(secs(*seconds)),
            Step::ClockBack(seconds) => self.time.set(self.time.now().minus(secs(*seconds))),
            Step::Purge => {
                now(self.tokens.purge(100)).unwrap();
            }
            Step::RevokeSubject(number) => {
                now(self.tokens.revoke_subject(&user(*number))).unwrap();
                self.end(|login| login.user == *number);
            }
            Step::RevokeEveryone => {
                now(self.tokens.revoke_everyone()).unwrap();
                self.end(|_| true);
            }
            Step::Verify(login, back) => {
                chosen(login).into_iter().for_each(|login| self.verify(login, *back))
            }
            Step::Refresh(login, back) => {
                chosen(login).into_iter().for_each(|login| self.refresh(login, *back))
            }
            Step::Rekey(login) => chosen(login).into_iter().for_each(|login| self.rekey(login, false)),
            Step::ChangeCredentials(login) => {
                chosen(login).into_iter().for_each(|login| self.rekey(login, true))
            }
            Step::SaveData(login, behind) => {
                chosen(login).into_iter().for_each(|login| self.save(login, *behind))
            }
            Step::Revoke(login) => {
                if let Some(login) = chosen(login) {
                    now(self.tokens.revoke(&self.logins[login].current().record().id())).unwrap();
                    self.logins[login].ended = true;
                }
            }
            Step::RevokeOthers(login) => {
                if let Some(login) = chosen(login) {
                    let (number, keep) =
                        (self.logins[login].user, self.logins[login].current().record().id());
                    now(self.tokens.revoke_others(&user(number), &keep)).unwrap();
                    self.end(|other| other.user == number && other.current().record().id() != keep);
                }
            }
        }
    }

    fn end(&mut self, which: impl Fn(&Login) -> bool) {
        self.logins.iter_mut().filter(|login| which(login)).for_each(|login| login.ended = true);
    }

    fn log_in(&mut self, number: usize) {
        let issued = now(self.tokens.issue_for_header(user(number), IssueOptions::default())).unwrap();
        if self.single {
            // Those that time had ended were not ended by this; a clock that steps back shows it.
            let ended: Vec<_> = (0..self.logins.len())
                .filter(|login| self.logins[*login].user == number)
                .filter(|login| self.record(*login).is_none_or(|record| record.revoked().is_some()))
                .collect();
            ended.into_iter().for_each(|login| self.logins[login].ended = true);
        }
        let login = Login { user: number, pairs: vec![(0, issued)], ended: false, version: 0, generation: 0 };
        self.logins.push(login);
    }

    fn verify(&self, login: usize, back: usize) {
        let pairs = &self.logins[login].pairs;
        let issued = pairs[pairs.len() - 1 - back.min(pairs.len() - 1)].1.clone();
        let before = self.record(login);
        let valid = invalid(now(self.tokens.verify(issued.access().expose(), None)));
        let after = self.record(login);
        if valid.is_err() {
            assert!(same(before.as_ref(), after.as_ref()), "an invalid token changes nothing");
            return;
        }
        // A use moves the end of a sliding login to its own life from now, and no other end anywhere.
        let (before, after) = (before.expect("it was verified"), after.expect("it was verified"));
        let moment = self.time.now();
        let end = moment.plus(ACCESS).min(before.absolute_expires());
        // Seen later than now: the clock stepped back, and the use is not noted.
        let noted = self.sliding && before.last_seen() <= moment;
        let expected = before.access_expires().max(if noted { end } else { before.access_expires() });
        assert_eq!(after.access_expires(), expected, "the end that a use gives");
    }

    fn refresh(&mut self, login: usize, back: usize) {
        let pairs = &self.logins[login].pairs;
        let place = pairs.len() - 1 - back.min(pairs.len() - 1);
        let (lineage, presented) = pairs[place].clone();
        let current = pairs.last().expect("a pair").clone();
        let before = self.record(login);
        if presented.refresh().is_none() {
            // Nor is the access token one.
            let text = presented.access().expose();
            let refused = invalid(now(self.tokens.refresh(RefreshRequest::new(text, Channel::Header))));
            assert_eq!(refused.map(|_| ()), Err(Reason::Malformed));
            assert!(same(before.as_ref(), self.record(login).as_ref()), "a refusal changes nothing");
            return;
        }
        let text = refresh_text(&presented);
        let result = invalid(now(self.tokens.refresh(RefreshRequest::new(&text, Channel::Header))));
        let in_time = before
            .as_ref()
            .is_some_and(|record| record.refresh_expires().is_some_and(|end| self.time.now() < end));
        match result {
            Ok(issued) if self.logins[login].is_current(&issued) => {
                // The documented repeat: the direct predecessor of the current pair, of its own lineage.
                assert!(!self.strict, "strict repeats nothing");
                assert!(place + 1 == self.logins[login].pairs.len() - 1 && lineage == current.0);
                assert_eq!(issued.refresh(), current.1.refresh());
                assert!(in_time && !self.logins[login].ended);
            }
            Ok(issued) => {
                assert_eq!(presented.access(), current.1.access(), "only the current token rotates");
                assert_eq!(issued.record().generation(), current.1.record().generation() + 1);
                assert!(in_time && !self.logins[login].ended);
                assert!(self.logins[login].pairs.iter().all(|(_, old)| {
                    old.access() != issued.access() && old.refresh() != issued.refresh()
                }));
                self.logins[login].pairs.push((lineage, issued));
            }
            Err(Reason::Reuse) => {
                assert!(presented.access() != current.1.access() && lineage == current.0);
                assert!(in_time && !self.logins[login].ended, "the first proof alone");
                self.logins[login].ended = true;
            }
            Err(_) => {
                assert!(same(before.as_ref(), self.record(login).as_ref()), "a refusal changes nothing");
                let honest = presented.access() == current.1.access() && in_time && !self.logins[login].ended;
                assert!(!honest, "the current token of a living login is always good");
            }
        }
    }

    fn rekey(&mut self, login: usize, credentials: bool) {
        let id = self.logins[login].current().record().id();
        let rekeyed = match credentials {
            false => now(self.tokens.rekey(&id)),
            true => now(self.tokens.change_credentials(&id)),
        };
        if let Ok(issued) = invalid(rekeyed) {
            assert!(!self.logins[login].ended);
            assert_eq!(issued.record().id(), id);
            let lineage = self.logins[login].pairs.last().expect("a pair").0 + 1;
            let number = self.logins[login].user;
            self.logins[login].pairs.push((lineage, issued));
            if credentials {
                self.end(|other| other.user == number && other.current().record().id() != id);
            }
        }
    }

    fn save(&mut self, login: usize, behind: u64) {
        let (id, version) = (self.logins[login].current().record().id(), self.logins[login].version);
        let lives = self.record(login).is_some_and(|record| record.is_live(self.time.now()));
        let saved = now(self.tokens.save_data(&id, version.wrapping_sub(behind), &version)).unwrap();
        assert_eq!(saved, lives && behind == 0 && !self.logins[login].ended);
        self.logins[login].version += u64::from(saved);
    }

    /// What holds after every step.
    fn holds(&mut self) {
        let moment = self.time.now();
        let mut rows = 0;
        for place in 0..self.logins.len() {
            let record = self.record(place);
            rows += usize::from(record.is_some());
            let login = &mut self.logins[place];
            let first = login.pairs[0].1.record();
            let past = moment.since(first.created()) >= ABSOLUTE;
            for (_, issued) in &login.pairs {
                let valid = now(self.reader.verify(issued.access().expose(), None)).is_ok();
                let current = login.pairs.last().expect("a pair").1.access() == issued.access();
                assert!(!valid || (current && !login.ended && !past), "a token lives that must not");
            }
            let Some(record) = record else {
                // Purged: nothing else takes a record away.
                continue;
            };
            assert_eq!(login.ended, record.revoked().is_some(), "ended stays ended, and nothing else is");
            assert!(record.generation() >= login.generation);
            login.generation = record.generation();
            assert_eq!(record.generation(), login.current().record().generation());
            assert_eq!(
                (record.created(), record.absolute_expires()),
                (first.created(), first.absolute_expires())
            );
            assert_eq!(record.absolute_expires(), record.created().plus(ABSOLUTE));
            assert!(record.access_expires() <= record.absolute_expires());
            assert!(record.refresh_expires() <= Some(record.absolute_expires()));
            assert_eq!(record.version(), login.version);
        }
        assert_eq!(self.memory.len(), rows, "one row for each login");
    }
}

fn same(before: Option<&Arc<LoginRecord>>, after: Option<&Arc<LoginRecord>>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => Arc::ptr_eq(before, after),
        (None, None) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    /// No sequence passes the absolute end, brings an ended login back, gives a login two living pairs, turns a
    /// generation back, refuses the current token of a living login, or panics.
    #[test]
    fn sec_d05_no_sequence_breaks_what_holds_of_a_login(kind in 0..5_usize, steps in steps()) {
        let mut world = World::new(kind);
        world.log_in(0);
        for step in &steps {
            world.take(step);
            world.holds();
        }
    }
}

/// The model is told apart from a broken service: a text of another login in its place is noticed.
#[test]
#[should_panic(expected = "a token lives that must not")]
fn the_model_notices_a_second_living_pair() {
    let mut world = World::new(0);
    world.log_in(0);
    world.log_in(0);
    let stranger = world.logins[1].current().clone();
    world.logins[0].pairs.insert(0, (0, stranger));
    world.holds();
}

#[test]
fn r039_the_clock_stepping_back_gains_at_most_what_it_stepped() {
    let mut world = World::new(1);
    world.log_in(0);
    let start = world.time.now();
    for hour in 0..20 {
        world.time.set(start.plus(secs(hour * 1_800)));
        world.verify(0, 0);
        world.refresh(0, 0);
        world.time.set(start);
        world.verify(0, 0);
        world.holds();
        let record = world.record(0).unwrap();
        assert_eq!(record.absolute_expires(), start.plus(ABSOLUTE));
    }
    world.time.set(Timestamp::from_millis(start.plus(ABSOLUTE).as_millis()));
    world.holds();
    assert!(now(world.reader.verify(world.logins[0].current().access().expose(), None)).is_err());
}
