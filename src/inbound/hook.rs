//! What an application does with a credential that was found valid, before the request goes on.

use std::sync::Arc;

use super::{
    door::{Door, Hooked, Known, Login, Refused, Verdict, Visit, Waiting},
    extract::Found,
    head::RequestHead,
};
use crate::{
    maybe_ready::MaybeReady,
    problem::Rejection,
    verify::{Attempt, Verified},
};

/// Is called after a credential was found valid and its user active. It may put another identity or other
/// details in place, or refuse the request.
///
/// Closures are hooks, too; they have to name the types of their arguments.
///
/// ```
/// use portcullis::{
///     AuthLayer, MemoryStore, TokenPolicy, TokenService,
///     identity::Subject,
///     maybe_ready::MaybeReady,
///     problem::{Reason, Rejection, RejectionKind},
///     verify::{Attempt, Verified},
/// };
///
/// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
/// let layer = AuthLayer::new(tokens)
///     .on_auth(|verified: Verified<Subject>, attempt: &Attempt<'_>| {
///         let stored = verified.record().ok().and_then(|login| login.context().get("ip"));
///         let current = attempt.client_ip().map(|ip| ip.to_string());
///         MaybeReady::Now(match stored.as_ref().and_then(|ip| ip.as_str()) == current.as_deref() {
///             true => Ok(verified),
///             false => Err(Rejection::new(RejectionKind::InvalidToken, Reason::Other)),
///         })
///     })
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), portcullis::error::ConfigError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no hook for the identity `{I}`",
    note = "a closure names its arguments' types: `|verified: Verified<_>, attempt: &Attempt<'_>| MaybeReady::Now(Ok(verified))`"
)]
pub trait AuthHook<I>: Send + Sync + 'static {
    /// What the request goes on with: `verified`, perhaps changed by its `with_…` methods, or a refusal, to which
    /// the layer adds its challenges. [`Rejection::unavailable`] is the one for "could not check". What waits
    /// owns what it needs of the attempt, whose [credential](Attempt::credential) is the presented one.
    fn call(
        &self,
        verified: Verified<I>,
        attempt: &Attempt<'_>,
    ) -> MaybeReady<Result<Verified<I>, Rejection>>;
}

impl<I, F> AuthHook<I> for F
where
    F: Fn(Verified<I>, &Attempt<'_>) -> MaybeReady<Result<Verified<I>, Rejection>> + Send + Sync + 'static,
{
    fn call(
        &self,
        verified: Verified<I>,
        attempt: &Attempt<'_>,
    ) -> MaybeReady<Result<Verified<I>, Rejection>> {
        self(verified, attempt)
    }
}

/// The hooks of a layer.
pub(super) struct Hooks<I> {
    pub(super) on_renewal: Option<Arc<dyn AuthHook<I>>>,
    pub(super) on_auth: Option<Arc<dyn AuthHook<I>>>,
}

/// When a hook is called, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Renewal,
    Auth,
}

impl<I> Hooks<I> {
    /// The hook that is due next. Only before the first one does `verified` tell whether the request has renewed
    /// the credential: afterwards it is what a hook made of it.
    fn next(&self, last: Option<Moment>, verified: &Verified<I>) -> Option<(Moment, &dyn AuthHook<I>)> {
        let renewal = self.on_renewal.as_deref().filter(|_| last.is_none() && verified.renewal.is_some());
        let auth = self.on_auth.as_deref().filter(|_| last != Some(Moment::Auth));
        renewal.map(|hook| (Moment::Renewal, hook)).or(auth.map(|hook| (Moment::Auth, hook)))
    }
}

impl<I: Send + Sync + 'static> Door<I> {
    /// Calls the hooks that come after `last`.
    pub(super) fn run_hooks(
        &self,
        mut known: Known<I>,
        mut last: Option<Moment>,
        head: RequestHead<'_>,
        visit: &Visit,
    ) -> Verdict<I> {
        while let Some((moment, hook)) = self.hooks.next(last, &known.verified) {
            let Known { verified, found, verified_by } = known;
            let credential =
                self.sources.again(head.headers(), found).expect("the headers are those it was found in");
            let login = Login { record: verified.evidence.record(), subject: verified.subject.clone() };
            match hook.call(verified, &self.attempt(credential, head, visit)) {
                MaybeReady::Now(Ok(verified)) => known = Known { verified, found, verified_by },
                MaybeReady::Now(Err(rejection)) => {
                    return self.turned_away(rejection, found, login);
                }
                MaybeReady::Later(answer) => {
                    let hook = Hooked { moment, found, verified_by, login };
                    return Verdict::Waiting(Waiting::Hook { answer, hook });
                }
            }
            last = Some(moment);
        }
        Verdict::Known(known)
    }

    /// Goes on where a hook has answered.
    pub(super) fn after_hook(
        &self,
        answer: Result<Verified<I>, Rejection>,
        hook: &Hooked,
        head: RequestHead<'_>,
        visit: &Visit,
    ) -> Verdict<I> {
        match answer {
            Ok(verified) => {
                let known = Known { verified, found: hook.found, verified_by: hook.verified_by };
                self.run_hooks(known, Some(hook.moment), head, visit)
            }
            Err(rejection) => self.turned_away(rejection, hook.found, hook.login.clone()),
        }
    }

    /// Final, in optional layers too: neither another source nor anonymity can make up for it.
    fn turned_away(&self, rejection: Rejection, found: Found, login: Login) -> Verdict<I> {
        let rejection = rejection.challenged_by(&self.site.challenges, found.position);
        Verdict::Refused(Refused { rejection, found: Some(found), login: Some(login) })
    }
}
