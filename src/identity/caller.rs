//! The caller, for whoever asks a request who it is: a guard, a ready service, a handler.

use http::Extensions;

use super::{Auth, AuthContext};
use crate::problem::{Reason, Rejection, RejectionKind};

/// What the layer outside found out, or a loud 500: "no layer" must never be taken for "nobody".
pub(crate) fn context(extensions: &Extensions) -> Result<&AuthContext, Rejection> {
    let missing = || Rejection::new(RejectionKind::LayerMissing, Reason::LayerMissing);
    extensions.get::<AuthContext>().ok_or_else(missing).inspect_err(|_no_layer| loud(None))
}

/// The caller if there is one, or a loud 500 if the layer's identities are others.
pub(crate) fn typed<I>(context: &AuthContext) -> Result<Option<Auth<I>>, Rejection>
where
    I: Send + Sync + 'static,
{
    context.auth().inspect_err(|_other_identity| loud(Some(std::any::type_name::<I>())))
}

/// A caller, or 401.
pub(crate) fn known<I: Send + Sync + 'static>(extensions: &Extensions) -> Result<Auth<I>, Rejection> {
    let context = context(extensions)?;
    typed(context)?.ok_or_else(|| context.missing_credential())
}

fn loud(identity: Option<&'static str>) {
    tracing::error!(
        identity,
        "no portcullis AuthLayer with this identity type is outside of what asks for the caller: in a \
         ServiceBuilder it comes before it, on a Router it is added after it"
    );
}
