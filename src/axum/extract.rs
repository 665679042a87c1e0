//! `Auth<I>` and `Option<Auth<I>>` as arguments of a handler.

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::{
    identity::{Auth, AuthContext},
    problem::{Reason, Rejection, RejectionKind},
};

impl<S, I> FromRequestParts<S> for Auth<I>
where
    S: Sync,
    I: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        known(parts)
    }
}

impl<S, I> OptionalFromRequestParts<S> for Auth<I>
where
    S: Sync,
    I: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        present(parts).map(|(_, auth)| auth)
    }
}

/// A caller, or 401.
pub(super) fn known<I: Send + Sync + 'static>(parts: &Parts) -> Result<Auth<I>, Rejection> {
    let (context, auth) = present(parts)?;
    auth.ok_or_else(|| context.missing_credential())
}

/// A layer with this identity type, or a loud 500: a handler that asks for a caller must never run unguarded by
/// mistake.
fn present<I: Send + Sync + 'static>(parts: &Parts) -> Result<(&AuthContext, Option<Auth<I>>), Rejection> {
    let identity = std::any::type_name::<I>();
    let missing = || Rejection::new(RejectionKind::LayerMissing, Reason::LayerMissing);
    let loud = |rejection| {
        tracing::error!(
            identity,
            "no portcullis AuthLayer with this identity type is in front of the handler"
        );
        rejection
    };
    let context = parts.extensions.get::<AuthContext>().ok_or_else(missing).map_err(loud)?;
    let auth = context.auth().map_err(loud)?;
    Ok((context, auth))
}
