//! The vocabulary, and the lines of the log.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use proptest::prelude::*;
use tracing::{Dispatch, subscriber::DefaultGuard};
use tracing_subscriber::fmt::MakeWriter;

use super::{
    super::{outlet::CAPACITY, *},
    event,
};
use crate::{clock::Timestamp, credential::Channel, identity::Subject, problem::Reason, text::TokenId};

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
        (EventKind::CredentialsChanged, "INFO", "authn_password_change"),
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
        (EventKind::ReuseAllowed { since_rotation, by: RepeatedBy::Unknown }, "DEBUG", "reuse_allowed"),
        (EventKind::GraceCap, "WARN", "grace_cap"),
        (EventKind::SessionCreated, "INFO", "session_created"),
        (EventKind::SessionRenewed, "DEBUG", "session_renewed"),
        (EventKind::SessionExpired, "INFO", "session_expired"),
        (EventKind::SessionUseAfterExpire, "INFO", "session_use_after_expire"),
        (EventKind::SessionNotSaved, "WARN", "session_not_saved"),
        (EventKind::StoreRegressed, "WARN", "store_regressed"),
        (EventKind::StoreLost, "WARN", "store_lost"),
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
const OWASP: [&str; 14] = [
    "authn_login_success",
    "authn_login_fail",
    "authn_token_created",
    "authn_token_revoked",
    "authn_token_reuse",
    "authn_token_delete",
    "authz_fail",
    "authz_change",
    "authn_password_change",
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
struct Log(Arc<Mutex<Vec<u8>>>);

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

impl Log {
    /// Writes what this thread says until the guard is dropped.
    fn listen(&self) -> (DefaultGuard, Dispatch) {
        // With one subscriber alone, `tracing` asks the thread that meets a line first whether anybody reads it;
        // another test's thread would say no for all.
        let second = Dispatch::new(tracing::subscriber::NoSubscriber::default());
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .without_time()
            .with_writer(self.clone());
        (tracing::subscriber::set_default(subscriber.finish()), second)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// What is logged of these events.
fn logged(events: impl IntoIterator<Item = Event>) -> String {
    let (log, reporter) = (Log::default(), Reporter::default());
    let _listening = log.listen();
    events.into_iter().for_each(|event| reporter.emit(event));
    log.text()
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
    let id = TokenId::from_random(&[7; 12]);
    let whole = Event::new(EventKind::AuthFail, Timestamp::from_millis(1_700_000_000_000))
        .with_record(id)
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
        id
    );
    assert_eq!(logged([whole]), expected);
    for (address, network) in
        [("192.0.2.7", "192.0.2.7/32"), ("::ffff:192.0.2.7", "192.0.2.7/32"), ("::1", "::/64")]
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
        (
            EventKind::ReuseAllowed { since_rotation, by: RepeatedBy::OtherNetwork },
            " since_rotation_ms=1500 by=\"other_network\"\n",
        ),
        (EventKind::TokenRevoked { reason: RevokeReason::Inactive }, " cause=\"inactive\"\n"),
        (EventKind::Purged { count: 12 }, " count=12\n"),
    ] {
        let log = logged([Event::new(kind, Timestamp::from_millis(0))]);
        assert!(log.ends_with(&format!(" at=0{fields}")), "{log}");
    }
}

#[test]
fn sec_k03_an_issuer_is_named_where_it_is_not_the_application_itself() {
    for (subject, fields) in [
        (Subject::local("ada"), " at=0 subject=\"ada\"\n"),
        (Subject::anonymous("b1"), " at=0 issuer=\"nobody\" subject=\"b1\"\n"),
    ] {
        let log = logged([event(0).with_subject(subject.into())]);
        assert!(log.ends_with(fields), "{log}");
    }
}

#[test]
fn r033_a_meter_that_panics_is_an_error_in_the_log() {
    struct Panics;
    impl Meter for Panics {
        fn count(&self, _: &Event) {
            panic!("planted")
        }
    }

    let log = Log::default();
    let _listening = log.listen();
    Reporter::default().meter(Panics).emit(event(0));
    assert!(log.text().ends_with("ERROR portcullis: a meter panicked\n"), "{}", log.text());
}

/// Says what its thread says, waits in the first event until it is let, and panics in the last.
struct Loud {
    log: Log,
    held: Sender<()>,
    gate: Mutex<Receiver<()>>,
}

impl Observer for Loud {
    fn observe(&self, event: &Event) {
        match event.at().as_millis() {
            0 => {
                // Until the thread ends.
                Box::leak(Box::new(self.log.listen()));
                self.held.send(()).unwrap();
                let _ = self.gate.lock().unwrap().recv();
            }
            -1 => panic!("planted"),
            _ => {}
        }
    }
}

/// What only the observer's thread knows stands in the log, too.
#[test]
fn r212_dropped_events_and_a_panic_of_an_observer_are_logged() {
    let (log, (held, hold), (open, gate)) = (Log::default(), mpsc::channel(), mpsc::channel());
    let loud = Loud { log: log.clone(), held, gate: Mutex::new(gate) };
    let reporter = Reporter::default().observer(loud);
    reporter.emit(event(0));
    hold.recv().unwrap();
    for _ in 0..CAPACITY + 3 {
        reporter.emit(event(1));
    }
    drop(open);
    reporter.flush();
    let dropped = log.text();
    assert!(dropped.ends_with(" WARN portcullis: name=\"events_dropped\" at=1 count=3\n"), "{dropped}");
    assert_eq!(dropped.lines().count(), 1, "{dropped}");
    reporter.emit(event(-1));
    reporter.flush();
    assert!(log.text().ends_with("ERROR portcullis: an observer panicked\n"), "{}", log.text());
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
        .with_details(Arc::new("planted-secret"));
    let shown = format!("{event:?}");
    assert!(!shown.contains("planted-secret") && !shown.contains("3:4:5:6"), "{shown}");
    assert!(shown.contains("AuthSuccess") && shown.contains("(2001:db8:1:2::/64)"), "{shown}");
}
