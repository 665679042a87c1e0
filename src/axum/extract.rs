//! `Auth<I>` and `Option<Auth<I>>` as arguments of a handler.

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::{
    identity::{
        Auth,
        caller::{context, known, typed},
    },
    problem::Rejection,
};

impl<S, I> FromRequestParts<S> for Auth<I>
where
    S: Sync,
    I: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        known(&parts.extensions)
    }
}

impl<S, I> OptionalFromRequestParts<S> for Auth<I>
where
    S: Sync,
    I: Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Rejection> {
        context(&parts.extensions).and_then(typed)
    }
}
