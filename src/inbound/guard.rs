//! Rights: what a known caller may do.

use crate::identity::Auth;

/// A right that a caller has or has not.
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
}
