//! The request is answered here.

use http::{HeaderValue, Response};

use super::{
    door::{Door, Login, Refused, Visit},
    extract::Found,
    head::RequestHead,
};
use crate::{
    event::EventKind,
    problem::{MakeReply, Rejection, RejectionKind},
    redirect::is_navigation,
    text::TokenId,
};

impl<I: Send + Sync + 'static> Door<I> {
    /// Reports the refusal and makes the answer.
    pub(super) fn reject<B>(
        &self,
        refused: Refused,
        head: RequestHead<'_>,
        visit: &Visit,
        maker: &impl MakeReply<B>,
    ) -> Response<B> {
        self.report(&refused, head, visit);
        match self.login_page(&refused.rejection, head) {
            Some(location) => refused.rejection.redirect(location, maker),
            None => refused.rejection.respond(maker),
        }
    }

    /// Where a person is sent who opens a page and has no valid credential.
    fn login_page(&self, rejection: &Rejection, head: RequestHead<'_>) -> Option<HeaderValue> {
        let policy = self.redirect.as_ref()?;
        let helps =
            matches!(rejection.kind(), RejectionKind::MissingCredential | RejectionKind::InvalidToken);
        (helps && is_navigation(head.method(), head.headers())).then(|| policy.location(head.uri()))
    }

    /// One event for each refusal.
    fn report(&self, refused: &Refused, head: RequestHead<'_>, visit: &Visit) {
        let Refused { rejection, found, login } = refused;
        self.site.report(event_of(rejection.kind()), |event| {
            let (record, subject) = match login {
                Some(Login { record, subject }) => (*record, subject.clone()),
                // What the text claims to be.
                None => (found.and_then(|found| self.selector(found, head)), None),
            };
            let event = event.with_reason(rejection.reason()).with_known(record, subject, visit.client_ip);
            match found {
                Some(found) => {
                    event.with_channel(found.channel).with_scheme(&self.site.challenges, found.position)
                }
                None => event,
            }
        });
    }

    fn selector(&self, found: Found, head: RequestHead<'_>) -> Option<TokenId> {
        let text = self.sources.again(head.headers(), found)?.text();
        self.authenticators.iter().find(|known| known.recognises(text))?.selector(text)
    }
}

/// What operators are told of a refusal.
fn event_of(kind: RejectionKind) -> EventKind {
    match kind {
        RejectionKind::MissingCredential => EventKind::AuthMissing,
        RejectionKind::InsufficientScope => EventKind::AuthzFail,
        RejectionKind::Csrf => EventKind::CsrfRefused,
        RejectionKind::TooManyRequests => EventKind::LoginThrottled,
        RejectionKind::Unavailable
        | RejectionKind::LayerMissing
        | RejectionKind::SessionLayerMissing
        | RejectionKind::Internal => EventKind::CouldNotCheck,
        RejectionKind::InvalidRequest
        | RejectionKind::InvalidToken
        // No layer gives these answers, but a hook may.
        | RejectionKind::InvalidCredentials
        | RejectionKind::NotFound
        | RejectionKind::MethodNotAllowed
        | RejectionKind::LoginLimit
        | RejectionKind::ContentTooLarge
        | RejectionKind::UnsupportedMediaType => EventKind::AuthFail,
    }
}
