//! The port to the users of the application.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{error::BoxError, identity::Subject, secret::Secret};

/// The users of the application, as a login needs them.
///
/// [`LoginService`](super::LoginService) calls [`find`](Self::find) once and then [`check`](Self::check) once,
/// whatever was found, so that a name that nobody has costs what a wrong password costs.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// One user of the application.
    type Account: Send + Sync + 'static;

    /// The account with this name, as it was typed: up to 16 KiB of any text. `tenant` is the one that the
    /// request is for; a name of another tenant is unknown.
    ///
    /// # Errors
    /// Any error means "could not check" and is answered with 503.
    async fn find(&self, identifier: &str, tenant: Option<&str>) -> Result<Option<Self::Account>, BoxError>;

    /// Whether the password is the account's. Without an account, check against the hash of a password that
    /// nobody knows, made with the parameters of the real ones, and answer whatever you like: what it takes is
    /// what counts.
    ///
    /// # Errors
    /// As for [`find`](Self::find).
    async fn check(&self, account: Option<&Self::Account>, password: &Secret) -> Result<bool, BoxError>;

    /// Whether the account may log in. Asked after the check, and answered like a wrong password.
    fn is_active(&self, account: &Self::Account) -> bool;

    /// Whom the login is for. Unique over all tenants: where two tenants number their users alike, the issuer tells them
    /// apart. See [`Subject`].
    fn subject(&self, account: &Self::Account) -> Subject;

    /// What the answer to a login tells of the user. Default: an object with the subject's id.
    fn summary(&self, account: &Self::Account) -> Value {
        json!({ "id": self.subject(account).id() })
    }
}
