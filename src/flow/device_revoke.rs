//! The end of one of the caller's logins.

use std::{fmt, sync::Arc};

use http::request::Parts;

use super::{
    answer::{self, Answer},
    body::Content,
    caller::login,
    cookies::{CookieChoice, Cookies},
    endpoint::{self, Endpoint},
};
use crate::{
    cookie::CookieSettings,
    credential::Channel,
    error::{ConfigError, Faults},
    identity::{Subject, caller::known},
    problem::{Reason, Rejection, RejectionKind},
    text::TokenId,
    token::TokenService,
};

/// The field that names a login.
pub(super) const ID: &str = "id";

/// `POST` the `id` of a device of the caller, and its login has ended: 204. Stands behind an
/// [`AuthLayer`](crate::AuthLayer) with the same identity type.
///
/// | request | answer |
/// |---|---|
/// | the caller's own login of this request | 204; its cookies are removed |
/// | no `id` | 400 `invalid_request` |
/// | an `id` that is not one of the caller's logins | 404 `not_found`, whoever else's it is |
/// | method, size and type of the body | 405, 413, 415, as for a [login](super::LoginService) |
/// | caller, layer, store | 401, 403, 500, 503, as for [`LogoutAllService`](super::LogoutAllService) |
#[must_use]
pub struct DeviceRevokeService<I = Subject>(Arc<DeviceRevoke<I>>);

/// Settings of a [`DeviceRevokeService`].
#[must_use]
pub struct DeviceRevokeServiceBuilder<I = Subject> {
    tokens: TokenService<I>,
    cookies: CookieChoice,
}

struct DeviceRevoke<I> {
    tokens: TokenService<I>,
    cookies: Option<Cookies>,
}

// ===== impl DeviceRevokeService =====

impl<I: Send + Sync + 'static> DeviceRevokeService<I> {
    /// Starts from the defaults: no cookies.
    #[allow(clippy::new_ret_no_self)] // a service that exists is valid; this is where its settings begin
    pub fn new(tokens: TokenService<I>) -> DeviceRevokeServiceBuilder<I> {
        DeviceRevokeServiceBuilder { tokens, cookies: CookieChoice::default() }
    }
}

endpoint::service!(DeviceRevokeService);

// ===== impl DeviceRevokeServiceBuilder =====

impl<I: Send + Sync + 'static> DeviceRevokeServiceBuilder<I> {
    /// Removes this cookie of a caller that ends the login it came with.
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.cookies.access = Some(cookie.into());
        self
    }

    /// Also removes the cookie of the refresh token.
    pub fn refresh_cookie(mut self, path: impl Into<String>) -> Self {
        self.cookies.refresh_path = Some(path.into());
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<DeviceRevokeService<I>, ConfigError> {
        let mut faults = Faults::default();
        let cookies = self.cookies.check(&mut faults);
        faults.finish()?;
        Ok(DeviceRevokeService(Arc::new(DeviceRevoke { tokens: self.tokens, cookies })))
    }
}

impl<I> fmt::Debug for DeviceRevokeServiceBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceRevokeServiceBuilder").field("cookies", &self.cookies).finish_non_exhaustive()
    }
}

// ===== impl DeviceRevoke =====

impl<I: Send + Sync + 'static> Endpoint for DeviceRevoke<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, content: Content) -> Result<Answer, Rejection> {
        let auth = known::<I>(&head.extensions)?;
        let login = login(&auth)?;
        let id = content.fields().await?.required(ID)?;
        let id = TokenId::parse(id.expose()).ok_or_else(unknown)?;
        let own = self.tokens.revoke_of(login.subject(), &id).await;
        if !own.map_err(|error| Rejection::unavailable(error.into()))? {
            return Err(unknown());
        }
        let mut answer = answer::no_content();
        if let Some(cookies) = self.cookies.as_ref().filter(|_| id == login.id())
            && auth.evidence().channel() == Channel::Cookie
        {
            cookies.clear(answer.headers_mut());
        }
        Ok(answer)
    }
}

/// Not there, or somebody else's: nobody learns which.
pub(super) fn unknown() -> Rejection {
    Rejection::new(RejectionKind::NotFound, Reason::UnknownLogin)
}
