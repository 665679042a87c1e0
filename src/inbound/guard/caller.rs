//! What the layer outside has left in a request.

use http::Extensions;

use crate::{
    identity::{Auth, AuthContext},
    problem::{Reason, Rejection, RejectionKind},
};

/// What the layer found out, or a loud 500: a guard must never take "no layer" for "nobody".
pub(in crate::inbound) fn context(extensions: &Extensions) -> Result<&AuthContext, Rejection> {
    extensions
        .get::<AuthContext>()
        .ok_or_else(|| loud("", Rejection::new(RejectionKind::LayerMissing, Reason::LayerMissing)))
}

/// The caller if there is one, or a loud 500 if the layer's identities are others.
pub(in crate::inbound) fn typed<I>(context: &AuthContext) -> Result<Option<Auth<I>>, Rejection>
where
    I: Send + Sync + 'static,
{
    context.auth().map_err(|rejection| loud(std::any::type_name::<I>(), rejection))
}

/// A caller, or 401.
pub(super) fn known<I: Send + Sync + 'static>(extensions: &Extensions) -> Result<Auth<I>, Rejection> {
    let context = context(extensions)?;
    typed(context)?.ok_or_else(|| context.missing_credential())
}

fn loud(identity: &'static str, rejection: Rejection) -> Rejection {
    tracing::error!(
        identity,
        "no portcullis AuthLayer with this identity type is outside of the guard: in a ServiceBuilder it comes \
         before it, on a Router it is added after it"
    );
    rejection
}
