//! Who is calling, as the layer in front has found out.

use http::request::Parts;

use crate::{
    identity::{Auth, AuthContext},
    problem::{Reason, Rejection, RejectionKind},
    store::LoginRecord,
};

/// The caller: 401 for an anonymous request, and a loud 500 without a layer, which would be no guard at all.
pub(super) fn caller<I: Send + Sync + 'static>(head: &Parts) -> Result<Auth<I>, Rejection> {
    let loud = || {
        let identity = std::any::type_name::<I>();
        tracing::error!(
            identity,
            "no portcullis AuthLayer with this identity type is in front of the service"
        );
    };
    let Some(context) = head.extensions.get::<AuthContext>() else {
        loud();
        return Err(Rejection::new(RejectionKind::LayerMissing, Reason::LayerMissing));
    };
    let auth = context.auth().inspect_err(|_other_identity| loud())?;
    auth.ok_or_else(|| context.missing_credential())
}

/// The caller's login. Other credentials than opaque tokens have none, and no devices: 403.
pub(super) fn login<I>(auth: &Auth<I>) -> Result<&LoginRecord, Rejection> {
    auth.record().map_err(|_no_login| auth.insufficient_scope(None))
}
