//! A right as a type.

use super::Denied;
use crate::identity::Auth;

/// A right that a caller has or has not, known when the program is compiled. Rights that are known only at run
/// time are a [`Policy`](super::Policy).
///
/// ```
/// use portcullis::{identity::{Auth, Subject}, inbound::Permission};
///
/// struct BetaTester;
///
/// impl Permission for BetaTester {
///     type Identity = Subject;
///
///     fn granted(auth: &Auth<Subject>) -> bool {
///         auth.record().is_ok_and(|login| login.context().get("beta").is_some_and(|beta| beta == true))
///     }
/// }
/// ```
///
/// A tuple of two to four permissions is the right to all of them, [`Any`](super::Any) to one of them, and
/// [`Not`](super::Not) the opposite of one. A right that a scope stands for names it:
///
/// ```
/// use portcullis::{
///     identity::{Auth, Subject},
///     inbound::{Any, Not, Permission},
///     scope::Scope,
/// };
///
/// struct ReadsOrders;
/// struct Banned;
///
/// impl Permission for ReadsOrders {
///     type Identity = Subject;
///     const SCOPE: Option<&'static str> = Some("orders:read");
///
///     fn granted(auth: &Auth<Subject>) -> bool {
///         auth.scope().is_none_or(|scope| scope.contains("orders:read"))
///     }
/// }
///
/// impl Permission for Banned {
///     type Identity = Subject;
///
///     fn granted(auth: &Auth<Subject>) -> bool {
///         auth.user().id() == "eve"
///     }
/// }
///
/// # #[cfg(feature = "axum")]
/// async fn orders(_: portcullis::Require<(ReadsOrders, Not<Banned>)>) -> &'static str {
///     "all orders"
/// }
/// # #[cfg(feature = "axum")]
/// # let _ = orders;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no permission",
    note = "implement `portcullis::inbound::Permission` for it: `fn granted(auth: &Auth<Self::Identity>) -> bool`"
)]
pub trait Permission: 'static {
    /// The identity that the layer yields.
    type Identity: Send + Sync + 'static;

    /// The scope words (RFC 6749 §3.3) that a client would have to ask for; named in the challenge of the 403.
    const SCOPE: Option<&'static str> = None;

    /// Whether the caller has the right.
    fn granted(auth: &Auth<Self::Identity>) -> bool;

    /// [`granted`](Self::granted), and what a client would have to ask for. This is what guards call; write it
    /// only where the missing scope depends on the caller, and let `granted` agree with it.
    ///
    /// # Errors
    /// [`Denied`] if the caller does not have the right; by default it names [`SCOPE`](Self::SCOPE).
    fn check(auth: &Auth<Self::Identity>) -> Result<(), Denied> {
        if Self::granted(auth) { Ok(()) } else { Err(Denied::for_scope(Self::SCOPE)) }
    }
}
