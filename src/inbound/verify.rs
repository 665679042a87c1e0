//! From a credential to an identity: which authenticator, and what its answer means.

use std::{ops::ControlFlow, sync::Arc};

use http::{HeaderMap, Method, Request, Uri};

use super::{
    extract::{Cursor, Presented, Sources},
    settle::Settlement,
};
use crate::{
    clock::Clock,
    credential::{Channel, Credential},
    csrf::CsrfPolicy,
    maybe_ready::{BoxFuture, MaybeReady},
    problem::{Challenges, Reason, Rejection, RejectionKind},
    verify::{Attempt, Outcome, Refusal, Verified, Verify},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Door<I> {
    pub(super) sources: Sources,
    pub(super) authenticators: Vec<Arc<dyn Verify<Identity = I>>>,
    pub(super) challenges: Arc<Challenges>,
    pub(super) csrf: CsrfPolicy,
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

/// A verification that is under way, and what it means if it fails.
pub(super) struct Waiting<I> {
    pub(super) outcome: BoxFuture<Outcome<I>>,
    pub(super) place: Place,
}

/// Where a credential was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    position: u8,
    /// Where to look on.
    next: Option<Cursor>,
    /// What failed before it.
    failed: Option<Failed>,
}

/// Credentials that failed: the first decides if no later cookie verifies.
#[derive(Debug, Clone, Copy)]
struct Failed {
    kind: RejectionKind,
    reason: Reason,
    position: u8,
    /// One of them was malformed.
    malformed: bool,
}

impl Failed {
    fn add(before: Option<Self>, kind: RejectionKind, reason: Reason, position: u8) -> Self {
        let malformed = kind == RejectionKind::InvalidRequest;
        match before {
            Some(first) => Self { malformed: first.malformed || malformed, ..first },
            None => Self { kind, reason, position, malformed },
        }
    }
}

impl<I: Send + Sync + 'static> Door<I> {
    /// Looks at a request from the beginning.
    pub(super) fn judge<B>(&self, request: &Request<B>) -> Verdict<I> {
        self.search((request.method(), request.uri(), request.headers()), Cursor::default(), None)
    }

    /// Goes on where an authenticator has answered.
    pub(super) fn resume<B>(&self, request: &Request<B>, place: Place, outcome: Outcome<I>) -> Verdict<I> {
        match self.weigh(outcome, place) {
            ControlFlow::Break(verdict) => verdict,
            ControlFlow::Continue((cursor, failed)) => {
                self.search((request.method(), request.uri(), request.headers()), cursor, failed)
            }
        }
    }

    fn search(
        &self,
        head: (&Method, &Uri, &HeaderMap),
        mut cursor: Cursor,
        mut failed: Option<Failed>,
    ) -> Verdict<I> {
        loop {
            let (credential, place) = match self.sources.next(head.2, cursor) {
                Presented::Credential { credential, position, next } => {
                    (credential, Place { position, next, failed })
                }
                Presented::Unusable { reason, position, next } => {
                    failed = Some(Failed::add(failed, RejectionKind::InvalidRequest, reason, position));
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
                Presented::Nothing => return self.give_up(failed),
            };
            if credential.channel() == Channel::Cookie && !self.csrf.allows(head.0, head.1, head.2) {
                return Verdict::Refused(Rejection::new(RejectionKind::Csrf, Reason::CrossSite));
            }
            let outcome = match self.ask(credential, head) {
                MaybeReady::Now(outcome) => outcome,
                MaybeReady::Later(outcome) => return Verdict::Waiting(Waiting { outcome, place }),
            };
            match self.weigh(outcome, place) {
                ControlFlow::Break(verdict) => return verdict,
                ControlFlow::Continue((next, before)) => (cursor, failed) = (next, before),
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

    /// A verdict, or where to look on.
    fn weigh(&self, outcome: Outcome<I>, place: Place) -> ControlFlow<Verdict<I>, (Cursor, Option<Failed>)> {
        match outcome {
            Ok(verified) => ControlFlow::Break(Verdict::Known { verified, position: place.position }),
            // Never tried elsewhere: another source could only hide that we do not know.
            Err(Refusal::Unavailable(source)) => {
                ControlFlow::Break(Verdict::Refused(Rejection::unavailable(source)))
            }
            Err(Refusal::Invalid(reason)) => {
                // The session of a browser whose user is not known: nobody is there, and nothing is wrong.
                let failed = if reason == Reason::AnonymousSession {
                    place.failed
                } else {
                    Some(Failed::add(place.failed, RejectionKind::InvalidToken, reason, place.position))
                };
                match place.next {
                    Some(cursor) => ControlFlow::Continue((cursor, failed)),
                    None => ControlFlow::Break(self.give_up(failed)),
                }
            }
        }
    }

    /// Every source was asked.
    fn give_up(&self, failed: Option<Failed>) -> Verdict<I> {
        match failed {
            None if self.optional => Verdict::Anonymous,
            None => Verdict::Refused(self.refuse(RejectionKind::MissingCredential, Reason::Absent, None)),
            Some(failed) if self.invalid_as_anonymous && !failed.malformed => Verdict::Anonymous,
            Some(failed) => Verdict::Refused(self.refuse(failed.kind, failed.reason, Some(failed.position))),
        }
    }

    fn refuse(&self, kind: RejectionKind, reason: Reason, position: Option<u8>) -> Rejection {
        Rejection::new(kind, reason).challenged(Arc::clone(&self.challenges), position)
    }
}
