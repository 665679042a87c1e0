//! From a credential to an identity: which authenticator, and what its answer means.

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Uri};

use super::{
    extract::{Cursor, Presented, Sources},
    settle::Settlement,
};
use crate::{
    clock::Clock,
    credential::{Channel, Credential},
    csrf,
    maybe_ready::{BoxFuture, MaybeReady},
    problem::{Challenges, Reason, Rejection, RejectionKind},
    verify::{Attempt, Outcome, Refusal, Verified, Verify},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Door<I> {
    pub(super) sources: Sources,
    pub(super) authenticators: Vec<Arc<dyn Verify<Identity = I>>>,
    pub(super) challenges: Arc<Challenges>,
    pub(super) clock: Clock,
    pub(super) optional: bool,
    pub(super) invalid_as_anonymous: bool,
    pub(super) settlement: Settlement,
}

/// What the door knows of a request.
pub(super) enum Verdict<I> {
    Known {
        verified: Verified<I>,
        position: u8,
    },
    Anonymous,
    Refused(Rejection),
    /// An authenticator needs I/O.
    Waiting(Waiting<I>),
}

/// A verification that is under way, and where to look on if it fails.
pub(super) struct Waiting<I> {
    pub(super) outcome: BoxFuture<Outcome<I>>,
    position: u8,
    next: Option<Cursor>,
    first: Option<Failure>,
}

/// The first credential that failed: it decides if no later cookie verifies.
#[derive(Debug, Clone, Copy)]
struct Failure {
    kind: RejectionKind,
    reason: Reason,
    position: u8,
}

impl<I: Send + Sync + 'static> Door<I> {
    /// Looks at a request from the beginning.
    pub(super) fn judge<B>(&self, request: &Request<B>) -> Verdict<I> {
        self.search((request.method(), request.uri(), request.headers()), Cursor::default(), None)
    }

    /// Goes on where an authenticator has answered.
    pub(super) fn resume<B>(
        &self,
        request: &Request<B>,
        waiting: Answered,
        outcome: Outcome<I>,
    ) -> Verdict<I> {
        let head = (request.method(), request.uri(), request.headers());
        match self.weigh(outcome, waiting.position, waiting.next, waiting.first) {
            Ok(verdict) => verdict,
            Err((cursor, first)) => self.search(head, cursor, Some(first)),
        }
    }

    fn search(
        &self,
        head: (&Method, &Uri, &HeaderMap),
        mut cursor: Cursor,
        mut first: Option<Failure>,
    ) -> Verdict<I> {
        loop {
            let (credential, position, next) = match self.sources.next(head.2, cursor) {
                Presented::Credential { credential, position, next } => (credential, position, next),
                Presented::Unusable { reason, position, next } => {
                    first.get_or_insert(Failure { kind: RejectionKind::InvalidRequest, reason, position });
                    cursor = next;
                    continue;
                }
                Presented::Garbled { reason, position } => {
                    return Verdict::Refused(self.refuse(RejectionKind::InvalidRequest, reason, position));
                }
                Presented::Foreign => {
                    let kind = RejectionKind::MissingCredential;
                    return Verdict::Refused(self.refuse(kind, Reason::ForeignScheme, None));
                }
                Presented::Nothing => return self.give_up(first),
            };
            if credential.channel() == Channel::Cookie && !csrf::allows_cookie(head.0, head.2) {
                return Verdict::Refused(Rejection::new(RejectionKind::Csrf, Reason::CrossSite));
            }
            let outcome = match self.ask(credential, head) {
                MaybeReady::Now(outcome) => outcome,
                MaybeReady::Later(outcome) => {
                    return Verdict::Waiting(Waiting { outcome, position, next, first });
                }
            };
            match self.weigh(outcome, position, next, first) {
                Ok(verdict) => return verdict,
                Err((next, failure)) => (cursor, first) = (next, Some(failure)),
            }
        }
    }

    fn ask(&self, credential: Credential<'_>, head: (&Method, &Uri, &HeaderMap)) -> MaybeReady<Outcome<I>> {
        let Some(authenticator) =
            self.authenticators.iter().find(|known| known.recognises(credential.text()))
        else {
            return MaybeReady::Now(Err(Refusal::Invalid(Reason::Unclaimed)));
        };
        authenticator.verify(&Attempt::new(credential, self.clock.now()).with_request(head.0, head.1, head.2))
    }

    /// A verdict, or the cursor from which to look on and the failure to remember.
    fn weigh(
        &self,
        outcome: Outcome<I>,
        position: u8,
        next: Option<Cursor>,
        first: Option<Failure>,
    ) -> Result<Verdict<I>, (Cursor, Failure)> {
        match outcome {
            Ok(verified) => Ok(Verdict::Known { verified, position }),
            // Never tried elsewhere: another source could only hide that we do not know.
            Err(Refusal::Unavailable(source)) => Ok(Verdict::Refused(Rejection::unavailable(source))),
            Err(Refusal::Invalid(reason)) => {
                let kind = RejectionKind::InvalidToken;
                let failure = first.unwrap_or(Failure { kind, reason, position });
                match next {
                    Some(cursor) => Err((cursor, failure)),
                    None => Ok(self.give_up(Some(failure))),
                }
            }
        }
    }

    /// Every source was asked.
    fn give_up(&self, first: Option<Failure>) -> Verdict<I> {
        match first {
            None if self.optional => Verdict::Anonymous,
            None => Verdict::Refused(self.refuse(RejectionKind::MissingCredential, Reason::Absent, None)),
            Some(failure) if self.invalid_as_anonymous && failure.kind == RejectionKind::InvalidToken => {
                Verdict::Anonymous
            }
            Some(failure) => {
                Verdict::Refused(self.refuse(failure.kind, failure.reason, Some(failure.position)))
            }
        }
    }

    fn refuse(&self, kind: RejectionKind, reason: Reason, position: Option<u8>) -> Rejection {
        Rejection::new(kind, reason).challenged(Arc::clone(&self.challenges), position)
    }
}

/// A [`Waiting`] without its future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    position: u8,
    next: Option<Cursor>,
    first: Option<Failure>,
}

impl<I> Waiting<I> {
    pub(super) fn answered(&self) -> Answered {
        Answered { position: self.position, next: self.next, first: self.first }
    }
}
