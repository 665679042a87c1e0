//! A layer's settings, and what they make of a request.

use std::{net::IpAddr, sync::Arc};

use super::{
    exempt::Exemptions,
    extract::{Cursor, Found, Sources},
    head::RequestHead,
    hook::{Hooks, Moment},
    settle::Settlement,
};
use crate::{
    client_ip::ClientIpPolicy,
    credential::Credential,
    csrf::CsrfPolicy,
    identity::{Site, Subject},
    maybe_ready::BoxFuture,
    problem::{Reason, Rejection, RejectionKind},
    redirect::RedirectPolicy,
    settings::Description,
    text::TokenId,
    verify::{Attempt, Outcome, Verified, Verify},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Door<I> {
    pub(super) exemptions: Exemptions,
    pub(super) sources: Sources,
    pub(super) authenticators: Vec<Arc<dyn Verify<Identity = I>>>,
    pub(super) hooks: Hooks<I>,
    pub(super) tenant: Option<Arc<ReadTenant>>,
    pub(super) client_ip: ClientIpPolicy,
    pub(super) csrf: CsrfPolicy,
    pub(super) redirect: Option<RedirectPolicy>,
    pub(super) optional: bool,
    pub(super) invalid_as_anonymous: bool,
    pub(super) settlement: Settlement,
    /// What is in force, without the authenticators.
    pub(super) description: Description,
    pub(super) site: Arc<Site>,
}

/// Finds the tenant that a request is for.
pub(super) type ReadTenant = dyn Fn(RequestHead<'_>) -> Option<Arc<str>> + Send + Sync;

/// What is known of a request beside its credential.
pub(super) struct Visit {
    pub(super) tenant: Option<Arc<str>>,
    pub(super) client_ip: Option<IpAddr>,
}

/// What becomes of a request.
pub(super) enum Verdict<I> {
    Known(Known<I>),
    Anonymous,
    /// No credential was looked for.
    Exempt,
    Refused(Refused),
    /// Somebody needs I/O.
    Waiting(Waiting<I>),
}

/// A credential that was found valid, and where.
pub(super) struct Known<I> {
    pub(super) verified: Verified<I>,
    pub(super) found: Found,
    /// Which authenticator verified it.
    pub(super) verified_by: usize,
}

/// A refusal, and what an event can say of it.
pub(super) struct Refused {
    pub(super) rejection: Rejection,
    pub(super) found: Option<Found>,
    /// Whom a hook has turned away.
    pub(super) login: Option<Login>,
}

/// Whose login it is, where that is known for sure.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) record: Option<TokenId>,
    pub(super) subject: Option<Arc<Subject>>,
}

/// What is under way, and what it is about.
pub(super) enum Waiting<I> {
    Verifier { outcome: BoxFuture<Outcome<I>>, found: Found, verified_by: usize, search: Search },
    Hook { answer: BoxFuture<Result<Verified<I>, Rejection>>, hook: Hooked },
}

/// A hook that was called, and for what.
pub(super) struct Hooked {
    pub(super) moment: Moment,
    pub(super) found: Found,
    pub(super) verified_by: usize,
    pub(super) login: Login,
}

/// The state of the search for a credential.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Search {
    pub(super) cursor: Cursor,
    pub(super) failed: Option<Failed>,
}

/// Credentials that failed: the first decides if no later cookie verifies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    pub(super) kind: RejectionKind,
    pub(super) reason: Reason,
    pub(super) found: Found,
    /// One of them was malformed.
    pub(super) malformed: bool,
}

// ===== impl Door =====

impl<I: Send + Sync + 'static> Door<I> {
    /// Looks at a request, before anything is made of it.
    pub(super) fn visit(&self, head: RequestHead<'_>) -> Visit {
        Visit {
            tenant: self.tenant.as_ref().and_then(|read| read(head)),
            client_ip: self.client_ip.client_ip(head.headers(), head.extensions()),
        }
    }

    /// Judges a request from the beginning.
    pub(super) fn judge(&self, head: RequestHead<'_>, visit: &Visit) -> Verdict<I> {
        if self.exemptions.cover(head) {
            return Verdict::Exempt;
        }
        self.search(Search::default(), head, visit)
    }

    pub(super) fn attempt<'a>(
        &self,
        credential: Credential<'a>,
        head: RequestHead<'a>,
        visit: &'a Visit,
    ) -> Attempt<'a> {
        let mut attempt = Attempt::new(credential, self.site.clock.now()).with_request(
            head.method(),
            head.uri(),
            head.headers(),
        );
        if let Some(tenant) = &visit.tenant {
            attempt = attempt.with_tenant(tenant);
        }
        if let Some(address) = visit.client_ip {
            attempt = attempt.with_client_ip(address);
        }
        if self.hooks.on_renewal.is_some() {
            attempt = attempt.renewing_inline();
        }
        attempt
    }

    pub(super) fn refuse(&self, kind: RejectionKind, reason: Reason, found: Option<Found>) -> Verdict<I> {
        let rejection = self.site.refuse(kind, reason, found.map(|found| found.position));
        Verdict::Refused(Refused { rejection, found, login: None })
    }
}

// ===== impl Failed =====

impl Failed {
    pub(super) fn add(before: Option<Self>, kind: RejectionKind, reason: Reason, found: Found) -> Self {
        let malformed = kind == RejectionKind::InvalidRequest;
        match before {
            Some(first) => Self { malformed: first.malformed || malformed, ..first },
            None => Self { kind, reason, found, malformed },
        }
    }
}
