//! The names of the caller's devices.

use std::sync::Arc;

use http::request::Parts;

use super::{
    answer::{self, Answer},
    body::{Content, missing},
    caller::login,
    device_revoke::{ID, unknown},
    endpoint::{self, Endpoint},
};
use crate::{
    error::ConfigError,
    identity::{Subject, caller::known},
    problem::Rejection,
    secret::Secret,
    text::TokenId,
    token::TokenService,
};

/// `POST` the `id` of a device of the caller and a `label`, which names it: 204. Without a label, or with an empty
/// one, the name is taken away. Stands behind an [`AuthLayer`](crate::AuthLayer) with the same identity type.
///
/// | request | answer |
/// |---|---|
/// | no `id`; a label of more than 256 bytes or with control characters | 400 `invalid_request` |
/// | an `id` that is not one of the caller's live logins | 404 `not_found` |
/// | method, size and type of the body | 405, 413, 415, as for a [login](super::LoginService) |
/// | caller, layer, store | 401, 403, 500, 503, as for [`LogoutAllService`](super::LogoutAllService) |
#[must_use]
pub struct DeviceRenameService<I = Subject>(Arc<DeviceRename<I>>);

struct DeviceRename<I> {
    tokens: TokenService<I>,
}

// ===== impl DeviceRenameService =====

impl<I: Send + Sync + 'static> DeviceRenameService<I> {
    /// The logins of this token service.
    pub fn new(tokens: TokenService<I>) -> Self {
        Self(Arc::new(DeviceRename { tokens }))
    }
}

endpoint::service!(DeviceRenameService);

// ===== impl DeviceRename =====

impl<I: Send + Sync + 'static> Endpoint for DeviceRename<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, content: Content) -> Result<Answer, Rejection> {
        let auth = known::<I>(&head.extensions)?;
        let login = login(&auth)?;
        let mut fields = content.fields().await?;
        let id = fields.required(ID)?;
        let label = fields.text("label")?;
        let label = label.as_ref().map(Secret::expose).filter(|label| !label.is_empty());
        let id = TokenId::parse(id.expose()).ok_or_else(unknown)?;
        match self.tokens.set_label(login.subject(), &id, label).await {
            Ok(true) => Ok(answer::no_content()),
            Ok(false) => Err(unknown()),
            Err(error) if error.is::<ConfigError>() => Err(missing()),
            Err(error) => Err(Rejection::unavailable(error)),
        }
    }
}
