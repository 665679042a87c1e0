use std::{
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use proptest::prelude::*;
use tracing_subscriber::fmt::MakeWriter;

use super::{
    outlet::{CALM, CAPACITY},
    *,
};
use crate::{clock::Timestamp, credential::Channel, identity::Subject, problem::Reason, text::TokenId};

const PATIENCE: Duration = Duration::from_secs(30);

/// Tells a channel.
struct Told(Sender<Event>);

impl Observer for Told {
    fn observe(&self, event: &Event) {
        let _ = self.0.send(event.clone());
    }
}

/// Says that it was told of something, and goes on only when it is let.
struct Slow {
    told: Sender<Event>,
    gate: Mutex<Receiver<()>>,
}

impl Slow {
    fn new() -> (Self, Receiver<Event>, Sender<()>) {
        let ((told, events), (open, gate)) = (mpsc::channel(), mpsc::channel());
        (Self { told, gate: Mutex::new(gate) }, events, open)
    }
}

impl Observer for Slow {
    fn observe(&self, event: &Event) {
        let _ = self.told.send(event.clone());
        // A closed channel is an open gate.
        let _ = self.gate.lock().unwrap().recv();
    }
}

struct Panics;

impl Observer for Panics {
    fn observe(&self, _: &Event) {
        panic!("planted")
    }
}

impl Meter for Panics {
    fn count(&self, _: &Event) {
        panic!("planted")
    }
}

fn event(number: i64) -> Event {
    Event::new(EventKind::AuthSuccess, Timestamp::from_millis(number))
}

fn numbers(events: impl IntoIterator<Item = Event>) -> Vec<i64> {
    events.into_iter().map(|event| event.at().as_millis()).collect()
}

fn id() -> TokenId {
    TokenId::from_random(&[7; 12])
}

// ===== observers =====

#[test]
fn r033_an_observer_that_blocks_delays_neither_requests_nor_other_observers() {
    let (slow, told, gate) = Slow::new();
    let (sender, others) = mpsc::channel();
    let reporter = Reporter::default().observer(slow).observer(Told(sender));
    reporter.emit(event(0));
    told.recv_timeout(PATIENCE).unwrap();
    // It hangs in the first event, and everything goes on.
    for number in 1..=10 {
        reporter.emit(event(number));
    }
    for number in 0..=10 {
        assert_eq!(others.recv_timeout(PATIENCE).unwrap().at().as_millis(), number);
    }
    drop(gate);
    reporter.flush();
    assert_eq!(numbers(told.try_iter()), Vec::from_iter(1..=10));
}

#[test]
fn r033_an_observer_that_panics_gets_the_next_event_and_stops_no_other() {
    struct PanicsOnce(Sender<Event>);
    impl Observer for PanicsOnce {
        fn observe(&self, event: &Event) {
            assert!(event.at() != Timestamp::from_millis(0), "planted");
            let _ = self.0.send(event.clone());
        }
    }

    let ((sender, other), (first, own)) = (mpsc::channel(), mpsc::channel());
    let reporter =
        Reporter::default().observer(Panics).observer(PanicsOnce(first)).observer(Told(sender)).meter(Panics);
    for number in 0..3 {
        reporter.emit(event(number));
    }
    reporter.flush();
    assert_eq!(numbers(own.try_iter()), [1, 2]);
    assert_eq!(numbers(other.try_iter()), [0, 1, 2]);
}

#[test]
fn r212_a_full_queue_drops_and_counts_and_tells_once_when_there_is_room_again() {
    struct Dropped(AtomicU64);
    impl Meter for &'static Dropped {
        fn count(&self, event: &Event) {
            if let EventKind::EventsDropped { count } = event.kind() {
                self.0.fetch_add(*count, Ordering::SeqCst);
            }
        }
    }
    static METERED: Dropped = Dropped(AtomicU64::new(0));

    let (slow, told, gate) = Slow::new();
    let reporter = Reporter::default().observer(slow).meter(&METERED);
    reporter.emit(event(0));
    told.recv_timeout(PATIENCE).unwrap(); // in its hands, no longer in the queue
    let (capacity, calm) = (i64::try_from(CAPACITY).unwrap(), i64::try_from(CALM).unwrap());
    for number in 1..=capacity {
        reporter.emit(event(number));
    }
    assert_eq!(reporter.dropped(), 0);
    for number in 0..10 {
        reporter.emit(event(capacity + 1 + number));
    }
    assert_eq!(reporter.dropped(), 10);
    assert_eq!(METERED.0.load(Ordering::SeqCst), 10);

    drop(gate);
    reporter.flush();
    reporter.emit(event(-1));
    reporter.flush();
    let events: Vec<Event> = told.try_iter().collect();
    let (before, rest) = events.split_at(usize::try_from(capacity - calm).unwrap());
    assert_eq!(numbers(before.to_vec()), Vec::from_iter(1..=capacity - calm));
    assert_eq!(rest[0].kind(), &EventKind::EventsDropped { count: 10 });
    assert_eq!(rest[0].at().as_millis(), capacity + 10);
    let after = Vec::from_iter((capacity - calm + 1..=capacity).chain([-1]));
    assert_eq!(numbers(rest[1..].to_vec()), after);
    assert_eq!(reporter.dropped(), 10);
}

#[test]
fn r033_the_thread_ends_with_the_last_reporter_and_hands_over_what_is_queued() {
    thread_local! {
        static AT_EXIT: std::cell::RefCell<Option<Exit>> = const { std::cell::RefCell::new(None) };
    }
    struct Exit(Sender<&'static str>);
    impl Drop for Exit {
        fn drop(&mut self) {
            let _ = self.0.send("ended");
        }
    }
    struct Local(Sender<&'static str>, Slow);
    impl Observer for Local {
        fn observe(&self, event: &Event) {
            assert_eq!(std::thread::current().name(), Some("portcullis-events"));
            AT_EXIT.with_borrow_mut(|exit| {
                exit.get_or_insert_with(|| Exit(self.0.clone()));
            });
            self.1.observe(event);
        }
    }

    let (sender, thread) = mpsc::channel();
    let (slow, told, gate) = Slow::new();
    let reporter = Reporter::default().observer(Local(sender, slow));
    let clone = reporter.clone();
    reporter.emit(event(0));
    reporter.emit(event(1));
    drop(reporter);
    gate.send(()).unwrap();
    gate.send(()).unwrap();
    clone.flush();
    assert_eq!(numbers(told.try_iter()), [0, 1]);
    clone.emit(event(2));
    clone.emit(event(3));
    told.recv_timeout(PATIENCE).unwrap();
    // The last one: with one event in the observer's hands and one in the queue.
    drop(clone);
    assert_eq!(thread.try_recv(), Err(mpsc::TryRecvError::Empty));
    drop(gate);
    assert_eq!(thread.recv_timeout(PATIENCE), Ok("ended"));
    assert_eq!(numbers(told.try_iter()), [3]);
    // The thread held the observer: it is gone, too.
    assert_eq!(thread.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn r033_an_observer_compares_the_stored_address_with_that_of_the_request() {
    /// Stands for a login record with its context.
    struct Login(IpAddr);
    struct Moved(Sender<(String, IpAddr, IpAddr)>);
    impl Observer for Moved {
        fn observe(&self, event: &Event) {
            let stored = event.details::<Login>().map(|login| login.0);
            if let (Some(stored), Some(now), Some(subject)) = (stored, event.client_ip(), event.subject())
                && stored != now
            {
                let _ = self.0.send((subject.id().to_owned(), stored, now));
            }
        }
    }

    let (home, away): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "198.51.100.9".parse().unwrap());
    let (sender, moved) = mpsc::channel();
    let reporter = Reporter::default().observer(Moved(sender));
    for ip in [home, away, home] {
        let event = event(0)
            .with_subject(Subject::local("ada").into())
            .with_client_ip(ip)
            .with_details(std::sync::Arc::new(Login(home)));
        assert!(event.details::<String>().is_none());
        reporter.emit(event);
    }
    reporter.flush();
    assert_eq!(Vec::from_iter(moved.try_iter()), [("ada".to_owned(), home, away)]);
}

#[test]
fn an_observer_may_emit_and_flush() {
    struct Echo(Mutex<Option<Reporter>>, Sender<Event>);
    impl Observer for Echo {
        fn observe(&self, event: &Event) {
            let _ = self.1.send(event.clone());
            if let Some(reporter) = self.0.lock().unwrap().take() {
                reporter.emit(self::event(event.at().as_millis() + 1));
                reporter.flush();
            }
        }
    }

    let (sender, told) = mpsc::channel();
    let (own, other) = mpsc::channel();
    let echo = std::sync::Arc::new(Echo(Mutex::new(None), sender));
    struct Shared(std::sync::Arc<Echo>);
    impl Observer for Shared {
        fn observe(&self, event: &Event) {
            self.0.observe(event);
        }
    }
    let reporter = Reporter::default().observer(Shared(echo.clone())).observer(Told(own));
    *echo.0.lock().unwrap() = Some(reporter.clone());
    reporter.emit(event(0));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().at().as_millis(), 0);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().at().as_millis(), 1);
    reporter.flush();
    assert_eq!(numbers(other.try_iter()), [0, 1]);
}

#[test]
fn what_is_added_to_a_clone_hears_of_the_clone_alone() {
    let ((sender, first), (second_sender, second)) = (mpsc::channel(), mpsc::channel());
    let reporter = Reporter::default().observer(Told(sender));
    let both = reporter.clone().observer(Told(second_sender));
    reporter.emit(event(0));
    both.emit(event(1));
    both.flush();
    assert_eq!((numbers(first.try_iter()), numbers(second.try_iter())), (vec![0, 1], vec![1]));
    assert_eq!(format!("{both:?}"), "Reporter { observers: 2, meters: 0 }");
}

#[test]
fn somebody_is_told_where_somebody_listens() {
    struct Nothing;
    impl Meter for Nothing {
        fn count(&self, _: &Event) {}
    }

    assert!(
        !Reporter::default()
            .wants(&EventKind::TokenReuse { kind: ReuseKind::StaleAncestor, since_rotation: Duration::ZERO })
    );
    assert!(Reporter::default().meter(Nothing).wants(&EventKind::AuthSuccess));
    assert!(Reporter::default().observer(Panics).wants(&EventKind::AuthSuccess));
    let info = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    tracing::subscriber::with_default(info.finish(), || {
        assert!(!Reporter::default().wants(&EventKind::AuthSuccess));
        assert!(Reporter::default().wants(&EventKind::AuthFail));
        assert!(Reporter::default().wants(&EventKind::AuthzFail));
    });
}

// ===== vocabulary =====

/// Every kind, with the level that it is logged at and its name.
fn vocabulary() -> Vec<(EventKind, &'static str, &'static str)> {
    let since_rotation = Duration::from_millis(1_500);
    vec![
        (EventKind::LoginSuccess, "INFO", "authn_login_success"),
        (EventKind::LoginFail, "WARN", "authn_login_fail"),
        (EventKind::LoginThrottled, "WARN", "excess_rate_limit_exceeded"),
        (EventKind::NewDevice, "INFO", "new_device"),
        (EventKind::AuthSuccess, "DEBUG", "authn_success"),
        (EventKind::AuthFail, "INFO", "authn_fail"),
        (EventKind::AuthMissing, "DEBUG", "authn_missing"),
        (EventKind::CouldNotCheck, "WARN", "authn_unavailable"),
        (EventKind::AuthzFail, "WARN", "authz_fail"),
        (EventKind::PrivilegeChanged, "WARN", "authz_change"),
        (EventKind::CsrfRefused, "WARN", "csrf_refused"),
        (EventKind::TokenCreated, "INFO", "authn_token_created"),
        (EventKind::TokenRefreshed, "DEBUG", "token_refreshed"),
        (EventKind::TokenRevoked { reason: RevokeReason::Logout }, "INFO", "authn_token_revoked"),
        (EventKind::TokensRevoked { count: 3 }, "INFO", "authn_token_revoked"),
        (EventKind::Purged { count: 3 }, "DEBUG", "authn_token_delete"),
        (
            EventKind::TokenReuse { kind: ReuseKind::StaleAncestor, since_rotation },
            "WARN",
            "authn_token_reuse",
        ),
        (EventKind::ReuseAllowed { since_rotation }, "DEBUG", "reuse_allowed"),
        (EventKind::GraceCap, "WARN", "grace_cap"),
        (EventKind::SessionCreated, "INFO", "session_created"),
        (EventKind::SessionRenewed, "DEBUG", "session_renewed"),
        (EventKind::SessionExpired, "INFO", "session_expired"),
        (EventKind::SessionUseAfterExpire, "INFO", "session_use_after_expire"),
        (EventKind::StoreRegressed, "WARN", "store_regressed"),
        (EventKind::Inconsistent, "WARN", "inconsistent"),
        (EventKind::UnknownKey, "WARN", "unknown_key"),
        (EventKind::ConfirmationLost, "WARN", "confirmation_lost"),
        (EventKind::TouchLost, "WARN", "touch_lost"),
        (EventKind::TouchDropped, "WARN", "touch_dropped"),
        (EventKind::StoreFull, "WARN", "store_full"),
        (EventKind::EventsDropped { count: 3 }, "WARN", "events_dropped"),
    ]
}

/// The terms of OWASP's Logging Vocabulary Cheat Sheet for what this crate reports.
const OWASP: [&str; 13] = [
    "authn_login_success",
    "authn_login_fail",
    "authn_token_created",
    "authn_token_revoked",
    "authn_token_reuse",
    "authn_token_delete",
    "authz_fail",
    "authz_change",
    "excess_rate_limit_exceeded",
    "session_created",
    "session_renewed",
    "session_expired",
    "session_use_after_expire",
];

#[test]
fn r212_names_are_those_of_owasp_where_it_has_one() {
    let mut names = Vec::new();
    for (kind, _, name) in vocabulary() {
        assert_eq!(kind.name(), name);
        names.push(name);
    }
    assert!(OWASP.iter().all(|name| names.contains(name)));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count - 1, "only the two revocations share a name");
}

// ===== the log =====

#[derive(Clone, Default)]
struct Log(std::sync::Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is logged of these events.
fn logged(events: impl IntoIterator<Item = Event>) -> String {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(log.clone());
    let reporter = Reporter::default();
    tracing::subscriber::with_default(subscriber.finish(), || {
        events.into_iter().for_each(|event| reporter.emit(event));
    });
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

#[test]
fn sec_k03_each_event_is_one_line_with_its_name_and_level() {
    for (kind, level, name) in vocabulary() {
        let log = logged([Event::new(kind, Timestamp::from_millis(5))]);
        let start = format!("{level:>5} portcullis: name=\"{name}\" at=5");
        assert!(log.starts_with(&start), "{log}");
        assert_eq!(log.matches('\n').count(), 1, "{log}");
    }
}

#[test]
fn sec_k03_a_line_has_login_subject_channel_reason_and_network() {
    let whole = Event::new(EventKind::AuthFail, Timestamp::from_millis(1_700_000_000_000))
        .with_record(id())
        .with_subject(Subject::of("https://id.example.com", "ada").into())
        .with_channel(Channel::Cookie)
        .with_reason(Reason::EpochChanged)
        .with_client_ip("2001:db8:1:2:3:4:5:6".parse().unwrap());
    let expected = format!(
        concat!(
            " INFO portcullis: name=\"authn_fail\" at=1700000000000 record=\"{}\"",
            " issuer=\"https://id.example.com\" subject=\"ada\" channel=\"cookie\" reason=\"epoch_changed\"",
            " ip=2001:db8:1:2::/64\n"
        ),
        id()
    );
    assert_eq!(logged([whole]), expected);
    for (address, network) in
        [("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), ("::1", "::/64")]
    {
        let log = logged([event(0).with_client_ip(address.parse().unwrap())]);
        assert!(log.ends_with(&format!(" ip={network}\n")), "{log}");
    }
}

#[test]
fn sec_k03_what_only_some_kinds_have_is_a_field() {
    let since_rotation = Duration::from_millis(1_500);
    let reuse = EventKind::TokenReuse { kind: ReuseKind::RecentPredecessor, since_rotation };
    for (kind, fields) in [
        (reuse, " cause=\"recent_predecessor\" since_rotation_ms=1500\n"),
        (EventKind::ReuseAllowed { since_rotation }, " since_rotation_ms=1500\n"),
        (EventKind::TokenRevoked { reason: RevokeReason::Inactive }, " cause=\"inactive\"\n"),
        (EventKind::Purged { count: 12 }, " count=12\n"),
    ] {
        let log = logged([Event::new(kind, Timestamp::from_millis(0))]);
        assert!(log.ends_with(&format!(" at=0{fields}")), "{log}");
    }
}

/// The subject's id is what somebody typed in.
#[test]
fn sec_d16_a_subject_forges_no_line_of_the_log() {
    let forged = "ada\r\n WARN portcullis: name=\"authn_token_reuse\"\u{2028}\u{1b}[2J";
    let log = logged([event(0).with_subject(Subject::of(forged, forged).into())]);
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(!log.trim_end_matches('\n').contains(char::is_control), "{log:?}");
    assert!(
        log.contains(r#"subject="ada\r\n WARN portcullis: name=\"authn_token_reuse\"\u{2028}\u{1b}[2J""#)
    );
}

proptest! {
    #[test]
    fn sec_d16_no_subject_writes_a_control_character(id in "\\PC{0,8}[\\x00-\\x1f\\x7f-\\u{9f}\u{2028}\u{2029}]{1,4}.{0,8}") {
        let log = logged([event(0).with_subject(Subject::local(id).into())]);
        prop_assert_eq!(log.matches('\n').count(), 1);
        let odd = |char: char| char.is_control() || char == '\u{2028}' || char == '\u{2029}';
        prop_assert!(!log.trim_end_matches('\n').contains(odd), "{:?}", log);
    }
}

#[test]
fn sec_d16_debug_shows_what_the_log_shows() {
    let event = event(1)
        .with_client_ip("2001:db8:1:2:3:4:5:6".parse().unwrap())
        .with_details(std::sync::Arc::new("planted-secret"));
    let shown = format!("{event:?}");
    assert!(!shown.contains("planted-secret") && !shown.contains("3:4:5:6"), "{shown}");
    assert!(shown.contains("AuthSuccess") && shown.contains("2001:db8:1:2::/64"), "{shown}");
}
