//! From a credential to an identity: which authenticator, and what its answer means.

use std::{
    ops::ControlFlow,
    task::{Context, Poll, ready},
};

use super::{
    door::{Door, Failed, Known, Refused, Search, Verdict, Visit, Waiting},
    extract::{Cursor, Found, Presented},
    head::RequestHead,
};
use crate::{
    credential::{Channel, Credential},
    maybe_ready::MaybeReady,
    problem::{Reason, Rejection, RejectionKind},
    verify::{Outcome, Refusal},
};

impl<I: Send + Sync + 'static> Door<I> {
    /// Looks on for a credential that verifies.
    pub(super) fn search(&self, mut search: Search, head: RequestHead<'_>, visit: &Visit) -> Verdict<I> {
        loop {
            let (credential, found) = match self.sources.next(head.headers(), search.cursor) {
                Presented::Credential { credential, found } => (credential, found),
                Presented::Unusable { reason, found } => {
                    match search.fail(RejectionKind::InvalidRequest, reason, found) {
                        Some(next) => search = next,
                        None => return self.refuse(RejectionKind::InvalidRequest, reason, Some(found)),
                    }
                    continue;
                }
                Presented::Garbled { reason, found } => {
                    return self.refuse(RejectionKind::InvalidRequest, reason, Some(found));
                }
                Presented::Foreign => {
                    return self.refuse(RejectionKind::MissingCredential, Reason::ForeignScheme, None);
                }
                Presented::Nothing => return self.give_up(search.failed),
            };
            if found.channel == Channel::Cookie
                && !self.csrf.allows(head.method(), head.uri(), head.headers())
            {
                let rejection = Rejection::new(RejectionKind::Csrf, Reason::CrossSite);
                return Verdict::Refused(Refused { rejection, found: Some(found), login: None });
            }
            let (verified_by, answer) = self.ask(credential, head, visit);
            let outcome = match answer {
                MaybeReady::Now(outcome) => outcome,
                MaybeReady::Later(outcome) => {
                    return Verdict::Waiting(Waiting::Verifier { outcome, found, verified_by, search });
                }
            };
            match self.weigh(outcome, (found, verified_by), search, head, visit) {
                ControlFlow::Break(verdict) => return verdict,
                ControlFlow::Continue(next) => search = next,
            }
        }
    }

    fn ask(
        &self,
        credential: Credential<'_>,
        head: RequestHead<'_>,
        visit: &Visit,
    ) -> (usize, MaybeReady<Outcome<I>>) {
        let mut known = self.authenticators.iter().enumerate();
        match known.find(|(_, known)| known.recognises(credential.text())) {
            Some((index, authenticator)) => {
                (index, authenticator.verify(&self.attempt(credential, head, visit)))
            }
            None => (0, MaybeReady::Now(Err(Refusal::Invalid(Reason::Unclaimed)))),
        }
    }

    /// A verdict, or where to look on.
    fn weigh(
        &self,
        outcome: Outcome<I>,
        (found, verified_by): (Found, usize),
        search: Search,
        head: RequestHead<'_>,
        visit: &Visit,
    ) -> ControlFlow<Verdict<I>, Search> {
        match outcome {
            Ok(verified) => {
                let known = Known { verified, found, verified_by };
                ControlFlow::Break(self.run_hooks(known, None, head, visit))
            }
            // Never tried elsewhere: another source could only hide that we do not know.
            Err(Refusal::Unavailable(source)) => {
                let rejection = Rejection::unavailable(source);
                let refused = Refused { rejection, found: Some(found), login: None };
                ControlFlow::Break(Verdict::Refused(refused))
            }
            // It says that nobody is there, and says so truly.
            Err(Refusal::Invalid(Reason::AnonymousSession)) => {
                ControlFlow::Continue(Search { cursor: search.cursor.past(found), ..search })
            }
            Err(Refusal::Invalid(reason)) => match search.fail(RejectionKind::InvalidToken, reason, found) {
                Some(next) => ControlFlow::Continue(next),
                None => {
                    let failed = Failed::add(search.failed, RejectionKind::InvalidToken, reason, found);
                    ControlFlow::Break(self.give_up(Some(failed)))
                }
            },
        }
    }

    /// Every source was asked.
    fn give_up(&self, failed: Option<Failed>) -> Verdict<I> {
        match failed {
            None if self.optional => Verdict::Anonymous,
            None => self.refuse(RejectionKind::MissingCredential, Reason::Absent, None),
            Some(failed) if self.invalid_as_anonymous && !failed.malformed => Verdict::Anonymous,
            Some(failed) => self.refuse(failed.kind, failed.reason, Some(failed.found)),
        }
    }

    /// Goes on where a request waits.
    pub(super) fn poll(
        &self,
        waiting: &mut Waiting<I>,
        head: RequestHead<'_>,
        visit: &Visit,
        cx: &mut Context<'_>,
    ) -> Poll<Verdict<I>> {
        Poll::Ready(match waiting {
            Waiting::Verifier { outcome, found, verified_by, search } => {
                let outcome = ready!(outcome.as_mut().poll(cx));
                match self.weigh(outcome, (*found, *verified_by), *search, head, visit) {
                    ControlFlow::Break(verdict) => verdict,
                    ControlFlow::Continue(search) => self.search(search, head, visit),
                }
            }
            Waiting::Hook { answer, hook } => {
                let answer = ready!(answer.as_mut().poll(cx));
                self.after_hook(answer, hook, head, visit)
            }
        })
    }
}

// ===== impl Search =====

impl Search {
    /// Looks on behind a credential that failed, where that is allowed.
    fn fail(self, kind: RejectionKind, reason: Reason, found: Found) -> Option<Self> {
        let cursor = Cursor::past_failed(found)?;
        Some(Self { cursor, failed: Some(Failed::add(self.failed, kind, reason, found)) })
    }
}
