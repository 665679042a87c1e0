//! The first credential that there is.

use std::{fmt, sync::Arc};

use http::HeaderName;

use super::{
    Ask, Lease, TokenError, TokenErrorKind, TokenProvider,
    joint::{Joint, Members},
};
use crate::maybe_ready::MaybeReady;

type Leased = Result<Arc<Lease>, TokenError>;

/// Several providers, of which the first counts that has a credential for the request.
///
/// 1. A provider has none if it says [`TokenErrorKind::Absent`]. Every other error is the request's: a request must
///    not go out as somebody else because a token endpoint is down.
/// 2. Those behind it are asked, too, if the first one needs time to answer; they start no fetch before it is
///    their turn.
/// 3. After a 401, the provider whose credential was sent is asked for something newer, and no other.
#[derive(Clone)]
#[must_use]
pub struct FirstOf(Arc<Inner>);

struct Inner {
    members: Members,
    /// One for each member.
    joints: Vec<Joint>,
}

// ===== impl FirstOf =====

impl FirstOf {
    /// Starts with this one.
    pub fn of(provider: impl TokenProvider) -> Self {
        Self::with(vec![Arc::new(provider)])
    }

    /// Adds one that is asked if those before it have nothing.
    pub fn or(self, provider: impl TokenProvider) -> Self {
        let mut providers = self.0.members.providers.clone();
        providers.push(Arc::new(provider));
        Self::with(providers)
    }

    fn with(providers: Vec<Arc<dyn TokenProvider>>) -> Self {
        let joints = providers.iter().map(|_| Joint::default()).collect();
        Self(Arc::new(Inner { members: Members::new(providers), joints }))
    }
}

impl TokenProvider for FirstOf {
    fn header(&self) -> &HeaderName {
        self.0.members.providers[0].header()
    }

    fn headers(&self) -> &[HeaderName] {
        &self.0.members.headers
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Leased> {
        let mut all = self.0.members.providers.iter().enumerate();
        while let Some((member, provider)) = all.next() {
            match provider.lease(ask) {
                MaybeReady::Now(Err(error)) if error.kind() == TokenErrorKind::Absent => {}
                MaybeReady::Now(leased) => {
                    return MaybeReady::Now(leased.map(|lease| self.0.join(member, lease)));
                }
                first @ MaybeReady::Later(_) => {
                    // The request is here now and not later, so the others are asked at once.
                    let rest = all.map(|(member, provider)| (member, provider.lease(ask)));
                    let answers: Vec<_> = [(member, first)].into_iter().chain(rest).collect();
                    return MaybeReady::later(first_there(Arc::clone(&self.0), answers));
                }
            }
        }
        MaybeReady::Now(Err(TokenError::new(TokenErrorKind::Absent)))
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        let Some((member, provider, sent)) = self.0.sent(rejected) else { return MaybeReady::Now(Ok(None)) };
        match provider.newer_than(sent) {
            MaybeReady::Now(newer) => {
                MaybeReady::Now(newer.map(|newer| newer.map(|lease| self.0.join(member, lease))))
            }
            MaybeReady::Later(newer) => {
                let inner = Arc::clone(&self.0);
                MaybeReady::later(async move { Ok(newer.await?.map(|lease| inner.join(member, lease))) })
            }
        }
    }

    fn rejected_again(&self, newer: &Arc<Lease>) {
        if let Some((_, provider, sent)) = self.0.sent(newer) {
            provider.rejected_again(sent);
        }
    }
}

impl fmt::Debug for FirstOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstOf").field("headers", &self.0.members.headers).finish_non_exhaustive()
    }
}

async fn first_there(inner: Arc<Inner>, answers: Vec<(usize, MaybeReady<Leased>)>) -> Leased {
    for (member, answer) in answers {
        match answer.wait().await {
            Err(error) if error.kind() == TokenErrorKind::Absent => {}
            leased => return leased.map(|lease| inner.join(member, lease)),
        }
    }
    Err(TokenError::new(TokenErrorKind::Absent))
}

// ===== impl Inner =====

impl Inner {
    fn join(&self, member: usize, lease: Arc<Lease>) -> Arc<Lease> {
        self.members.join(&self.joints[member], &[(member, lease)])
    }

    /// Whose lease was sent, and the lease as its provider knows it. `None` if it is no lease of ours.
    fn sent<'a>(&'a self, lease: &'a Lease) -> Option<(usize, &'a dyn TokenProvider, &'a Arc<Lease>)> {
        let part = lease.parts().first()?;
        let provider = self.members.providers.get(part.member)?;
        Some((part.member, &**provider, &part.lease))
    }
}
