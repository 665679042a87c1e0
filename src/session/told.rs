//! What operators are told of a request's session, where no layer in front has told it: one event for each decision.

use std::sync::Arc;

use super::{
    error::{SessionError, SessionErrorKind},
    sessions::Engine,
    state::State,
};
use crate::{
    credential::Channel,
    event::{Event, EventKind},
    identity::Subject,
    problem::Reason,
    store::LoginRecord,
};

impl State {
    /// Tells that a session of somebody was found valid. A browser whose user is not known has proved nobody.
    pub(super) fn tell_success(&self, engine: &Engine, record: &Arc<LoginRecord>) {
        if record.subject.is_anonymous() {
            return;
        }
        engine.tokens.report(EventKind::AuthSuccess, |event| {
            let details = Arc::clone(record);
            by_cookie(engine, event).with_details(details).with_known(
                Some(record.id),
                Some(Arc::clone(&record.subject)),
                self.client_ip,
            )
        });
    }

    /// Tells of a cookie that proves no session. The request goes on as nobody's.
    pub(super) fn tell_invalid(&mut self, engine: &Engine, reason: Reason) {
        self.tell_refusal(engine, EventKind::AuthFail, reason, None);
    }

    /// Tells why a handler gets an error instead of a session. `subject` is whoever was to be logged in.
    pub(super) fn tell(
        &mut self,
        engine: &Engine,
        error: SessionError,
        subject: Option<Subject>,
    ) -> SessionError {
        if let Some(kind) = event_of(error.kind()) {
            self.tell_refusal(engine, kind, error.reason(), subject);
        }
        error
    }

    /// Tells that changes are lost.
    pub(super) fn tell_unsaved(&self, engine: &Engine, error: &SessionError) {
        engine
            .tokens
            .report(EventKind::SessionNotSaved, |event| self.describe(engine, event, error.reason()));
    }

    /// The same refusal is told once, however often a handler asks; and that nobody is there is no news where the
    /// cookie was refused.
    fn tell_refusal(&mut self, engine: &Engine, kind: EventKind, reason: Reason, subject: Option<Subject>) {
        if self.told == Some(kind) || (kind == EventKind::AuthMissing && self.told.is_some()) {
            return;
        }
        self.told = Some(kind);
        engine.tokens.report(kind, |event| match kind {
            EventKind::AuthMissing | EventKind::LoginFail => {
                event.with_reason(reason).with_known(None, subject.map(Arc::new), self.client_ip)
            }
            _ => self.describe(engine, event, reason),
        });
    }

    /// Whose session it is where that is proven, else whose the cookie claims to be.
    fn describe(&self, engine: &Engine, event: Event, reason: Reason) -> Event {
        let (record, subject) = match &self.current {
            Some(record) => (Some(record.id), Some(Arc::clone(&record.subject))),
            None => (self.named(engine), None),
        };
        by_cookie(engine, event).with_reason(reason).with_known(record, subject, self.client_ip)
    }
}

fn by_cookie(engine: &Engine, event: Event) -> Event {
    event.with_channel(Channel::Cookie).with_scheme(&engine.settings.challenges, 0)
}

/// `None` where nothing was decided about anybody: the handler has asked for something that cannot be.
fn event_of(kind: SessionErrorKind) -> Option<EventKind> {
    match kind {
        SessionErrorKind::DuplicateCookie | SessionErrorKind::Ended => Some(EventKind::AuthFail),
        SessionErrorKind::CrossSite => Some(EventKind::CsrfRefused),
        SessionErrorKind::NoLogin => Some(EventKind::AuthMissing),
        SessionErrorKind::LoginLimit => Some(EventKind::LoginFail),
        SessionErrorKind::Options | SessionErrorKind::OfTenant | SessionErrorKind::Unavailable => {
            Some(EventKind::CouldNotCheck)
        }
        SessionErrorKind::Value(_) | SessionErrorKind::Answered => None,
    }
}
