//! The login service and its settings.

use std::{fmt, sync::Arc};

use http::request::Parts;

use super::{
    Accounts,
    attempt::{Login, Names},
    common::{FromHead, Settings, bearer},
    endpoint,
};
use crate::{
    client_ip::ClientIpPolicy,
    cookie::CookieSettings,
    csrf::CsrfPolicy,
    error::{ConfigError, Faults},
    event::Reporter,
    identity::Subject,
    throttle::Throttle,
    token::TokenService,
};

/// `POST` a name and a password, get tokens. See the [module docs](super).
///
/// | request | answer |
/// |---|---|
/// | name and password belong together | 200, and the tokens in the body or in cookies |
/// | no such account, another password, or an inactive account | 401 `invalid_credentials`, the same to the byte |
/// | a field is missing, comes twice or has another type; no JSON, no form, no UTF-8 | 400 `invalid_request` |
/// | from another site, where cookies are set | 403 `csrf` |
/// | another method | 405 |
/// | the user has as many logins as the policy allows | 409 `login_limit` |
/// | more than 16 KiB | 413 |
/// | another content type, or a compressed body | 415 |
/// | too many attempts | 429 with `Retry-After` |
/// | accounts or store did not answer | 503 |
#[must_use]
pub struct LoginService<A, I = Subject>(Arc<Login<A, I>>);

/// Settings of a [`LoginService`].
#[must_use]
pub struct LoginServiceBuilder<A, I = Subject> {
    tokens: TokenService<I>,
    accounts: A,
    names: Names,
    tenant: Option<FromHead>,
    client: Option<FromHead>,
    settings: Settings,
}

// ===== impl LoginService =====

impl<A: Accounts, I: Send + Sync + 'static> LoginService<A, I> {
    /// Starts from the defaults: the tokens in the body, for the `Authorization` header.
    #[allow(clippy::new_ret_no_self)] // a service that exists is valid; this is where its settings begin
    pub fn new(tokens: TokenService<I>, accounts: A) -> LoginServiceBuilder<A, I> {
        let settings = Settings::new(tokens.shared_reporter());
        LoginServiceBuilder {
            tokens,
            accounts,
            names: Names::default(),
            tenant: None,
            client: None,
            settings,
        }
    }
}

endpoint::service!(LoginService<A: Accounts>);

// ===== impl LoginServiceBuilder =====

impl<A: Accounts, I: Send + Sync + 'static> LoginServiceBuilder<A, I> {
    /// Issues for a cookie, and sets it: a name, which gets the `__Host-` prefix, or [`CookieSettings`]. The body
    /// then holds no token. Requests must come from a page of the same origin; a login that the browser's cookies
    /// show is ended with the new one.
    pub fn cookie(mut self, cookie: impl Into<CookieSettings>) -> Self {
        self.settings.cookies.access = Some(cookie.into());
        self
    }

    /// Also sets the refresh token, as a `SameSite=Strict` cookie named `<cookie>_refresh` for this path and those
    /// below it. It needs [`cookie`](Self::cookie); without it, logins in a cookie have no refresh token. Take a
    /// path that the refresh and logout services are below.
    pub fn refresh_cookie(mut self, path: impl Into<String>) -> Self {
        self.settings.cookies.refresh_path = Some(path.into());
        self
    }

    /// The name of the field with the user's name. Default `username`.
    pub fn username_field(mut self, name: impl Into<String>) -> Self {
        self.names.username = name.into();
        self
    }

    /// The name of the field with the password. Default `password`.
    pub fn password_field(mut self, name: impl Into<String>) -> Self {
        self.names.password = name.into();
        self
    }

    /// Limits attempts, before anything is looked up. Default: none are counted. Where the client's address is not
    /// known, all attempts for one name share a bucket, others are not counted, and the log warns once.
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.settings.throttle = Some(throttle);
        self
    }

    /// How the client's address is found. Default: the peer's, from the extension
    /// [`PeerAddr`](crate::client_ip::PeerAddr).
    pub fn client_ip(mut self, policy: ClientIpPolicy) -> Self {
        self.settings.client_ip = policy;
        self
    }

    /// From where a login that sets cookies may come. Default: from the same origin.
    pub fn csrf(mut self, policy: CsrfPolicy) -> Self {
        self.settings.csrf = policy;
        self
    }

    /// Binds each login to the tenant that this finds in the head of the request.
    pub fn tenant(mut self, tenant: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.tenant = Some(Arc::new(tenant));
        self
    }

    /// Binds refreshing to the client that this finds in the head of the request. What it finds must be proven
    /// already, by a layer in front.
    pub fn client(mut self, client: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.client = Some(Arc::new(client));
        self
    }

    /// Reports events through this reporter. Default: that of the token service.
    pub fn reporter(mut self, reporter: Reporter) -> Self {
        self.settings.reporter = reporter;
        self
    }

    /// The realm that challenges name. Default `api`.
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.settings.realm = realm.into();
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<LoginService<A, I>, ConfigError> {
        let mut faults = Faults::default();
        self.names.check(&mut faults);
        // The challenge names how the tokens will travel.
        let schemes = if self.settings.cookies.access.is_some() { Vec::new() } else { bearer() };
        let common = self.settings.check(&schemes, faults)?;
        let Self { tokens, accounts, names, tenant, client, .. } = self;
        Ok(LoginService(Arc::new(Login { tokens, accounts, names, tenant, client, common })))
    }
}

impl<A, I> fmt::Debug for LoginServiceBuilder<A, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginServiceBuilder")
            .field("names", &self.names)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
