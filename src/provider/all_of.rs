//! Several credentials on one request.

use std::{fmt, sync::Arc};

use futures_util::future::join_all;
use http::HeaderName;

use super::{
    Ask, Lease, TokenError, TokenProvider,
    joint::{Joint, Members},
};
use crate::{
    error::{ConfigError, Faults},
    maybe_ready::MaybeReady,
};

type Leased = Result<Arc<Lease>, TokenError>;
type Newer = Result<Option<Arc<Lease>>, TokenError>;

/// Several providers, whose credentials go out together, each in its own header.
///
/// 1. A provider that has nothing, or fails, fails the request.
/// 2. After a 401, everyone whose credential can be renewed is asked for something newer; the request is repeated
///    if one of them has it.
#[derive(Clone)]
pub struct AllOf(Arc<Inner>);

/// Puts an [`AllOf`] together.
#[must_use]
pub struct AllOfBuilder {
    providers: Vec<Arc<dyn TokenProvider>>,
}

struct Inner {
    members: Members,
    joint: Joint,
}

// ===== impl AllOf =====

impl AllOf {
    /// Starts with this one.
    pub fn of(provider: impl TokenProvider) -> AllOfBuilder {
        AllOfBuilder { providers: vec![Arc::new(provider)] }
    }
}

impl TokenProvider for AllOf {
    fn header(&self) -> &HeaderName {
        self.0.members.providers[0].header()
    }

    fn headers(&self) -> &[HeaderName] {
        &self.0.members.headers
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Leased> {
        let answers: Vec<_> = self.0.members.providers.iter().map(|provider| provider.lease(ask)).collect();
        let inner = Arc::clone(&self.0);
        together(answers, move |leases| {
            let place = |(member, leased): (usize, Leased)| leased.map(|lease| (member, lease));
            let leases = leases.into_iter().enumerate().map(place).collect::<Result<Vec<_>, _>>()?;
            Ok(inner.members.join(&inner.joint, &leases))
        })
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Newer> {
        let asked = self.0.sent(rejected).map(|(provider, sent)| match sent.is_fixed() {
            true => MaybeReady::Now(Ok(None)),
            false => provider.newer_than(sent),
        });
        let (asked, inner, rejected) = (asked.collect(), Arc::clone(&self.0), Arc::clone(rejected));
        together(asked, move |newer: Vec<Newer>| {
            if !newer.iter().any(|newer| matches!(newer, Ok(Some(_)))) {
                return newer.into_iter().find_map(Result::err).map_or(Ok(None), Err);
            }
            // Who has nothing newer, or fails, sends the same as before: the other one may have been the cause.
            let leases = newer.into_iter().zip(rejected.parts()).map(|(newer, part)| {
                let lease = newer.ok().flatten().unwrap_or_else(|| Arc::clone(&part.lease));
                (part.member, lease)
            });
            Ok(Some(inner.members.join(&inner.joint, &leases.collect::<Vec<_>>())))
        })
    }

    fn rejected_again(&self, newer: &Arc<Lease>) {
        self.0.sent(newer).for_each(|(provider, sent)| provider.rejected_again(sent));
    }
}

impl fmt::Debug for AllOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllOf").field("headers", &self.0.members.headers).finish_non_exhaustive()
    }
}

/// What is made of all answers, at once if none of them needs time.
fn together<T, U>(
    answers: Vec<MaybeReady<T>>,
    make: impl FnOnce(Vec<T>) -> U + Send + 'static,
) -> MaybeReady<U>
where
    T: Send + 'static,
    U: Send + 'static,
{
    if answers.iter().any(|answer| matches!(answer, MaybeReady::Later(_))) {
        return MaybeReady::later(
            async move { make(join_all(answers.into_iter().map(MaybeReady::wait)).await) },
        );
    }
    let now = answers.into_iter().filter_map(|answer| match answer {
        MaybeReady::Now(answer) => Some(answer),
        MaybeReady::Later(_) => None,
    });
    MaybeReady::Now(make(now.collect()))
}

// ===== impl AllOfBuilder =====

impl AllOfBuilder {
    /// Adds one.
    pub fn and(mut self, provider: impl TokenProvider) -> Self {
        self.providers.push(Arc::new(provider));
        self
    }

    /// Checks that no two fill the same header.
    ///
    /// # Errors
    /// [`ConfigError`] with every header that comes twice.
    pub fn build(self) -> Result<AllOf, ConfigError> {
        let mut faults = Faults::default();
        for (place, provider) in self.providers.iter().enumerate() {
            let before = || self.providers[..place].iter().flat_map(|earlier| earlier.headers());
            for header in provider.headers() {
                faults.check(
                    !before().any(|taken| taken == header),
                    "and",
                    header,
                    "must fill another header",
                );
            }
        }
        faults.finish()?;
        Ok(AllOf(Arc::new(Inner { members: Members::new(self.providers), joint: Joint::default() })))
    }
}

impl fmt::Debug for AllOfBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllOfBuilder").field("providers", &self.providers.len()).finish()
    }
}

// ===== impl Inner =====

impl Inner {
    /// Each provider, with the lease of it that was sent.
    fn sent<'a>(&'a self, lease: &'a Lease) -> impl Iterator<Item = (&'a dyn TokenProvider, &'a Arc<Lease>)> {
        lease
            .parts()
            .iter()
            .filter_map(|part| Some((&**self.members.providers.get(part.member)?, &part.lease)))
    }
}
