//! A right as a value.

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{Denied, Permission};
use crate::{
    error::{ConfigError, Faults},
    identity::Auth,
    problem::Rejection,
    scope::Scope,
    store::LoginRecord,
};

/// A right that is put together at run time. Cheap to clone; clones share everything.
///
/// A [`GuardLayer`](super::GuardLayer) asks for it in front of a service; a handler asks itself, where the right
/// depends on what is asked for:
///
/// ```
/// use portcullis::{Auth, inbound::Policy, problem::Rejection};
///
/// struct User {
///     admin: bool,
/// }
///
/// fn may_delete(owner: String) -> Policy<User> {
///     Policy::user(|user: &User| user.admin)
///         .or(Policy::login(move |login| login.subject().id() == owner))
///         .and(Policy::scope("orders:write"))
/// }
///
/// async fn delete_order(auth: Auth<User>) -> Result<&'static str, Rejection> {
///     let owner = "ada"; // of the order, read from the database
///     may_delete(owner.to_owned()).check(&auth)?;
///     Ok("deleted")
/// }
/// # let _ = delete_order;
/// ```
///
/// A policy with a fault (scope words that are none, an empty list of policies) denies everything, also when it
/// is negated or one of several; building a layer and [`validate`](Self::validate) report the fault.
pub struct Policy<I> {
    rule: Arc<Rule<I>>,
    /// No fault anywhere in it.
    sound: bool,
}

type Predicate<I> = Box<dyn Fn(&Auth<I>) -> Result<(), Denied> + Send + Sync>;

enum Rule<I> {
    Ask(Predicate<I>),
    Scope { words: String, explicit: bool },
    All(Vec<Policy<I>>),
    Any(Vec<Policy<I>>),
    Not(Policy<I>),
}

// ===== impl Policy =====

impl<I: Send + Sync + 'static> Policy<I> {
    /// What the identity must be.
    pub fn user(predicate: impl Fn(&I) -> bool + Send + Sync + 'static) -> Self {
        Self::auth(move |auth| predicate(auth.user()))
    }

    /// What the login must be. A credential without a login record, which is every one but an opaque token, does
    /// not have the right.
    pub fn login(predicate: impl Fn(&LoginRecord) -> bool + Send + Sync + 'static) -> Self {
        Self::auth(move |auth| auth.record().is_ok_and(&predicate))
    }

    /// What the login's context must hold under a key. Without the key, or without a login record, the caller
    /// does not have the right. The context is parsed each time.
    pub fn context(
        key: impl Into<String>,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let key = key.into();
        Self::login(move |login| login.context().get(&key).is_some_and(|value| predicate(&value)))
    }

    /// What the caller must be, as a whole: identity, evidence, login, claims.
    pub fn auth(predicate: impl Fn(&Auth<I>) -> bool + Send + Sync + 'static) -> Self {
        let ask = move |auth: &Auth<I>| if predicate(auth) { Ok(()) } else { Err(Denied::new()) };
        Self::sound(Rule::Ask(Box::new(ask)))
    }

    /// One or more scope words (RFC 6749 §3.3), separated by spaces, all of which the credential must have; they
    /// are named in the challenge of the 403.
    ///
    /// A credential that is not limited to a scope ([`Auth::scope`] is `None`) may do everything that its user
    /// may, and so has every one. See [`explicit_scope`](Self::explicit_scope).
    pub fn scope(words: impl Into<String>) -> Self {
        Self::of_scope(words.into(), false)
    }

    /// [`scope`](Self::scope) for credentials that have the words by name: one that is not limited to a scope
    /// does not have them.
    pub fn explicit_scope(words: impl Into<String>) -> Self {
        Self::of_scope(words.into(), true)
    }

    fn of_scope(words: String, explicit: bool) -> Self {
        let sound = Scope::parse(&words).is_ok();
        Self { rule: Arc::new(Rule::Scope { words, explicit }), sound }
    }

    /// A right that is a type, with its scope.
    pub fn of<P: Permission<Identity = I>>() -> Self {
        Self::sound(Rule::Ask(Box::new(P::check)))
    }

    /// All of them, asked in order until one is denied; the 403 names the scope of that one. None at all is a
    /// fault: a list that was read from somewhere and came out empty must not open the door.
    pub fn all(policies: impl IntoIterator<Item = Self>) -> Self {
        Self::of_several(policies, Rule::All)
    }

    /// At least one of them, asked in order until one is granted. If none is, the 403 names the scope of the
    /// first that has one. None at all is a fault.
    pub fn any(policies: impl IntoIterator<Item = Self>) -> Self {
        Self::of_several(policies, Rule::Any)
    }

    fn of_several(policies: impl IntoIterator<Item = Self>, rule: fn(Vec<Self>) -> Rule<I>) -> Self {
        let policies: Vec<Self> = policies.into_iter().collect();
        let sound = !policies.is_empty() && policies.iter().all(|policy| policy.sound);
        Self { rule: Arc::new(rule(policies)), sound }
    }

    fn sound(rule: Rule<I>) -> Self {
        Self { rule: Arc::new(rule), sound: true }
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::all([self, other])
    }

    /// One of the two, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::any([self, other])
    }

    /// The opposite. No scope helps whoever has the right, so the 403 names none.
    ///
    /// A credential that is limited to a scope must not gain by the limit: negate what a user or a login is, not
    /// a scope.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // `policy.not()` reads as the others do; `!policy` would not
    pub fn not(self) -> Self {
        let sound = self.sound;
        Self { rule: Arc::new(Rule::Not(self)), sound }
    }

    /// The caller has the right, or this is the answer. Call it where the answer is given: each refusal is
    /// reported as an `authz_fail` event. [`grants`](Self::grants) only asks.
    ///
    /// # Errors
    /// A [`Rejection`] with 403 `insufficient_scope`.
    pub fn check(&self, auth: &Auth<I>) -> Result<(), Rejection> {
        self.decide(auth).map_err(|denied| denied.reject(auth))
    }

    /// Whether the caller has the right, for a handler that goes on without it.
    pub fn grants(&self, auth: &Auth<I>) -> bool {
        self.decide(auth).is_ok()
    }

    fn decide(&self, auth: &Auth<I>) -> Result<(), Denied> {
        if !self.sound {
            tracing::error!(policy = ?self, "a policy with a fault denies everything");
            return Err(Denied::new());
        }
        self.rule.decide(auth)
    }

    /// Checks every part. Layers do it when they are built; do it yourself, at the start, for a policy that
    /// handlers ask.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut faults = Faults::default();
        self.rule.find(&mut faults);
        faults.finish()
    }
}

impl<I> Clone for Policy<I> {
    fn clone(&self) -> Self {
        Self { rule: Arc::clone(&self.rule), sound: self.sound }
    }
}

impl<I> fmt::Debug for Policy<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.rule {
            Rule::Ask(_) => f.write_str("Ask(..)"),
            Rule::Scope { words, explicit: false } => f.debug_tuple("Scope").field(words).finish(),
            Rule::Scope { words, explicit: true } => f.debug_tuple("ExplicitScope").field(words).finish(),
            Rule::All(policies) => f.debug_tuple("All").field(policies).finish(),
            Rule::Any(policies) => f.debug_tuple("Any").field(policies).finish(),
            Rule::Not(policy) => f.debug_tuple("Not").field(policy).finish(),
        }
    }
}

// ===== impl Rule =====

impl<I: Send + Sync + 'static> Rule<I> {
    fn decide(&self, auth: &Auth<I>) -> Result<(), Denied> {
        match self {
            Self::Ask(predicate) => predicate(auth),
            Self::Scope { words, explicit } => {
                let has = |scope: &Scope| words.split(' ').all(|word| scope.contains(word));
                match auth.scope().map_or(!explicit, has) {
                    true => Ok(()),
                    false => Err(Denied::needs(words.clone())),
                }
            }
            Self::All(policies) => policies.iter().try_for_each(|policy| policy.decide(auth)),
            Self::Any(policies) => {
                let mut denied = Denied::new();
                for policy in policies {
                    match policy.decide(auth) {
                        Ok(()) => return Ok(()),
                        Err(next) => denied = denied.or(next),
                    }
                }
                Err(denied)
            }
            Self::Not(policy) => policy.decide(auth).map_or(Ok(()), |()| Err(Denied::new())),
        }
    }

    fn find(&self, faults: &mut Faults) {
        match self {
            Self::Ask(_) => {}
            Self::Scope { words, .. } => {
                let valid = Scope::parse(words).is_ok();
                faults.check(valid, "scope", words, "must be scope words (RFC 6749, section 3.3)");
            }
            Self::All(policies) | Self::Any(policies) => {
                let field = if matches!(self, Self::All(_)) { "all" } else { "any" };
                faults.check(!policies.is_empty(), field, policies, "must not be empty");
                policies.iter().for_each(|policy| policy.rule.find(faults));
            }
            Self::Not(policy) => policy.rule.find(faults),
        }
    }
}
