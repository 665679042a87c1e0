//! `Session` as an argument of a handler, and its errors as answers.

use axum_core::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use crate::{
    problem::{Reason, Rejection, RejectionKind},
    session::{Session, SessionError},
};

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!("no portcullis SessionLayer is in front of the handler");
            Rejection::new(RejectionKind::SessionLayerMissing, Reason::LayerMissing)
        })
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        let rejection = self.rejection();
        if rejection.kind() == RejectionKind::Internal {
            tracing::error!(kind = ?self.kind(), "a handler used its session in a way that cannot work");
        }
        rejection.into_response()
    }
}
