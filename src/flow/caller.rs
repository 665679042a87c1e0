//! The login of the caller.

use crate::{identity::Auth, problem::Rejection, store::LoginRecord};

/// The caller's login. Other credentials than opaque tokens have none, and no devices: 403.
pub(super) fn login<I>(auth: &Auth<I>) -> Result<&LoginRecord, Rejection> {
    auth.record().map_err(|_no_login| auth.insufficient_scope(None))
}
