//! A right as an argument of a handler.

use std::{fmt, marker::PhantomData};

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::{
    identity::{Auth, caller::known},
    inbound::Permission,
    problem::Rejection,
};

/// Proof that the caller has the right `P`: an extractor. Anonymous callers get 401, others without the right
/// 403. `Require<(A, B)>` asks for both, `Require<Any<(A, B)>>` for one of them; see
/// [`Permission`](crate::inbound::Permission).
///
/// There is no `Option<Require<P>>`: a handler that goes on without the right asks the identity itself.
pub struct Require<P>(PhantomData<fn() -> P>);

impl<S, P> FromRequestParts<S> for Require<P>
where
    S: Sync,
    P: Permission,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let auth: Auth<P::Identity> = known(&parts.extensions)?;
        P::check(&auth).map_err(|denied| denied.reject(&auth))?;
        Ok(Self(PhantomData))
    }
}

impl<P> fmt::Debug for Require<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Require")
    }
}
