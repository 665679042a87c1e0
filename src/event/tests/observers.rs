//! Who is told, and in which order.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

use super::{
    super::{
        outlet::{CALM, CAPACITY},
        *,
    },
    event,
};
use crate::{clock::Timestamp, identity::Subject};

const PATIENCE: Duration = Duration::from_secs(30);

fn numbers(events: impl IntoIterator<Item = Event>) -> Vec<i64> {
    events.into_iter().map(|event| event.at().as_millis()).collect()
}

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
    /// Panics in the first event, once it is let.
    struct PanicsOnce(Mutex<Receiver<()>>, Sender<Event>);
    impl Observer for PanicsOnce {
        fn observe(&self, event: &Event) {
            if event.at() == Timestamp::from_millis(0) {
                let _ = self.0.lock().unwrap().recv();
                panic!("planted");
            }
            let _ = self.1.send(event.clone());
        }
    }

    let ((gate, closed), (sender, own), (other_sender, other)) =
        (mpsc::channel(), mpsc::channel(), mpsc::channel());
    let reporter = Reporter::default()
        .observer(Panics)
        .observer(PanicsOnce(Mutex::new(closed), sender))
        .observer(Told(other_sender))
        .meter(Panics);
    for number in 0..3 {
        reporter.emit(event(number));
    }
    gate.send(()).unwrap();
    // What was queued behind the panic comes without another event or a flush that would wake anybody.
    for number in 1..3 {
        assert_eq!(own.recv_timeout(PATIENCE).unwrap().at().as_millis(), number);
    }
    reporter.flush();
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

/// Those of each observer.
#[test]
fn r212_dropped_events_are_counted_for_every_observer() {
    let ((one, told_one, _gate_one), (two, told_two, _gate_two)) = (Slow::new(), Slow::new());
    let reporter = Reporter::default().observer(one).observer(two);
    reporter.emit(event(0));
    told_one.recv_timeout(PATIENCE).unwrap();
    told_two.recv_timeout(PATIENCE).unwrap();
    for _ in 0..CAPACITY + 3 {
        reporter.emit(event(1));
    }
    assert_eq!(reporter.dropped(), 6);
}

/// Details are anything, and the observer's thread may be the last to hold them.
#[test]
fn r033_details_that_panic_when_they_are_dropped_stop_no_observer() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("planted");
        }
    }

    let (slow, told, gate) = Slow::new();
    let reporter = Reporter::default().observer(slow);
    reporter.emit(event(0).with_details(Arc::new(Bomb)));
    reporter.emit(event(1));
    // This copy goes first: the observer still holds its own.
    drop(told.recv_timeout(PATIENCE).unwrap());
    drop(gate);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().at().as_millis(), 1);
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
            .with_details(Arc::new(Login(home)));
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
                reporter.emit(super::event(event.at().as_millis() + 1));
                reporter.flush();
            }
        }
    }

    let (sender, told) = mpsc::channel();
    let (own, other) = mpsc::channel();
    let echo = Arc::new(Echo(Mutex::new(None), sender));
    struct Shared(Arc<Echo>);
    impl Observer for Shared {
        fn observe(&self, event: &Event) {
            self.0.observe(event);
        }
    }
    // First the one that only listens: it has each event before the other can answer with the next.
    let reporter = Reporter::default().observer(Told(own)).observer(Shared(echo.clone()));
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
    // Also where the whole suite is logged.
    let _nobody = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default());
    struct Nothing;
    impl Meter for Nothing {
        fn count(&self, _: &Event) {}
    }

    assert!(
        !Reporter::default()
            .wants(&EventKind::TokenReuse { kind: ReuseKind::StaleAncestor, since_rotation: Duration::ZERO })
    );
    assert!(!Reporter::default().wants(&EventKind::AuthFail));
    assert!(Reporter::default().meter(Nothing).wants(&EventKind::AuthSuccess));
    assert!(Reporter::default().observer(Panics).wants(&EventKind::AuthSuccess));
    let info = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    tracing::subscriber::with_default(info.finish(), || {
        assert!(!Reporter::default().wants(&EventKind::AuthSuccess));
        assert!(Reporter::default().wants(&EventKind::AuthFail));
        assert!(Reporter::default().wants(&EventKind::AuthzFail));
    });
}
