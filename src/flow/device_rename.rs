//! The names of the caller's devices.

use std::{
    convert::Infallible,
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    answer::{self, Answer},
    body::{Content, missing},
    caller,
    device_revoke::{ID, unknown},
    endpoint::{self, Endpoint, ResponseFuture},
};
use crate::{
    error::ConfigError, identity::Subject, problem::Rejection, secret::Secret, text::TokenId,
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
pub struct DeviceRenameService<I = Subject> {
    rename: Arc<DeviceRename<I>>,
}

struct DeviceRename<I> {
    tokens: TokenService<I>,
}

// ===== impl DeviceRenameService =====

impl<I: Send + Sync + 'static> DeviceRenameService<I> {
    /// The logins of this token service.
    pub fn new(tokens: TokenService<I>) -> Self {
        Self { rename: Arc::new(DeviceRename { tokens }) }
    }
}

impl<I, B> Service<Request<B>> for DeviceRenameService<I>
where
    I: Send + Sync + 'static,
    B: Body<Data: Send> + Send + 'static,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        endpoint::serve(&self.rename, request)
    }
}

impl<I> Clone for DeviceRenameService<I> {
    fn clone(&self) -> Self {
        Self { rename: Arc::clone(&self.rename) }
    }
}

impl<I> fmt::Debug for DeviceRenameService<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRenameService").finish_non_exhaustive()
    }
}

// ===== impl DeviceRename =====

impl<I: Send + Sync + 'static> Endpoint for DeviceRename<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, content: Content) -> Result<Answer, Rejection> {
        let auth = caller::caller::<I>(head)?;
        let login = caller::login(&auth)?;
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
