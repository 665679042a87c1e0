//! The service that ends all logins of the caller.

use std::{fmt, sync::Arc};

use http::request::Parts;
use serde_json::json;

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
    problem::Rejection,
    token::TokenService,
};

/// `POST`, and all logins of the caller have ended: 200 with their number, as `{"ended": 3}`. Stands behind an
/// [`AuthLayer`](crate::AuthLayer) with the same identity type.
///
/// | request | answer |
/// |---|---|
/// | a caller with a login | 200; its cookies are removed, unless its own login is kept |
/// | an anonymous caller, where the layer lets one through | 401 |
/// | a caller with another credential than an opaque token | 403 |
/// | another method | 405 |
/// | no layer in front | 500 |
/// | the store did not answer | 503; the cookies stay |
///
/// A repeat meets the layer with a token that has ended, so it is a 401 like any other, and touches no cookie. A client
/// that has lost the answer goes on to a [`LogoutService`](super::LogoutService), which takes every token for an answer
/// and removes the cookies; one with [`everywhere`](super::LogoutServiceBuilder::everywhere) can take this one's place.
#[must_use]
pub struct LogoutAllService<I = Subject>(Arc<LogoutAll<I>>);

/// Settings of a [`LogoutAllService`].
#[must_use]
pub struct LogoutAllServiceBuilder<I = Subject> {
    tokens: TokenService<I>,
    others_only: bool,
    cookies: CookieChoice,
}

struct LogoutAll<I> {
    tokens: TokenService<I>,
    others_only: bool,
    cookies: Option<Cookies>,
}

// ===== impl LogoutAllService =====

impl<I: Send + Sync + 'static> LogoutAllService<I> {
    /// Starts from the defaults: all logins, no cookies.
    #[allow(clippy::new_ret_no_self)] // a service that exists is valid; this is where its settings begin
    pub fn new(tokens: TokenService<I>) -> LogoutAllServiceBuilder<I> {
        LogoutAllServiceBuilder { tokens, others_only: false, cookies: CookieChoice::default() }
    }
}

endpoint::service!(LogoutAllService);

// ===== impl LogoutAllServiceBuilder =====

impl<I: Send + Sync + 'static> LogoutAllServiceBuilder<I> {
    /// Keeps the login that the request came with.
    pub fn others_only(mut self) -> Self {
        self.others_only = true;
        self
    }

    /// Removes this cookie of a caller that came with one, with the attributes that the login service sets it with.
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
    pub fn build(self) -> Result<LogoutAllService<I>, ConfigError> {
        let mut faults = Faults::default();
        let cookies = self.cookies.check(&mut faults);
        faults.finish()?;
        let logout = LogoutAll { tokens: self.tokens, others_only: self.others_only, cookies };
        Ok(LogoutAllService(Arc::new(logout)))
    }
}

impl<I> fmt::Debug for LogoutAllServiceBuilder<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutAllServiceBuilder")
            .field("others_only", &self.others_only)
            .field("cookies", &self.cookies)
            .finish_non_exhaustive()
    }
}

// ===== impl LogoutAll =====

impl<I: Send + Sync + 'static> Endpoint for LogoutAll<I> {
    const METHODS: &'static str = "POST";

    async fn answer(&self, head: &Parts, _content: Content) -> Result<Answer, Rejection> {
        let auth = known::<I>(&head.extensions)?;
        let login = login(&auth)?;
        let ended = if self.others_only {
            self.tokens.revoke_others(login.subject(), &login.id()).await
        } else {
            self.tokens.revoke_subject(login.subject()).await
        };
        let ended = ended.map_err(|error| Rejection::unavailable(error.into()))?;
        let mut answer = answer::json(&json!({ "ended": ended }));
        if let Some(cookies) = self.cookies.as_ref().filter(|_| !self.others_only)
            && auth.evidence().channel() == Channel::Cookie
        {
            cookies.clear(answer.headers_mut());
        }
        Ok(answer)
    }
}
