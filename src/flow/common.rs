//! What login, refresh and logout share: where a request comes from, how often it may come, and who is told.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::request::Parts;

use super::cookies::{CookieChoice, Cookies};
use crate::{
    client_ip::ClientIpPolicy,
    clock::Timestamp,
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    event::{Event, EventKind, Reporter},
    identity::Subject,
    problem::{Challenges, Reason, Rejection, RejectionKind},
    throttle::Throttle,
};

/// Reads something out of a request's head: its tenant, its client.
pub(super) type FromHead = Arc<dyn Fn(&Parts) -> Option<String> + Send + Sync>;

/// Shared settings, unchecked.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) cookies: CookieChoice,
    pub(super) csrf: CsrfPolicy,
    pub(super) client_ip: ClientIpPolicy,
    pub(super) throttle: Option<Throttle>,
    pub(super) reporter: Reporter,
    pub(super) realm: String,
}

/// Shared settings, checked.
pub(super) struct Common {
    pub(super) cookies: Option<Cookies>,
    pub(super) csrf: CsrfPolicy,
    client_ip: ClientIpPolicy,
    throttle: Option<Throttle>,
    /// Whether the log says already that the throttle is not told where requests come from.
    warned: AtomicBool,
    pub(super) reporter: Reporter,
    pub(super) challenges: Arc<Challenges>,
}

// ===== impl Settings =====

impl Settings {
    pub(super) fn new(reporter: Reporter) -> Self {
        Self {
            cookies: CookieChoice::default(),
            csrf: CsrfPolicy::new(),
            client_ip: ClientIpPolicy::peer(),
            throttle: None,
            reporter,
            realm: "api".to_owned(),
        }
    }

    /// `schemes` are those of the header; the cookie's challenge follows them.
    pub(super) fn check(self, schemes: &[String], mut faults: Faults) -> Result<Common, ConfigError> {
        let cookies = self.cookies.check(&mut faults);
        self.csrf.check(&mut faults);
        self.client_ip.check(&mut faults);
        let name = cookies.as_ref().map(|cookies| cookies.access.name());
        let challenges = Challenges::new(&self.realm, schemes.iter().map(String::as_str), name, false);
        faults.check(challenges.is_ok(), "realm", &self.realm, "must be printable ASCII");
        faults.finish()?;
        Ok(Common {
            cookies,
            csrf: self.csrf,
            client_ip: self.client_ip,
            throttle: self.throttle,
            warned: AtomicBool::new(false),
            reporter: self.reporter,
            challenges: Arc::new(challenges.expect("a fault was noted otherwise")),
        })
    }
}

// ===== impl Common =====

impl Common {
    pub(super) fn client_ip(&self, head: &Parts) -> Option<IpAddr> {
        self.client_ip.client_ip(&head.headers, &head.extensions)
    }

    /// Whether a page of ours has sent the request.
    pub(super) fn is_same_origin(&self, head: &Parts) -> bool {
        self.csrf.allows(&head.method, &head.uri, &head.headers)
    }

    pub(super) fn check_origin(&self, head: &Parts) -> Result<(), Rejection> {
        if self.is_same_origin(head) {
            return Ok(());
        }
        Err(Rejection::new(RejectionKind::Csrf, Reason::CrossSite))
    }

    pub(super) async fn admit(
        &self,
        scope: &'static str,
        client_ip: Option<IpAddr>,
        identifier: Option<&str>,
    ) -> Result<(), Rejection> {
        let Some(throttle) = &self.throttle else { return Ok(()) };
        if client_ip.is_none() && throttle.needs_client_ip() && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                service = scope,
                "the client's address is not known, so attempts are not limited by it, and anybody can use up those \
                 that one name has: the host has to tell the peer's (PeerAddr, or ClientIpPolicy::peer_from)"
            );
        }
        Ok(throttle.admit(scope, client_ip, identifier).await?)
    }

    pub(super) fn challenged(&self, kind: RejectionKind, reason: Reason, presented: Option<u8>) -> Rejection {
        Rejection::new(kind, reason).challenged(Arc::clone(&self.challenges), presented)
    }

    /// Tells of a refusal, unless it is one of a request that makes no sense: nobody was tried then.
    pub(super) fn report(
        &self,
        rejection: &Rejection,
        at: Timestamp,
        client_ip: Option<IpAddr>,
        subject: Option<Arc<Subject>>,
    ) {
        let kind = match rejection.kind() {
            RejectionKind::Csrf => EventKind::CsrfRefused,
            RejectionKind::Unavailable => EventKind::CouldNotCheck,
            RejectionKind::TooManyRequests => EventKind::LoginThrottled,
            RejectionKind::InvalidCredentials | RejectionKind::LoginLimit => EventKind::LoginFail,
            RejectionKind::InvalidToken => EventKind::AuthFail,
            _ => return,
        };
        let mut event = Event::new(kind, at).with_reason(rejection.reason());
        if let Some(subject) = subject {
            event = event.with_subject(subject);
        }
        self.reporter.emit(with_ip(event, client_ip));
    }
}

pub(super) fn with_ip(event: Event, client_ip: Option<IpAddr>) -> Event {
    match client_ip {
        Some(client_ip) => event.with_client_ip(client_ip),
        None => event,
    }
}

/// The schemes of the header that challenges name by default.
pub(super) fn bearer() -> Vec<String> {
    vec!["Bearer".to_owned()]
}
